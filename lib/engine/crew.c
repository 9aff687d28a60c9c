/* SPDX-License-Identifier: MIT
 *
 * The crew: threads that are made when they are needed, rest when they are not, and leave when they
 * have rested for a second; one always stays. The latest to rest is the first to be woken, so its
 * stack is warm and the others can go.
 *
 * A client that comes is appended to the ready list. As long as anybody is there, somebody is on
 * the way: a worker that was woken, or that is being made. That is the rule everything here keeps,
 * under the lock:
 *
 *     ready is empty, or waking > 0, or no worker may be had
 *
 * Only one at a time needs to be on the way. The one that arrives takes a client, and in the same
 * critical section sends for the next if there are more; then it may block as long as it likes, in
 * the program's hook for new threads too. A
 * worker that has finished with a client looks at the list before it rests. So clients whose
 * handlers block get a thread each, one wake-up after the other, while clients that are done before
 * the next worker has arrived are served by the one that is here, with no wake-up at all.
 *
 * Where no worker may be had, at the limit or because a thread cannot be made, the clients stay in
 * the list: every worker that finishes looks there, and the keeper tries to make one again after
 * 100 ms. A worker that decides to leave does so under the lock with the list empty, but its end
 * hook runs outside of it and it counts as a thread until afterwards; what came meanwhile is looked
 * at again then.
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
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/keeper.h"
#include "engine/server.h"
#include "engine/turn.h"
#include "engine/worker.h"
#include "os/clock.h"
#include "os/must.h"
#include "os/pages.h"
#include "os/thread.h"

enum { OWN_STACK = 16 * 1024 };

static const uint64_t rest_time = MTSI_SECOND;
static const uint64_t retry_time = 100 * MTSI_MILLISECOND;

static void *worker_body(void *argument);

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
	crew->ready_end = &crew->ready;
	init_seat(&crew->first_seat, server);
	crew->seats = &crew->first_seat;
}

void mtsi_crew_free(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_must(crew->threads == 0 && crew->ready == NULL);
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

/* What is still to be done, once the lock is released. */
struct relief {
	struct mtsi_seat *wake; /* wake the worker on this seat; NULL: none */
	bool make; /* make a worker; it counts already */
	size_t waiting; /* so many clients more have to wait, since no worker may be had */
};

/* Sees to it that a worker is on its way if anybody is ready, as far as that can be. */
static struct relief relieve_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	struct relief relief = {NULL, false, 0};
	mtsi_lock_assert_held(&crew->lock);
	if (crew->ready == NULL || crew->waking > 0) {
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
		relief.waiting = crew->ready_count - crew->waiting;
		crew->waiting = crew->ready_count;
	}
	return relief;
}

static void make_worker(struct mts_server *server);

static void send_relief(struct mts_server *server, struct relief relief)
{
	if (relief.wake != NULL) {
		mtsi_signal_one(&relief.wake->signal);
	}
	if (relief.make) {
		make_worker(server);
	}
	if (relief.waiting > 0) {
		mtsi_count_shared(&server->stats, MTS_STAT_THREAD_WAITS, relief.waiting);
		mtsi_log(server, MTSI_LOG_THREAD, "no thread to be had; clients wait");
	}
}

static void could_not_make(struct mts_server *server, int result)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	crew->threads--;
	crew->waking--;
	crew->short_until = mtsi_clock_after(mtsi_clock_now(), retry_time);
	/* Somebody may have gone to rest meanwhile; none can be made now, so this makes none. */
	const struct relief relief = relieve_locked(server);
	if (crew->threads == 0) {
		mtsi_signal_all(&crew->gone);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_log(server, MTSI_LOG_THREAD, "cannot make a thread: %s", strerror(-result));
	send_relief(server, relief);
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
	pthread_t thread;
	struct mtsi_seat *seat = take_seat(server);
	if (seat == NULL) {
		could_not_make(server, -ENOMEM);
		return;
	}
	const size_t stack = server->options.stack_size + OWN_STACK;
	const int result = mtsi_thread_start(&thread, stack, worker_body, seat);
	if (result != 0) {
		mtsi_lock_take(&crew->lock);
		give_seat_locked(crew, seat);
		mtsi_lock_release(&crew->lock);
		could_not_make(server, result);
	}
}

void mtsi_crew_offer(struct mts_server *server, struct mts_client *first, size_t count)
{
	struct mtsi_crew *crew = &server->crew;
	struct mts_client *last = first;
	while (last->next != NULL) {
		last = last->next;
	}
	mtsi_lock_take(&crew->lock);
	*crew->ready_end = first;
	crew->ready_end = &last->next;
	crew->ready_count += count;
	const struct relief relief = relieve_locked(server);
	mtsi_lock_release(&crew->lock);
	send_relief(server, relief);
}

uint64_t mtsi_crew_retry(struct mts_server *server, uint64_t now)
{
	struct mtsi_crew *crew = &server->crew;
	struct relief relief = {NULL, false, 0};
	mtsi_lock_take(&crew->lock);
	if (crew->short_until != 0 && crew->short_until <= now) {
		crew->short_until = 0;
		relief = relieve_locked(server);
	}
	const uint64_t due = crew->short_until != 0 ? crew->short_until : MTSI_NEVER;
	mtsi_lock_release(&crew->lock);
	/* If that fails, the keeper is woken, and so comes here again. */
	send_relief(server, relief);
	return due;
}

static struct mts_client *take_locked(struct mtsi_crew *crew)
{
	struct mts_client *client = crew->ready;
	mtsi_lock_assert_held(&crew->lock);
	if (client != NULL) {
		crew->ready = client->next;
		crew->ready_count--;
		crew->waiting -= crew->waiting > 0 ? 1 : 0;
		if (crew->ready == NULL) {
			crew->ready_end = &crew->ready;
		}
	}
	return client;
}

struct mts_client *mtsi_crew_take(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	struct mts_client *client = take_locked(&server->crew);
	mtsi_lock_release(&server->crew.lock);
	return client;
}

/* Rests until woken: true. False: it has rested long enough, and is off the stack. */
static bool rest_locked(struct mtsi_crew *crew, struct mtsi_worker *worker)
{
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

static void link_locked(struct mtsi_crew *crew, struct mtsi_worker *worker)
{
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

/*
 * Takes a client for this worker, and sends for the next one: true, with the lock released. False
 * when there is none, and the lock is still held.
 */
static bool take_turn(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_assert_held(&crew->lock);
	worker->client = take_locked(crew);
	if (worker->client == NULL) {
		return false;
	}
	const struct relief relief = relieve_locked(server);
	mtsi_lock_release(&crew->lock);
	send_relief(server, relief);
	return true;
}

static void run_start_hook(const struct mtsi_worker *worker)
{
	const struct mtsi_options *options = &worker->server->options;
	if (options->on_thread_start != NULL) {
		options->on_thread_start(options->on_thread_user);
	}
}

static void run_end_hook(const struct mtsi_worker *worker)
{
	const struct mtsi_options *options = &worker->server->options;
	if (options->on_thread_end != NULL) {
		options->on_thread_end(options->on_thread_user);
	}
}

/* Serves the client that was taken, and forgets it. Returns with the lock held. */
static void finish_turn(struct mtsi_worker *worker)
{
	mtsi_turn(worker, worker->client);
	mtsi_lock_take(&worker->server->crew.lock);
	worker->client = NULL;
}

/* A new worker reports, with its first client, and goes on until it may leave. */
static void work(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &worker->server->crew;
	mtsi_lock_take(&crew->lock);
	link_locked(crew, worker);
	const bool taken = take_turn(worker);
	if (!taken) {
		mtsi_lock_release(&crew->lock);
	}
	run_start_hook(worker);
	if (taken) {
		finish_turn(worker);
	} else {
		mtsi_lock_take(&crew->lock);
	}
	do {
		while (take_turn(worker)) {
			finish_turn(worker);
		}
	} while (!crew->dismissed && rest_locked(crew, worker));
	crew->leaving_now++;
	mtsi_lock_release(&crew->lock);
	run_end_hook(worker);
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

/* The last of a worker. It joins the one that left before it. */
static void leave(struct mtsi_worker *worker)
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
	const struct relief relief = relieve_locked(server);
	if (crew->threads == 0) {
		mtsi_signal_all(&crew->gone);
	}
	mtsi_lock_release(&crew->lock);
	send_relief(server, relief);
	if (another) {
		mtsi_thread_join(before);
	}
}

static void *worker_body(void *argument)
{
	struct mtsi_seat *seat = argument;
	struct mts_server *server = seat->server;
	struct mtsi_worker worker;
	memset(&worker, 0, offsetof(struct mtsi_worker, small));
	worker.server = server;
	worker.seat = seat;
	mtsi_life_enter(server);
	mtsi_thread_name("mts-worker");
	work(&worker);
	if (worker.large != NULL) {
		mtsi_pages_give(worker.large, MTSI_LARGE);
	}
	leave(&worker);
	return NULL;
}

bool mtsi_worker_large(struct mtsi_worker *worker)
{
	if (worker->large == NULL) {
		worker->large = mtsi_pages_take(MTSI_LARGE);
	}
	return worker->large != NULL;
}

bool mtsi_crew_dismiss(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_crew *crew = &server->crew;
	mtsi_lock_take(&crew->lock);
	crew->dismissed = true;
	for (struct mtsi_worker *worker = crew->idle; worker != NULL; worker = worker->next_idle) {
		mtsi_signal_one(&worker->seat->signal);
	}
	while (crew->threads > 0 && mtsi_signal_wait(&crew->gone, &crew->lock, deadline)) {
	}
	const bool all_gone = crew->threads == 0;
	mtsi_lock_release(&crew->lock);
	return all_gone;
}

bool mtsi_crew_join(struct mts_server *server, uint64_t deadline)
{
	/* No worker is left that could touch this. */
	struct mtsi_crew *crew = &server->crew;
	if (crew->somebody_left && mtsi_thread_join_until(crew->last, deadline)) {
		crew->somebody_left = false;
	}
	return !crew->somebody_left;
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
