/* SPDX-License-Identifier: MIT
 *
 * What listening sockets tell about themselves, by system calls that never wait.
 *
 * For a TCP socket that listens, TCP_INFO tells how many connections it holds, and how many it may
 * hold: in the fields that count segments for a connection. Where these are not filled in, the
 * second number is 0 too, which a backlog never is.
 */
#include "os/listening.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Reads as much of TCP_INFO as is needed: 0 or a negative errno value. */
static int look_at_listener(int fd, struct tcp_info *info)
{
	socklen_t size = offsetof(struct tcp_info, tcpi_lost);
	memset(info, 0, sizeof(*info));
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0 ? 0 : -errno;
}

bool mtsi_listening_counts(int fd)
{
	struct tcp_info info;
	return look_at_listener(fd, &info) == 0 && info.tcpi_state == TCP_LISTEN
		&& info.tcpi_sacked > 0;
}

size_t mtsi_listening_count(int fd)
{
	struct tcp_info info;
	const int result = look_at_listener(fd, &info);
	if (result != 0) {
		/* If a sandbox denies this, accept has to find out. */
		return result == -EOPNOTSUPP ? 0 : 1;
	}
	return info.tcpi_state == TCP_LISTEN ? info.tcpi_unacked : 0;
}

bool mtsi_listening_ready(int fd)
{
	struct pollfd asked = {.fd = fd, .events = POLLIN};
	int count;
	while ((count = poll(&asked, 1, 0)) < 0 && errno == EINTR) {
	}
	return count > 0;
}

bool mtsi_listening_unblock(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && (flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}
