/* SPDX-License-Identifier: MIT
 *
 * The stop, step by step, on the keeper:
 *
 * 1. The listeners close: no new clients. No task is started any more. If the program wants that,
 *    clients then have some time, in which all goes on as ever, but each of them ends after its next
 *    request, once nothing of a further one is here. Who is held at the door comes in as others go, and has
 *    what is left of that time. When all have gone, the rest of it is not waited for. What follows begins
 *    when it is over, and so does the time until the deadline. Who is still held then is turned away.
 * 2. Workers that wait for a client's request are woken, by shutting down its receiving side.
 *    Clients that are parked get one last turn. What had arrived is served, the replies are sent,
 *    and the clients end (receive.c says how, and client.c why nobody is missed). A callback that
 *    reads what belongs to its request goes on until the deadline.
 * 3. The keeper and the crew go on as ever, so queued output and lingering go on, until no client
 *    is left or the deadline has come.
 * 4. At the deadline all clients are cut: no further request is handled, not even one that has come
 *    already. A call that waits on a socket wakes up and fails. A client that is parked, since its
 *    output waits, gets a turn to end in.
 * 5. The crew is let go. A worker that does not come within a moment after the cut is inside a
 *    callback of the program: that is reported, and nothing it may still use is freed.
 * 6. The last line of the log is waited for, so that a hook that works has it before run returns. A
 *    hook that hangs counts like any other callback that hangs.
 *
 * Clients that still wait for a thread at the deadline are closed here; they were never opened.
 */
#include "engine/run/stop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/logger.h"
#include "engine/base/options.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/list.h"
#include "engine/client/memory.h"
#include "engine/client/ticket.h"
#include "engine/crew/crew.h"
#include "engine/crew/hire.h"
#include "engine/crew/jobs.h"
#include "engine/crew/rest.h"
#include "engine/crew/stand_in.h"
#include "engine/crew/threads.h"
#include "engine/door/door.h"
#include "engine/door/entry.h"
#include "engine/door/floor.h"
#include "engine/door/linger.h"
#include "engine/door/listener.h"
#include "engine/run/keeper.h"
#include "engine/run/notify.h"
#include "engine/run/tasks.h"
#include "engine/serve/mailbox.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"
#include "wire/address.h"

/* How long workers may take to notice the cut; a part of the 100 ms that are promised. */
static const uint64_t grace = 80 * MTSI_MILLISECOND;

/* If for so long none of the threads that have left has ended, the next one counts as hung. */
static const uint64_t standstill = 40 * MTSI_MILLISECOND;

/* How long the log may then take for its last line; also a part of the 100 ms. */
static const uint64_t last_words = 16 * MTSI_MILLISECOND;

/* How many callbacks that hang are reported in one go; so many lines always fit. */
enum { AT_ONCE = 128 };

/* How often the watchdog looks at workers that serve the last clients. */
static const uint64_t watch_time = MTSI_MILLISECOND;

/* How much longer threads are waited for if nothing but a CPU keeps them from leaving. */
static const uint64_t patience = MTSI_SECOND;

/* How long the stand-in's thread may take to end, at least, once the workers' threads have. */
static const uint64_t last_time = 4 * MTSI_MILLISECOND;

/*
 * A parked client is claimed, so that it gets a turn; the owner of any other looks again by itself.
 */
static void nudge(struct mts_client *client, struct mtsi_list *claimed)
{
	if (client->stage != MTSI_CLIENT_LINGERING) {
		mtsi_client_stop_waiting_locked(client);
		if (mtsi_claim(client)) {
			mtsi_list_add(claimed, client);
		} else {
			mtsi_ticket_wake_locked(client); /* its owner may wait for a deferred reply */
		}
	}
}

static void cut_client(struct mts_client *client, struct mtsi_list *claimed)
{
	if (mtsi_client_cut_locked(client, MTS_CLOSED_STOP, claimed)) {
		mtsi_count_shared(client->server, MTS_STAT_CUT_OFF, 1);
	}
}

/* Does this to all clients; those that are claimed get a turn. */
static void visit_all(
	struct mts_server *server, void (*visit)(struct mts_client *client, struct mtsi_list *claimed))
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	mtsi_clients_each(server, visit, &claimed);
	mtsi_crew_offer(server, &claimed);
}

static uint64_t stop_deadline(struct mts_server *server)
{
	return mtsi_clock_after(
		mtsi_clock_now(), mtsi_timeout(&mtsi_base_floor(server)->options, MTS_TIMEOUT_STOP));
}

static void give_grace(struct mts_client *client, struct mtsi_list *claimed)
{
	(void)claimed;
	mtsi_client_give_grace_locked(client);
}

/* Clients have some time for one more request each. The last to leave wakes the keeper. */
static void drain(struct mts_server *server)
{
	const unsigned time = atomic_load(&mtsi_base_floor(server)->options.drain);
	const uint64_t end = mtsi_clock_after(mtsi_clock_now(), time * MTSI_MILLISECOND);
	visit_all(server, give_grace);
	mtsi_log(server, MTSI_LOG_STOP, "clients have up to %u ms for one more request each", time);
	while (mtsi_door_clients(server) > 0 && mtsi_clock_now() < end) {
		mtsi_keeper_tick(server, end);
	}
	mtsi_log(server, MTSI_LOG_STOP, "%zu clients are left after that", mtsi_door_clients(server));
	atomic_store(&mtsi_base_floor(server)->stopping, MTSI_STOP_CLOSES); /* before they are told */
}

static bool anybody(struct mts_server *server)
{
	return mtsi_door_clients(server) > 0 || atomic_load(&mtsi_door_floor(server)->linger.count) > 0
		|| mtsi_tasks_any_runs(server);
}

static void wait_for_clients(struct mts_server *server, uint64_t deadline)
{
	while (anybody(server) && mtsi_clock_now() < deadline) {
		mtsi_keeper_tick(server, deadline);
	}
}

void mtsi_stop_unopened(struct mts_server *server)
{
	struct mtsi_list unopened = {NULL, NULL, 0};
	struct mts_client *client;
	mtsi_crew_take_unopened(server, &unopened);
	while ((client = mtsi_list_take(&unopened)) != NULL) {
		const bool evicted = client->evicted;
		(void)mtsi_memory_input(client, 0);
		mtsi_memory_content(client);
		mtsi_door_turn_away(client);
		mtsi_door_leave(server, evicted);
	}
}

static void cut_off(struct mts_server *server)
{
	mtsi_stop_unopened(server);
	visit_all(server, cut_client);
	mtsi_mailbox_offer(server); /* clients that were claimed before; no more will come */
	mtsi_count_shared(server, MTS_STAT_CUT_OFF, mtsi_linger_finish(server));
}

/* Names the tasks that hang; how many there are. */
static size_t report_hung_tasks(struct mts_server *server, uint64_t until)
{
	const uint64_t now = mtsi_clock_now();
	size_t slot = 0;
	size_t count = 0;
	uint64_t since;
	int64_t id;
	while ((id = mtsi_tasks_running(server, &slot, &since)) > 0) {
		if (count++ % AT_ONCE == 0) {
			(void)mtsi_logger_wait(&mtsi_base_floor(server)->log, until);
		}
		mtsi_log(server, MTSI_LOG_HUNG,
			"task %" PRId64 ": a callback still runs, since %" PRIu64 " ms", id,
			now > since ? (now - since) / MTSI_MILLISECOND : 0);
	}
	return count;
}

/* Names a client whose callback hangs, unless it has ended meanwhile. */
static void report_hung_client(
	struct mts_server *server, const struct mtsi_served *served, uint64_t now)
{
	struct mts_client *client = mtsi_clients_lock(server, served->id);
	if (client == NULL) {
		return;
	}
	const struct mtsi_peer peer = client->peer;
	mtsi_lock_release(&client->lock);
	mtsi_log_client(server, MTSI_LOG_HUNG, served->id, &peer,
		"a callback still runs, since %" PRIu64 " ms",
		now > served->since ? (now - served->since) / MTSI_MILLISECOND : 0);
}

/*
 * Names the callbacks that hang. The log may still have much to say, and they may be more lines
 * than it keeps. So the log is waited for before and in between, but no longer than `until`.
 */
static void report_hung(struct mts_server *server, uint64_t until)
{
	const uint64_t now = mtsi_clock_now();
	struct mtsi_served one;
	size_t room = mtsi_crew_served(server, &one, 1);
	struct mtsi_served *list = room > 0 ? calloc(room, sizeof(*list)) : NULL;
	if (list == NULL) {
		room = room > 0 ? 1 : 0;
	}
	const struct mtsi_served *served = list != NULL ? list : &one;
	const size_t count = list != NULL ? mtsi_crew_served(server, list, room) : room;
	for (size_t i = 0; i < count && i < room; i++) {
		if (i % AT_ONCE == 0) {
			(void)mtsi_logger_wait(&mtsi_base_floor(server)->log, until);
		}
		report_hung_client(server, &served[i], now);
	}
	const size_t tasks = report_hung_tasks(server, until);
	const char *listener = mtsi_entry_taken(server);
	if (listener != NULL) {
		mtsi_log(server, MTSI_LOG_HUNG,
			"a thread still waits for a connection on %s, which somebody has made blocking",
			listener);
	} else if (count + tasks == 0) {
		mtsi_log(server, MTSI_LOG_HUNG, "a hook or destructor of a thread still runs");
	}
	free(list);
}

/*
 * Lets the crew go; false when some workers still run at `end`. Until then the watchdog looks at
 * workers that serve the last clients, so that a close hook that waits holds up no other. Workers
 * are made for clients that are left over, as when a callback has ended the only thread, or when
 * the stand-in hands on late what it has found. A worker that only lacks a CPU is waited for a
 * while longer.
 */
static bool let_go(struct mts_server *server, uint64_t end)
{
	uint64_t now;
	bool handed_on;
	bool all_gone;
	bool patient;
	do {
		now = mtsi_clock_now();
		if (mtsi_on_demand(server)) {
			(void)mtsi_keeper_watch(server, now);
		}
		handed_on = mtsi_stand_in_has_left(
			server); /* first: what it hands on is looked for below */
		mtsi_stop_unopened(server);
		(void)mtsi_threads_join(server, now);
		(void)mtsi_hire(server, now);
		all_gone = mtsi_threads_dismiss(server, mtsi_clock_after(now, watch_time));
		patient = all_gone ? mtsi_stand_in_is_leaving(server) : mtsi_crew_lacks_cpu(server);
	} while (!(all_gone && handed_on) && now < mtsi_clock_after(end, patient ? patience : 0));
	return all_gone && handed_on;
}

/*
 * When callbacks count as hung. The time runs from the deadline, unless there were so many clients
 * to cut off that this took most of it.
 */
static uint64_t grace_ends(uint64_t deadline)
{
	const uint64_t now = mtsi_clock_now();
	const bool prompt = now < mtsi_clock_after(deadline, grace / 2);
	return mtsi_clock_after(prompt ? deadline : now, grace);
}

/*
 * Joins the crew, which has left: no callback runs any more but destructors of thread-specific
 * data. Thousands of threads may take longer than `end`: as long as they go on ending, none hangs.
 */
static bool join_all(struct mts_server *server, uint64_t end)
{
	size_t least = SIZE_MAX;
	uint64_t now;
	do {
		now = mtsi_clock_now();
		(void)mtsi_threads_join(server, MTSI_NEVER);
		const size_t ending = mtsi_threads_count(server);
		if (ending == 0) {
			return true;
		}
		if (ending < least) {
			const uint64_t longer = mtsi_clock_after(now, standstill);
			least = ending;
			end = longer > end ? longer : end;
		}
		mtsi_thread_pause(1);
	} while (now < end);
	return false;
}

/*
 * Until when the last line is waited for. If the crew has taken longer than `end`, since there were
 * so many threads, this is not strict either. If some hang, what is late already does not make the
 * log later than it would have been; but it gets its least in any case.
 */
static uint64_t log_ends(uint64_t end, bool well)
{
	const uint64_t now = mtsi_clock_now();
	const uint64_t usual = mtsi_clock_after(end, last_words);
	const uint64_t least = mtsi_clock_after(now, well ? standstill : last_time);
	return now <= end || usual > least ? usual : least;
}

/*
 * After a run that went well nothing is left to be said, and the thread for the log ends too.
 * Otherwise it stays, for messages about callbacks that still run.
 */
static bool finish_log(struct mts_server *server, uint64_t until, bool well)
{
	return well ? mtsi_logger_end(&mtsi_base_floor(server)->log, until)
				: mtsi_logger_wait(&mtsi_base_floor(server)->log, until);
}

int mtsi_stop(struct mts_server *server)
{
	uint64_t deadline = stop_deadline(server);
	mtsi_log(
		server, MTSI_LOG_STOP, "stopping, %zu clients are connected", mtsi_door_clients(server));
	mtsi_notify_stops(server);
	mtsi_jobs_drop(server);
	mtsi_door_shut(server);
	mtsi_listeners_close(server);
	if (mtsi_in_grace(server)) {
		drain(server);
		deadline = stop_deadline(server);
	}
	mtsi_door_turn_away_held(server);
	visit_all(server, nudge);
	mtsi_rest_thin_out(server);
	wait_for_clients(server, deadline);
	cut_off(server);
	const uint64_t end = grace_ends(deadline);
	mtsi_stand_in_dismiss(server); /* nothing is left to be polled for */
	const bool all_left = let_go(server, end);
	const bool all_ended = all_left && join_all(server, end);
	const uint64_t soon = mtsi_clock_after(mtsi_clock_now(), last_time);
	const bool nobody_polls = mtsi_stand_in_join(server, soon > end ? soon : end);
	const bool well = all_ended && nobody_polls;
	const uint64_t until = log_ends(end, well);
	if (well) {
		mtsi_log(server, MTSI_LOG_STOP, "stopped");
	} else {
		mtsi_threads_give_up(server);
		report_hung(server, until);
	}
	const bool all_said = finish_log(server, until, well);
	return well && all_said ? 0 : -EBUSY;
}
