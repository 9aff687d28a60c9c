/* SPDX-License-Identifier: MIT
 *
 * Workers at rest. The latest to rest is the first to be called, so its stack is warm, and the
 * others can go: a worker that has rested for a second leaves, but one always stays. During a stop
 * they leave at once instead, so that when the stop's deadline comes there are not thousands that
 * still have to end.
 */
#include "engine/crew/rest.h"

#include "engine/base/floor.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/member.h"
#include "engine/crew/seat.h"
#include "os/clock.h"
#include "os/lock.h"

static const uint64_t rest_time = MTSI_SECOND;

static void unlink_idle_locked(struct mtsi_crew *crew, struct mtsi_member *worker)
{
	if (worker->previous_idle != NULL) {
		worker->previous_idle->next_idle = worker->next_idle;
	} else {
		crew->idle = worker->next_idle;
	}
	if (worker->next_idle != NULL) {
		worker->next_idle->previous_idle = worker->previous_idle;
	}
}

struct mtsi_seat *mtsi_rest_call_locked(struct mtsi_crew *crew)
{
	struct mtsi_member *worker = crew->idle;
	if (worker == NULL) {
		return NULL;
	}
	unlink_idle_locked(crew, worker);
	worker->woken = true;
	crew->waking++;
	return worker->seat;
}

/* Whether a worker may leave before all are let go: one always stays. */
static bool may_go_locked(const struct mtsi_crew *crew)
{
	return mtsi_crew_for_clients_locked(crew) > 1;
}

bool mtsi_rest_one_is_over_locked(const struct mtsi_crew *crew)
{
	return crew->over > 0 && may_go_locked(crew);
}

/* Whether one that may leave is to do so at once, and not to wait for more clients. */
static bool is_to_go_locked(struct mts_server *server)
{
	return mtsi_closing(server) || mtsi_crew_floor(server)->crew.over > 0;
}

bool mtsi_rest_locked(struct mtsi_member *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	uint64_t until = mtsi_clock_after(mtsi_clock_now(), rest_time);
	if (may_go_locked(crew) && is_to_go_locked(worker->server)) {
		return false;
	}
	worker->woken = false;
	worker->previous_idle = NULL;
	worker->next_idle = crew->idle;
	if (crew->idle != NULL) {
		crew->idle->previous_idle = worker;
	}
	crew->idle = worker;
	while (!worker->woken) {
		const bool in_time = mtsi_signal_wait(&worker->seat->signal, &crew->lock, until);
		if (worker->woken) {
			break;
		}
		const bool enough = !in_time || is_to_go_locked(worker->server);
		if (crew->dismissed || (enough && may_go_locked(crew))) {
			unlink_idle_locked(crew, worker);
			return false;
		}
		if (!in_time) {
			until = MTSI_NEVER;
		}
	}
	crew->waking--;
	worker->now = mtsi_clock_now();
	return true;
}

void mtsi_rest_disturb_locked(struct mtsi_crew *crew)
{
	for (struct mtsi_member *worker = crew->idle; worker != NULL; worker = worker->next_idle) {
		mtsi_signal_one(&worker->seat->signal);
	}
	mtsi_signal_all(&crew->jobs_come);
}

void mtsi_rest_thin_out(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	mtsi_rest_disturb_locked(&mtsi_crew_floor(server)->crew);
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
}
