/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_LOCK_H
#define MTSI_OS_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/must.h"

/*
 * A mutex whose calls cannot fail. Debug builds use the error-checking kind, so that locking twice,
 * or unlocking what another thread holds, ends the process, and mtsi_lock_assert_held() works.
 *
 * They also check the order. Each lock has a rank, and a thread takes only locks of a higher rank
 * than all that it holds, so threads cannot wait for each other in a circle. (There is no trylock,
 * which would be safe without such an order.) A thread may release its locks in any order, and
 * waits for a signal only with the lock that it took last.
 */
struct mtsi_lock {
	pthread_mutex_t mutex;
#ifdef MTSI_DEBUG
	unsigned rank;
#endif
};

/* The rank of a lock under which nothing is taken. The engine's are in engine/base/ranks.h. */
#define MTSI_LOCK_INNERMOST 1000U

void mtsi_lock_init(struct mtsi_lock *lock, unsigned rank);
void mtsi_lock_destroy(struct mtsi_lock *lock);

#ifdef MTSI_DEBUG
/* The calling thread is about to take the lock: ends the process if that is against the order. */
void mtsi_lock_enlist(struct mtsi_lock *lock);

/* The calling thread is about to release the lock. */
void mtsi_lock_strike(struct mtsi_lock *lock);
#else
#define mtsi_lock_enlist(lock) ((void)0)
#define mtsi_lock_strike(lock) ((void)0)
#endif

static inline void mtsi_lock_take(struct mtsi_lock *lock)
{
	mtsi_lock_enlist(lock);
	mtsi_must(pthread_mutex_lock(&lock->mutex) == 0);
}

static inline void mtsi_lock_release(struct mtsi_lock *lock)
{
	mtsi_lock_strike(lock);
	mtsi_must(pthread_mutex_unlock(&lock->mutex) == 0);
}

/* Ends the process in debug builds when the calling thread does not hold the lock. */
#ifdef MTSI_DEBUG
void mtsi_lock_assert_held(struct mtsi_lock *lock);
#else
#define mtsi_lock_assert_held(lock) ((void)(lock))
#endif

/* A condition variable on the library's clock. A waiter must check again what it waits for. */
struct mtsi_signal {
	pthread_cond_t condition;
};

void mtsi_signal_init(struct mtsi_signal *signal);
void mtsi_signal_destroy(struct mtsi_signal *signal);
void mtsi_signal_one(struct mtsi_signal *signal);
void mtsi_signal_all(struct mtsi_signal *signal);

/*
 * Waits, with the lock released meanwhile, until it is signalled: true; or until `deadline`: false.
 */
bool mtsi_signal_wait(struct mtsi_signal *signal, struct mtsi_lock *lock, uint64_t deadline);

#endif
