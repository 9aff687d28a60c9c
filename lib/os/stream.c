/* SPDX-License-Identifier: MIT
 *
 * Calls on a connected socket that is the program's own. It may block or not, so each call says that
 * it does not wait. splice(2) cannot be told so: with a TCP socket it waits as the descriptor says,
 * whatever its flags. So while it is used the descriptor is made non-blocking (FIONBIO).
 */
#include "os/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "os/direct.h"

ssize_t mtsi_stream_error_of(ssize_t error)
{
	const bool mistakable = error == -EPIPE || error == -ETIMEDOUT || error == -ECANCELED;
	return mistakable ? -ECONNRESET : error;
}

int mtsi_stream_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
		return 0;
	}
	return (int)mtsi_stream_error_of(-error);
}

int mtsi_stream_check(int fd, bool *failed)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	int type = 0;
	socklen_t type_size = sizeof(type);
	*failed = false;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) != 0 || type != SOCK_STREAM) {
		return -EINVAL;
	}
	if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0) {
		return 0;
	}
	/* After a reset there is no peer any more. */
	const int error = errno == ENOTCONN ? mtsi_stream_error(fd) : 0;
	*failed = error != 0;
	return error != 0 ? error : -ENOTCONN;
}

static ssize_t receive_now(int fd, void *buffer, size_t size, int flags)
{
	ssize_t count;
	do {
		count = mtsi_direct_recv(fd, buffer, size, flags | MSG_DONTWAIT);
	} while (count == -EINTR);
	return count >= 0 ? count : mtsi_stream_error_of(count);
}

ssize_t mtsi_stream_receive_now(int fd, void *buffer, size_t size)
{
	return receive_now(fd, buffer, size, 0);
}

ssize_t mtsi_stream_peek(int fd)
{
	char byte;
	return receive_now(fd, &byte, 1, MSG_PEEK);
}

ssize_t mtsi_stream_send_now(int fd, const void *data, size_t size)
{
	ssize_t sent;
	do {
		sent = mtsi_direct_send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent == -EINTR);
	return sent >= 0 ? sent : mtsi_stream_error_of(sent);
}

int mtsi_stream_finish(int fd)
{
	if (shutdown(fd, SHUT_WR) == 0) {
		return 0;
	}
	/* A connection that was reset is not connected any more. */
	return errno == ENOTCONN ? -ECONNRESET : (int)mtsi_stream_error_of(-errno);
}

/* C libraries differ in the type of ioctl's number; every one of these types holds these numbers. */
size_t mtsi_stream_unacknowledged(int fd)
{
	const unsigned short which = TIOCOUTQ;
	int count = 0;
	return ioctl(fd, which, &count) == 0 && count > 0 ? (size_t)count : 0;
}

static bool set_waiting(int fd, bool waits)
{
	const unsigned short which = FIONBIO;
	int non_blocking = waits ? 0 : 1;
	return ioctl(fd, which, &non_blocking) == 0;
}

bool mtsi_stream_begin(int fd, bool *changed)
{
	const int flags = fcntl(fd, F_GETFL);
	*changed = flags >= 0 && (flags & O_NONBLOCK) == 0;
	if (flags >= 0 && !*changed) {
		return true;
	}
	*changed = *changed && set_waiting(fd, false);
	return *changed;
}

void mtsi_stream_end(int fd)
{
	(void)set_waiting(fd, true);
}
