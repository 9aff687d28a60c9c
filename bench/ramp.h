/* How fast a server comes up to its full throughput; ramp.c says what that means. */
#ifndef BENCH_RAMP_H
#define BENCH_RAMP_H

#include <stddef.h>
#include <stdint.h>

/* Counts of replies, a bin a millisecond, from the first request on. */
#define RAMP_BIN_NS 1000000

/* In ms; -1: it was not reached, or there is too little to say. */
int ramp_ms(const uint32_t *bins, size_t count);

#endif
