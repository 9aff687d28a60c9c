/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_STINT_H
#define MTSI_ENGINE_CREW_STINT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/floor.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/member.h"

struct mts_client;

/* Stints (see enum mtsi_standing). "Locked" means: under the crew's lock. */

/* A worker begins a stint, with a client or none. */
void mtsi_stint_begin_locked(struct mtsi_member *worker, struct mts_client *client);

/* A worker ends its stint. */
void mtsi_stint_end_locked(struct mtsi_member *worker);

/*
 * A worker ends its stint and begins another at the same moment: it is counted on all the while.
 * Mostly it is the last of the active ones and stays that, and only the number changes. The watchdog
 * need not be told: it has not fallen asleep while this worker was counted on, nor has the alarm been
 * taken back (watchdog_sleep.c).
 */
static inline void mtsi_stint_next_locked(struct mtsi_member *worker, struct mts_client *client)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	if (worker->standing != MTSI_ACTIVE || worker->next_active != NULL || crew->blocking) {
		mtsi_stint_end_locked(worker);
		mtsi_stint_begin_locked(worker, client);
	} else {
		worker->client = client;
		worker->stint = ++crew->stints;
	}
}

/* The standing of a worker changes during its stint. */
void mtsi_stint_stand_locked(struct mtsi_member *worker, enum mtsi_standing standing);

/*
 * This worker, which polls, is about to make a call that may sleep, though that is very unlikely.
 * It is in a stint until the call returns, so it is watched, and another worker polls if it does
 * not come back soon.
 */
void mtsi_stint_leave_poll(struct mtsi_member *worker);

/* The worker has returned from that call, and polls again. */
void mtsi_stint_return_to_poll(struct mtsi_member *worker);

/* Another worker takes over, on demand. */
void mtsi_stint_have_others(struct mtsi_member *worker);

/*
 * This worker is about to wait in a call of the library, inside a callback: another one takes over
 * at once. It is not counted on again before its next stint. For a callback that converses waits
 * again and again; if many of these were counted on in between, they would keep others from being
 * sent for.
 */
static inline void mtsi_stint_step_aside(struct mtsi_member *worker)
{
	worker->stood_aside = true;
	if (mtsi_on_demand(worker->server)) {
		mtsi_stint_have_others(worker);
	}
}

#endif
