/* SPDX-License-Identifier: MIT
 *
 * Chunked bodies (RFC 9112, section 7.1): bytes in, bytes out, no input and output of its own.
 */
#ifndef FILES_CHUNKS_H
#define FILES_CHUNKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is expected next. */
enum chunks_state {
	CHUNKS_SIZE, /* a digit of the size, or the end of the size */
	CHUNKS_EXTENSION, /* what follows the size, up to the end of its line */
	CHUNKS_SIZE_LF,
	CHUNKS_DATA,
	CHUNKS_DATA_CR,
	CHUNKS_DATA_LF,
	CHUNKS_TRAILER, /* the first byte of a line after the last chunk */
	CHUNKS_TRAILER_LINE,
	CHUNKS_TRAILER_LF,
	CHUNKS_END_LF,
	CHUNKS_END
};

struct chunks {
	enum chunks_state state;
	uint64_t left; /* of this chunk */
	unsigned digits; /* of its size */
	unsigned extra; /* bytes of extensions and trailers, which are ignored, so far */
};

/*
 * Goes through some bytes, up to the end of the first piece of data in them, or of the body
 * (CHUNKS_END). The bytes of that piece are *count at *data; *count is 0 when there are none.
 * Returns how many bytes were gone through, or -EPROTO. Begins with all members 0.
 */
ssize_t chunks_decode(
	struct chunks *chunks, const char *bytes, size_t size, const char **data, size_t *count);

#endif
