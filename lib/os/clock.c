/* SPDX-License-Identifier: MIT
 *
 * The one clock that the library waits by: monotonic, so that setting the date moves no deadline, and stopped
 * while the machine is suspended, so that waking up does not expire everything at once
 * (CLOCK_MONOTONIC, clock_gettime(2)). 64 bits of nanoseconds last 584 years; sums saturate.
 *
 * Reading it cannot fail where the kernel allows it without a system call (vdso(7)), which no
 * sandbox can deny. Where a system call is needed, and a sandbox denies it, nothing can take its
 * place: with another clock every deadline would pass, or none, and without any clock nothing here
 * is bounded.
 *
 * The time of day (CLOCK_REALTIME) is for people only. It may jump, so nothing is decided by it.
 */
#include "os/clock.h"

#include <stdio.h>
#include <time.h>

#include "os/must.h"

uint64_t mtsi_clock_now(void)
{
	struct timespec now;
	mtsi_must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * MTSI_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t mtsi_clock_after(uint64_t from, uint64_t span)
{
	return span > MTSI_NEVER - from ? MTSI_NEVER : from + span;
}

/* In UTC, so that lines of different machines and seasons can be compared. */
void mtsi_clock_text(char text[MTSI_CLOCK_TEXT])
{
	char seconds[MTSI_CLOCK_TEXT - 8] = "";
	struct timespec now = {0, 0};
	struct tm date;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (gmtime_r(&now.tv_sec, &date) != NULL) {
		(void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &date);
	}
	(void)snprintf(
		text, MTSI_CLOCK_TEXT, "%s.%03uZ", seconds, (unsigned)(now.tv_nsec / 1000000) % 1000);
}
