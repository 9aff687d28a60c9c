/* SPDX-License-Identifier: MIT
 *
 * How long clients wait for a thread, for who wants to know whether requests get on.
 *
 * Both lists are first come, first served, so only the first of each counts. What is noted with a
 * client, when it came there, are 32 bits of microseconds, which come round after 71 minutes. So the
 * time is kept here as soon as a client is seen to be the first, and as long as it is.
 */
#include "engine/crew/waiting.h"

#include <stddef.h>

#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "os/clock.h"
#include "os/lock.h"

/* How long it has waited by its mark, which may have been set since `now` was taken. */
static uint64_t age_by_mark(uint32_t ready_at, uint64_t now)
{
	const uint32_t age = (uint32_t)(now / MTSI_MICROSECOND) - ready_at;
	const uint64_t span = age * MTSI_MICROSECOND;
	return age > UINT32_MAX - 60 * (MTSI_SECOND / MTSI_MICROSECOND) || span > now ? 0 : span;
}

static uint64_t look_locked(
	const struct mts_client *first, struct mtsi_waiting *waiting, int list, uint64_t now)
{
	if (first == NULL) {
		waiting->first[list] = NULL;
		return 0;
	}
	if (first != waiting->first[list] || first->ready_at != waiting->ready_at[list]) {
		waiting->first[list] = first;
		waiting->ready_at[list] = first->ready_at;
		waiting->since[list] = now - age_by_mark(first->ready_at, now);
	}
	return now > waiting->since[list] ? now - waiting->since[list] : 0;
}

uint64_t mtsi_waiting_look(struct mts_server *server, struct mtsi_waiting *waiting, uint64_t now)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_lock_take(&crew->lock);
	const uint64_t ready = look_locked(crew->ready.first, waiting, 0, now);
	const uint64_t later = look_locked(crew->later.first, waiting, 1, now);
	mtsi_lock_release(&crew->lock);
	return ready > later ? ready : later;
}

bool mtsi_waiting_is_served(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_lock_take(&crew->lock);
	const bool is_served = !mtsi_on_demand(server) || crew->threads > 0;
	mtsi_lock_release(&crew->lock);
	return is_served;
}
