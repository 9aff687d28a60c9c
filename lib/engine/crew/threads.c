/* SPDX-License-Identifier: MIT
 *
 * The end of the crew's threads: a worker leaves, its thread is joined, and all of them are let go.
 *
 * A worker decides to leave under the lock, with the line empty, and is counted on no more. So a
 * client that comes while the worker's end hook runs finds another worker, or one is sent for. A
 * worker's structure lies on its own stack, so the worker unlinks itself, and leaves behind its
 * seat, with the number of its thread. What still runs in that thread are destructors of the
 * program's thread-specific data, which may take long or hang. So the keeper tries to join the
 * threads that have left (os/thread_end.h), without waiting for any of them. As long as one has not
 * ended the keeper comes again, later each time. Until it is joined it counts as a thread, and it
 * holds up no other. The server is kept as long as there is any of them.
 */
#include "engine/crew/threads.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/wake.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/member.h"
#include "engine/crew/rest.h"
#include "engine/crew/seat.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/thread.h"
#include "os/thread_end.h"

static const uint64_t shortest_join_pause = MTSI_MILLISECOND;
static const uint64_t longest_join_pause = MTSI_SECOND;

static void unlink_member_locked(struct mtsi_crew *crew, struct mtsi_member *worker)
{
	if (worker->previous != NULL) {
		worker->previous->next = worker->next;
	} else {
		crew->workers = worker->next;
	}
	if (worker->next != NULL) {
		worker->next->previous = worker->previous;
	}
	for (int i = 0; i < MTSI_COUNTERS; i++) {
		mtsi_count_shared(worker->server, i,
			atomic_load_explicit(&worker->counters.count[i], memory_order_relaxed));
	}
}

void mtsi_threads_leave(struct mtsi_member *worker)
{
	struct mts_server *server = worker->server;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_seat *seat = worker->seat;
	mtsi_thread_end_note(&seat->end);
	/* Before the worker counts as gone: after that, the log's last message may be out already. */
	mtsi_log(server, MTSI_LOG_ENDED, "a thread that served ends");
	mtsi_lock_take(&crew->lock);
	unlink_member_locked(crew, worker);
	crew->leaving_now--;
	seat->next = crew->left;
	crew->left = seat;
	crew->left_count++;
	const bool first = crew->left_count == 1 || crew->join_pause != 0;
	crew->join_pause = 0;
	mtsi_crew_tell_if_gone_locked(crew);
	mtsi_lock_release(&crew->lock);
	if (first) {
		mtsi_wake_keeper(server);
	}
}

/* Joins the threads of a list that have ended, and moves them into `ended`; returns the others. */
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

/* Threads that have ended count no more. */
static void strike_locked(struct mtsi_crew *crew, struct mtsi_seat *ended)
{
	while (ended != NULL) {
		struct mtsi_seat *seat = ended;
		ended = seat->next;
		crew->job_threads_left -= seat->for_jobs ? 1 : 0;
		mtsi_seat_give_locked(crew, seat);
		crew->left_count--;
		crew->threads--;
		crew->enlisted--;
	}
}

/* Puts threads that still run back into the list, where others may have come meanwhile. */
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

uint64_t mtsi_threads_join(struct mts_server *server, uint64_t now)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
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
	/* Where the limit of threads was reached, another one may be made now. */
	struct mtsi_relief relief = {.wake = NULL};
	if (any) {
		relief = mtsi_crew_relieve_locked(server);
	}
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
	return due;
}

bool mtsi_threads_dismiss(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_lock_take(&crew->lock);
	crew->dismissed = true;
	mtsi_rest_disturb_locked(crew);
	mtsi_wake_poller(server);
	while (!(mtsi_crew_all_gone_locked(crew) && mtsi_crew_floor(server)->stand_in.present == 0)
		&& mtsi_signal_wait(&crew->gone, &crew->lock, deadline)) {
	}
	const bool all_gone = mtsi_crew_all_gone_locked(crew);
	mtsi_lock_release(&crew->lock);
	return all_gone;
}

size_t mtsi_threads_count(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const size_t threads = mtsi_crew_floor(server)->crew.threads;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return threads;
}

bool mtsi_threads_take_up(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_lock_take(&crew->lock);
	const bool stranded = mtsi_crew_present_locked(crew) == 0 && !mtsi_crew_all_gone_locked(crew);
	if (stranded) {
		crew->hung = false;
		crew->asked = true;
	}
	mtsi_lock_release(&crew->lock);
	return stranded;
}

void mtsi_threads_give_up(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	mtsi_crew_floor(server)->crew.hung = true;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
}

/* The keeper has ended by then, so the caller joins the threads that have ended meanwhile. */
size_t mtsi_threads_hung_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_seat *ended = NULL;
	mtsi_lock_assert_held(&crew->lock);
	if (!crew->hung) {
		return 0;
	}
	crew->left = join_some(crew->left, &ended);
	strike_locked(crew, ended);
	return crew->threads;
}
