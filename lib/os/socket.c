/* SPDX-License-Identifier: MIT
 *
 * System calls on connected sockets. EINTR is handled here, so no caller meets it.
 *
 * The sockets block, so that a thread can wait for its client in one recv(2) with no poll before
 * it. Calls that must not wait say so each time, with MSG_DONTWAIT.
 */
#include "os/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/direct.h"
#include "os/pause.h"

int mtsi_socket_accept(int listener, struct sockaddr *address, socklen_t *size)
{
	for (;;) {
		const int fd = accept4(listener, address, size, SOCK_CLOEXEC);
		if (fd >= 0) {
			return fd;
		}
		if (errno != EINTR) {
			return -errno;
		}
	}
}

void mtsi_socket_close(int fd)
{
	/*
	 * On Linux the descriptor is closed even after EINTR (close(2)): a second try would hit another
	 * one.
	 */
	(void)close(fd);
}

void mtsi_socket_close_now(int fd)
{
	const struct linger none = {0, 0};
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	mtsi_socket_close(fd);
}

void mtsi_socket_keep_urgent(int fd)
{
	const int on = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

#ifndef SIOCOUTQNSD
#define SIOCOUTQNSD 0x894B /* a number of Linux, which only its own headers name */
#endif

ssize_t mtsi_socket_received_none(ssize_t said, int fd, void *buffer, size_t size, int flags)
{
	while (said == -EINTR) {
		said = mtsi_direct_recv(fd, buffer, size, flags);
	}
	return said >= 0 || said == -EAGAIN ? said : -EPIPE;
}

static inline ssize_t receive(int fd, void *buffer, size_t size, int flags)
{
	const ssize_t count = mtsi_direct_recv(fd, buffer, size, flags);
	return count >= 0 ? count : mtsi_socket_received_none(count, fd, buffer, size, flags);
}

/*
 * Whether the answer of a poll for `events` means nothing, so that to ask again at once would spin.
 * The system may deny the poll: in a sandbox, or when RLIMIT_NOFILE is 0. And a socket with
 * something in its error queue, such as the timestamps of what was sent (SO_TIMESTAMPING), reports
 * an error at once, for ever, and yet works: that queue is the program's. A connection that has
 * really failed is closed, and reports that too (POLLHUP).
 */
static bool says_nothing(int count, short events, short found)
{
	if (count <= 0) {
		return count < 0 && errno != EINTR;
	}
	return (found & POLLERR) != 0 && (found & (events | POLLHUP | POLLNVAL)) == 0;
}

static bool wait_for(int fd, short events)
{
	struct pollfd wanted = {.fd = fd, .events = events};
	int count;
	while ((count = poll(&wanted, 1, -1)) < 0 && errno == EINTR) {
	}
	if (says_nothing(count, events, wanted.revents)) {
		mtsi_pause_instead();
		return false;
	}
	return true;
}

/* Polls for so many milliseconds at most; less when a signal comes. Returns what was found. */
static short look_for(int fd, short events, unsigned milliseconds)
{
	struct pollfd wanted = {.fd = fd, .events = events};
	const int count = poll(&wanted, 1, (int)milliseconds);
	if (says_nothing(count, events, wanted.revents)) {
		if (milliseconds > 0) {
			mtsi_pause_for(milliseconds * MTSI_MILLISECOND);
		}
		return 0;
	}
	return count > 0 ? wanted.revents : 0;
}

ssize_t mtsi_socket_receive(int fd, void *buffer, size_t size)
{
	/*
	 * The socket blocks, unless somebody who shares it has made it non-blocking or given it a
	 * timeout: for example a child process that was handed the socket.
	 */
	ssize_t count;
	while ((count = receive(fd, buffer, size, 0)) == -EAGAIN) {
		(void)wait_for(fd, POLLIN);
	}
	return count;
}

static void peek_from_the_start(int fd)
{
#ifdef SO_PEEK_OFF
	const int off = -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off));
#else
	(void)fd;
#endif
}

ssize_t mtsi_socket_peek(int fd)
{
	char byte;
	const ssize_t count = receive(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
	if (count != -EAGAIN || mtsi_socket_unread(fd) == 0) {
		return count;
	}
	/* It cannot be received; or somebody has set where a peek begins (SO_PEEK_OFF, socket(7)). */
	peek_from_the_start(fd);
	return receive(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
}

ssize_t mtsi_socket_sent_none(ssize_t said, int fd, const void *data, size_t size, int flags)
{
	while (said == -EINTR) {
		said = mtsi_direct_send(fd, data, size, flags);
	}
	return said;
}

ssize_t mtsi_socket_send_now(int fd, struct iovec *pieces, unsigned short count, bool more)
{
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
	if (count == 1) {
		return mtsi_socket_send_one_now(fd, pieces->iov_base, pieces->iov_len, more);
	}
	ssize_t sent;
	do {
		sent = sendmsg(fd, &message, mtsi_socket_send_flags(more));
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

bool mtsi_socket_wait_writable(int fd)
{
	return wait_for(fd, POLLOUT);
}

void mtsi_socket_wait_writable_for(int fd, unsigned milliseconds)
{
	(void)look_for(fd, POLLOUT, milliseconds); /* the caller looks again in any case */
}

bool mtsi_socket_wait_closed_for(int fd, unsigned milliseconds, bool *failed)
{
	const short found = look_for(fd, 0, milliseconds);
	*failed = (found & POLLERR) != 0;
	return (found & POLLHUP) != 0;
}

void mtsi_socket_shut_receiving(int fd)
{
	(void)shutdown(fd, SHUT_RD);
}

void mtsi_socket_shut_sending(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}

/*
 * connect(2), hidden from the thread sanitizer. That takes the call for the making of a connection,
 * which no thread can be using yet. This connection is in use, and the call is there to end it.
 */
static int connect_anew(int fd, const struct sockaddr *address, socklen_t size)
{
#ifdef __SANITIZE_THREAD__
	return (int)syscall(SYS_connect, fd, address, size);
#else
	return connect(fd, address, size);
#endif
}

/*
 * Disconnecting a connection that is not closed on both sides sends a reset: connect(2), RFC 9293,
 * 3.10.5.
 */
int mtsi_socket_reset(int fd)
{
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	return connect_anew(fd, &nobody, sizeof(nobody)) == 0 ? 0 : -errno;
}

void mtsi_socket_abort(int fd)
{
	if (mtsi_socket_reset(fd) != 0) {
		const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
	(void)close(fd);
}

/* C libraries differ in the type of ioctl's number; every one of these types holds this number. */
static size_t queued(int fd, unsigned short which)
{
	int count = 0;
	return ioctl(fd, which, &count) == 0 && count > 0 ? (size_t)count : 0;
}

size_t mtsi_socket_unread(int fd)
{
	return queued(fd, FIONREAD);
}

size_t mtsi_socket_unacknowledged(int fd)
{
	return queued(fd, TIOCOUTQ);
}

size_t mtsi_socket_unsent(int fd)
{
	return queued(fd, SIOCOUTQNSD);
}

/* The states of a TCP connection (RFC 9293, 3.3.2) in which the peer's FIN has not come yet. */
static bool peer_may_send(unsigned state)
{
	return state == TCP_ESTABLISHED || state == TCP_SYN_RECV || state == TCP_FIN_WAIT1
		|| state == TCP_FIN_WAIT2;
}

enum mtsi_socket_peer mtsi_socket_peer(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
		return MTSI_PEER_UNKNOWN;
	}
	if (info.tcpi_state == TCP_CLOSE) {
		return MTSI_PEER_CLOSED;
	}
	return peer_may_send(info.tcpi_state) ? MTSI_PEER_SENDING : MTSI_PEER_FINISHED;
}

uint32_t mtsi_socket_user(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof(peer)) {
		return UINT32_MAX;
	}
	return peer.uid;
}

enum mtsi_socket_state mtsi_socket_state(int fd)
{
	const short found = look_for(fd, POLLRDHUP, 0);
	if ((found & POLLHUP) != 0) {
		return MTSI_SOCKET_DEAD;
	}
	return (found & POLLRDHUP) != 0 ? MTSI_SOCKET_HALF_CLOSED : MTSI_SOCKET_ALIVE;
}

enum mtsi_socket_state mtsi_socket_state_shut(int fd)
{
	const short found = look_for(fd, POLLRDHUP, 0);
	if ((found & POLLERR) != 0) {
		return MTSI_SOCKET_DEAD;
	}
	return (found & (POLLRDHUP | POLLHUP)) != 0 ? MTSI_SOCKET_HALF_CLOSED : MTSI_SOCKET_ALIVE;
}

bool mtsi_socket_is_deaf(int fd)
{
	return mtsi_socket_state(fd) == MTSI_SOCKET_HALF_CLOSED
		&& mtsi_socket_peer(fd) == MTSI_PEER_SENDING;
}
