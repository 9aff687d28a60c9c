/* SPDX-License-Identifier: MIT
 *
 * Faults on order: the library's own calls fail when a test says so. The linker's --wrap puts these
 * functions in the place of the real ones in programs that link the private library; the library itself
 * has no part in it.
 *
 * Every close is checked in any case: closing a descriptor that is closed already ends the test.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Calls that can be made to fail. MEMORY is malloc, calloc, realloc, strdup, tsearch and mmap. */
enum fault_call {
	FAULT_ACCEPT,
	FAULT_BIND,
	FAULT_CONNECT,
	FAULT_COPY, /* process_vm_readv */
	FAULT_EPOLL_CREATE,
	FAULT_EPOLL_CTL, /* adding: changing and taking out need no memory, and cannot fail */
	FAULT_EPOLL_WAIT,
	FAULT_EVENTFD,
	FAULT_FCNTL, /* changing flags */
	FAULT_GETSOCKNAME,
	FAULT_GETRUSAGE,
	FAULT_LISTEN,
	FAULT_MADVISE, /* MADV_POPULATE_READ only */
	FAULT_MEMORY,
	FAULT_NANOSLEEP,
	FAULT_OPEN,
	FAULT_PIPE,
	FAULT_POLL,
	FAULT_PPOLL, /* the keeper sleeps in it */
	FAULT_PREAD,
	FAULT_RECV,
	FAULT_SEND,
	FAULT_SENDFILE,
	FAULT_SETSOCKOPT,
	FAULT_SIGMASK,
	FAULT_SIGPENDING,
	FAULT_SIGTIMEDWAIT,
	FAULT_SOCKET,
	FAULT_SPLICE,
	FAULT_THREAD,
	FAULT_TIMERFD,
	FAULT_TIMERFD_SET,
	FAULT_CALLS
};

#define FAULT_FOREVER UINT32_MAX

/* For fault_fail(): the call goes well, but its hook is called. */
enum { FAULT_NOTHING = -1 };

/*
 * Only calls of the library count: on its own threads always, on the test's thread between
 * fault_inside(true) and fault_inside(false).
 */
void fault_inside(bool inside);

/* From now on `skip` calls go well, and the next `times` fail with `error`. Counting begins anew. */
void fault_fail(enum fault_call call, int error, uint32_t skip, uint32_t times);

/* From now on every n-th call fails. A receive that may wait is never told EAGAIN. */
void fault_every(enum fault_call call, int error, uint32_t n);

/* From now on all calls go well. */
void fault_clear(enum fault_call call);

/* How many calls there were, and how many of them failed, since one of the three above. */
uint32_t fault_count(enum fault_call call);
uint32_t fault_hits(enum fault_call call);
void fault_wait_count(enum fault_call call, uint32_t count); /* until at least so many */
void fault_wait_hits(enum fault_call call, uint32_t hits);

/* Calls this on the thread whose call is about to fail; NULL: nothing. */
void fault_hook(enum fault_call call, void (*hook)(void));

/*
 * Calls this once, on the thread that is about to make the n-th call, counted from 0, of all calls
 * that can be made to fail and of close; NULL: nothing. Counting begins anew. Returns how many
 * there were.
 */
void fault_at_step(uint32_t n, void (*hook)(void));
uint32_t fault_steps(void);

/*
 * How many threads of the library sleep in a call that ends by itself within ten minutes, an alarm that
 * is set included. None, and all sleep: then nobody wakes up unless something happens.
 */
uint32_t fault_short_sleeps(void);

/* The most memory that was asked for at once, since FAULT_MEMORY was set or cleared. */
size_t fault_largest(void);

/* Only epoll_ctl calls that ask for exactly these of EPOLLIN, OUT, RDHUP and PRI count; 0: all. */
void fault_watch_only(uint32_t events);

/* The next epoll_wait reports only this event, at once, as if it had been on its way for long. */
void fault_event(uint64_t tag, uint32_t events);
void fault_wait_event(void); /* until it has been dealt with */

/*
 * A send, a read of a file, or a receive that may wait takes at most so many bytes; 0: any number.
 * A receive that does not wait takes all there is, as with the kernel: if it takes less, an event
 * follows.
 */
void fault_short(size_t most);

/* Sets the library's monotonic clock ahead by so much more; stops it, or lets it go on from there. */
void fault_clock_ahead(uint64_t nanoseconds);
void fault_clock_stop(bool stop);

#endif
