/* SPDX-License-Identifier: MIT
 *
 * SIGINT and SIGTERM, for as long as somebody wants to hear of them.
 *
 * A signal that is ignored stays ignored: nohup(1), and shells that start a job in the background,
 * have it ignored, so that it does not end the program. So the old handling is looked at before
 * ours is set. Only a change at that very moment is overlooked.
 *
 * The kernel gives a signal of the process to any thread that does not block it. So that there is
 * one, the calling thread unblocks both, after their handling was set: one that has waited comes to
 * ours. In the end the mask comes first: one that comes after that waits again, and does not meet
 * the old handling where it was kept from it.
 */
#include "os/termination.h"

#include <pthread.h>
#include <stddef.h>

#include "os/must.h"

static const int numbers[MTSI_TERMINATION_SIGNALS] = {SIGINT, SIGTERM};

static bool ignored(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) == 0 && action->sa_handler == SIG_IGN;
}

void mtsi_termination_handle(struct mtsi_termination *before, void (*handler)(int number))
{
	sigset_t ours;
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK};
	mtsi_must(sigemptyset(&ours) == 0);
	mtsi_must(sigemptyset(&action.sa_mask) == 0);
	for (int i = 0; i < MTSI_TERMINATION_SIGNALS; i++) {
		struct sigaction *old = &before->signals[i].action;
		before->signals[i].changed = sigaction(numbers[i], NULL, old) == 0 && !ignored(old)
			&& sigaction(numbers[i], &action, NULL) == 0;
		if (before->signals[i].changed) {
			mtsi_must(sigaddset(&ours, numbers[i]) == 0);
		}
	}
	before->unblocked = pthread_sigmask(SIG_UNBLOCK, &ours, &before->mask) == 0;
}

void mtsi_termination_put_back(const struct mtsi_termination *before)
{
	if (before->unblocked) {
		(void)pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
	}
	for (int i = 0; i < MTSI_TERMINATION_SIGNALS; i++) {
		if (before->signals[i].changed) {
			(void)sigaction(numbers[i], &before->signals[i].action, NULL);
		}
	}
}
