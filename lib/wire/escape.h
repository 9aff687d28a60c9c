/* A peer's bytes, made fit for a log line. */
#ifndef MTSI_WIRE_ESCAPE_H
#define MTSI_WIRE_ESCAPE_H

#include <stddef.h>

/* A buffer of this size takes count bytes whatever they are. */
#define MTSI_ESCAPE_SIZE(count) (4 * (count) + 1)

/*
 * Writes bytes[0, count) to out[0, size): printable ASCII as it is, a backslash doubled, \n \r \t
 * as such, all others as \xNN.  Stops before the first byte that does not fit whole, so an escape
 * is never cut in half.  Always terminates out; with size 0 nothing is written and out may be
 * NULL.  Returns how many bytes were written, without the NUL.
 */
size_t mtsi_escape(char *out, size_t size, const char *bytes, size_t count);

#endif
