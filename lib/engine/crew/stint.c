/* SPDX-License-Identifier: MIT
 *
 * Stints: a worker that serves, or does something else that may take long, is in a stint. It is
 * counted on to come back soon, until it is known to wait or to compute for long.
 */
#include "engine/crew/stint.h"

#include "engine/base/floor.h"
#include "engine/crew/blind.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/member.h"
#include "engine/crew/watchdog_sleep.h"
#include "os/clock.h"
#include "os/lock.h"

static void unlink_active_locked(struct mtsi_crew *crew, struct mtsi_member *worker)
{
	if (worker->previous_active != NULL) {
		worker->previous_active->next_active = worker->next_active;
	} else {
		crew->active = worker->next_active;
	}
	if (worker->next_active != NULL) {
		worker->next_active->previous_active = worker->previous_active;
	} else {
		crew->last_active = worker->previous_active;
	}
}

static void link_active_locked(struct mtsi_crew *crew, struct mtsi_member *worker)
{
	worker->next_active = NULL;
	worker->previous_active = crew->last_active;
	if (crew->last_active != NULL) {
		crew->last_active->next_active = worker;
	} else {
		crew->active = worker;
	}
	crew->last_active = worker;
}

static bool is_watched(enum mtsi_standing standing)
{
	return standing == MTSI_ACTIVE || standing == MTSI_LONG;
}

void mtsi_stint_stand_locked(struct mtsi_member *worker, enum mtsi_standing standing)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	const enum mtsi_standing before = worker->standing;
	mtsi_lock_assert_held(&crew->lock);
	if (is_watched(before) && !is_watched(standing)) {
		unlink_active_locked(crew, worker);
	} else if (!is_watched(before) && is_watched(standing)) {
		link_active_locked(crew, worker);
	}
	crew->active_count -= before == MTSI_ACTIVE ? 1 : 0;
	crew->active_count += standing == MTSI_ACTIVE ? 1 : 0;
	crew->long_count -= before == MTSI_LONG ? 1 : 0;
	crew->long_count += standing == MTSI_LONG ? 1 : 0;
	worker->standing = standing;
}

void mtsi_stint_begin_locked(struct mtsi_member *worker, struct mts_client *client)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	worker->client = client;
	worker->stint = ++crew->stints;
	crew->in_stint++;
	if (mtsi_on_demand(server) && !crew->blocking) {
		mtsi_stint_stand_locked(worker, MTSI_ACTIVE);
		mtsi_watchdog_over_locked(server);
	} else {
		mtsi_stint_stand_locked(worker, MTSI_AWAY);
	}
}

void mtsi_stint_end_locked(struct mtsi_member *worker)
{
	mtsi_stint_stand_locked(worker, MTSI_FREE);
	if (worker->guessed_at != 0) {
		mtsi_blind_end_locked(&mtsi_crew_floor(worker->server)->watchdog.blind, worker);
	}
	worker->client = NULL;
	mtsi_crew_floor(worker->server)->crew.in_stint--;
}

void mtsi_stint_leave_poll(struct mtsi_member *worker)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	atomic_store_explicit(&worker->since, mtsi_clock_now(), memory_order_relaxed);
	mtsi_lock_take(&crew->lock);
	crew->pollers--;
	worker->stint = ++crew->stints;
	crew->in_stint++;
	mtsi_stint_stand_locked(worker, MTSI_ACTIVE);
	mtsi_watchdog_over_locked(server);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
}

void mtsi_stint_return_to_poll(struct mtsi_member *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	mtsi_lock_take(&crew->lock);
	mtsi_stint_end_locked(worker);
	crew->pollers++;
	mtsi_lock_release(&crew->lock);
}

void mtsi_stint_have_others(struct mtsi_member *worker)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_relief relief = {.wake = NULL};
	mtsi_lock_take(&crew->lock);
	if (is_watched(worker->standing)) {
		mtsi_stint_stand_locked(worker, MTSI_AWAY);
		relief = mtsi_crew_relieve_locked(server);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
}
