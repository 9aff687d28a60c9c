/* SPDX-License-Identifier: MIT
 *
 * The life of a worker: what a thread of the crew does from its first to its last moment. It
 * decides under the crew's lock what it does next, always in this order:
 *
 * 0. On demand, run a task that is due, unless the last thing that it did was that (jobs.c).
 * 1. Serve the first client of the ready list, and so on until the list is empty.
 * 2. On demand, when nobody polls, or only one and a second one may (watchdog.c): poll. What the
 *    poll finds is appended whole to the ready list, and behind it the clients that want a further
 *    turn; so a client that never stops sending waits until epoll has been asked who else wants
 *    something.
 * 3. Rest, until it is called. After a second without a call it leaves, unless it is the last.
 *
 * A worker's structure lies on its own stack.
 *
 * A callback may end the thread that it was lent, with pthread_exit(3), although it must not. Then
 * the guard around all this work comes into play, still on that thread (os/thread_end.h): the
 * callback counts as failed, its client ends, and the worker leaves as usual. No lock is held over
 * a callback, so none is left held. Cancelling has no effect: it could strike within the library as
 * well, so it stays off. A callback that turns it on, and is cancelled, is ended in the same way.
 */
#include "engine/run/work.h"

#include <stddef.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/inside.h"
#include "engine/base/name.h"
#include "engine/base/wake.h"
#include "engine/client/list.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/hire.h"
#include "engine/crew/jobs.h"
#include "engine/crew/rest.h"
#include "engine/crew/seat.h"
#include "engine/crew/stint.h"
#include "engine/crew/threads.h"
#include "engine/crew/watchdog_sleep.h"
#include "engine/run/poller.h"
#include "engine/run/tasks.h"
#include "engine/serve/handling.h"
#include "engine/serve/turn.h"
#include "engine/serve/worker.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/observe.h"
#include "os/thread.h"
#include "os/thread_end.h"

static void run_start_hook(const struct mtsi_worker *worker)
{
	const struct mtsi_options *options = &mtsi_base_floor(worker->member.server)->options;
	if (options->on_thread_start != NULL) {
		options->on_thread_start(options->on_thread_user);
	}
}

static void run_end_hook(const struct mtsi_worker *worker)
{
	const struct mtsi_options *options = &mtsi_base_floor(worker->member.server)->options;
	if (options->on_thread_end != NULL) {
		options->on_thread_end(options->on_thread_user);
	}
}

static struct mts_client *take_client_locked(struct mtsi_crew *crew)
{
	struct mts_client *client = mtsi_list_take(&crew->ready);
	if (client != NULL && crew->waiting > 0) {
		crew->waiting--;
	}
	return client;
}

/* Releases the lock, and sends for another worker if one is needed. */
__attribute__((noinline)) static void relieve_and_release(struct mts_server *server)
{
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	mtsi_crew_send(server, relief);
}

/* The same, at no cost where it is known that nobody is needed. */
static inline void release_and_send(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	if (mtsi_crew_is_relieved_locked(crew)) {
		mtsi_lock_release(&crew->lock);
	} else {
		relieve_and_release(server);
	}
}

/*
 * Whether this worker is one too many: it is to rest, since the crew has become narrower; or to leave,
 * which it does when it goes to rest, since the limit of threads was lowered.
 */
static bool is_surplus_locked(struct mtsi_crew *crew)
{
	if ((crew->surplus | crew->over) == 0) {
		return false;
	}
	if (mtsi_rest_one_is_over_locked(crew)) {
		return true;
	}
	if (crew->surplus == 0 || crew->active_count <= crew->width) {
		return false;
	}
	crew->surplus--;
	return true;
}

/*
 * Serves its client, and whoever is ready after that. It comes without the lock, and returns with it:
 * false when this worker is to rest.
 */
static bool serve(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->member.server)->crew;
	struct mts_client *client = worker->member.client;
	bool surplus = false;
	for (;;) {
		const bool later = mtsi_turn(worker, client);
		mtsi_lock_take(&crew->lock);
		if (later) {
			client->ready_at = (uint32_t)(worker->member.now / MTSI_MICROSECOND);
			mtsi_list_add(&crew->later, client);
		}
		surplus = is_surplus_locked(crew);
		client = surplus || crew->jobs > 0 ? NULL : take_client_locked(crew);
		if (client == NULL) {
			break;
		}
		mtsi_stint_next_locked(&worker->member, client);
		release_and_send(worker->member.server);
	}
	mtsi_stint_end_locked(&worker->member);
	return !surplus;
}

/*
 * Runs a task, as a stint that has begun. It comes with the lock, and returns with it: false when
 * this worker is to rest.
 */
static bool run_job_locked(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	worker->has_job = true;
	const bool limit = mtsi_jobs_at_limit_locked(server);
	release_and_send(server);
	if (limit) {
		mtsi_jobs_report_limit(server);
	}
	mtsi_tasks_run(server, &worker->task);
	mtsi_lock_take(&crew->lock);
	const bool surplus = is_surplus_locked(crew);
	mtsi_jobs_done_locked(&worker->member);
	worker->has_job = false;
	return !surplus;
}

/* Polls once; the lock is released meanwhile. */
static void poll_locked(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_list found = {NULL, NULL, 0};
	const uint64_t deadline = crew->later.count + crew->jobs > 0 ? 0 : MTSI_NEVER;
	crew->pollers++;
	crew->rung = false;
	crew->polls++;
	mtsi_watchdog_quiet_locked(server);
	mtsi_lock_release(&crew->lock);
	mtsi_poller_poll(server, &worker->member, deadline, &found);
	const uint64_t now = mtsi_clock_now();
	worker->member.now = now;
	mtsi_lock_take(&crew->lock);
	crew->pollers--;
	crew->rung = false;
	if (found.count > 0) {
		mtsi_watchdog_found_locked(server, now);
	}
	mtsi_crew_append_locked(crew, &found, now);
	mtsi_crew_append_locked(crew, &crew->later, now);
}

/* The worker goes through the program's hook, still on its way; the lock is released meanwhile. */
static void go_through_hook(struct mtsi_worker *worker, uint64_t now)
{
	struct mts_server *server = worker->member.server;
	mtsi_hire_hook_locked(&worker->member, now);
	mtsi_watchdog_over_locked(server);
	/* A worker that rests can come sooner than this one. */
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	mtsi_crew_send(server, relief);
	run_start_hook(worker);
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	mtsi_hire_come_locked(&worker->member);
}

/*
 * A new worker begins. With a thread per client it first takes a client, which no other thread
 * could serve sooner; the program's hook is a part of that stint. On demand other workers may be
 * sooner while the hook takes its time, so this one takes no client before it is through the hook.
 */
static void arrive(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const bool hook = mtsi_on_demand(server)
		&& mtsi_base_floor(server)->options.on_thread_start != NULL;
	const uint64_t now = mtsi_clock_now();
	worker->member.now = now;
	atomic_store_explicit(&worker->member.since, now, memory_order_relaxed);
	mtsi_lock_take(&crew->lock);
	mtsi_hire_enlist_locked(&worker->member);
	struct mts_client *client = hook ? NULL : take_client_locked(crew);
	if (client != NULL) {
		mtsi_stint_begin_locked(&worker->member, client);
		release_and_send(server);
		run_start_hook(worker);
		(void)serve(worker);
		return;
	}
	if (hook) {
		go_through_hook(worker, now);
	} else if (mtsi_base_floor(server)->options.on_thread_start != NULL) {
		mtsi_lock_release(&crew->lock);
		run_start_hook(worker);
		mtsi_lock_take(&crew->lock);
	}
}

/*
 * The bell has woken this worker; others that still poll are to leave as well, so it is rung again.
 */
static void let_others_leave_locked(struct mts_server *server)
{
	mtsi_watchdog_over_locked(server);
	if (mtsi_crew_floor(server)->crew.dismissed && mtsi_crew_floor(server)->crew.pollers > 0) {
		mtsi_wake_poller(server);
	}
}

static void leave_locked(struct mtsi_worker *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->member.server)->crew;
	const bool for_jobs = worker->member.for_jobs;
	if (mtsi_on_demand(worker->member.server)) {
		let_others_leave_locked(worker->member.server);
	}
	worker->leaving = true;
	crew->leaving_now++;
	crew->job_threads -= for_jobs ? 1 : 0;
	crew->job_threads_left += for_jobs ? 1 : 0;
	crew->over -= crew->over > 0 && !for_jobs ? 1 : 0;
}

static void work(void *argument)
{
	struct mtsi_worker *worker = argument;
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->member.server)->crew;
	const bool on_demand = mtsi_on_demand(worker->member.server);
	arrive(worker);
	while (!mtsi_rest_one_is_over_locked(crew)) {
		if (mtsi_jobs_take_locked(&worker->member)) {
			if (!run_job_locked(worker) && !crew->dismissed && !mtsi_rest_locked(&worker->member)) {
				break;
			}
			continue;
		}
		struct mts_client *client = take_client_locked(crew);
		if (client != NULL) {
			mtsi_stint_begin_locked(&worker->member, client);
			release_and_send(worker->member.server);
			if (!serve(worker) && !crew->dismissed && !mtsi_rest_locked(&worker->member)) {
				break;
			}
		} else if (on_demand && crew->pollers < crew->width
			&& (!crew->dismissed || crew->later.count > 0)) {
			poll_locked(worker);
		} else if (crew->later.count > 0) {
			mtsi_crew_append_locked(crew, &crew->later, mtsi_clock_now());
		} else if (on_demand && crew->jobs > 0) {
			continue; /* nobody else wants anything, so it is a job's turn again */
		} else if (crew->dismissed || !mtsi_rest_locked(&worker->member)) {
			break;
		}
	}
	leave_locked(worker);
	relieve_and_release(worker->member.server); /* others may be wanted, if the limit was lowered */
	run_end_hook(worker);
}

/*
 * The same for a thread for jobs, with a thread per client. While it is in the program's hook it counts
 * as busy with a job, and has none: another thread may be sooner.
 */
static void work_for_jobs(void *argument)
{
	struct mtsi_worker *worker = argument;
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->member.server)->crew;
	mtsi_lock_take(&crew->lock);
	mtsi_hire_enlist_locked(&worker->member);
	mtsi_jobs_begin_locked(&worker->member);
	worker->has_job = true;
	mtsi_lock_release(&crew->lock);
	run_start_hook(worker);
	mtsi_lock_take(&crew->lock);
	mtsi_jobs_done_locked(&worker->member);
	worker->has_job = false;
	while (mtsi_jobs_wait_locked(&worker->member)) {
		if (mtsi_jobs_take_locked(&worker->member)) {
			(void)run_job_locked(worker);
		}
	}
	leave_locked(worker);
	mtsi_lock_release(&crew->lock);
	run_end_hook(worker);
}

/* Its last moment as a worker. */
static void leave(struct mtsi_worker *worker)
{
	worker->left = true;
	mtsi_worker_free(worker);
	mtsi_threads_leave(&worker->member);
	mtsi_thread_end_reached();
}

static void put_right(void *argument)
{
	struct mtsi_worker *worker = argument;
	struct mts_server *server = worker->member.server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	if (worker->member.client != NULL) {
		mtsi_handling_abandon(worker);
	}
	if (worker->has_job) {
		mtsi_tasks_abandon(server, &worker->task);
	}
	if (!worker->leaving) {
		mtsi_lock_take(&crew->lock);
		if (worker->member.client != NULL) {
			mtsi_stint_end_locked(&worker->member);
		} else if (worker->has_job) {
			mtsi_jobs_done_locked(&worker->member);
			worker->has_job = false;
		}
		mtsi_hire_come_locked(&worker->member);
		leave_locked(worker);
		const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
		mtsi_lock_release(&crew->lock);
		mtsi_crew_send(server, relief);
		mtsi_wake_keeper(server); /* there may be jobs for which another thread has to be made */
		run_end_hook(worker);
	}
	leave(worker);
}

/*
 * The program has ended this thread in a callback; perhaps in one that was called from in here,
 * too.
 */
static void rescue(void *argument)
{
	const struct mtsi_worker *worker = argument;
	if (!worker->left) {
		mtsi_thread_guard(put_right, rescue, argument);
	}
}

void *mtsi_work(void *argument)
{
	struct mtsi_seat *seat = argument;
	struct mts_server *server = seat->server;
	struct mtsi_worker worker;
	(void)mtsi_thread_shield();
	memset(&worker, 0, offsetof(struct mtsi_worker, small));
	worker.member.server = server;
	worker.member.seat = seat;
	worker.member.for_jobs = seat->for_jobs;
	mtsi_observe_self(&worker.member.observed);
	mtsi_inside_enter(server);
	mtsi_name_thread(server, "worker");
	mtsi_thread_small_pages(mtsi_base_floor(server)->options.stack_size);
	mtsi_thread_guard(seat->for_jobs ? work_for_jobs : work, rescue, &worker);
	leave(&worker);
	return NULL;
}
