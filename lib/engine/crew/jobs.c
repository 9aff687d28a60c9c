/* SPDX-License-Identifier: MIT
 *
 * Jobs: the program's tasks that are due, and who runs them.
 *
 * On demand a job is to the crew what a client in the ready list is: it wakes a worker, or has one
 * made, within the limit of threads, and one that waits in it is relieved. Neither holds up the
 * other: a worker takes jobs and clients in turn, and never two jobs in a row without having looked
 * at the line and, if nobody polls, at epoll.
 *
 * With a thread per client each worker may be with its client for ever, and all that may be had too.
 * So jobs have threads of their own there, a few at most, beside those that the limit allows for
 * clients. The keeper makes them when jobs wait and none of these threads is free, and one that has
 * had no job for a second leaves. Apart from that they are workers like the others: they leave and
 * are joined in the same way, and count as hung in the same way.
 *
 *     jobs > 0   =>   a thread for jobs is on the way to look, all that may be had are busy, or the
 *                     keeper is about to make one, or to try again
 *
 * For jobs come from the keeper, which makes threads after that in the same go; a thread decides
 * under the lock to leave, with no job there; and one that the program ends wakes the keeper. A thread
 * counts as busy, too, while it is in the program's hook for new threads; and one that leaves counts
 * for how many may be had until it is joined, since that hook and destructors may take long.
 */
#include "engine/crew/jobs.h"

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/member.h"
#include "engine/crew/stint.h"
#include "os/clock.h"
#include "os/lock.h"

enum { MOST_THREADS = 8 };

static const uint64_t rest_time = MTSI_SECOND;

bool mtsi_jobs_at_limit_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const bool limit = crew->jobs > 0 && crew->job_threads_at_work == MOST_THREADS
		&& !crew->told_jobs;
	crew->told_jobs = crew->told_jobs || limit;
	return limit;
}

void mtsi_jobs_report_limit(struct mts_server *server)
{
	mtsi_log(
		server, MTSI_LOG_THREAD, "all %d threads for tasks are in use, tasks wait", MOST_THREADS);
}

void mtsi_jobs_offer(struct mts_server *server, size_t count)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_relief relief = {.wake = NULL};
	bool limit = false;
	mtsi_lock_take(&crew->lock);
	crew->jobs += count;
	if (mtsi_on_demand(server)) {
		relief = mtsi_crew_relieve_locked(server);
	} else {
		mtsi_signal_all(&crew->jobs_come);
		limit = mtsi_jobs_at_limit_locked(server);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
	if (limit) {
		mtsi_jobs_report_limit(server);
	}
}

void mtsi_jobs_drop(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_lock_take(&crew->lock);
	crew->jobs = 0;
	mtsi_signal_all(&crew->jobs_come);
	mtsi_lock_release(&crew->lock);
}

void mtsi_jobs_begin_locked(struct mtsi_member *worker)
{
	mtsi_crew_floor(worker->server)->crew.job_threads_busy += worker->for_jobs ? 1 : 0;
	worker->now = mtsi_clock_now();
	atomic_store_explicit(&worker->since, worker->now, memory_order_relaxed);
	mtsi_stint_begin_locked(worker, NULL);
}

bool mtsi_jobs_take_locked(struct mtsi_member *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	const bool is_for_them = mtsi_on_demand(worker->server) || worker->for_jobs;
	if (crew->jobs == 0 || !is_for_them) {
		return false;
	}
	if (mtsi_stopping(worker->server)) {
		crew->jobs = 0;
		return false;
	}
	if (worker->had_job && !worker->for_jobs) {
		worker->had_job = false;
		return false;
	}
	crew->jobs--;
	crew->job_threads_at_work += worker->for_jobs ? 1 : 0;
	worker->had_job = true;
	mtsi_jobs_begin_locked(worker);
	return true;
}

void mtsi_jobs_done_locked(struct mtsi_member *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	crew->job_threads_busy -= worker->for_jobs ? 1 : 0;
	crew->job_threads_at_work -= worker->for_jobs && worker->had_job ? 1 : 0;
	mtsi_stint_end_locked(worker);
}

size_t mtsi_jobs_threads_needed_locked(struct mts_server *server)
{
	const struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const size_t available = crew->job_threads - crew->job_threads_busy;
	const size_t all = crew->job_threads + crew->job_threads_left;
	const size_t could = all < MOST_THREADS ? MOST_THREADS - all : 0;
	if (mtsi_on_demand(server) || crew->jobs <= available || crew->short_until != 0 || crew->hung
		|| mtsi_stopping(server)) {
		return 0;
	}
	return crew->jobs - available < could ? crew->jobs - available : could;
}

bool mtsi_jobs_wait_locked(struct mtsi_member *worker)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(worker->server)->crew;
	const uint64_t until = mtsi_clock_after(mtsi_clock_now(), rest_time);
	bool in_time = true;
	while (in_time && crew->jobs == 0 && !crew->dismissed && !mtsi_stopping(worker->server)) {
		in_time = mtsi_signal_wait(&crew->jobs_come, &crew->lock, until);
	}
	return crew->jobs > 0 && !crew->dismissed && !mtsi_stopping(worker->server);
}
