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
	_Atomic unsigned char *_Atomic mark; /* if the byte there is 1, this is the process */
	_Atomic unsigned char *page; /* what mark may point to; NULL: not made, or none can be had */
	pid_t process; /* used where there is no page */
};

/* The thing belongs to no process, and so is at home in all. */
void mtsi_home_init(struct mtsi_home *home);
void mtsi_home_free(struct mtsi_home *home);

/* From now on it belongs to the calling process. By one thread at a time. */
void mtsi_home_settle(struct mtsi_home *home);

/* It belongs to no process again. By one thread at a time. */
void mtsi_home_unsettle(struct mtsi_home *home);

/* The number of the calling process, by a system call. */
pid_t mtsi_home_self(void);

/* A part of mtsi_home_left(), for when the mark does not say that this is the process. */
bool mtsi_home_differs(const struct mtsi_home *home);

/* Whether it belongs to a process other than the calling one. Any thread; async-signal-safe. */
static inline bool mtsi_home_left(const struct mtsi_home *home)
{
	const _Atomic unsigned char *mark = atomic_load_explicit(&home->mark, memory_order_acquire);
	return atomic_load_explicit(mark, memory_order_relaxed) == 0 && mtsi_home_differs(home);
}

/*
 * Whether this process is the first of its line in which anything has settled: then all that has
 * settled belongs to it. This is known by one look at one byte. Only for callers that have got a
 * thing that has settled. If the answer is no, ask mtsi_home_left().
 */
enum { MTSI_HOME_PAGE = 4096 };
extern __attribute__((visibility("hidden"))) unsigned char mtsi_home_first[MTSI_HOME_PAGE];

static inline bool mtsi_home_is_first(void)
{
	return mtsi_home_first[0] != 0;
}

#endif
