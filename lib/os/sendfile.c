/* SPDX-License-Identifier: MIT
 *
 * sendfile(2), and reading for where it cannot be used.
 *
 * sendfile(2) has no flags, so what a send says for each call has to be arranged around it. Such a
 * call must not wait, and the client's socket is blocking. So the socket is made non-blocking
 * meanwhile (FIONBIO). No other thread can notice that: all other calls on the socket but the
 * owner's receive say themselves that they do not wait, and that receive works with a socket of
 * either kind. Nor is there MSG_NOSIGNAL: on a connection that is gone the kernel sends SIGPIPE to
 * the calling thread. Threads of the library have it blocked, but a callback may have changed that.
 * So SIGPIPE is blocked here, and taken away at the end unless it was pending before. Where a
 * sandbox denies any of this, the file is read instead. If the sandbox begins between the two, so
 * that a signal that has come cannot be taken away, SIGPIPE stays blocked, since it would end the
 * process.
 */
#include "os/sendfile.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/sendfile.h>
#endif

#include "os/must.h"

enum { MOST_AT_ONCE = 1 << 30 }; /* Linux takes no more than 0x7ffff000 */

static _Atomic bool can_take; /* pending signals can be taken away, as far as was tried */

/* C libraries differ in the type of ioctl's number; every one of these types holds this number. */
static bool set_waiting(int socket, bool waits)
{
	const unsigned short which = FIONBIO;
	int non_blocking = waits ? 0 : 1;
	return ioctl(socket, which, &non_blocking) == 0;
}

static void only_sigpipe(sigset_t *set)
{
	mtsi_must(sigemptyset(set) == 0);
	mtsi_must(sigaddset(set, SIGPIPE) == 0);
}

/* Finds out whether SIGPIPE is pending; false: that cannot be told. */
static bool ask_sigpipe(bool *pending)
{
	sigset_t all;
	if (sigpending(&all) != 0) {
		return false;
	}
	*pending = sigismember(&all, SIGPIPE) == 1;
	return true;
}

/* Takes one of these signals away, if one is pending; false when the system denies it. */
static bool take_away(const sigset_t *signals)
{
	const struct timespec at_once = {0, 0};
	int taken;
	while ((taken = sigtimedwait(signals, NULL, &at_once)) < 0 && errno == EINTR) {
	}
	const bool can = taken >= 0 || errno == EAGAIN;
	atomic_store_explicit(&can_take, can, memory_order_relaxed);
	return can;
}

/* Whether signals can be taken away here: known from the last time, or tried with no signal. */
static bool may_take_away(void)
{
	sigset_t none;
	mtsi_must(sigemptyset(&none) == 0);
	return atomic_load_explicit(&can_take, memory_order_relaxed) || take_away(&none);
}

bool mtsi_sendfile_begin(struct mtsi_sendfile *before, int socket)
{
	sigset_t sigpipe;
	only_sigpipe(&sigpipe);
	if (!may_take_away() || pthread_sigmask(SIG_BLOCK, &sigpipe, &before->mask) != 0) {
		return false;
	}
	if (ask_sigpipe(&before->pending) && set_waiting(socket, false)) {
		return true;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
	return false;
}

void mtsi_sendfile_end(const struct mtsi_sendfile *before, int socket)
{
	sigset_t sigpipe;
	sigset_t mask = before->mask;
	(void)set_waiting(socket, true);
	only_sigpipe(&sigpipe);
	if (!before->pending && !take_away(&sigpipe)) {
		mtsi_must(sigaddset(&mask, SIGPIPE) == 0);
	}
	(void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

#ifdef __linux__

/*
 * EINVAL: neither this file nor its file system can do it; ESPIPE: the file has no positions; EPERM
 * and ENOSYS: the call is denied, or the file is, which reading it will tell.
 */
ssize_t mtsi_sendfile_now(int socket, int fd, int64_t offset, size_t count)
{
	for (;;) {
		off_t from = (off_t)offset;
		const ssize_t sent = sendfile(
			socket, fd, &from, count < MOST_AT_ONCE ? count : MOST_AT_ONCE);
		if (sent >= 0) {
			return sent;
		}
		if (errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP || errno == EPERM
			|| errno == ENOSYS) {
			return -ENOSYS;
		}
		if (errno != EINTR) {
			return -errno;
		}
	}
}

#else

/* Other systems have another function of that name, or none. */
ssize_t mtsi_sendfile_now(int socket, int fd, int64_t offset, size_t count)
{
	(void)socket;
	(void)fd;
	(void)offset;
	(void)count;
	return -ENOSYS;
}

#endif

ssize_t mtsi_read_at(int fd, int64_t offset, void *buffer, size_t size)
{
	for (;;) {
		ssize_t count = pread(fd, buffer, size, (off_t)offset);
		if (count < 0 && errno == ESPIPE) {
			count = read(fd, buffer, size);
		}
		if (count >= 0) {
			return count;
		}
		if (errno != EINTR) {
			return -errno;
		}
	}
}
