/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_HOME_H
#define MTSI_OS_HOME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The process that something belongs to, so that a copy of it in a child made by fork(2) can be told
 * from the thing itself, at the cost of two loads.
 */
struct mtsi_home {
	_Atomic unsigned char *_Atomic mark; /* 1 there: this is the process */
	_Atomic unsigned char *page; /* what mark may point to; NULL: not made, or none to be had */
	pid_t process; /* for where there is no page */
};

/* It belongs to nobody, and so is at home everywhere. */
void mtsi_home_init(struct mtsi_home *home);
void mtsi_home_free(struct mtsi_home *home);

/* From now on it belongs to the calling process; or to nobody again. By one thread at a time. */
void mtsi_home_settle(struct mtsi_home *home);
void mtsi_home_unsettle(struct mtsi_home *home);

/* The number of the calling process, by a system call. */
pid_t mtsi_home_self(void);

/* For mtsi_home_left(), where the mark does not say that this is the process. */
bool mtsi_home_differs(const struct mtsi_home *home);

/* Whether the mark says that this is the process. If it does not, mtsi_home_left() knows. */
static inline bool mtsi_home_surely(const struct mtsi_home *home)
{
	const _Atomic unsigned char *mark = atomic_load_explicit(&home->mark, memory_order_acquire);
	return atomic_load_explicit(mark, memory_order_relaxed) != 0;
}

/* Whether it belongs to another process than the calling one. Any thread; async-signal-safe. */
static inline bool mtsi_home_left(const struct mtsi_home *home)
{
	return !mtsi_home_surely(home) && mtsi_home_differs(home);
}

#endif
