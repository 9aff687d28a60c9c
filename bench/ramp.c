/*
 * The ramp: how long from the first request until 90 % of the full throughput is reached.
 *
 * The full throughput is the median rate of 50 ms pieces in the later half of the window, so that
 * neither the ramp itself nor a stall is in it.  Requests that block come back in waves, one each
 * time they block, and a wave alone is no throughput: a server whose thirty threads all reply
 * within one millisecond is far from full in the nine before the next.  So rates are taken over a
 * trailing 10 ms, the time that a request blocks in the load this is for, which spans a wave and
 * the gap behind it.  The ramp ends at the first millisecond where that rate is 90 % of the full
 * one, provided that it lasts: the 50 ms from the start of those 10 must come to 90 % as well.
 *
 * What the definition includes: the 10 ms that even the first request blocks, and up to 10 ms of
 * smoothing.  No server is below about 10, then.
 */
#include "ramp.h"

#include <stdlib.h>
#include <string.h>

#define SMOOTH 10
#define LASTING 50
#define MIN_COUNT (4 * LASTING)

static uint64_t sum(const uint32_t *bins, size_t from, size_t length)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < length; i++) {
		total += bins[from + i];
	}
	return total;
}

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left;
	uint64_t b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* Replies in LASTING ms at the full rate. */
static uint64_t full(const uint32_t *bins, size_t count)
{
	size_t pieces = (count - count / 2) / LASTING;
	uint64_t *sums = calloc(pieces, sizeof(*sums));
	uint64_t median;
	size_t i;

	if (!sums) {
		return 0;
	}
	for (i = 0; i < pieces; i++) {
		sums[i] = sum(bins, count / 2 + i * LASTING, LASTING);
	}
	qsort(sums, pieces, sizeof(*sums), ascending);
	median = sums[pieces / 2];
	free(sums);
	return median;
}

int ramp_ms(const uint32_t *bins, size_t count)
{
	uint64_t enough;
	size_t start;

	if (count < MIN_COUNT) {
		return -1;
	}
	enough = full(bins, count) * 9 / 10;
	for (start = 0; enough > 0 && start + LASTING <= count; start++) {
		if (sum(bins, start, SMOOTH) * LASTING / SMOOTH >= enough
			&& sum(bins, start, LASTING) >= enough) {
			return (int)(start + SMOOTH);
		}
	}
	return -1;
}
