/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_TERMINATION_H
#define MTSI_OS_TERMINATION_H

#include <signal.h>
#include <stdbool.h>

/* The signals that ask a process to end, SIGINT and SIGTERM. */
enum { MTSI_TERMINATION_SIGNALS = 2 };

/* How they were handled before. */
struct mtsi_termination {
	struct {
		bool changed; /* it was changed, to ours */
		struct sigaction action;
	} signals[MTSI_TERMINATION_SIGNALS];
	bool unblocked; /* the mask was changed */
	sigset_t mask; /* of the thread that called */
};

/*
 * Has these two signals handled by `handler`, in the whole process, and unblocks them in the calling
 * thread; except what is ignored. What the system denies stays as it is.
 */
void mtsi_termination_handle(struct mtsi_termination *before, void (*handler)(int number));

/* Makes it all as it was. By the thread that called the other. */
void mtsi_termination_put_back(const struct mtsi_termination *before);

#endif
