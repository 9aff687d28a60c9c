/* SPDX-License-Identifier: MIT
 *
 * The keeper: the one thread that sees to everything that is due: lingering, pauses of accept,
 * threads that could not be made, clients that other threads want served, memory that is short, the
 * stop, and the watch over workers that serve. It never runs code of the program's, not even the log
 * hook, and never waits for a client, so nothing that a program or a peer does holds it up.
 *
 * With a thread per client it also polls, since every worker may wait for its client for ever: so
 * it takes connections and sends queued output on, and what wakes it is the bell. On demand a
 * worker polls, and the keeper sleeps on a descriptor of its own, mostly for ever. Only when all
 * workers that may be had are in callbacks does it stand in for them: so connections are taken and
 * output goes out at the limit of threads too, and whoever is done finds the clients in the line.
 *
 * What others do that moves a deadline forward wakes it (mtsi_keeper_wake()), so the deadlines are
 * reckoned anew before each sleep.
 */
#include "engine/keeper.h"

#include "engine/drain.h"
#include "engine/line.h"
#include "engine/poller.h"
#include "engine/server.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/poll.h"

void mtsi_keeper_wake(const struct mts_server *server)
{
	const int wake = atomic_load(&server->wake);
	if (!mtsi_on_demand(server)) {
		mtsi_poller_ring(server);
	} else if (wake >= 0) {
		mtsi_wake_up(wake);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Does what is due; when the next thing is. */
static uint64_t reckon(struct mts_server *server, uint64_t now)
{
	mtsi_post_offer(server);
	uint64_t due = mtsi_linger_expire(server, now);
	due = earlier(due, mtsi_deadlines_expire(server, now));
	due = earlier(due, mtsi_memory_relieve(server, now));
	due = earlier(due, mtsi_door_resume(server, now));
	due = earlier(due, mtsi_eviction_retry(server, now));
	due = earlier(due, mtsi_crew_retry(server, now));
	return mtsi_on_demand(server) ? earlier(due, mtsi_watch_look(server, now)) : due;
}

void mtsi_keeper_tick(struct mts_server *server, uint64_t deadline)
{
	const uint64_t due = earlier(reckon(server, mtsi_clock_now()), deadline);
	if (mtsi_on_demand(server)) {
		const int wake = atomic_load(&server->wake);
		const bool stands_in = mtsi_crew_lacks_poller(server);
		mtsi_alarm_sleep(wake, stands_in ? server->poll : -1, server->alarm, due);
		mtsi_wake_clear(wake);
		if (stands_in) {
			mtsi_crew_stand_in(server);
		}
	} else {
		struct mtsi_line found = {NULL, NULL, 0};
		mtsi_poller_poll(server, due, &found);
		mtsi_crew_offer(server, &found);
	}
}

int mtsi_keeper(struct mts_server *server)
{
	if (!mtsi_stopping(server)) {
		mtsi_watch_begin(&server->watch);
		mtsi_door_open(server);
		mtsi_crew_begin(server);
	}
	mtsi_log(server, MTSI_LOG_START, "serving, at most %zu clients", mtsi_door_max_clients(server));
	while (!mtsi_stopping(server)) {
		mtsi_keeper_tick(server, MTSI_NEVER);
	}
	return mtsi_drain(server);
}
