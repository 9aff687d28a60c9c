/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_SIGPIPE_H
#define MTSI_OS_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

/* What was there before SIGPIPE was held off: the calling thread's mask, and one that waited. */
struct mtsi_sigpipe {
	sigset_t mask;
	bool pending;
};

/*
 * Keeps SIGPIPE from the calling thread, for calls that cannot say so themselves; false: the system
 * denies it, and nothing has changed.
 */
bool mtsi_sigpipe_hold(struct mtsi_sigpipe *before);

/* Ends that; a SIGPIPE that has come meanwhile is taken away. */
void mtsi_sigpipe_release(const struct mtsi_sigpipe *before);

#endif
