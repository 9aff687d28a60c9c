/* SPDX-License-Identifier: MIT
 *
 * The keeper: the one thread that sees to everything that is due: lingering, pauses of accept, the
 * threads that are to be made and those that have ended, clients that other threads want served,
 * memory that is short, the stop, and the watch over workers that serve. It runs no code of the
 * program, never waits for a client, and makes no call that somebody else can hold up. So nothing
 * that a program or a peer does stops it, and what it makes or opens it does with the rights, CPUs
 * and namespaces of the program's thread that has started the server.
 *
 * It sleeps on a descriptor of its own, mostly for ever. What others do that moves a deadline forward
 * wakes it (mtsi_keeper_wake()), so the deadlines are reckoned anew before each sleep.
 */
#include "engine/keeper.h"

#include "engine/drain.h"
#include "engine/roster.h"
#include "engine/server.h"
#include "engine/shortage.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/poll.h"

void mtsi_keeper_wake(const struct mts_server *server)
{
	const int wake = atomic_load(&server->wake);
	if (wake >= 0) {
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
	due = earlier(due, mtsi_shortage_relieve(server, now));
	due = earlier(due, mtsi_door_resume(server, now));
	due = earlier(due, mtsi_eviction_retry(server, now));
	due = earlier(due, mtsi_roster_join(server, now));
	due = earlier(due, mtsi_stand_in_look(server, now));
	if (mtsi_on_demand(server)) {
		due = earlier(due, mtsi_watch_look(server, now));
	}
	/* Last: all of these may need a worker. */
	return earlier(due, mtsi_crew_staff(server, now));
}

void mtsi_keeper_tick(struct mts_server *server, uint64_t deadline)
{
	const uint64_t due = earlier(reckon(server, mtsi_clock_now()), deadline);
	const int wake = atomic_load(&server->wake);
	mtsi_alarm_sleep(wake, -1, server->alarm, due);
	mtsi_wake_clear(wake);
}

int mtsi_keeper(struct mts_server *server)
{
	if (!mtsi_stopping(server)) {
		mtsi_watch_begin(&server->watch);
		mtsi_door_open(server);
		mtsi_crew_begin(server);
	}
	mtsi_listeners_announce(server);
	while (!mtsi_stopping(server)) {
		mtsi_keeper_tick(server, MTSI_NEVER);
	}
	return mtsi_drain(server);
}
