/* SPDX-License-Identifier: MIT
 *
 * A server that accepts nobody for a while, since its program wants that.
 *
 * The door says so, and the listeners rest as in a pause, without an end: what comes waits in the kernel,
 * and wakes nobody. Who is held at the door already comes in as ever.
 *
 * A program wants to know when nobody is accepted any more. So this waits until no thread has a turn to
 * accept (entry.c). A thread that has one by then may have looked at the door before; it looks again
 * before its next connection, so that takes a moment. One that takes its turn later does so under the
 * listeners' lock, after the look that has found none taken, and so finds the door as it was left. The
 * wait ends after a second all the same, since a thread may sleep in accept until the next connection
 * comes, if somebody has made a shared socket blocking; that one is served then. Apart from that who has
 * a turn waits for nothing, and runs no callback, so this can be called in one, or with the program's
 * locks held.
 *
 * The log is told under the door's lock, so its lines come in the order in which this was called.
 */
#include "engine/door/suspend.h"

#include <errno.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/door/door.h"
#include "engine/door/entry.h"
#include "engine/door/floor.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"

static const uint64_t patience = MTSI_SECOND;

static void tell_locked(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	const bool suspended = mtsi_door_is_suspended(door);
	if (door->open && door->told != suspended) {
		door->told = suspended;
		mtsi_log(server, MTSI_LOG_SUSPENDED, "%s",
			suspended ? "suspended: new connections wait in the kernel"
					  : "resumed: connections are accepted again");
	}
}

static void change(struct mts_server *server, bool suspended)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	atomic_store(&door->suspended, suspended);
	mtsi_door_arm_locked(server);
	tell_locked(server);
	mtsi_lock_release(&door->lock);
}

int mtsi_suspend(struct mts_server *server, bool suspended)
{
	if (mtsi_stopping(server)) {
		return -ECANCELED;
	}
	const int before = mtsi_thread_shield();
	change(server, suspended);
	if (suspended) {
		mtsi_entry_wait_until_left(server, mtsi_clock_after(mtsi_clock_now(), patience));
	}
	mtsi_thread_unshield(before);
	return 0;
}

void mtsi_suspend_announce(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	tell_locked(server);
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
}
