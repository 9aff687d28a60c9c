/* A log-linear histogram of durations; hist.c says how it is laid out. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6
#define HIST_SUB (1u << HIST_SUB_BITS)
#define HIST_CELLS ((64u - HIST_SUB_BITS + 1u) * HIST_SUB)

struct hist {
	uint64_t count;
	uint64_t max;
	uint64_t cells[HIST_CELLS];
};

/* Zeroed memory is an empty histogram. */
void hist_add(struct hist *hist, uint64_t value);
void hist_merge(struct hist *into, const struct hist *from);

/* The value below or at which ppm millionths of all values lie; 0 when there are none. */
uint64_t hist_quantile(const struct hist *hist, uint64_t ppm);

#endif
