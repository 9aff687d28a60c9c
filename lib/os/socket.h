/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_SOCKET_H
#define MTSI_OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "os/direct.h"

/*
 * The sockets of clients. All are close-on-exec, and results are counts or negative errno values.
 */

/*
 * Takes a connection from a listener's queue: its descriptor, which blocks; -EAGAIN when there is
 * none. `*size` is the room at `address`, and then the size of the address.
 */
int mtsi_socket_accept(int listener, struct sockaddr *address, socklen_t *size);

/* Closes a socket, exactly once, whatever close(2) returns. */
void mtsi_socket_close(int fd);

/* The same for sockets that others may have had, and whose SO_LINGER could make close wait. */
void mtsi_socket_close_now(int fd);

/*
 * Has a Unix socket's urgent data stay in the stream; other sockets inherit that from their
 * listener.
 */
void mtsi_socket_keep_urgent(int fd);

/*
 * Receives up to `size` bytes, and waits for some; 0 is the end of the stream. Any other error of
 * the kernel, for example its own ETIMEDOUT, means that the connection can be used no more: -EPIPE.
 * So its numbers are never mistaken for a verdict of the library. The kernel reports such an error
 * once; after that it reports an end of the stream.
 */
ssize_t mtsi_socket_receive(int fd, void *buffer, size_t size);

/* What follows a receive that has failed, and said why: a result like that. */
ssize_t mtsi_socket_received_none(ssize_t said, int fd, void *buffer, size_t size, int flags);

/* Receives without waiting: -EAGAIN when there are none. */
static inline ssize_t mtsi_socket_receive_now(int fd, void *buffer, size_t size)
{
	const ssize_t count = mtsi_direct_recv(fd, buffer, size, MSG_DONTWAIT);
	return count >= 0 ? count : mtsi_socket_received_none(count, fd, buffer, size, MSG_DONTWAIT);
}

/*
 * Whether there is something to receive: 1, 0 at the end of the stream, -EAGAIN, or -EPIPE as above.
 * It is exact, which mtsi_socket_unread() is not: that also counts what cannot be received.
 */
ssize_t mtsi_socket_peek(int fd);

/*
 * Sends what the socket takes at once, without SIGPIPE; -EAGAIN when that is nothing. With `more`
 * the end of the stream is about to follow, and a short piece waits for it, so that both go in one
 * packet (MSG_MORE, send(2)).
 */
ssize_t mtsi_socket_send_now(int fd, struct iovec *pieces, unsigned short count, bool more);

#ifndef MSG_MORE
#define MSG_MORE 0 /* then it goes out at once */
#endif

static inline int mtsi_socket_send_flags(bool more)
{
	return MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
}

/* What follows a send that has failed, and said why: a result like that. */
ssize_t mtsi_socket_sent_none(ssize_t said, int fd, const void *data, size_t size, int flags);

/* The same for one piece. */
static inline ssize_t mtsi_socket_send_one_now(int fd, const void *data, size_t size, bool more)
{
	const int flags = mtsi_socket_send_flags(more);
	const ssize_t sent = mtsi_direct_send(fd, data, size, flags);
	return sent >= 0 ? sent : mtsi_socket_sent_none(sent, fd, data, size, flags);
}

/* Waits until the socket takes more, or is dead: true. False: that cannot be told, so ask again. */
bool mtsi_socket_wait_writable(int fd);

/* The same for so many milliseconds at most. */
void mtsi_socket_wait_writable_for(int fd, unsigned milliseconds);

/*
 * Waits for so many milliseconds; true as soon as the connection is closed on both sides.
 * `*failed`: it has ended with an error, for example a reset.
 */
bool mtsi_socket_wait_closed_for(int fd, unsigned milliseconds, bool *failed);

/* Shuts down the receiving side: shutdown(2). A thread that waits to receive wakes up. */
void mtsi_socket_shut_receiving(int fd);

/* Shuts down the sending side: the peer gets the end of the stream. */
void mtsi_socket_shut_sending(int fd);

/*
 * Ends the connection at once, with a reset. The descriptor stays open, and a thread that waits on
 * it wakes up. 0; -EBUSY: on some kernels, while a thread sleeps in a receive on it; -EINVAL: there
 * are no resets, as with Unix sockets; or another error.
 */
int mtsi_socket_reset(int fd);

/*
 * Closes a socket, once, with a reset; without one if a child process holds it and a reset fails.
 */
void mtsi_socket_abort(int fd);

/* How many bytes wait to be received; 0 if unknown. */
size_t mtsi_socket_unread(int fd);

/* How many bytes the peer has not acknowledged; 0 if unknown. */
size_t mtsi_socket_unacknowledged(int fd);

/* How many of these have not even been sent, since its window is closed; 0 if unknown. */
size_t mtsi_socket_unsent(int fd);

/*
 * Whether the peer's end of stream, or a reset, has arrived, however much is still unread, and also
 * after mtsi_socket_shut_receiving(). Known only for TCP sockets.
 */
enum mtsi_socket_peer {
	MTSI_PEER_UNKNOWN,
	MTSI_PEER_SENDING,
	MTSI_PEER_FINISHED,
	MTSI_PEER_CLOSED /* and so has this side, and nothing is on its way any more */
};
enum mtsi_socket_peer mtsi_socket_peer(int fd);

/*
 * Whether the stream from the peer was ended on this side, by whatever process, and not by the
 * peer.
 */
bool mtsi_socket_is_deaf(int fd);

/* The user at the other end of a Unix socket when it connected; UINT32_MAX: unknown. */
uint32_t mtsi_socket_user(int fd);

/* How a connection looks from here; DEAD also where both sides have ended it in order. */
enum mtsi_socket_state { MTSI_SOCKET_ALIVE, MTSI_SOCKET_HALF_CLOSED, MTSI_SOCKET_DEAD };
enum mtsi_socket_state mtsi_socket_state(int fd);

/* The same where this side has ended its sending: an end of both in order is HALF_CLOSED. */
enum mtsi_socket_state mtsi_socket_state_shut(int fd);

#endif
