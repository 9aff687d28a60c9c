/* SPDX-License-Identifier: MIT
 *
 * Mutexes and condition variables of POSIX threads, with every return value checked. None of the
 * calls here can fail in a program that uses them correctly (pthread_mutex_lock(3p) and its kin).
 * So a failure is our own mistake, and ends the process where it happened, instead of somewhere
 * later. Nor can the outside world make them fail: they are neither robust nor recursive, their
 * memory is here, and where futex(2) is denied the C library does not return at all.
 */
#include "os/lock.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/print.h"

#ifdef MTSI_DEBUG

/* The locks that this thread holds, or is about to take, in the order of taking, so by rank. */
enum { MOST_HELD = 8 };
static _Thread_local const struct mtsi_lock *held[MOST_HELD];
static _Thread_local size_t held_count;

void mtsi_lock_enlist(struct mtsi_lock *lock)
{
	if (held_count > 0 && held[held_count - 1]->rank >= lock->rank) {
		mtsi_print(STDERR_FILENO,
			"libmtserver: a lock of rank %u is taken while one of rank %u is held\n", lock->rank,
			held[held_count - 1]->rank);
	}
	mtsi_must(held_count == 0 || held[held_count - 1]->rank < lock->rank);
	mtsi_must(held_count < MOST_HELD);
	held[held_count++] = lock;
}

void mtsi_lock_strike(struct mtsi_lock *lock)
{
	size_t place = held_count;
	while (place > 0 && held[place - 1] != lock) {
		place--;
	}
	mtsi_must(place > 0);
	for (held_count--; place <= held_count; place++) {
		held[place - 1] = held[place];
	}
}

#endif

void mtsi_lock_init(struct mtsi_lock *lock, unsigned rank)
{
	(void)rank;
#ifdef MTSI_DEBUG
	lock->rank = rank;
	pthread_mutexattr_t kind;
	mtsi_must(pthread_mutexattr_init(&kind) == 0);
	mtsi_must(pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK) == 0);
	mtsi_must(pthread_mutex_init(&lock->mutex, &kind) == 0);
	mtsi_must(pthread_mutexattr_destroy(&kind) == 0);
#else
	mtsi_must(pthread_mutex_init(&lock->mutex, NULL) == 0);
#endif
}

void mtsi_lock_destroy(struct mtsi_lock *lock)
{
	mtsi_must(pthread_mutex_destroy(&lock->mutex) == 0);
}

#ifdef MTSI_DEBUG
void mtsi_lock_assert_held(struct mtsi_lock *lock)
{
	mtsi_must(pthread_mutex_lock(&lock->mutex) == EDEADLK);
}
#endif

void mtsi_signal_init(struct mtsi_signal *signal)
{
	pthread_condattr_t clock;
	mtsi_must(pthread_condattr_init(&clock) == 0);
	mtsi_must(pthread_condattr_setclock(&clock, CLOCK_MONOTONIC) == 0);
	mtsi_must(pthread_cond_init(&signal->condition, &clock) == 0);
	mtsi_must(pthread_condattr_destroy(&clock) == 0);
}

void mtsi_signal_destroy(struct mtsi_signal *signal)
{
	mtsi_must(pthread_cond_destroy(&signal->condition) == 0);
}

void mtsi_signal_one(struct mtsi_signal *signal)
{
	mtsi_must(pthread_cond_signal(&signal->condition) == 0);
}

void mtsi_signal_all(struct mtsi_signal *signal)
{
	mtsi_must(pthread_cond_broadcast(&signal->condition) == 0);
}

bool mtsi_signal_wait(struct mtsi_signal *signal, struct mtsi_lock *lock, uint64_t deadline)
{
	/* The wait takes the lock again while the others are held, so it has to be the last of them. */
	mtsi_debug_must(held_count > 0 && held[held_count - 1] == lock);
	if (deadline == MTSI_NEVER) {
		mtsi_must(pthread_cond_wait(&signal->condition, &lock->mutex) == 0);
		return true;
	}
	const struct timespec until = {
		.tv_sec = (time_t)(deadline / MTSI_SECOND),
		.tv_nsec = (long)(deadline % MTSI_SECOND),
	};
	const int result = pthread_cond_timedwait(&signal->condition, &lock->mutex, &until);
	mtsi_must(result == 0 || result == ETIMEDOUT);
	return result == 0;
}
