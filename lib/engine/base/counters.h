/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_COUNTERS_H
#define MTSI_ENGINE_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include <mtserver/stats.h>

struct mts_server;

enum { MTSI_COUNTERS = MTS_STAT_PROXY_ERRORS + 1 };

/*
 * A set of counters. Each worker has a set that only it writes, so counting costs no locked
 * instruction and no shared cache line. The server has one for all other threads, and for workers
 * that have left. A reader sees the sum of all sets. Gauges are sums too: a step down is added
 * modulo 2^64.
 */
struct mtsi_counters {
	_Atomic uint64_t count[MTSI_COUNTERS];
};

/*
 * Counts in a set that only this thread writes. The store is a release, and readers acquire, so a
 * reader that sees a client closed also sees that it was accepted.
 */
static inline void mtsi_count(struct mtsi_counters *own, int which, uint64_t step)
{
	const uint64_t now = atomic_load_explicit(&own->count[which], memory_order_relaxed);
	atomic_store_explicit(&own->count[which], now + step, memory_order_release);
}

/* The same for a gauge of which this thread's part is known: it is `number` now. */
static inline void mtsi_gauge(struct mtsi_counters *own, int which, uint64_t number)
{
	atomic_store_explicit(&own->count[which], number, memory_order_release);
}

#endif
