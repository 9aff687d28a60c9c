/* SPDX-License-Identifier: MIT
 *
 * The threads of the crew: made when they are sent for, at rest when there is nothing to do, gone
 * when they have rested for a second; one always stays. The latest to rest is the first to be
 * woken, so its stack is warm and the others can go. During a stop they go at once instead, so that
 * its deadline does not find thousands of them that have still to end. Who is sent for, and when,
 * says crew.c; its lock guards all of this too.
 *
 * A thread counts from the moment it is decided on, under the lock, until it has been joined, so that
 * the limit is never passed. When it cannot be made the keeper tries again, and the stand-in polls
 * meanwhile.
 *
 * A new one is on its way until it has come for work. On demand that is when the program's hook for
 * new threads is through with it. After 100 ms there it is given up (watch.c): then the stand-in
 * polls, and another one is made only for clients that wait, one after the other; so a hook that
 * hangs makes no crowd of threads that hang in it.
 *
 * Waking is done with the lock released, since it is a system call. By then the worker may have
 * woken by itself, served, left, and be no more; so what is signalled is its seat, which is kept
 * for the next worker and freed with the crew. A signal that comes late is one wake-up in vain.
 *
 * A worker that decides to leave does so under the lock with the line empty, and is counted on no
 * more; so whoever comes while its end hook runs finds somebody else, or sends for one. Its structure lies on its own stack, so
 * it unlinks itself, and leaves its seat with the number of its thread behind. What still runs in
 * that thread are destructors of the program's thread-specific data, which may take their time or
 * hang. So the keeper tries to join those that have left (os/thread_end.h), without waiting for any of them, and comes
 * again, later each time, as long as one has not ended. Until then it counts as a thread; it holds
 * up no other; and the server is there as long as any of them.
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
#include "os/thread_end.h"

static const uint64_t rest_time = MTSI_SECOND;
static const uint64_t retry_time = 100 * MTSI_MILLISECOND;
static const uint64_t shortest_join_pause = MTSI_MILLISECOND;
static const uint64_t longest_join_pause = MTSI_SECOND;

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

/* How many have not left. */
static size_t present_locked(const struct mtsi_crew *crew)
{
	return crew->threads - crew->left_count;
}

/* Whether all have left, and nobody is there for whom one would have to be made. */
static bool all_gone_locked(const struct mtsi_crew *crew)
{
	return present_locked(crew) == 0 && crew->ready.count == 0 && crew->later.count == 0;
}

static void tell_if_gone_locked(struct mtsi_crew *crew)
{
	if (all_gone_locked(crew)) {
		mtsi_signal_all(&crew->gone);
	}
}

/* The next one could not be made, so all `count` that were decided on are given up for now. */
static void could_not_make(struct mts_server *server, size_t count, int result)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	crew->threads -= count;
	crew->waking -= count;
	crew->short_until = mtsi_clock_after(mtsi_clock_now(), retry_time);
	/* Somebody may have gone to rest meanwhile; none can be made now, so this makes none. */
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	tell_if_gone_locked(crew);
	mtsi_lock_release(&crew->lock);
	mtsi_log(
		server, MTSI_LOG_THREAD, "cannot make a thread, clients may wait: %s", strerror(-result));
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

/* Makes one: 0 or a negative errno value. */
static int make_one(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_seat *seat = take_seat(server);
	if (seat == NULL) {
		return -ENOMEM;
	}
	const int result = mtsi_worker_start(seat);
	if (result != 0) {
		mtsi_lock_take(&crew->lock);
		give_seat_locked(crew, seat);
		mtsi_lock_release(&crew->lock);
	}
	return result;
}

void mtsi_roster_make(struct mts_server *server, size_t count)
{
	for (; count > 0; count--) {
		const int result = make_one(server);
		if (result != 0) {
			could_not_make(server, count, result);
			return;
		}
	}
}

/* Whether one may leave before all are let go: one always stays. */
static bool may_go_locked(const struct mtsi_crew *crew)
{
	return present_locked(crew) - crew->leaving_now > 1;
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
	struct mtsi_seat *seat = worker->seat;
	mtsi_thread_end_note(&seat->end);
	mtsi_lock_take(&crew->lock);
	unlink_locked(crew, worker);
	crew->leaving_now--;
	seat->next = crew->left;
	crew->left = seat;
	crew->left_count++;
	const bool first = crew->left_count == 1 || crew->join_pause != 0;
	crew->join_pause = 0;
	tell_if_gone_locked(crew);
	mtsi_lock_release(&crew->lock);
	if (first) {
		mtsi_keeper_wake(server);
	}
}

/* Joins those of a list that have ended: into `ended`; returns those that have not. */
static struct mtsi_seat *join_some(struct mtsi_seat *list, struct mtsi_seat **ended)
{
	struct mtsi_seat *others = NULL;
	while (list != NULL) {
		struct mtsi_seat *seat = list;
		list = seat->next;
		struct mtsi_seat **to = mtsi_thread_ended(&seat->end) ? ended : &others;
		seat->next = *to;
		*to = seat;
	}
	return others;
}

/* They count no more. */
static void strike_locked(struct mtsi_crew *crew, struct mtsi_seat *ended)
{
	while (ended != NULL) {
		struct mtsi_seat *seat = ended;
		ended = seat->next;
		give_seat_locked(crew, seat);
		crew->left_count--;
		crew->threads--;
		crew->enlisted--;
	}
}

/* They still run: with those that have left meanwhile. */
static void put_back_locked(struct mtsi_crew *crew, struct mtsi_seat *others)
{
	while (others != NULL) {
		struct mtsi_seat *seat = others;
		others = seat->next;
		seat->next = crew->left;
		crew->left = seat;
	}
}

/* When to try again. */
static uint64_t join_later_locked(struct mtsi_crew *crew, uint64_t now)
{
	const uint64_t twice = 2 * crew->join_pause;
	if (crew->left == NULL) {
		return MTSI_NEVER;
	}
	crew->join_pause = twice < shortest_join_pause ? shortest_join_pause : twice;
	if (crew->join_pause > longest_join_pause) {
		crew->join_pause = longest_join_pause;
	}
	crew->join_at = mtsi_clock_after(now, crew->join_pause);
	return crew->join_at;
}

uint64_t mtsi_roster_join(struct mts_server *server, uint64_t now)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_seat *ended = NULL;
	mtsi_lock_take(&crew->lock);
	if (crew->left == NULL || (crew->join_pause != 0 && now < crew->join_at)) {
		const uint64_t due = crew->left == NULL ? MTSI_NEVER : crew->join_at;
		mtsi_lock_release(&crew->lock);
		return due;
	}
	struct mtsi_seat *list = crew->left;
	crew->left = NULL;
	mtsi_lock_release(&crew->lock);
	struct mtsi_seat *others = join_some(list, &ended);
	mtsi_lock_take(&crew->lock);
	const bool any = ended != NULL;
	strike_locked(crew, ended);
	put_back_locked(crew, others);
	const uint64_t due = join_later_locked(crew, now);
	/* At the limit of threads another one may be made now. */
	struct mtsi_relief relief = {.wake = NULL};
	if (any) {
		relief = mtsi_crew_relieve_locked(server);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
	return due;
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
	while (!all_gone_locked(crew) && mtsi_signal_wait(&crew->gone, &crew->lock, deadline)) {
	}
	const bool all_gone = all_gone_locked(crew);
	mtsi_lock_release(&crew->lock);
	return all_gone;
}

size_t mtsi_roster_threads(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	const size_t threads = server->crew.threads;
	mtsi_lock_release(&server->crew.lock);
	return threads;
}

bool mtsi_roster_take_up(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	const bool stranded = present_locked(crew) == 0 && !all_gone_locked(crew);
	if (stranded) {
		crew->hung = false;
		crew->asked = true;
	}
	mtsi_lock_release(&crew->lock);
	return stranded;
}

void mtsi_roster_give_up(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	server->crew.hung = true;
	mtsi_lock_release(&server->crew.lock);
}

/* The keeper is no more then, so whoever asks joins those that have ended meanwhile. */
size_t mtsi_roster_hung_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_seat *ended = NULL;
	mtsi_lock_assert_held(&crew->lock);
	if (!crew->hung) {
		return 0;
	}
	crew->left = join_some(crew->left, &ended);
	strike_locked(crew, ended);
	return crew->threads + (mtsi_stand_in_hangs_locked(server) ? 1 : 0);
}
