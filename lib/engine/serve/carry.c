/* SPDX-License-Identifier: MIT
 *
 * One way of a relay (relay.c): takes bytes from one socket and gives them to the other, one of which
 * is the client's. It takes only when it holds nothing, so when the source says that there is
 * nothing, that is what it means, and not that a pipe is full; and so little is held.
 *
 * The kernel moves the bytes through a pipe, without a copy. Where it declines, or that is denied,
 * they go through the worker's buffers, from then on: bytes that are in the pipe are read from it
 * first. The kernel also declines in silence, where a socket's urgent byte is next: the source was
 * found to have something, and yet there is nothing to be moved.
 */
#include "engine/serve/carry.h"

#include <assert.h>
#include <errno.h>
#include <sys/types.h>

#include "engine/base/counters.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/memory.h"
#include "engine/serve/worker.h"
#include "os/lock.h"
#include "os/splice.h"
#include "os/stream.h"

enum {
	AT_ONCE = 1024 * 1024, /* bytes; a pipe mostly holds less */
	STEPS = 32, /* then it is the other way's turn */
	SPACE = MTSI_LARGE_REPLIES /* for what is copied */
};

static_assert((int)SPACE <= (int)MTSI_LARGE_INPUT, "both ways have as much");

/* Where the bytes of this way are copied to: a part of the worker's large buffer. */
static char *space_of(const struct mtsi_way *way)
{
	char *large = way->worker->large;
	return way->from_client ? large : large + MTSI_LARGE_INPUT + 1;
}

/* From now on the bytes are copied: 1 or -ENOMEM. */
static int begin_copying(struct mtsi_way *way)
{
	way->copies = true;
	return mtsi_worker_large(way->worker) ? 1 : -ENOMEM;
}

/* An error of the client, or of the other socket. */
static int failed(bool of_client, ssize_t error)
{
	return of_client ? -EPIPE : (int)mtsi_stream_error_of(error);
}

/* So many bytes have been taken, and are held. */
static void note_taken(struct mtsi_way *way, size_t count)
{
	way->told = false;
	way->moved = true;
	if (way->from_client) {
		mtsi_count(&way->worker->member.counters, MTS_STAT_BYTES_IN, count);
	}
}

static void note_given(struct mtsi_way *way, size_t count)
{
	way->moved = true;
	way->gave = true;
	if (!way->from_client) {
		mtsi_count(&way->worker->member.counters, MTS_STAT_BYTES_OUT, count);
	}
}

/* Takes into memory, or into the pipe: how many bytes, 0 at the end of the stream, or an error. */
static ssize_t take_some(struct mtsi_way *way)
{
	struct mts_client *client = way->worker->member.client;
	if (!way->copies) {
		const ssize_t count = way->from_client
			? mtsi_conn_splice_from(client, way->pipe[1], AT_ONCE)
			: mtsi_splice_now(way->fd, way->pipe[1], AT_ONCE);
		way->piped = count > 0 ? (size_t)count : 0;
		return count;
	}
	char *space = space_of(way);
	const ssize_t count = way->from_client ? mtsi_conn_receive_now(client, space, SPACE)
										   : mtsi_stream_receive_now(way->fd, space, SPACE);
	way->data = space;
	way->left = count > 0 ? (size_t)count : 0;
	return count;
}

/* Whether the source has ended, as it seems: splice(2) seems to end at an urgent byte too. */
static bool has_ended(const struct mtsi_way *way)
{
	const struct mts_client *client = way->worker->member.client;
	return way->copies
		|| (way->from_client ? mtsi_conn_peek(client) : mtsi_stream_peek(way->fd)) == 0;
}

/* Takes what has come; nothing is held. 1, 0 or an error, as above. */
static int take(struct mtsi_way *way)
{
	const ssize_t count = take_some(way);
	if (count > 0) {
		note_taken(way, (size_t)count);
		return 1;
	}
	if (count == 0) {
		/* Whoever has cut the client off has ended the stream, not the peer. */
		if (way->from_client && atomic_load(&way->worker->member.client->lost)) {
			return -EPIPE;
		}
		if (!has_ended(way)) {
			return begin_copying(way);
		}
		note_taken(way, 0);
		way->ended = true;
		return 1;
	}
	if (!way->copies && (count == -ENOSYS || (count == -EAGAIN && way->told))) {
		return begin_copying(way);
	}
	way->told = false;
	return count == -EAGAIN ? 0 : failed(way->from_client, count);
}

/* What is in the pipe cannot be moved on, so it is read: 1 or an error. */
static int read_pipe(struct mtsi_way *way)
{
	char *space = space_of(way);
	const size_t most = way->piped < SPACE ? way->piped : SPACE;
	const ssize_t count = mtsi_pipe_read(way->pipe[0], space, most);
	if (count <= 0) {
		return -ENOMEM; /* that cannot be, unless the system denies it */
	}
	way->data = space;
	way->left = (size_t)count;
	way->piped -= (size_t)count;
	return 1;
}

/* Sends to the client, which nobody else does now. */
static ssize_t send_to_client(struct mts_client *client, const char *data, size_t size)
{
	ssize_t sent = -EPIPE;
	mtsi_lock_take(&client->lock);
	if (!atomic_load(&client->lost)) {
		sent = mtsi_conn_send_one_locked(client, data, size, false);
	}
	mtsi_lock_release(&client->lock);
	return sent;
}

/* Gives what is held: 1, 0 or an error, as above. */
static int give(struct mtsi_way *way)
{
	struct mts_client *client = way->worker->member.client;
	const bool from_memory = way->left > 0;
	ssize_t sent;
	if (!from_memory && way->copies) {
		return read_pipe(way);
	}
	if (from_memory) {
		sent = way->from_client ? mtsi_stream_send_now(way->fd, way->data, way->left)
								: send_to_client(client, way->data, way->left);
	} else {
		sent = way->from_client ? mtsi_splice_now(way->pipe[0], way->fd, way->piped)
								: mtsi_conn_splice_to(client, way->pipe[0], way->piped);
	}
	if (sent == -EAGAIN) {
		return 0;
	}
	if (sent == -ENOSYS && !from_memory) {
		return begin_copying(way);
	}
	if (sent < 0) {
		return failed(!way->from_client, sent);
	}
	note_given(way, (size_t)sent);
	if (from_memory) {
		way->data += sent;
		way->left -= (size_t)sent;
	} else {
		way->piped -= (size_t)sent;
	}
	return 1;
}

/* The source has ended, and all of it has been given: so the target is told. 1 or an error. */
static int pass_end(struct mtsi_way *way)
{
	struct mts_client *client = way->worker->member.client;
	way->done = true;
	way->moved = true;
	if (way->from_client) {
		const int result = mtsi_stream_finish(way->fd);
		return result == 0 ? 1 : result;
	}
	mtsi_lock_take(&client->lock);
	const bool lost = atomic_load(&client->lost);
	if (!lost) {
		atomic_store(&client->muted, true);
		mtsi_conn_shut_sending(client);
	}
	mtsi_lock_release(&client->lock);
	return lost ? -EPIPE : 1;
}

int mtsi_carry(struct mtsi_way *way)
{
	int result = 1;
	for (int i = 0; i < STEPS && result == 1 && !way->done; i++) {
		if (mtsi_way_holds(way)) {
			result = give(way);
		} else if (way->ended) {
			result = pass_end(way);
		} else {
			result = take(way);
		}
	}
	return way->done && result == 1 ? 0 : result;
}
