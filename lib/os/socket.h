/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_SOCKET_H
#define MTSI_OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * The sockets of clients. All are close-on-exec, and results are counts or negative errno values.
 */

/*
 * Takes a connection from a listener's queue: its descriptor, which blocks; -EAGAIN when there is
 * none. `*size` is the room at `address` and then its size.
 */
int mtsi_socket_accept(int listener, struct sockaddr *address, socklen_t *size);

/* Closes it, once, whatever close(2) says. */
void mtsi_socket_close(int fd);

/* The same for sockets that somebody else may have had, whose SO_LINGER would have close wait. */
void mtsi_socket_close_now(int fd);

/* A Unix socket's urgent data stays in the stream; others have that from their listener. */
void mtsi_socket_keep_urgent(int fd);

/*
 * Receives up to `size` bytes, and waits for some; 0 is the end of the stream. Whatever else the
 * kernel says, its own ETIMEDOUT say, means that the connection is no good any more: -EPIPE, so
 * that its numbers never look like a verdict of the library's. The kernel says such a thing once;
 * afterwards there is an end of the stream.
 */
ssize_t mtsi_socket_receive(int fd, void *buffer, size_t size);

/* The same without waiting: -EAGAIN when there are none. */
ssize_t mtsi_socket_receive_now(int fd, void *buffer, size_t size);

/*
 * Whether there is something to receive: 1, 0 at the end of the stream, -EAGAIN, or -EPIPE as above.
 * It is exact, which mtsi_socket_unread() is not: that also counts what cannot be received.
 */
ssize_t mtsi_socket_peek(int fd);

/*
 * Sends what the socket takes at once, without SIGPIPE; -EAGAIN when that is nothing. With `more`
 * the end of the stream is about to follow, and a short piece waits for it, to be one packet with
 * it (MSG_MORE, send(2)).
 */
ssize_t mtsi_socket_send_now(int fd, struct iovec *pieces, unsigned short count, bool more);

/* Waits until it takes more, or is dead: true. False: that cannot be told, so ask again. */
bool mtsi_socket_wait_writable(int fd);

/* The same for so many milliseconds at most. */
void mtsi_socket_wait_writable_for(int fd, unsigned milliseconds);

/*
 * Waits for so many milliseconds, or until the connection is closed on both sides: true. `*failed`:
 * it has ended with an error, a reset say.
 */
bool mtsi_socket_wait_closed_for(int fd, unsigned milliseconds, bool *failed);

/* Shuts down the receiving side: shutdown(2). Whoever waits to receive wakes up. */
void mtsi_socket_shut_receiving(int fd);

/* Shuts down the sending side: the peer gets the end of the stream. */
void mtsi_socket_shut_sending(int fd);

/*
 * Ends the connection at once, with a reset; the descriptor stays open, and whoever waits on it
 * wakes up. 0; -EBUSY: on some kernels, while somebody sleeps in a receive on it; -EINVAL: it has
 * no resets, as Unix sockets; or another error.
 */
int mtsi_socket_reset(int fd);

/* Closes it, once, with a reset; without one where a child process holds it and the above fails. */
void mtsi_socket_abort(int fd);

/* How many bytes wait to be received; 0 if unknown. */
size_t mtsi_socket_unread(int fd);

/* How many bytes the peer has not acknowledged; 0 if unknown. */
size_t mtsi_socket_unacknowledged(int fd);

/* How many of these have not even been on the wire, its window being closed; 0 if unknown. */
size_t mtsi_socket_unsent(int fd);

/*
 * Whether the peer's end of stream, or a reset, has arrived: however much is still unread, and also
 * after mtsi_socket_shut_receiving(). It cannot be told on sockets other than TCP.
 */
enum mtsi_socket_peer {
	MTSI_PEER_UNKNOWN,
	MTSI_PEER_SENDING,
	MTSI_PEER_FINISHED,
	MTSI_PEER_CLOSED /* and so have we, and nothing is on its way any more */
};
enum mtsi_socket_peer mtsi_socket_peer(int fd);

/* Whether it is this side that has ended the peer's stream, whoever did that, and not the peer. */
bool mtsi_socket_is_deaf(int fd);

/* The user at the other end of a Unix socket when it connected; UINT32_MAX: unknown. */
uint32_t mtsi_socket_user(int fd);

/* How a connection looks from here. */
enum mtsi_socket_state { MTSI_SOCKET_ALIVE, MTSI_SOCKET_HALF_CLOSED, MTSI_SOCKET_DEAD };
enum mtsi_socket_state mtsi_socket_state(int fd);

#endif
