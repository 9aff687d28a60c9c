/* SPDX-License-Identifier: MIT
 *
 * sendfile(2), and reading for where it cannot be used.
 *
 * sendfile(2) has no flags, so what a send says for each call has to be arranged around it. Such a
 * call must not wait, and the client's socket is blocking. So the socket is made non-blocking
 * meanwhile (FIONBIO). No other thread can notice that: all other calls on the socket but the
 * owner's receive say themselves that they do not wait, and that receive works with a socket of
 * either kind. Nor is there MSG_NOSIGNAL, so SIGPIPE is held off meanwhile (sigpipe.c). Where a
 * sandbox denies any of this, the file is read instead.
 */
#include "os/sendfile.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/sendfile.h>
#endif

enum { MOST_AT_ONCE = 1 << 30 }; /* Linux takes no more than 0x7ffff000 */

/* C libraries differ in the type of ioctl's number; every one of these types holds this number. */
static bool set_waiting(int socket, bool waits)
{
	const unsigned short which = FIONBIO;
	int non_blocking = waits ? 0 : 1;
	return ioctl(socket, which, &non_blocking) == 0;
}

bool mtsi_sendfile_begin(struct mtsi_sigpipe *before, int socket)
{
	if (!mtsi_sigpipe_hold(before)) {
		return false;
	}
	if (set_waiting(socket, false)) {
		return true;
	}
	mtsi_sigpipe_release(before);
	return false;
}

void mtsi_sendfile_end(const struct mtsi_sigpipe *before, int socket)
{
	(void)set_waiting(socket, true);
	mtsi_sigpipe_release(before);
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
