/* SPDX-License-Identifier: MIT
 *
 * The stop, step by step, on the keeper:
 *
 * 1. The listeners close: no new clients.
 * 2. Every client's receiving side is shut down, which wakes workers that wait for input, and
 *    those that are parked get one last turn. What had arrived is served, the replies are sent, and
 *    the clients end (input.c says how and why that is enough).
 * 3. The keeper and the crew go on as ever, so queued output and lingering go on, until no client
 *    is left or the deadline has come.
 * 4. At the deadline all sockets are cut: no further request is handled, not even one that has come
 *    already; whatever waits on a socket wakes up and fails, and whoever is parked, since its output
 *    waits, gets a turn to end in.
 * 5. The crew is let go. A worker that does not come within a moment after the cut is inside a
 *    callback of the program: that is reported, and nothing it may still use is freed.
 *
 * Clients that still wait for a thread at the deadline are closed here; they were never opened.
 */
#include "engine/drain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/claim.h"
#include "engine/client.h"
#include "engine/entry.h"
#include "engine/keeper.h"
#include "engine/roster.h"
#include "engine/server.h"
#include "os/clock.h"
#include "os/socket.h"
#include "os/thread.h"

/* How long workers may take to notice the cut; within the 100 ms that are promised. */
static const uint64_t grace = 80 * MTSI_MILLISECOND;

/* For how long no thread that has left has ended, when the next one counts as hung. */
static const uint64_t standstill = 40 * MTSI_MILLISECOND;

/* How often sockets are looked at whose progress raises no event. */
static const uint64_t look_time = 10 * MTSI_MILLISECOND;

/* How often workers are looked at that serve the last clients. */
static const uint64_t watch_time = MTSI_MILLISECOND;

/* What the stand-in may take to end at least, once the workers have. */
static const uint64_t last_time = 10 * MTSI_MILLISECOND;

/* One that is parked is claimed, so that it gets a turn; the owner of another will look again. */
static void nudge(struct mts_client *client, struct mtsi_line *claimed)
{
	if (client->stage != MTSI_CLIENT_LINGERING) {
		mtsi_socket_shut_receiving(client->fd);
		if (mtsi_claim(client)) {
			mtsi_line_add(claimed, client);
		}
	}
}

static void cut(struct mts_client *client, struct mtsi_line *claimed)
{
	if (mtsi_client_cut_locked(client, MTS_CLOSED_STOP, claimed)) {
		mtsi_count_shared(&client->server->stats, MTS_STAT_CUT_OFF, 1);
	}
}

/* Does this to all clients; those that are claimed get a turn. */
static void visit_all(
	struct mts_server *server, void (*visit)(struct mts_client *client, struct mtsi_line *claimed))
{
	struct mtsi_line claimed = {NULL, NULL, 0};
	mtsi_clients_each(server, visit, &claimed);
	mtsi_crew_offer(server, &claimed);
}

static uint64_t stop_deadline(const struct mts_server *server)
{
	return mtsi_clock_after(mtsi_clock_now(), mtsi_timeout(&server->options, MTS_TIMEOUT_STOP));
}

static bool anybody(struct mts_server *server)
{
	return mtsi_door_clients(server) > 0 || atomic_load(&server->linger.count) > 0;
}

static void wait_for_clients(struct mts_server *server, uint64_t deadline)
{
	while (anybody(server) && mtsi_clock_now() < deadline) {
		uint64_t until = deadline;
		if (atomic_load(&server->linger.count) > 0) {
			const uint64_t look = mtsi_clock_now() + look_time;
			until = look < deadline ? look : deadline;
		}
		mtsi_keeper_tick(server, until);
		mtsi_linger_look(server);
	}
}

static void cut_off(struct mts_server *server)
{
	struct mtsi_line unopened = {NULL, NULL, 0};
	struct mts_client *client;
	mtsi_crew_take_unopened(server, &unopened);
	while ((client = mtsi_line_take(&unopened)) != NULL) {
		mtsi_door_turn_away(client);
		mtsi_door_leave(server, false);
	}
	visit_all(server, cut);
	mtsi_post_offer(server); /* those that had been claimed before; no more will come */
	mtsi_count_shared(&server->stats, MTS_STAT_CUT_OFF, mtsi_linger_finish(server));
}

static void report_hung(struct mts_server *server)
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
		const uint64_t since = served[i].since;
		mtsi_log_client(server, MTSI_LOG_HUNG, served[i].id, &served[i].peer,
			"a callback still runs, since %" PRIu64 " ms",
			now > since ? (now - since) / MTSI_MILLISECOND : 0);
	}
	const char *listener = mtsi_entry_taken(server);
	if (listener != NULL) {
		mtsi_log(server, MTSI_LOG_HUNG,
			"a thread still waits for a connection on %s, which somebody has made blocking",
			listener);
	} else if (count == 0) {
		mtsi_log(server, MTSI_LOG_HUNG, "a hook or destructor of a thread still runs");
	}
	free(list);
}

/*
 * Lets the crew go; false when some still run at `end`. Until then those that serve the last
 * clients are watched as ever, so that a close hook that waits holds up no other.
 */
static bool let_go(struct mts_server *server, uint64_t end)
{
	uint64_t now;
	bool all_gone;
	do {
		now = mtsi_clock_now();
		if (mtsi_on_demand(server)) {
			(void)mtsi_watch_look(server, now);
		}
		(void)mtsi_roster_join(server, now);
		(void)mtsi_crew_staff(server, now);
		const uint64_t look = mtsi_clock_after(now, watch_time);
		all_gone = mtsi_roster_dismiss(server, look < end ? look : end);
	} while (!all_gone && now < end);
	return all_gone;
}

/*
 * When callbacks count as hung: that is reckoned from the deadline, unless there were so many to cut
 * off that it took the most of the time.
 */
static uint64_t grace_ends(uint64_t deadline)
{
	const uint64_t now = mtsi_clock_now();
	const bool prompt = now < mtsi_clock_after(deadline, grace / 2);
	return mtsi_clock_after(prompt ? deadline : now, grace);
}

/*
 * Joins the crew, which has left: no callback runs any more but destructors of thread-specific data.
 * Thousands of threads take longer than `end`: as long as they go on ending, none hangs.
 */
static bool join_all(struct mts_server *server, uint64_t end)
{
	size_t least = SIZE_MAX;
	uint64_t now;
	do {
		now = mtsi_clock_now();
		(void)mtsi_roster_join(server, MTSI_NEVER);
		const size_t ending = mtsi_roster_threads(server);
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

int mtsi_drain(struct mts_server *server)
{
	const uint64_t deadline = stop_deadline(server);
	mtsi_log(
		server, MTSI_LOG_STOP, "stopping, %zu clients are connected", mtsi_door_clients(server));
	mtsi_door_shut(server);
	mtsi_listeners_close(server);
	visit_all(server, nudge);
	mtsi_roster_thin_out(server);
	wait_for_clients(server, deadline);
	cut_off(server);
	const uint64_t end = grace_ends(deadline);
	mtsi_stand_in_dismiss(server); /* nothing is polled for any more */
	const bool all_left = let_go(server, end);
	const bool all_ended = all_left && join_all(server, end);
	const uint64_t soon = mtsi_clock_after(mtsi_clock_now(), last_time);
	const bool nobody_polls = mtsi_stand_in_join(server, soon > end ? soon : end);
	if (!all_ended || !nobody_polls) {
		mtsi_roster_give_up(server);
		report_hung(server);
		return -EBUSY;
	}
	mtsi_log(server, MTSI_LOG_STOP, "stopped");
	return 0;
}
