/* SPDX-License-Identifier: MIT
 *
 * What a loop does when the system call in which it waits fails. A sandbox may deny the call
 * (seccomp(2)); or poll(2) finds more descriptors than RLIMIT_NOFILE allows, or returns at once for
 * ever, as it does while something lies in a socket's error queue. To look again at once would burn
 * a CPU. So the loop pauses before it looks again, which still serves everybody, a little later.
 *
 * One thread looks 500 times a second, for some ten microseconds each time. When many pause at
 * once, each of them looks less often, down to 25 times a second, so that together they do not cost
 * more.
 *
 * nanosleep(2) may be denied as well. What is left then is futex(2), which the locks are made of:
 * without that the C library itself ends the process.
 */
#include "os/pause.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "os/clock.h"
#include "os/lock.h"

static const uint64_t shortest = 2 * MTSI_MILLISECOND;
static const uint64_t longest = 40 * MTSI_MILLISECOND;

static _Atomic unsigned pausing; /* how many threads pause at present */

static void wait_for_nobody(uint64_t span)
{
	struct mtsi_lock lock;
	struct mtsi_signal signal;
	mtsi_lock_init(&lock, MTSI_LOCK_INNERMOST);
	mtsi_signal_init(&signal);
	mtsi_lock_take(&lock);
	(void)mtsi_signal_wait(&signal, &lock, mtsi_clock_after(mtsi_clock_now(), span));
	mtsi_lock_release(&lock);
	mtsi_signal_destroy(&signal);
	mtsi_lock_destroy(&lock);
}

void mtsi_pause_for(uint64_t span)
{
	const struct timespec pause = {
		.tv_sec = (time_t)(span / MTSI_SECOND),
		.tv_nsec = (long)(span % MTSI_SECOND),
	};
	if (nanosleep(&pause, NULL) != 0 && errno != EINTR) {
		wait_for_nobody(span);
	}
}

void mtsi_pause_instead(void)
{
	mtsi_pause_instead_for(longest);
}

void mtsi_pause_instead_for(uint64_t most)
{
	const uint64_t fair = shortest * (atomic_fetch_add(&pausing, 1) + 1);
	const uint64_t span = fair < longest ? fair : longest;
	mtsi_pause_for(span < most ? span : most);
	atomic_fetch_sub(&pausing, 1);
}
