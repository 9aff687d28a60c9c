/* SPDX-License-Identifier: MIT
 *
 * The threads of the crew: made when they are sent for, at rest when there is nothing to do, gone
 * when they have rested for a second; one always stays. The latest to rest is the first to be
 * woken, so its stack is warm and the others can go. During a stop they go at once instead, so that
 * its deadline does not find thousands of them that have still to end. Who is sent for, and when,
 * says crew.c; its lock guards all of this too.
 *
 * A thread counts from the moment it is decided on, under the lock, until it has left, so that the
 * limit is never passed. When it cannot be made the keeper is told: it polls meanwhile, and tries
 * again.
 *
 * A new one is on its way until it has come for work. On demand that is when the program's hook for
 * new threads is through with it. After 100 ms there it is given up (watch.c): then the keeper
 * polls, and another one is made only for clients that wait, one after the other; so a hook that
 * hangs makes no crowd of threads that hang in it.
 *
 * Waking is done with the lock released, since it is a system call. By then the worker may have
 * woken by itself, served, left, and be no more; so what is signalled is its seat, which is kept
 * for the next worker and freed with the crew. A signal that comes late is one wake-up in vain.
 *
 * A worker that decides to leave does so under the lock with the line empty, but its end hook runs
 * outside of it and it counts as a thread until afterwards; what came meanwhile is looked at again
 * then. Its structure lies on its own stack, so it unlinks itself. Each one joins the one that left
 * before it, and the last one is joined when the server ends; so nobody has to be woken for that, no
 * thread is left over, and the server is there as long as any of them.
 */
#include "engine/roster.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/crew.h"
#include "engine/keeper.h"
#include "engine/poller.h"
#include "engine/server.h"
#include "engine/worker.h"
#include "os/clock.h"
#include "os/must.h"
#include "os/thread.h"
#include "os/thread_end.h"

static const uint64_t rest_time = MTSI_SECOND;
static const uint64_t retry_time = 100 * MTSI_MILLISECOND;

static void init_seat(struct mtsi_seat *seat, struct mts_server *server)
{
	seat->server = server;
	mtsi_signal_init(&seat->signal);
	seat->next = NULL;
}

static void unlink_idle_locked(struct mtsi_crew *crew, struct mtsi_worker *worker)
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

void mtsi_roster_init(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_signal_init(&crew->gone);
	init_seat(&crew->first_seat, server);
	crew->seats = &crew->first_seat;
}

void mtsi_roster_free(struct mtsi_crew *crew)
{
	mtsi_must(crew->threads == 0);
	while (crew->seats != NULL) {
		struct mtsi_seat *seat = crew->seats;
		crew->seats = seat->next;
		mtsi_signal_destroy(&seat->signal);
		if (seat != &crew->first_seat) {
			free(seat);
		}
	}
	mtsi_signal_destroy(&crew->gone);
}

struct mtsi_seat *mtsi_roster_call_locked(struct mtsi_crew *crew)
{
	struct mtsi_worker *worker = crew->idle;
	if (worker == NULL) {
		return NULL;
	}
	unlink_idle_locked(crew, worker);
	worker->woken = true;
	crew->waking++;
	return worker->seat;
}

static void could_not_make(struct mts_server *server, int result)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	crew->threads--;
	crew->waking--;
	crew->short_until = mtsi_clock_after(mtsi_clock_now(), retry_time);
	/* Somebody may have gone to rest meanwhile; none can be made now, so this makes none. */
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	if (crew->threads == 0) {
		mtsi_signal_all(&crew->gone);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_log(server, MTSI_LOG_THREAD, "cannot make a thread: %s", strerror(-result));
	mtsi_crew_send(server, relief);
	mtsi_keeper_wake(server);
}

static struct mtsi_seat *take_seat(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	struct mtsi_seat *seat = crew->seats;
	if (seat != NULL) {
		crew->seats = seat->next;
	}
	mtsi_lock_release(&crew->lock);
	if (seat == NULL) {
		seat = malloc(sizeof(*seat));
		if (seat != NULL) {
			init_seat(seat, server);
		}
	}
	return seat;
}

static void give_seat_locked(struct mtsi_crew *crew, struct mtsi_seat *seat)
{
	seat->next = crew->seats;
	crew->seats = seat;
}

void mtsi_roster_make(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_seat *seat = take_seat(server);
	if (seat == NULL) {
		could_not_make(server, -ENOMEM);
		return;
	}
	const int result = mtsi_worker_start(seat);
	if (result != 0) {
		mtsi_lock_take(&crew->lock);
		give_seat_locked(crew, seat);
		mtsi_lock_release(&crew->lock);
		could_not_make(server, result);
	}
}

/* Whether one may leave before all are let go: one always stays. */
static bool may_go_locked(const struct mtsi_crew *crew)
{
	return crew->threads - crew->leaving_now > 1;
}

bool mtsi_roster_rest_locked(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &worker->server->crew;
	uint64_t until = mtsi_clock_after(mtsi_clock_now(), rest_time);
	if (may_go_locked(crew) && mtsi_stopping(worker->server)) {
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
		const bool enough = !in_time || mtsi_stopping(worker->server);
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

void mtsi_roster_enlist_locked(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &worker->server->crew;
	mtsi_lock_assert_held(&crew->lock);
	crew->waking--;
	crew->enlisted++;
	if (crew->enlisted > crew->threads_peak) {
		crew->threads_peak = crew->enlisted;
	}
	worker->next = crew->workers;
	if (crew->workers != NULL) {
		crew->workers->previous = worker;
	}
	crew->workers = worker;
}

void mtsi_roster_hook_locked(struct mtsi_worker *worker, uint64_t now)
{
	struct mtsi_crew *crew = &worker->server->crew;
	worker->hooked = true;
	crew->waking++;
	if (crew->hooking++ == 0) {
		crew->hooking_since = now;
	}
}

void mtsi_roster_come_locked(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &worker->server->crew;
	if (worker->hooked) {
		crew->hooking--;
		crew->waking--;
	}
	crew->given_up -= worker->given_up ? 1 : 0;
	worker->hooked = false;
	worker->given_up = false;
}

void mtsi_roster_give_up_hooks_locked(struct mtsi_crew *crew)
{
	for (struct mtsi_worker *w = crew->workers; w != NULL; w = w->next) {
		if (w->hooked) {
			mtsi_roster_come_locked(w);
			w->given_up = true;
			crew->given_up++;
		}
	}
}

static void unlink_locked(struct mtsi_crew *crew, struct mtsi_worker *worker)
{
	struct mtsi_stats *shared = &worker->server->stats;
	if (worker->previous != NULL) {
		worker->previous->next = worker->next;
	} else {
		crew->workers = worker->next;
	}
	if (worker->next != NULL) {
		worker->next->previous = worker->previous;
	}
	for (int i = 0; i < MTSI_STATS; i++) {
		mtsi_count_shared(
			shared, i, atomic_load_explicit(&worker->stats.count[i], memory_order_relaxed));
	}
}

void mtsi_roster_leave(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_thread_end end;
	mtsi_thread_end_note(&end);
	mtsi_lock_take(&crew->lock);
	unlink_locked(crew, worker);
	const bool another = crew->somebody_left;
	const struct mtsi_thread_end before = crew->last;
	crew->last = end;
	crew->somebody_left = true;
	atomic_fetch_add(&crew->ending, 1);
	crew->threads--;
	crew->enlisted--;
	crew->leaving_now--;
	give_seat_locked(crew, worker->seat);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	if (crew->threads == 0) {
		mtsi_signal_all(&crew->gone);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
	if (another) {
		mtsi_thread_end_wait(&before);
	}
	atomic_fetch_sub(&crew->ending, 1);
}

static void call_idle_locked(struct mtsi_crew *crew)
{
	for (struct mtsi_worker *worker = crew->idle; worker != NULL; worker = worker->next_idle) {
		mtsi_signal_one(&worker->seat->signal);
	}
}

void mtsi_roster_thin_out(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	call_idle_locked(&server->crew);
	mtsi_lock_release(&server->crew.lock);
}

bool mtsi_roster_dismiss(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	crew->dismissed = true;
	call_idle_locked(crew);
	mtsi_poller_ring(server);
	while (crew->threads > 0 && mtsi_signal_wait(&crew->gone, &crew->lock, deadline)) {
	}
	const bool all_gone = crew->threads == 0;
	mtsi_lock_release(&crew->lock);
	return all_gone;
}

bool mtsi_roster_join(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_crew *crew = &server->crew;
	if (crew->somebody_late && !mtsi_thread_ended_until(&crew->late, deadline)) {
		return false;
	}
	mtsi_lock_take(&crew->lock);
	crew->late = crew->last;
	crew->somebody_late = crew->somebody_left;
	crew->somebody_left = false;
	mtsi_lock_release(&crew->lock);
	if (crew->somebody_late && mtsi_thread_ended_until(&crew->late, deadline)) {
		mtsi_lock_take(&crew->lock);
		crew->somebody_late = false;
		mtsi_lock_release(&crew->lock);
	}
	return !crew->somebody_late;
}

void mtsi_roster_give_up(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	server->crew.hung = true;
	mtsi_lock_release(&server->crew.lock);
}

size_t mtsi_roster_hung_locked(struct mtsi_crew *crew)
{
	mtsi_lock_assert_held(&crew->lock);
	return crew->hung ? crew->threads + (crew->somebody_late ? 1 : 0) : 0;
}
