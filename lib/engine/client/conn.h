/* SPDX-License-Identifier: MIT
 *
 * The one place where the engine receives from a client's socket, sends to it, and ends it.
 *
 * All of this costs what the call of os/socket.h behind it costs: the bytes are the socket's own.
 * It is here, and nowhere else, that something could be put between a client's bytes and those of
 * its socket. Questions about what is there, or how much is on its way, are asked here too, since
 * only here is it known which bytes are meant.
 *
 * The descriptor is the client's as long as the caller owns the client, or holds its lock and has
 * found `fd` >= 0 under it. Below, "the owner" stands for the first of these, and "under the lock"
 * for the second; where neither is said, either will do. os/socket.h says what the calls return,
 * and what that means.
 *
 * Close must not wait, perhaps on the keeper, or with a lock held. With SO_LINGER set it would. So
 * that option is cleared before, where it may have been set: by the program, if it has asked for
 * the descriptor; by the maker of the listener, from which sockets inherit it; or by a child
 * process, if there has been one (os/fork.h). All other sockets are spared that call, and so are
 * Unix sockets, whose close never waits.
 */
#ifndef MTSI_ENGINE_CLIENT_CONN_H
#define MTSI_ENGINE_CLIENT_CONN_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "engine/client/client.h"
#include "os/fork.h"
#include "os/sendfile.h"
#include "os/socket.h"
#include "os/splice.h"

/* What all connections have in common that come from one listener. */
struct mtsi_traits {
	bool shared; /* the program made the listener, and others may have it */
	unsigned char proxy; /* one of enum mts_proxy_protocol: who begins with a PROXY header */
	uint16_t index; /* of the listener, below MTSI_NO_LISTENER */
};

/*
 * The client has come from a listener with these traits. The owner, before anybody else can own it;
 * with the listeners' lock held, so nothing here may wait.
 */
static inline void mtsi_conn_accepted(struct mts_client *client, const struct mtsi_traits *traits)
{
	client->shared = traits->shared;
	client->listener = traits->index;
}

/*
 * Receives up to `size` bytes, and waits for some; 0 is the end of the stream. The owner, no lock.
 *
 * A PROXY header is never transformed, so as long as a client awaits one (`awaits_header`) this and
 * all that follows has to be the socket's own. What has come behind the header lies in its worker's
 * input then, and is where a transform begins (engine/serve/header.c).
 */
static inline ssize_t mtsi_conn_receive(struct mts_client *client, void *buffer, size_t size)
{
	return mtsi_socket_receive(client->fd, buffer, size);
}

/* The same without waiting: -EAGAIN when there are none. The owner, no lock. */
static inline ssize_t mtsi_conn_receive_now(struct mts_client *client, void *buffer, size_t size)
{
	return mtsi_socket_receive_now(client->fd, buffer, size);
}

/*
 * Whether the socket is drained, after mtsi_conn_receive_now() has returned `count` for a buffer of
 * `size` bytes: what comes from now on raises an event. A short read does not tell this where
 * pieces are kept apart, or where an end of the stream was announced (`special`). The owner, no
 * lock.
 *
 * A transform has to say whether the socket was asked in that very call, and found drained. It
 * tells so by what the socket gave, not by `count`, which is what was given out; and not by an
 * earlier call, since the caller has cleared AGAIN in between (claim.h), and with it the sign that
 * more has come. So after a call that needed only what was held back the answer is false.
 */
static inline bool mtsi_conn_received_all(
	const struct mts_client *client, ssize_t count, size_t size)
{
	return count == -EAGAIN
		|| (count > 0 && (size_t)count < size && !atomic_load(&client->special));
}

/*
 * Whether input that was taken from the socket is still held back here. No event tells of it,
 * however drained the socket is, so a client must not be parked while this is true. The owner, no
 * lock.
 *
 * A transform would say whether it has bytes that mtsi_conn_receive_now() could give out, and has
 * not yet. Plain bytes are never held back.
 */
static inline bool mtsi_conn_holds_back(const struct mts_client *client)
{
	(void)client;
	return false;
}

/*
 * How many bytes of input are held back, and could be given out; for the program, which can see the
 * socket but not these. The owner, no lock.
 */
static inline size_t mtsi_conn_held_back(const struct mts_client *client)
{
	(void)client;
	return 0;
}

/*
 * Whether there is something to receive: 1, 0 at the end of the stream, -EAGAIN, or -EPIPE.
 *
 * The owner asks whether there is anything for it (engine/serve/fill.c). The keeper and eviction
 * ask, under the lock, whether anything has come, before they end a wait. For both a transform has
 * to count what it holds back too. The owner, which takes no lock for that, may be receiving while
 * the others ask: so an atomic number has to say how much is held back.
 */
static inline ssize_t mtsi_conn_peek(const struct mts_client *client)
{
	return mtsi_socket_peek(client->fd);
}

/*
 * Sends what the socket takes at once; -EAGAIN when that is nothing. `more`: the end of the stream
 * follows at once, in one packet if it can be. Under the lock, since output has an order.
 *
 * The caller keeps the bytes that are not counted as sent, and comes again with them when there is
 * room; but a piece of which nothing is counted may also be taken back. When all are counted, nobody
 * comes again. So if a record goes out only in part, a transform counts all its bytes but the last
 * one. That brings the caller back; then the rest of the record is sent, and the last byte counted.
 * (A record must not end with the first byte of a piece, since that piece may be taken back.)
 *
 * Nothing says which piece is the program's own memory. A transform reads the bytes itself, so it
 * has to read each piece by mtsi_foreign_copy(), and return -EFAULT as the socket would.
 */
static inline ssize_t mtsi_conn_send_locked(
	struct mts_client *client, struct iovec *pieces, unsigned short count, bool more)
{
	return mtsi_socket_send_now(client->fd, pieces, count, more);
}

/* The same for one piece. Under the lock. */
static inline ssize_t mtsi_conn_send_one_locked(
	struct mts_client *client, const void *data, size_t size, bool more)
{
	return mtsi_socket_send_one_now(client->fd, data, size, more);
}

/*
 * Begins the sending of files (os/sendfile.h), until mtsi_conn_sendfile_end(). False: files have to
 * be read and sent. The owner, no lock, while it has seized the way out (engine/serve/output.h).
 */
static inline bool mtsi_conn_sendfile_begin(struct mts_client *client, struct mtsi_sigpipe *before)
{
	return mtsi_sendfile_begin(before, client->fd);
}

/* Has the kernel send a part of a file: mtsi_sendfile_now(). The owner, as above. */
static inline ssize_t mtsi_conn_sendfile_now(
	struct mts_client *client, int fd, int64_t offset, size_t count)
{
	return mtsi_sendfile_now(client->fd, fd, offset, count);
}

/* Ends it: the socket and the thread are again as they were. The owner, as above. */
static inline void mtsi_conn_sendfile_end(
	struct mts_client *client, const struct mtsi_sigpipe *before)
{
	mtsi_sendfile_end(before, client->fd);
}

/*
 * Begins the moving of bytes by the kernel, through pipes (os/splice.h), until
 * mtsi_conn_splice_end(). False: they have to be received and sent. The owner, no lock, while it has
 * seized the way out. A transform declines always, since its bytes are not those of the socket.
 */
static inline bool mtsi_conn_splice_begin(struct mts_client *client, struct mtsi_sigpipe *before)
{
	return mtsi_sendfile_begin(before, client->fd);
}

/* Has the kernel move what has come into a pipe: mtsi_splice_now(). The owner, as above. */
static inline ssize_t mtsi_conn_splice_from(struct mts_client *client, int pipe, size_t size)
{
	return mtsi_splice_now(client->fd, pipe, size);
}

/* Has the kernel send what is in a pipe. The owner, as above. */
static inline ssize_t mtsi_conn_splice_to(struct mts_client *client, int pipe, size_t size)
{
	return mtsi_splice_now(pipe, client->fd, size);
}

/* Ends it: the socket and the thread are again as they were. The owner, as above. */
static inline void mtsi_conn_splice_end(
	struct mts_client *client, const struct mtsi_sigpipe *before)
{
	mtsi_sendfile_end(before, client->fd);
}

/*
 * Waits for the client, which is the first of the two, and for another socket: mtsi_watch_two(). With
 * `watched` unset the client is left out. A transform that holds input back does not wait, if input is
 * wanted. The owner, no lock.
 */
static inline void mtsi_conn_watch(
	const struct mts_client *client, bool watched, struct mtsi_watch two[2], int milliseconds)
{
	two[0].fd = watched ? client->fd : -1;
	mtsi_watch_two(two, milliseconds);
}

/* Whether this is the client's own socket. The owner. */
static inline bool mtsi_conn_is(const struct mts_client *client, int fd)
{
	return client->fd == fd;
}

/* Waits for room: true. False: this cannot be waited for, so ask again. The owner, no lock. */
static inline bool mtsi_conn_wait_writable(struct mts_client *client)
{
	return mtsi_socket_wait_writable(client->fd);
}

/* The same for so many milliseconds at most. The owner, no lock. */
static inline void mtsi_conn_wait_writable_for(struct mts_client *client, unsigned milliseconds)
{
	mtsi_socket_wait_writable_for(client->fd, milliseconds);
}

/*
 * Waits for so many milliseconds, or until the connection is closed on both sides: true. `*failed`:
 * it has ended with an error. The owner, no lock.
 */
static inline bool mtsi_conn_wait_closed_for(
	const struct mts_client *client, unsigned milliseconds, bool *failed)
{
	return mtsi_socket_wait_closed_for(client->fd, milliseconds, failed);
}

/*
 * How many bytes wait to be received, including those that nobody can receive; 0 if unknown.
 *
 * A receive that takes only what is here by now (engine/serve/receive.c) uses this as an upper
 * bound of what can still come, and 0 as "nothing can be given out any more". So a transform answers
 * with what the socket holds plus what it keeps itself; or with 0, when the socket is empty and it
 * keeps no more than a part of a record. Those who end the connection (client.c,
 * engine/door/linger.c) mean the socket's own bytes, because of which a close becomes a reset; for
 * them a transform needs a question of its own.
 */
static inline size_t mtsi_conn_unread(const struct mts_client *client)
{
	return mtsi_socket_unread(client->fd);
}

/* How many bytes of output the peer has not acknowledged, including the end of the stream. */
static inline size_t mtsi_conn_unacknowledged(const struct mts_client *client)
{
	return mtsi_socket_unacknowledged(client->fd);
}

/* How many of these have not even been sent yet. */
static inline size_t mtsi_conn_unsent(const struct mts_client *client)
{
	return mtsi_socket_unsent(client->fd);
}

/* Whether the peer has finished, however much of its input is still unread. */
static inline enum mtsi_socket_peer mtsi_conn_peer(const struct mts_client *client)
{
	return mtsi_socket_peer(client->fd);
}

/*
 * Whether it was this side that shut the receiving. Under the lock, which is held when that is
 * done.
 */
static inline bool mtsi_conn_is_deaf_locked(const struct mts_client *client)
{
	return mtsi_socket_is_deaf(client->fd);
}

/* How the connection looks from here. The owner. */
static inline enum mtsi_socket_state mtsi_conn_state(const struct mts_client *client)
{
	return mtsi_client_is_shut(client) ? mtsi_socket_state_shut(client->fd)
									   : mtsi_socket_state(client->fd);
}

/* The user at the other end of a Unix socket; UINT32_MAX: unknown. By who opens the client. */
static inline uint32_t mtsi_conn_user(const struct mts_client *client)
{
	return mtsi_socket_user(client->fd);
}

/*
 * Nothing more is received than what is here; a thread that waits in a receive wakes. Under the
 * lock.
 */
static inline void mtsi_conn_shut_receiving_locked(struct mts_client *client)
{
	mtsi_socket_shut_receiving(client->fd);
}

/* Sends the end of the stream, after what was sent. Under the lock, or the owner after the end. */
static inline void mtsi_conn_shut_sending(struct mts_client *client)
{
	mtsi_socket_shut_sending(client->fd);
}

/* Ends the connection at once, with a reset: 0, or why that is not possible. Under the lock. */
static inline int mtsi_conn_reset_locked(struct mts_client *client)
{
	return mtsi_socket_reset(client->fd);
}

/*
 * Takes the descriptor out of the client, so that others find none from now on. The owner, under
 * the lock; it closes the descriptor then.
 */
static inline int mtsi_conn_take_locked(struct mts_client *client)
{
	const int fd = client->fd;
	client->fd = -1;
	return fd;
}

/*
 * Closes the descriptor that was taken out, with a reset or in order; does not wait. The owner, no
 * lock.
 */
static inline void mtsi_conn_close(const struct mts_client *client, int fd, bool reset)
{
	if (reset) {
		mtsi_socket_abort(fd);
	} else if (!client->peer.local && (client->shared || mtsi_forked())) {
		mtsi_socket_close_now(fd);
	} else {
		mtsi_socket_close(fd);
	}
}

/* In a child process, which has copies: closes the copy of the socket, if there is one. No lock. */
static inline void mtsi_conn_abandon(struct mts_client *client)
{
	if (client->fd >= 0) {
		mtsi_socket_close(client->fd);
		client->fd = -1;
	}
}

#endif
