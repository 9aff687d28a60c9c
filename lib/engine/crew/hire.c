/* SPDX-License-Identifier: MIT
 *
 * New workers. crew.c says how many are made, and when; its lock guards all of this too.
 *
 * A thread counts from the moment when it is decided on, under the lock, until it has been joined,
 * so the limit is never passed. When a thread cannot be made the keeper tries again, and the
 * stand-in polls meanwhile.
 *
 * A new worker is on its way until it has come for work: on demand, until it has returned from the
 * program's hook for new threads. After 100 ms in that hook it is given up (watchdog.c): it is no
 * longer counted as on its way. From then on the stand-in polls, and another worker is made only
 * for clients that wait, one after the other. So a hook that hangs does not collect a crowd of
 * threads.
 */
#include "engine/crew/hire.h"

#include <errno.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/wake.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/jobs.h"
#include "engine/crew/member.h"
#include "engine/crew/seat.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"

enum { OWN_STACK = 16 * 1024 }; /* beside what the program has asked for */

static const uint64_t retry_time = 100 * MTSI_MILLISECOND;

/*
 * A worker could not be made, so all `count` that were decided on and not made are given up for
 * now.
 */
static void could_not_make(struct mts_server *server, size_t count, bool for_jobs, int result)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_lock_take(&crew->lock);
	crew->threads -= count;
	*(for_jobs ? &crew->job_threads : &crew->waking) -= count;
	if (!for_jobs) {
		crew->over -= count < crew->over ? count : crew->over; /* these were among them */
	}
	crew->short_until = mtsi_clock_after(mtsi_clock_now(), retry_time);
	/*
	 * A worker may have gone to rest meanwhile, and is called. None is made, since none can be now.
	 */
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_crew_tell_if_gone_locked(crew);
	mtsi_lock_release(&crew->lock);
	mtsi_log(server, MTSI_LOG_THREAD, "cannot make a thread, %s may wait: %s",
		for_jobs ? "tasks" : "clients", strerror(-result));
	mtsi_crew_send(server, relief);
	mtsi_wake_keeper(server);
}

/* Makes a worker: 0 or a negative errno value. */
static int make_one(struct mts_server *server, bool for_jobs)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_seat *seat = mtsi_seat_take(server);
	if (seat == NULL) {
		return -ENOMEM;
	}
	pthread_t thread;
	seat->for_jobs = for_jobs;
	const size_t stack = mtsi_base_floor(server)->options.stack_size + OWN_STACK;
	const int result = mtsi_thread_start(&thread, stack, crew->body, seat);
	if (result != 0) {
		mtsi_lock_take(&crew->lock);
		mtsi_seat_give_locked(crew, seat);
		mtsi_lock_release(&crew->lock);
	}
	return result;
}

static void make_workers(struct mts_server *server, size_t count, bool for_jobs)
{
	for (; count > 0; count--) {
		const int result = make_one(server, for_jobs);
		if (result != 0) {
			could_not_make(server, count, for_jobs, result);
			return;
		}
		mtsi_log(server, MTSI_LOG_MADE, "a thread is made %s", for_jobs ? "for tasks" : "to serve");
	}
}

/*
 * Decides how many workers are made; these count from then on. Calls one that has gone to rest
 * meanwhile.
 */
static size_t hire_locked(struct mts_server *server, struct mtsi_relief *relief)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const size_t needed = mtsi_crew_needed_locked(server);
	crew->asked = false;
	*relief = mtsi_crew_relieve_locked(server);
	if (!relief->ask) {
		return 0;
	}
	relief->ask = false;
	crew->asked = false;
	const size_t could = mtsi_crew_could_make_locked(server);
	const size_t count = needed < could ? needed : could;
	crew->waking += count;
	crew->threads += count;
	return count;
}

/* The same for jobs, with a thread per client. */
static size_t hire_for_jobs_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const size_t count = mtsi_jobs_threads_needed_locked(server);
	crew->job_threads += count;
	crew->threads += count;
	return count;
}

uint64_t mtsi_hire(struct mts_server *server, uint64_t now)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_relief relief = {.wake = NULL};
	size_t count = 0;
	mtsi_lock_take(&crew->lock);
	const bool again = crew->short_until != 0 && crew->short_until <= now;
	if (again) {
		crew->short_until = 0;
	}
	if (again || crew->asked) {
		count = hire_locked(server, &relief);
	}
	const size_t for_jobs = hire_for_jobs_locked(server);
	const uint64_t due = crew->short_until != 0 ? crew->short_until : MTSI_NEVER;
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
	make_workers(server, count, false);
	make_workers(server, for_jobs, true);
	return due;
}

void mtsi_hire_enlist_locked(struct mtsi_member *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	mtsi_lock_assert_held(&crew->lock);
	crew->waking -= worker->for_jobs ? 0 : 1;
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

void mtsi_hire_hook_locked(struct mtsi_member *worker, uint64_t now)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	worker->hooked = true;
	crew->waking++;
	if (crew->hooking++ == 0) {
		crew->hooking_since = now;
	}
}

void mtsi_hire_come_locked(struct mtsi_member *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	if (worker->hooked) {
		crew->hooking--;
		crew->waking--;
	}
	crew->given_up -= worker->given_up ? 1 : 0;
	worker->hooked = false;
	worker->given_up = false;
}

void mtsi_hire_give_up_hooks_locked(struct mtsi_crew *crew)
{
	for (struct mtsi_member *w = crew->workers; w != NULL; w = w->next) {
		if (w->hooked) {
			mtsi_hire_come_locked(w);
			w->given_up = true;
			crew->given_up++;
		}
	}
}
