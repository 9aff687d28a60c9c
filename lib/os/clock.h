/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_CLOCK_H
#define MTSI_OS_CLOCK_H

#include <stdint.h>

/* Times and durations inside the library are nanoseconds of one monotonic clock. */
#define MTSI_MICROSECOND UINT64_C(1000)
#define MTSI_MILLISECOND UINT64_C(1000000)
#define MTSI_SECOND UINT64_C(1000000000)
#define MTSI_NEVER UINT64_MAX

/* Now. The tests put a clock of their own in its place. */
uint64_t mtsi_clock_now(void);

/* The time that lies `span` after `from`; MTSI_NEVER when that is past the end of time. */
uint64_t mtsi_clock_after(uint64_t from, uint64_t span);

/* The date and time of day, in UTC, for who reads a log: 2026-11-26T22:05:06.123Z (RFC 3339). */
enum { MTSI_CLOCK_TEXT = 32 };
void mtsi_clock_text(char text[MTSI_CLOCK_TEXT]);

#endif
