/* SPDX-License-Identifier: MIT
 *
 * splice(2), pipes, and the wait for two sockets at once.
 */
#include "os/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/pause.h"

int mtsi_pipe_open(int ends[2])
{
	return pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno;
}

void mtsi_pipe_close(const int ends[2])
{
	(void)close(ends[0]);
	(void)close(ends[1]);
}

ssize_t mtsi_pipe_read(int end, void *buffer, size_t size)
{
	ssize_t count;
	do {
		count = read(end, buffer, size);
	} while (count < 0 && errno == EINTR);
	return count >= 0 ? count : -errno;
}

#ifdef SPLICE_F_NONBLOCK

/*
 * EINVAL: this kind of socket cannot do it. EPERM and ENOSYS: the call is denied; EACCES likewise.
 */
ssize_t mtsi_splice_now(int from, int to, size_t size)
{
	for (;;) {
		const ssize_t count = splice(from, NULL, to, NULL, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (count >= 0) {
			return count;
		}
		if (errno == EINVAL || errno == EPERM || errno == ENOSYS || errno == EACCES
			|| errno == EOPNOTSUPP || errno == ENOMEM) {
			return -ENOSYS;
		}
		if (errno != EINTR) {
			return -errno;
		}
	}
}

#else

/* Other systems have nothing like it. */
ssize_t mtsi_splice_now(int from, int to, size_t size)
{
	(void)from;
	(void)to;
	(void)size;
	return -ENOSYS;
}

#endif

static short events_of(unsigned wanted)
{
	return (short)((wanted & MTSI_WATCH_IN ? POLLIN : 0) | (wanted & MTSI_WATCH_OUT ? POLLOUT : 0));
}

static unsigned found_of(short events)
{
	return (events & POLLIN ? MTSI_WATCH_IN : 0u) | (events & POLLOUT ? MTSI_WATCH_OUT : 0u)
		| (events & (POLLHUP | POLLNVAL) ? MTSI_WATCH_HUP : 0u)
		| (events & POLLERR ? MTSI_WATCH_ERR : 0u);
}

void mtsi_watch_two(struct mtsi_watch two[2], int milliseconds)
{
	struct pollfd both[2];
	for (int i = 0; i < 2; i++) {
		both[i] = (struct pollfd){.fd = two[i].fd, .events = events_of(two[i].wanted)};
	}
	const int count = poll(both, 2, milliseconds);
	const bool denied = count < 0 && errno != EINTR;
	/* An error queue reports its error at once, for ever, and the socket works. */
	bool tells = count <= 0;
	for (int i = 0; i < 2; i++) {
		const unsigned found = count > 0 ? found_of(both[i].revents) : 0;
		two[i].found = denied ? two[i].wanted : found;
		tells = tells || (found & ~(unsigned)MTSI_WATCH_ERR) != 0;
	}
	if (denied || !tells) {
		mtsi_pause_instead();
	}
}
