/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_THREAD_END_H
#define MTSI_OS_THREAD_END_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A thread that is about to end, as it has noted itself, for those who wait until it has. */
struct mtsi_thread_end {
	pthread_t thread;
	int id; /* the kernel's number of it */
	bool detached; /* the program has detached it */
};

/* Notes the calling thread, for which callbacks are over. */
void mtsi_thread_end_note(struct mtsi_thread_end *end);

/* Comes last: after it the calling thread touches nothing that is ours. */
void mtsi_thread_end_reached(void);

/*
 * Whether it has ended. Once this or the next one has said so nothing is left of it, and neither is
 * to be asked again.
 */
bool mtsi_thread_ended(const struct mtsi_thread_end *end);

/* The same, and waits for that, but no longer than until `deadline`. */
bool mtsi_thread_ended_until(const struct mtsi_thread_end *end, uint64_t deadline);

/*
 * Calls `body`. If the thread is ended in it, by pthread_exit(3) or pthread_cancel(3), calls
 * `otherwise`, still on that thread, which ends afterwards; it may be called once more when the
 * thread is ended in `otherwise` again.
 */
void mtsi_thread_guard(void (*body)(void *), void (*otherwise)(void *), void *argument);

#endif
