/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_THREAD_H
#define MTSI_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Starts a thread with all asynchronous signals blocked: the program's signals go to the program's
 * threads. `stack` is how many bytes its code may use at least; below lie 64 KiB of guard. 0 or a
 * negative errno value.
 */
int mtsi_thread_start(pthread_t *thread, size_t stack, void *(*body)(void *), void *argument);

/*
 * Waits for a thread's end; each started thread is joined exactly once. For threads that run
 * callbacks, which the program may have detached, there is thread_end.h.
 */
void mtsi_thread_join(pthread_t thread);

/* The same, but no longer than until `deadline`; false when it has not ended, so is not joined. */
bool mtsi_thread_join_until(pthread_t thread, uint64_t deadline);

/*
 * Keeps the calling thread from being cancelled: a thread of the program while it holds or waits
 * for something of ours, and one of ours for as long as it lives. The result is for
 * mtsi_thread_unshield().
 */
int mtsi_thread_shield(void);

/* Allows it again, if it was allowed before. */
void mtsi_thread_unshield(int before);

/* Lets other threads run: for waits that are as good as over. */
void mtsi_thread_yield(void);

/* Does nothing for about so long. */
void mtsi_thread_pause(unsigned milliseconds);

/* Declines huge pages for the calling thread's stack, which was started with `stack` bytes. */
void mtsi_thread_small_pages(size_t stack);

/* Names the calling thread, for ps, top and debuggers; at most 15 characters. */
void mtsi_thread_name(const char *name);

#endif
