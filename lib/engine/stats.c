/* SPDX-License-Identifier: MIT
 *
 * Reading the counters: the server's own and every worker's, under the crew's lock, so that none is
 * missed or counted twice while a worker comes or leaves. What is open is what was accepted and not
 * closed; reading both in the same walk keeps their sum right in every snapshot.
 */
#include "engine/stats.h"

#include "engine/roster.h"
#include "engine/server.h"
#include "engine/worker.h"

static uint64_t sum_locked(const struct mts_server *server, int which)
{
	uint64_t sum = atomic_load_explicit(&server->stats.count[which], memory_order_relaxed);
	for (const struct mtsi_worker *w = server->crew.workers; w != NULL; w = w->next) {
		sum += atomic_load_explicit(&w->stats.count[which], memory_order_acquire);
	}
	return sum;
}

uint64_t mtsi_stats_read(struct mts_server *server, int which)
{
	struct mtsi_crew *crew = &server->crew;
	uint64_t value;
	mtsi_lock_take(&crew->lock);
	switch (which) {
	case MTS_STAT_OPEN: {
		/* Closed first: a client that opens and closes in between cannot make it negative. */
		const uint64_t closed = sum_locked(server, MTS_STAT_CLOSED);
		value = sum_locked(server, MTS_STAT_ACCEPTED) - closed;
		break;
	}
	case MTS_STAT_THREADS:
		value = crew->enlisted;
		break;
	case MTS_STAT_THREADS_PEAK:
		value = crew->threads_peak;
		break;
	case MTS_STAT_HUNG:
		value = mtsi_roster_hung_locked(server);
		break;
	case MTS_STAT_MEMORY:
		value = atomic_load(&server->memory.used);
		break;
	case MTS_STAT_MEMORY_PEAK:
		value = atomic_load(&server->memory.peak);
		break;
	case MTS_STAT_LINGERING:
		value = atomic_load(&server->linger.count);
		break;
	default:
		value = sum_locked(server, which);
	}
	mtsi_lock_release(&crew->lock);
	return value;
}
