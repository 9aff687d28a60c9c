/* SPDX-License-Identifier: MIT
 *
 * Reads the counters, the server's own and every worker's, under the crew's lock, so that none is
 * missed or counted twice while a worker comes or leaves. The number of open clients is those
 * accepted less those closed; both are read in the same walk, so that their sum is right in every
 * snapshot.
 */
#include "engine/run/stats.h"

#include "engine/base/floor.h"
#include "engine/base/logger.h"
#include "engine/client/floor.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/stand_in.h"
#include "engine/crew/threads.h"
#include "engine/door/floor.h"
#include "os/lock.h"

static uint64_t sum_locked(struct mts_server *server, int which)
{
	uint64_t sum = atomic_load_explicit(
		&mtsi_base_floor(server)->counters.count[which], memory_order_relaxed);
	for (const struct mtsi_member *w = mtsi_crew_floor(server)->crew.workers; w != NULL;
		 w = w->next) {
		sum += atomic_load_explicit(&w->counters.count[which], memory_order_acquire);
	}
	return sum;
}

uint64_t mtsi_stats_read(struct mts_server *server, int which)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	uint64_t value;
	mtsi_lock_take(&crew->lock);
	switch (which) {
	case MTS_STAT_OPEN: {
		/*
		 * Closed first: a client that opens and closes in between cannot make the result negative.
		 */
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
		value = mtsi_threads_hung_locked(server) + (mtsi_stand_in_hangs_locked(server) ? 1 : 0)
			+ (mtsi_logger_hung(&mtsi_base_floor(server)->log) ? 1 : 0);
		break;
	case MTS_STAT_MEMORY:
		value = atomic_load(&mtsi_client_floor(server)->memory.used);
		break;
	case MTS_STAT_MEMORY_PEAK:
		value = atomic_load(&mtsi_client_floor(server)->memory.peak);
		break;
	case MTS_STAT_LINGERING:
		value = atomic_load(&mtsi_door_floor(server)->linger.count);
		break;
	default:
		value = sum_locked(server, which);
	}
	mtsi_lock_release(&crew->lock);
	return value;
}
