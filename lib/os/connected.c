/* SPDX-License-Identifier: MIT
 *
 * Connected sockets that the program hands over. What accepted ones inherit from their listener is set
 * at these themselves (socket(7), tcp(7)).
 *
 * The flags of the open file, O_NONBLOCK among them, are shared with all who have the socket (open(2)).
 */
#include "os/connected.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

#include "os/bind.h"

static const int times[3] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};

/* The value of an option, or -1. */
static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);
	return getsockopt(fd, level, option, &value, &size) == 0 ? value : -1;
}

static void set_option(int fd, int level, int option, int value)
{
	if (value >= 0) {
		(void)setsockopt(fd, level, option, &value, sizeof(value));
	}
}

/* Looks at the socket: 0 if it can be taken. */
static int look(int fd, struct mtsi_connected *connected)
{
	int type = 0;
	socklen_t size = sizeof(type);
	memset(connected, 0, sizeof(*connected));
	connected->size = sizeof(connected->peer);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
		return -errno;
	}
	if (type != SOCK_STREAM) {
		return -EINVAL;
	}
	if (getpeername(fd, (struct sockaddr *)&connected->peer, &connected->size) != 0) {
		return -errno;
	}
	connected->delays = option_of(fd, IPPROTO_TCP, TCP_NODELAY);
	connected->urgent = option_of(fd, SOL_SOCKET, SO_OOBINLINE);
	connected->alive = option_of(fd, SOL_SOCKET, SO_KEEPALIVE);
	for (int i = 0; i < 3; i++) {
		connected->times[i] = option_of(fd, IPPROTO_TCP, times[i]);
	}
	connected->status = fcntl(fd, F_GETFL);
	connected->flags = connected->status < 0 ? -1 : fcntl(fd, F_GETFD);
	return connected->flags < 0 ? -errno : 0;
}

int mtsi_connected_take(int fd, unsigned keepalive, struct mtsi_connected *connected)
{
	int result = look(fd, connected);
	if (result != 0) {
		return result;
	}
	if (fcntl(fd, F_SETFL, connected->status & ~O_NONBLOCK) < 0
		|| fcntl(fd, F_SETFD, connected->flags | FD_CLOEXEC) < 0) {
		result = -errno;
	}
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, connected->delays < 0 ? -1 : 1);
	set_option(fd, SOL_SOCKET, SO_OOBINLINE, connected->urgent < 0 ? -1 : 1);
	if (result == 0 && keepalive > 0) {
		result = mtsi_keep_alive(fd, keepalive);
	}
	if (result != 0) {
		mtsi_connected_give_back(fd, connected);
	}
	return result;
}

void mtsi_connected_give_back(int fd, const struct mtsi_connected *connected)
{
	(void)fcntl(fd, F_SETFL, connected->status);
	(void)fcntl(fd, F_SETFD, connected->flags);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, connected->delays);
	set_option(fd, SOL_SOCKET, SO_OOBINLINE, connected->urgent);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, connected->alive);
	for (int i = 0; i < 3; i++) {
		set_option(fd, IPPROTO_TCP, times[i], connected->times[i]);
	}
}
