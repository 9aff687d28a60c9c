/* SPDX-License-Identifier: MIT
 *
 * The keeper: the one thread that sees to everything that is due: lingering, pauses of accept, the
 * threads that are to be made and those that have ended, clients that other threads want served,
 * memory that is short, the program's tasks, what a service manager is told, the stop, and the
 * watchdog over workers that serve. It
 * runs no code of the program, never waits for a client, and makes no call that others can hold up. So nothing that a
 * program or a peer does stops it. What it makes or opens, it does with the rights, CPUs and
 * namespaces of the program's thread that has started the server.
 *
 * It sleeps on a descriptor of its own, mostly without a timeout. A thread that makes something due
 * earlier wakes it (mtsi_wake_keeper()). So before each sleep it computes anew when the next thing
 * is due.
 */
#include "engine/run/keeper.h"

#include "engine/base/floor.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/hire.h"
#include "engine/crew/stand_in.h"
#include "engine/crew/threads.h"
#include "engine/crew/watchdog.h"
#include "engine/door/door.h"
#include "engine/door/eviction.h"
#include "engine/door/linger.h"
#include "engine/door/listener.h"
#include "engine/door/suspend.h"
#include "engine/run/expiry.h"
#include "engine/run/notify.h"
#include "engine/run/shortage.h"
#include "engine/run/tasks.h"
#include "engine/serve/mailbox.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/poll.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t mtsi_keeper_watch(struct mts_server *server, uint64_t now)
{
	bool returned;
	const uint64_t due = mtsi_watchdog_look(server, now, &returned);
	if (returned) {
		mtsi_door_returned(server, now);
	}
	return due;
}

/* Does what is due; returns when the next thing is. */
static uint64_t do_what_is_due(struct mts_server *server, uint64_t now)
{
	mtsi_mailbox_offer(server);
	uint64_t due = mtsi_linger_expire(server, now);
	due = earlier(due, mtsi_expiry(server, now));
	due = earlier(due, mtsi_tasks_look(server, now));
	due = earlier(due, mtsi_shortage_relieve(server, now));
	due = earlier(due, mtsi_door_resume(server, now));
	due = earlier(due, mtsi_eviction_retry(server, now));
	due = earlier(due, mtsi_threads_join(server, now));
	due = earlier(due, mtsi_stand_in_look(server, now));
	if (mtsi_on_demand(server)) {
		due = earlier(due, mtsi_keeper_watch(server, now));
	}
	/* Everything before this may need a worker; and what is said after it may depend on that. */
	due = earlier(due, mtsi_hire(server, now));
	return earlier(due, mtsi_notify_look(server, now));
}

void mtsi_keeper_tick(struct mts_server *server, uint64_t deadline)
{
	const uint64_t due = earlier(do_what_is_due(server, mtsi_clock_now()), deadline);
	const int wake = atomic_load(&mtsi_base_floor(server)->wake);
	mtsi_alarm_sleep(wake, -1, mtsi_crew_floor(server)->alarm, due);
	mtsi_wake_clear(wake);
}

void mtsi_keeper(struct mts_server *server)
{
	if (!mtsi_stopping(server)) {
		mtsi_watchdog_begin(&mtsi_crew_floor(server)->watchdog);
		mtsi_door_open(server);
		mtsi_crew_start(server);
		mtsi_tasks_begin(server);
		mtsi_notify_serves(server);
	}
	mtsi_listeners_announce(server);
	mtsi_suspend_announce(server);
	while (!mtsi_stopping(server)) {
		mtsi_keeper_tick(server, MTSI_NEVER);
	}
}
