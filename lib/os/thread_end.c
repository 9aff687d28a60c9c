/* SPDX-License-Identifier: MIT
 *
 * The end of a thread: waiting for it, and what the program may do to it.
 *
 * A callback can detach the thread that it runs on (pthread_detach(3)), though the thread is not
 * the program's. Then the thread cannot be joined: pthread_join(3) returns EINVAL while it runs,
 * and once it has ended its pthread_t may be freed memory, which must not be looked at. So each
 * thread notes, when callbacks are behind it, whether it is detached, and its number in the kernel.
 * A detached thread has ended when the kernel knows no thread of that number in this process any
 * more: tgkill(2) with no signal tells that. If another thread gets the number at that moment, the
 * wait is a little longer, that is all. Where tgkill(2) is denied, the thread counts as ended: it
 * uses nothing of the library's any more.
 *
 * Unlike a join, this does not synchronize memory. So the last thing that a thread does here is to
 * increase a counter, which is read after the thread has ended: all that it did comes before that.
 *
 * If the program detaches the thread even later, for example in a destructor of thread-specific
 * data, EINVAL or ESRCH of the join tell, and the answer is the same.
 *
 * pthread_exit(3) and pthread_cancel(3) end a thread in the middle of a callback, but not without
 * running its cleanup handlers. So what has to be put right can be: that is what the guard is for.
 */
#include "os/thread_end.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/thread.h"

static _Atomic unsigned reached;

static bool is_detached(pthread_t thread)
{
	pthread_attr_t attributes;
	int state = PTHREAD_CREATE_JOINABLE;
	if (pthread_getattr_np(thread, &attributes) == 0) {
		(void)pthread_attr_getdetachstate(&attributes, &state);
		(void)pthread_attr_destroy(&attributes);
	}
	return state == PTHREAD_CREATE_DETACHED;
}

void mtsi_thread_end_note(struct mtsi_thread_end *end)
{
	end->thread = pthread_self();
	end->id = (int)syscall(SYS_gettid);
	end->detached = is_detached(end->thread);
}

void mtsi_thread_end_reached(void)
{
	(void)atomic_fetch_add(&reached, 1);
}

static bool is_gone(int id)
{
	const bool gone = syscall(SYS_tgkill, getpid(), id, 0) != 0;
	(void)atomic_load(&reached);
	return gone;
}

bool mtsi_thread_ended(const struct mtsi_thread_end *end)
{
	if (end->detached) {
		return is_gone(end->id);
	}
	const int result = pthread_tryjoin_np(end->thread, NULL);
	return result == 0 || (result != EBUSY && is_gone(end->id));
}

/*
 * Not every C library can wait for a thread on the monotonic clock. So the thread is looked at,
 * first at once and then every millisecond; after all, it is about to end.
 */
bool mtsi_thread_ended_until(const struct mtsi_thread_end *end, uint64_t deadline)
{
	bool ended;
	while (!(ended = mtsi_thread_ended(end)) && mtsi_clock_now() < deadline) {
		mtsi_thread_pause(1);
	}
	return ended;
}

void mtsi_thread_guard(void (*body)(void *), void (*otherwise)(void *), void *argument)
{
	pthread_cleanup_push(otherwise, argument);
	body(argument);
	pthread_cleanup_pop(0);
}
