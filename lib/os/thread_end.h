/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_THREAD_END_H
#define MTSI_OS_THREAD_END_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A thread that is about to end, as it has noted here itself, for others that wait until it has. */
struct mtsi_thread_end {
	pthread_t thread;
	int id; /* its number in the kernel */
	bool detached; /* the program has detached it */
};

/* Notes the calling thread, which runs no callback any more. */
void mtsi_thread_end_note(struct mtsi_thread_end *end);

/* Comes last: after this the calling thread touches nothing that is ours. */
void mtsi_thread_end_reached(void);

/*
 * Whether the thread has ended. Once this function or the next one has returned true, nothing is
 * left of the thread, and neither is to be called again.
 */
bool mtsi_thread_ended(const struct mtsi_thread_end *end);

/* The same, but waits until the thread has ended, or until `deadline`. */
bool mtsi_thread_ended_until(const struct mtsi_thread_end *end, uint64_t deadline);

/*
 * Calls `body`. If the thread is ended in it, by pthread_exit(3) or pthread_cancel(3), calls
 * `otherwise`, still on that thread, which ends afterwards. If the thread is ended in `otherwise`
 * again, it may be called once more.
 */
void mtsi_thread_guard(void (*body)(void *), void (*otherwise)(void *), void *argument);

#endif
