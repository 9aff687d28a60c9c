/* SPDX-License-Identifier: MIT
 *
 * The crew: who serves whom, and whether another worker has to be sent for.
 *
 * A client that wants a thread is appended to the ready list. Whatever one poll has found is
 * appended whole before any of it is served, so nothing is stranded behind a slow handler: the
 * worker that takes over finds it here. What a worker does next is decided in one place, work() in
 * work.c. Whether another worker is sent for is decided in one place here,
 * mtsi_crew_relieve_locked(). It is called in the same critical section as every change that could
 * make this necessary. It keeps this true, under the lock:
 *
 *     somebody is needed, and fewer are counted on than may be
 *         =>   waking > 0, or the keeper is asked to make one, or none may be had
 *
 * Somebody is needed when the ready list is not empty, and on demand also when nobody polls. There
 * is one exception: while the program's hook for new threads hangs, and one worker is counted on,
 * no thread is made beside it. The workers that are counted on are those that poll, and those that
 * are active: in a stint, and not known to wait for something or to compute for long. (watchdog.c
 * finds out which do. It also says how many may be counted on: the width, one or two.) With a
 * thread per client no worker is counted on, since each may wait for ever; there the stand-in polls
 * (stand_in.c).
 *
 * So where handlers are fast, the worker that has polled serves all it has found, with no wake-up
 * at all, and polls again. Where a handler waits, or computes, another worker takes over. And where
 * it is known beforehand that most handlers wait, the next worker is sent for before the handler is
 * called.
 *
 * Only one worker at a time needs to be on the way, or, where most handlers wait, one for each
 * client in the line. The worker that arrives takes a client, and in the same critical section
 * sends for the next worker if one is still needed; then it may block as long as it likes. A worker
 * that has finished with a client looks at the line before it polls or rests.
 *
 * A worker that rests is woken by the thread that finds that one is needed. A new worker is made by
 * the keeper and by no other thread. For a thread inherits its maker's user, CPUs, priority, signal
 * mask, filters and namespaces (clone(2), credentials(7)). In a worker the program may have changed
 * each of these for a while, and the new thread would keep the change for all that it serves. The
 * keeper runs no code of the program, so it has what the program's thread had when it called start.
 * A thread that needs a worker made notes that (`asked`), and wakes the keeper, which then makes as
 * many as are needed by that time, in one go.
 *
 * Where no worker may be had, at the limit or because a thread cannot be made, the clients stay in
 * the line: every worker that finishes looks there, and the keeper tries to make one again after
 * 100 ms. On demand the stand-in polls meanwhile.
 *
 * On demand jobs, which are tasks of the program that are due, are to all this what clients in the
 * ready list are (jobs.c).
 *
 * Clients may come from elsewhere while a worker sleeps in epoll (a stop brings them). For these
 * the bell is rung, once for each poll.
 */
#include "engine/crew/crew.h"

#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/client/client.h"
#include "engine/client/list.h"
#include "engine/crew/floor.h"
#include "engine/crew/member.h"
#include "engine/crew/rest.h"
#include "engine/crew/seat.h"
#include "engine/crew/stand_in.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/thread.h"

static const struct mtsi_relief no_relief = {NULL, false, false, false, 0, false};

void mtsi_crew_init(struct mts_server *server, void *(*body)(void *seat))
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	memset(crew, 0, sizeof(*crew));
	mtsi_lock_init(&crew->lock, MTSI_RANK_CREW);
	crew->body = body;
	crew->width = 1;
	mtsi_signal_init(&crew->gone);
	mtsi_signal_init(&crew->jobs_come);
	mtsi_seat_init(&crew->first_seat, server);
	crew->seats = &crew->first_seat;
}

void mtsi_crew_free(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	mtsi_must(crew->ready.count == 0 && crew->later.count == 0);
	mtsi_must(crew->threads == 0);
	mtsi_seat_free_all(crew);
	mtsi_signal_destroy(&crew->gone);
	mtsi_signal_destroy(&crew->jobs_come);
	mtsi_lock_destroy(&crew->lock);
}

size_t mtsi_crew_could_make_locked(struct mts_server *server)
{
	const unsigned limit = atomic_load(&mtsi_base_floor(server)->options.max_threads);
	const struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	if (crew->short_until != 0 || crew->hung) {
		return 0;
	}
	const size_t counted = crew->threads - crew->job_threads - crew->job_threads_left;
	if (limit == 0) {
		return SIZE_MAX;
	}
	return counted < limit ? limit - counted : 0;
}

/* Whether each client that is ready is to have a thread at once. */
static bool on_their_own_locked(struct mts_server *server)
{
	return mtsi_crew_floor(server)->crew.blocking || !mtsi_on_demand(server);
}

size_t mtsi_crew_wanting_locked(struct mts_server *server)
{
	const struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	return crew->ready.count + (mtsi_on_demand(server) ? crew->jobs : 0);
}

size_t mtsi_crew_needed_locked(struct mts_server *server)
{
	const struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const size_t ready = mtsi_crew_wanting_locked(server);
	const size_t counted_on = crew->active_count + crew->pollers;
	if (counted_on >= crew->width) {
		return 0;
	}
	/*
	 * While the hook for new threads hangs, one beside another is not worth a thread stuck in it.
	 */
	if (counted_on > 0 && crew->idle == NULL && crew->given_up > 0) {
		return 0;
	}
	/*
	 * A worker in the hook for new threads is not counted when one that rests could come at once.
	 */
	const size_t coming = crew->waking - (crew->idle != NULL ? crew->hooking : 0);
	if (ready == 0) {
		const bool lacks_poller = mtsi_on_demand(server) && crew->pollers == 0 && !crew->dismissed;
		/*
		 * Nor is a worker made to poll if it too would be stuck in that hook: the stand-in polls.
		 */
		const bool could_come = crew->idle != NULL || crew->given_up == 0;
		return lacks_poller && could_come && coming == 0 ? 1 : 0;
	}
	/*
	 * Where nearly each client needs a thread of its own, no client has to wait for the one before
	 * it.
	 */
	const size_t wanted = on_their_own_locked(server) ? ready : 1;
	return wanted > coming ? wanted - coming : 0;
}

/* Clients wait, and no worker may be had for them: notes how many are new, to be reported. */
static void note_waiting_locked(struct mts_server *server, struct mtsi_relief *relief)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	relief->waiting = crew->ready.count - crew->waiting;
	crew->waiting = crew->ready.count;
	relief->at_limit = relief->waiting > 0 && crew->short_until == 0 && !crew->hung
		&& !crew->told_limit;
	crew->told_limit = crew->told_limit || relief->at_limit;
}

/* Calls a worker that rests, or has the keeper make one. */
static void send_for_locked(struct mts_server *server, struct mtsi_relief *relief)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	relief->wake = mtsi_rest_call_locked(crew);
	if (relief->wake != NULL) {
		return;
	}
	if (mtsi_crew_could_make_locked(server) > 0) {
		relief->ask = !crew->asked;
		crew->asked = true;
	} else if (crew->waking == 0 && crew->active_count + crew->pollers == 0) {
		note_waiting_locked(server, relief);
	}
}

/*
 * Whether no worker polls, and none that could poll is on its way, unless it is still in the hook
 * for new threads. While requests are few, one worker that serves is enough to count on: the alarm
 * is set for it.
 */
bool mtsi_crew_lacks_poller_locked(struct mts_server *server)
{
	const struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const size_t enough = mtsi_crew_floor(server)->watchdog.asleep ? 1 : crew->width;
	if (crew->pollers > 0 || crew->active_count >= enough || crew->waking != crew->hooking) {
		return false;
	}
	const bool hooks = crew->hooking + crew->given_up > 0;
	const bool none_left = crew->idle == NULL && mtsi_crew_could_make_locked(server) == 0;
	return mtsi_on_demand(server) && !crew->dismissed && (hooks || none_left);
}

struct mtsi_relief mtsi_crew_relieve_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_relief relief = no_relief;
	mtsi_lock_assert_held(&crew->lock);
	if (crew->pollers > 0 && !crew->rung && mtsi_crew_wanting_locked(server) > 0) {
		crew->rung = true;
		relief.ring = true;
	}
	if (mtsi_crew_needed_locked(server) > 0) {
		send_for_locked(server, &relief);
	}
	relief.stand_in = !crew->stand_in && mtsi_crew_lacks_poller_locked(server);
	return relief;
}

static void report_waiting(struct mts_server *server, struct mtsi_relief relief)
{
	mtsi_count_shared(server, MTS_STAT_THREAD_WAITS, relief.waiting);
	if (relief.at_limit) {
		mtsi_log(server, MTSI_LOG_THREAD,
			"all %u threads are in use, clients wait: mts_server_set_max_threads() allows no more",
			atomic_load(&mtsi_base_floor(server)->options.max_threads));
	}
}

void mtsi_crew_send(struct mts_server *server, struct mtsi_relief relief)
{
	if (relief.ring) {
		mtsi_wake_poller(server);
	}
	if (relief.wake != NULL) {
		mtsi_signal_one(&relief.wake->signal);
	}
	if (relief.ask) {
		mtsi_wake_keeper(server);
	}
	if (relief.stand_in) {
		mtsi_stand_in_call(&mtsi_crew_floor(server)->stand_in);
	}
	if (relief.waiting > 0) {
		report_waiting(server, relief);
	}
}

void mtsi_crew_set_max_threads(struct mts_server *server, unsigned threads)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_relief relief = no_relief;
	const int before = mtsi_thread_shield();
	mtsi_lock_take(&crew->lock);
	const size_t present = mtsi_crew_for_clients_locked(crew);
	atomic_store(&mtsi_base_floor(server)->options.max_threads, threads);
	crew->over = threads != 0 && present > threads ? present - threads : 0;
	crew->told_limit = false;
	if (crew->over > 0) {
		mtsi_rest_disturb_locked(crew); /* those leave first */
	} else if (crew->threads > 0) {
		relief = mtsi_crew_relieve_locked(server); /* somebody may have waited for this */
	}
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
	mtsi_thread_unshield(before);
}

void mtsi_crew_append_locked(struct mtsi_crew *crew, struct mtsi_list *clients, uint64_t now)
{
	struct mts_client *client = clients->first;
	mtsi_lock_assert_held(&crew->lock);
	for (size_t i = 0; i < clients->count; i++) {
		client->ready_at = (uint32_t)(now / MTSI_MICROSECOND);
		client = client->next;
	}
	mtsi_list_join(&crew->ready, clients);
}

/*
 * Appends clients, and sends for workers if that makes them necessary. For threads that are no
 * workers.
 */
static void relieve(struct mts_server *server, struct mtsi_list *clients)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	const uint64_t now = mtsi_clock_now();
	mtsi_lock_take(&crew->lock);
	mtsi_crew_append_locked(crew, clients, now);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
}

void mtsi_crew_start(struct mts_server *server)
{
	struct mtsi_list none = {NULL, NULL, 0};
	relieve(server, &none);
}

void mtsi_crew_offer(struct mts_server *server, struct mtsi_list *clients)
{
	if (clients->count > 0) {
		relieve(server, clients);
	}
}

void mtsi_crew_take_unopened(struct mts_server *server, struct mtsi_list *found)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_list opened = {NULL, NULL, 0};
	struct mts_client *client;
	mtsi_lock_take(&crew->lock);
	while ((client = mtsi_list_take(&crew->ready)) != NULL) {
		const bool is_unopened = client->stage == MTSI_CLIENT_WAITING || client->awaits_header;
		mtsi_list_add(is_unopened ? found : &opened, client);
	}
	mtsi_list_join(&crew->ready, &opened);
	crew->waiting = crew->ready.count;
	mtsi_lock_release(&crew->lock);
}

bool mtsi_crew_lacks_cpu(struct mts_server *server)
{
	const struct mtsi_options *options = &mtsi_base_floor(server)->options;
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	if (options->on_thread_start != NULL || options->on_thread_end != NULL) {
		return false;
	}
	mtsi_lock_take(&crew->lock);
	const bool nobody = crew->in_stint == 0 && crew->ready.count == 0 && crew->later.count == 0;
	mtsi_lock_release(&crew->lock);
	return nobody;
}

size_t mtsi_crew_served(struct mts_server *server, struct mtsi_served *list, size_t room)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	size_t count = 0;
	mtsi_lock_take(&crew->lock);
	for (const struct mtsi_member *w = crew->workers; w != NULL; w = w->next) {
		if (w->client != NULL && count++ < room) {
			/* Its slot is not given to another client: this is called after the last accept. */
			struct mtsi_served *served = &list[count - 1];
			served->id = w->client->id;
			served->since = atomic_load_explicit(&w->since, memory_order_relaxed);
		}
	}
	mtsi_lock_release(&crew->lock);
	return count;
}

void mtsi_crew_tell_if_gone_locked(struct mtsi_crew *crew)
{
	if (mtsi_crew_all_gone_locked(crew)) {
		mtsi_signal_all(&crew->gone);
	}
}
