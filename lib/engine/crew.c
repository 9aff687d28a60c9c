/* SPDX-License-Identifier: MIT
 *
 * The crew: threads that are made when they are needed, rest when they are not, and leave when they
 * have rested for a second; one always stays. The latest to rest is the first to be woken, so its
 * stack is warm and the others can go.
 *
 * A client that wants a thread is appended to the ready line. Whatever one poll has found is
 * appended whole before any of it is served, so nothing is stranded behind a slow handler: whoever
 * takes over finds it here. What a worker does next is decided in one place, work() in worker.c;
 * whether another one is sent for, in one place here, mtsi_crew_relieve_locked(), which is asked in
 * the same critical section as every change that could make it necessary. It keeps, under the lock:
 *
 *     somebody is needed, and fewer are counted on than may be   =>   waking > 0, or none may be had
 *
 * Somebody is needed when the ready line is not empty, and on demand also when nobody polls.
 * Counted on are: who polls, and who is active, that is, in a stint and not known to wait for
 * something or to compute for long (watch.c finds that out, and how many may be counted on: the
 * width). With a thread per client nobody is counted on, since everybody may wait for ever, and the
 * keeper polls.
 *
 * So where handlers are fast the one that has polled serves all it has found, with no wake-up at
 * all, and polls again. Where one waits, or computes, another one takes over. And where it is known
 * beforehand that most wait, the next is sent for before the handler is called.
 *
 * Only one at a time needs to be on the way. The one that arrives takes a client, and in the same
 * critical section sends for the next if that is needed still; then it may block as long as it
 * likes, in the program's hook for new threads too. One that finds no client is on its way until
 * that hook is through, since another one would have to go through it as well; only after 100 ms it
 * is given up. A worker that has finished with a client looks at the line before it polls or rests.
 *
 * Where no worker may be had, at the limit or because a thread cannot be made, the clients stay in
 * the line: every worker that finishes looks there, and the keeper tries to make one again after
 * 100 ms. On demand the keeper polls meanwhile. A worker that decides to leave does so under the lock with the line empty, but its end
 * hook runs outside of it and it counts as a thread until afterwards; what came meanwhile is looked
 * at again then.
 *
 * Clients that come from outside while a worker sleeps in epoll (a stop brings them) ring the bell,
 * once for each poll.
 *
 * Waking is done with the lock released, since it is a system call. By then the worker may have
 * woken by itself, served, left, and be no more; so what is signalled is its seat, which is kept
 * for the next worker and freed with the crew. A signal that comes late is one wake-up in vain.
 *
 * Leaving: a worker's structure lies on its own stack, so it unlinks itself, and touches the server
 * for the last time when it releases the lock, unless it still has to make others: they count
 * already, so the server waits for them. Each one joins the one that left before it, the last one
 * is joined when the server ends; so nobody has to be woken for that, and no thread is left over.
 */
#include "engine/crew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/keeper.h"
#include "engine/poller.h"
#include "engine/server.h"
#include "engine/worker.h"
#include "os/clock.h"
#include "os/must.h"
#include "os/thread.h"

static const uint64_t rest_time = MTSI_SECOND;
static const uint64_t retry_time = 100 * MTSI_MILLISECOND;

static const struct mtsi_relief no_relief = {NULL, false, false, false, 0};

static void init_seat(struct mtsi_seat *seat, struct mts_server *server)
{
	seat->server = server;
	mtsi_signal_init(&seat->signal);
	seat->next = NULL;
}

void mtsi_crew_init(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	memset(crew, 0, sizeof(*crew));
	mtsi_lock_init(&crew->lock);
	mtsi_signal_init(&crew->gone);
	crew->width = 1;
	init_seat(&crew->first_seat, server);
	crew->seats = &crew->first_seat;
}

void mtsi_crew_free(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_must(crew->threads == 0 && crew->ready.count == 0 && crew->later.count == 0);
	while (crew->seats != NULL) {
		struct mtsi_seat *seat = crew->seats;
		crew->seats = seat->next;
		mtsi_signal_destroy(&seat->signal);
		if (seat != &crew->first_seat) {
			free(seat);
		}
	}
	mtsi_signal_destroy(&crew->gone);
	mtsi_lock_destroy(&crew->lock);
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

static bool may_make_locked(const struct mts_server *server)
{
	const unsigned limit = server->options.max_threads;
	const struct mtsi_crew *crew = &server->crew;
	return crew->short_until == 0 && (limit == 0 || crew->threads < limit);
}

/* Whether one more is to be on the way. */
static bool needed_locked(const struct mts_server *server)
{
	const struct mtsi_crew *crew = &server->crew;
	const bool on_demand = mtsi_on_demand(server);
	if (crew->waking > 0) {
		return false;
	}
	if (crew->ready.count == 0 && (!on_demand || crew->polling || crew->dismissed)) {
		return false;
	}
	return crew->active_count + (crew->polling ? 1 : 0) < crew->width;
}

struct mtsi_relief mtsi_crew_relieve_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_relief relief = no_relief;
	mtsi_lock_assert_held(&crew->lock);
	if (crew->polling && !crew->rung && crew->ready.count > 0) {
		crew->rung = true;
		relief.ring = true;
	}
	if (!needed_locked(server)) {
		return relief;
	}
	struct mtsi_worker *worker = crew->idle;
	if (worker != NULL) {
		unlink_idle_locked(crew, worker);
		worker->woken = true;
		relief.wake = worker->seat;
		crew->waking++;
	} else if (may_make_locked(server)) {
		relief.make = true;
		crew->waking++;
		crew->threads++;
	} else {
		relief.waiting = crew->ready.count - crew->waiting;
		relief.stand_in = mtsi_on_demand(server) && !crew->polling && !crew->stand_in;
		crew->waiting = crew->ready.count;
	}
	return relief;
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

static void make_worker(struct mts_server *server)
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

void mtsi_crew_send(struct mts_server *server, struct mtsi_relief relief)
{
	if (relief.ring) {
		mtsi_poller_ring(server);
	}
	if (relief.wake != NULL) {
		mtsi_signal_one(&relief.wake->signal);
	}
	if (relief.make) {
		make_worker(server);
	}
	if (relief.stand_in) {
		mtsi_keeper_wake(server);
	}
	if (relief.waiting > 0) {
		mtsi_count_shared(&server->stats, MTS_STAT_THREAD_WAITS, relief.waiting);
		mtsi_log(server, MTSI_LOG_THREAD, "no thread to be had; clients wait");
	}
}

/* Looks at what is needed, as things stand; for who is no worker. */
static void relieve(struct mts_server *server, struct mtsi_line *clients)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	mtsi_line_join(&crew->ready, clients);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
}

void mtsi_crew_begin(struct mts_server *server)
{
	struct mtsi_line none = {NULL, NULL, 0};
	relieve(server, &none);
}

void mtsi_crew_offer(struct mts_server *server, struct mtsi_line *clients)
{
	if (clients->count > 0) {
		relieve(server, clients);
	}
}

uint64_t mtsi_crew_retry(struct mts_server *server, uint64_t now)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_relief relief = no_relief;
	mtsi_lock_take(&crew->lock);
	if (crew->short_until != 0 && crew->short_until <= now) {
		crew->short_until = 0;
		relief = mtsi_crew_relieve_locked(server);
	}
	const uint64_t due = crew->short_until != 0 ? crew->short_until : MTSI_NEVER;
	mtsi_lock_release(&crew->lock);
	/* If that fails, the keeper is woken, and so comes here again. */
	mtsi_crew_send(server, relief);
	return due;
}

bool mtsi_crew_lacks_poller(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	const bool none_comes = crew->waking == 0 && crew->idle == NULL && !may_make_locked(server);
	const bool late = crew->waking > 0 && crew->waking == crew->hooking;
	crew->stand_in = !crew->polling && !crew->dismissed && (none_comes || late)
		&& crew->active_count < crew->width;
	const bool lacks = crew->stand_in;
	mtsi_lock_release(&crew->lock);
	return lacks;
}

void mtsi_crew_stand_in(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_line found = {NULL, NULL, 0};
	mtsi_lock_take(&crew->lock);
	const bool alone = !crew->polling;
	crew->polling = true;
	mtsi_lock_release(&crew->lock);
	if (!alone) {
		return;
	}
	mtsi_poller_poll(server, 0, &found);
	mtsi_lock_take(&crew->lock);
	crew->polling = false;
	mtsi_line_join(&crew->ready, &found);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
}

void mtsi_crew_take_unopened(struct mts_server *server, struct mtsi_line *found)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_line opened = {NULL, NULL, 0};
	struct mts_client *client;
	mtsi_lock_take(&crew->lock);
	while ((client = mtsi_line_take(&crew->ready)) != NULL) {
		mtsi_line_add(client->stage == MTSI_CLIENT_WAITING ? found : &opened, client);
	}
	mtsi_line_join(&crew->ready, &opened);
	crew->waiting = crew->ready.count;
	mtsi_lock_release(&crew->lock);
}

static void unlink_active_locked(struct mtsi_crew *crew, struct mtsi_worker *worker)
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

static void link_active_locked(struct mtsi_crew *crew, struct mtsi_worker *worker)
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

void mtsi_crew_stand_locked(struct mtsi_worker *worker, enum mtsi_standing standing)
{
	struct mtsi_crew *crew = &worker->server->crew;
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

void mtsi_crew_begin_locked(struct mtsi_worker *worker, struct mts_client *client)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &server->crew;
	worker->client = client;
	worker->stint = ++crew->stints;
	crew->in_stint++;
	if (mtsi_on_demand(server) && !crew->blocking) {
		mtsi_crew_stand_locked(worker, MTSI_ACTIVE);
		mtsi_watch_over_locked(server);
	} else {
		mtsi_crew_stand_locked(worker, MTSI_AWAY);
	}
}

void mtsi_crew_end_locked(struct mtsi_worker *worker)
{
	mtsi_crew_stand_locked(worker, MTSI_FREE);
	worker->client = NULL;
	worker->server->crew.in_stint--;
}

bool mtsi_crew_step_aside(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &server->crew;
	worker->stood_aside = true;
	if (!mtsi_on_demand(server)) {
		return false;
	}
	mtsi_lock_take(&crew->lock);
	const bool aside = is_watched(worker->standing);
	struct mtsi_relief relief = no_relief;
	if (aside) {
		mtsi_crew_stand_locked(worker, MTSI_AWAY);
		relief = mtsi_crew_relieve_locked(server);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
	return aside;
}

void mtsi_crew_step_back(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->server;
	mtsi_lock_take(&server->crew.lock);
	mtsi_crew_stand_locked(worker, MTSI_ACTIVE);
	mtsi_watch_over_locked(server);
	mtsi_lock_release(&server->crew.lock);
}

bool mtsi_crew_rest_locked(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &worker->server->crew;
	uint64_t until = mtsi_clock_after(mtsi_clock_now(), rest_time);
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
		if (crew->dismissed || (!in_time && crew->threads - crew->leaving_now > 1)) {
			unlink_idle_locked(crew, worker);
			return false;
		}
		if (!in_time) {
			until = MTSI_NEVER;
		}
	}
	crew->waking--;
	return true;
}

void mtsi_crew_enlist_locked(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &worker->server->crew;
	mtsi_lock_assert_held(&crew->lock);
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

void mtsi_crew_hook_locked(struct mtsi_worker *worker, uint64_t now)
{
	struct mtsi_crew *crew = &worker->server->crew;
	worker->hooked = true;
	crew->hooking++;
	crew->hooking_since = now;
}

void mtsi_crew_come_locked(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &worker->server->crew;
	if (worker->hooked) {
		worker->hooked = false;
		crew->hooking--;
		crew->waking--;
	}
}

void mtsi_crew_give_up_hooks_locked(struct mtsi_crew *crew)
{
	for (struct mtsi_worker *w = crew->workers; w != NULL; w = w->next) {
		mtsi_crew_come_locked(w);
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

void mtsi_crew_leave(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	unlink_locked(crew, worker);
	const bool another = crew->somebody_left;
	const pthread_t before = crew->last;
	crew->last = pthread_self();
	crew->somebody_left = true;
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
		mtsi_thread_join(before);
	}
}

bool mtsi_crew_dismiss(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	crew->dismissed = true;
	for (struct mtsi_worker *worker = crew->idle; worker != NULL; worker = worker->next_idle) {
		mtsi_signal_one(&worker->seat->signal);
	}
	mtsi_poller_ring(server);
	while (crew->threads > 0 && mtsi_signal_wait(&crew->gone, &crew->lock, deadline)) {
	}
	const bool all_gone = crew->threads == 0;
	mtsi_lock_release(&crew->lock);
	return all_gone;
}

bool mtsi_crew_join(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_crew *crew = &server->crew;
	if (crew->somebody_late && !mtsi_thread_join_until(crew->late, deadline)) {
		return false;
	}
	mtsi_lock_take(&crew->lock);
	crew->late = crew->last;
	crew->somebody_late = crew->somebody_left;
	crew->somebody_left = false;
	mtsi_lock_release(&crew->lock);
	if (crew->somebody_late && mtsi_thread_join_until(crew->late, deadline)) {
		crew->somebody_late = false;
	}
	return !crew->somebody_late;
}

size_t mtsi_crew_served(struct mts_server *server, struct mtsi_served *list, size_t room)
{
	struct mtsi_crew *crew = &server->crew;
	size_t count = 0;
	mtsi_lock_take(&crew->lock);
	for (const struct mtsi_worker *w = crew->workers; w != NULL; w = w->next) {
		if (w->client != NULL && count++ < room) {
			/* Its slot is not given to another: this is asked after the last accept. */
			struct mtsi_served *served = &list[count - 1];
			served->id = w->client->id;
			served->peer = w->client->peer;
			served->since = atomic_load_explicit(&w->since, memory_order_relaxed);
		}
	}
	mtsi_lock_release(&crew->lock);
	return count;
}
