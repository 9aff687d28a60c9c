/* SPDX-License-Identifier: MIT
 *
 * SIGPIPE, around calls that write and have no flag against it: sendfile(2), write(2). Where the
 * reader is gone the kernel sends that signal to the calling thread. Threads of the library have it
 * blocked, but a callback may have changed that, and threads of the program have what they like. So
 * it is blocked here, and taken away at the end unless it was pending before. If a sandbox begins
 * between the two, so that a signal that has come cannot be taken away, it stays blocked, since it
 * would end the process.
 */
#include "os/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "os/must.h"

static _Atomic bool can_take; /* pending signals can be taken away, as far as was tried */

static void only_sigpipe(sigset_t *set)
{
	mtsi_must(sigemptyset(set) == 0);
	mtsi_must(sigaddset(set, SIGPIPE) == 0);
}

/* Finds out whether SIGPIPE is pending; false: that cannot be told. */
static bool ask_sigpipe(bool *pending)
{
	sigset_t all;
	if (sigpending(&all) != 0) {
		return false;
	}
	*pending = sigismember(&all, SIGPIPE) == 1;
	return true;
}

/* Takes one of these signals away, if one is pending; false when the system denies it. */
static bool take_away(const sigset_t *signals)
{
	const struct timespec at_once = {0, 0};
	int taken;
	while ((taken = sigtimedwait(signals, NULL, &at_once)) < 0 && errno == EINTR) {
	}
	const bool can = taken >= 0 || errno == EAGAIN;
	atomic_store_explicit(&can_take, can, memory_order_relaxed);
	return can;
}

/* Whether signals can be taken away here: known from the last time, or tried with no signal. */
static bool may_take_away(void)
{
	sigset_t none;
	mtsi_must(sigemptyset(&none) == 0);
	return atomic_load_explicit(&can_take, memory_order_relaxed) || take_away(&none);
}

bool mtsi_sigpipe_hold(struct mtsi_sigpipe *before)
{
	sigset_t sigpipe;
	only_sigpipe(&sigpipe);
	if (!may_take_away() || pthread_sigmask(SIG_BLOCK, &sigpipe, &before->mask) != 0) {
		return false;
	}
	if (ask_sigpipe(&before->pending)) {
		return true;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
	return false;
}

void mtsi_sigpipe_release(const struct mtsi_sigpipe *before)
{
	sigset_t sigpipe;
	sigset_t mask = before->mask;
	only_sigpipe(&sigpipe);
	if (!before->pending && !take_away(&sigpipe)) {
		mtsi_must(sigaddset(&mask, SIGPIPE) == 0);
	}
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
}
