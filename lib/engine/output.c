/* SPDX-License-Identifier: MIT
 *
 * The way out: from writes to the socket, in order and whole.
 *
 * Three places hold output on its way. Small writes gather in the worker's buffers, untouched by
 * any lock, and go out in one send when the handler's batch of requests is done. What the socket
 * does not take moves into the client's queue, up to the output limit; epoll says when it takes
 * more, and whoever polls sends on, under the client's lock. What exceeds the limit stays where it
 * is, in the writer's own memory, while the writer waits: that is the backpressure. It waits as
 * well when the memory of all clients together is used up (memory.c). The lock is never held while
 * anybody waits.
 *
 * When a client is about to be parked its replies, at most one buffer of them, are queued whatever
 * the limit, and if they are above it, the client gets no further turn until they are not: so a
 * peer that does not read holds no thread. A client that ends waits in the same way until nothing
 * is left.
 *
 * The order is kept because the queue goes first: nothing is sent past a queue that is not empty,
 * and both are done under the lock.
 *
 * Messages from elsewhere (post.c) come under the same lock, from threads that must not wait. One
 * enters the queue whole before its first byte is sent, so it can be refused for want of memory or
 * room only as a whole, and from then on it is like any queued output: nothing gets into the middle
 * of it. Nor does it get into the middle of what a handler writes. What has gathered, and what one
 * call writes, are sent and queued in one critical section; only a writer that waits for room gives
 * the lock away with a part of its bytes sent and the others still in its own memory. While it
 * waits it says so (`writing`), and messages are refused: more than the limit waits, after all.
 * That also keeps senders from filling up again and again the room that it waits for. The same goes
 * for one that sends a file, which is done without the lock, because the disk may be slow.
 *
 * A client that ends takes no messages (`ending`): it would have to wait for them, and senders
 * could keep it for ever. They are refused from before its last output is sent to the end.
 */
#include "engine/output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/client.h"
#include "engine/crew.h"
#include "engine/server.h"
#include "engine/worker.h"
#include "os/must.h"
#include "os/poll.h"
#include "os/socket.h"

/* Output that is to go out after the queue: what has gathered, then one write. */
struct pieces {
	struct iovec iov[2];
	bool more; /* the end of the stream follows at once */
};

static size_t left_of(const struct pieces *pieces)
{
	return pieces->iov[0].iov_len + pieces->iov[1].iov_len;
}

static void advance(struct iovec *iov, size_t *count)
{
	const size_t step = *count < iov->iov_len ? *count : iov->iov_len;
	iov->iov_base = (char *)iov->iov_base + step;
	iov->iov_len -= step;
	*count -= step;
}

/* What is to be sent, in order: how many parts. */
static unsigned short gather(
	const struct mtsi_queue *queue, const struct pieces *pieces, struct iovec *parts)
{
	unsigned short count = 0;
	if (mtsi_queue_size(queue) > 0) {
		parts[count].iov_base = (void *)(uintptr_t)mtsi_queue_bytes(queue);
		parts[count++].iov_len = mtsi_queue_size(queue);
	}
	for (int i = 0; i < 2; i++) {
		if (pieces->iov[i].iov_len > 0) {
			parts[count++] = pieces->iov[i];
		}
	}
	return count;
}

/* So many bytes of queue and pieces are sent. */
static void consume(struct mts_client *client, struct pieces *pieces, size_t sent)
{
	const size_t queued = mtsi_queue_size(&client->output);
	const size_t from_queue = sent < queued ? sent : queued;
	if (from_queue > 0) {
		mtsi_memory_consume_locked(client, from_queue);
	}
	sent -= from_queue;
	advance(&pieces->iov[0], &sent);
	advance(&pieces->iov[1], &sent);
}

/* Sends queue and pieces until all is gone or the socket is full: 0, or -EPIPE. Counts in *sent. */
static int send_locked(struct mts_client *client, struct pieces *pieces, size_t *sent)
{
	struct iovec parts[3];
	unsigned short count;
	while ((count = gather(&client->output, pieces, parts)) > 0) {
		const ssize_t result = mtsi_socket_send_now(client->fd, parts, count, pieces->more);
		if (result == -EAGAIN) {
			return 0;
		}
		if (result < 0) {
			mtsi_client_lose_locked(client);
			return -EPIPE;
		}
		*sent += (size_t)result;
		consume(client, pieces, (size_t)result);
		if (left_of(pieces) + mtsi_queue_size(&client->output) == 0) {
			break;
		}
	}
	return 0;
}

/* Queues them: 0, -ENOMEM, or -ENOBUFS: not all of them. */
static int queue_locked(struct mts_client *client, struct pieces *pieces)
{
	for (int i = 0; i < 2; i++) {
		struct iovec *piece = &pieces->iov[i];
		const int result = mtsi_memory_append_locked(client, piece->iov_base, piece->iov_len);
		if (result == -ENOMEM) {
			mtsi_client_lose_locked(client);
		}
		if (result != 0) {
			return result;
		}
		piece->iov_len = 0;
	}
	return 0;
}

static size_t limit_of(const struct mts_client *client)
{
	const struct mtsi_options *options = &client->server->options;
	return atomic_load_explicit(&options->max_output, memory_order_relaxed);
}

/*
 * Sends what can be sent; queues the rest when that keeps the queue within `limit`: 0. -EAGAIN: it
 * does not, so wait and come again; -ENOBUFS: there is no memory for that, likewise. Without
 * epoll's help, as when its memory is short, nothing may be left behind either. `waited`: it comes
 * again.
 */
static int push_locked(
	struct mts_client *client, struct pieces *pieces, size_t limit, bool waited, size_t *sent)
{
	if (atomic_load(&client->lost)) {
		return -EPIPE;
	}
	waited = waited || mtsi_queue_size(&client->output) > 0;
	int result = send_locked(client, pieces, sent);
	if (result != 0) {
		return result;
	}
	const size_t queued = mtsi_queue_size(&client->output);
	const size_t left = left_of(pieces);
	if (waited || queued + left > 0) {
		mtsi_deadline_output_locked(client, queued + left > 0, *sent > 0);
	}
	if (queued + left > limit) {
		return -EAGAIN;
	}
	if (mtsi_client_want_room_locked(client, queued + left > 0) != 0) {
		return -EAGAIN;
	}
	return left > 0 ? queue_locked(client, pieces) : 0;
}

/* What ended a wait for room. */
static int why_lost(const struct mts_client *client)
{
	return atomic_load(&client->cause) == MTS_CLOSED_WRITE_TIMEOUT ? -ETIMEDOUT : -EPIPE;
}

/* Waits until the socket takes more, or, if it is memory that is short, for a while. */
static void wait_for_room(struct mtsi_worker *worker, bool memory)
{
	const int fd = worker->client->fd;
	mtsi_crew_step_aside(worker);
	if (memory) {
		mtsi_socket_wait_writable_for(fd, mtsi_memory_block(worker->server));
		mtsi_memory_unblock(worker->server);
	} else {
		mtsi_socket_wait_writable(fd);
	}
}

/* Pushes until no more than `limit` bytes wait, or the client is lost. */
static int push(struct mtsi_worker *worker, struct pieces *pieces, size_t limit)
{
	struct mts_client *client = worker->client;
	bool wrote = worker->seizes;
	for (bool waited = false;; waited = true) {
		size_t sent = 0;
		mtsi_lock_take(&client->lock);
		const int result = push_locked(client, pieces, limit, waited, &sent);
		worker->queued = mtsi_queue_size(&client->output) > 0;
		const bool waits = result == -EAGAIN || result == -ENOBUFS;
		const bool writes = waits || worker->seizes;
		if (writes != wrote) {
			wrote = writes;
			client->writing = writes;
		}
		mtsi_lock_release(&client->lock);
		mtsi_count(&worker->stats, MTS_STAT_BYTES_OUT, sent);
		if (!waits) {
			worker->failed = result == -ENOMEM ? -ENOMEM : worker->failed;
			return waited && result == -EPIPE ? why_lost(client) : result;
		}
		wait_for_room(worker, result == -ENOBUFS);
	}
}

static int push_stage(struct mtsi_worker *worker, const void *data, size_t size, size_t limit)
{
	struct mtsi_stage_area *stage = &worker->stage;
	struct pieces pieces = {
		{{stage->data, stage->size}, {(void *)(uintptr_t)data, size}}, worker->corked > 0};
	stage->size = 0;
	stage->mark = 0;
	return push(worker, &pieces, limit);
}

/* Replies gather behind the input in the small buffer, if that is where it is. */
static void place_stage(struct mtsi_worker *worker)
{
	const struct mtsi_input *input = &worker->input;
	const size_t used = input->data == worker->small ? input->end + 1 : 0;
	worker->stage.data = worker->small + used;
	worker->stage.capacity = MTSI_SMALL - used;
}

/* Moves on to the large buffer, so that `size` bytes more fit; false when that cannot be. */
static bool enlarge_stage(struct mtsi_worker *worker, size_t size)
{
	struct mtsi_stage_area *stage = &worker->stage;
	if (size > MTSI_LARGE_STAGE - stage->size || !mtsi_worker_large(worker)) {
		return false;
	}
	char *const larger = worker->large + MTSI_LARGE_INPUT + 1;
	if (stage->data != larger) {
		memcpy(larger, stage->data, stage->size);
	}
	stage->data = larger;
	stage->capacity = MTSI_LARGE_STAGE;
	return true;
}

static void append(struct mtsi_stage_area *stage, const void *data, size_t size)
{
	if (size > 0) {
		memcpy(stage->data + stage->size, data, size);
		stage->size += size;
	}
}

/* It does not fit. Apart from the usual case, so that this one is short. */
__attribute__((noinline)) static int write_more(
	struct mtsi_worker *worker, const void *data, size_t size)
{
	if (!enlarge_stage(worker, size)) {
		return push_stage(worker, data, size, limit_of(worker->client));
	}
	append(&worker->stage, data, size);
	return 0;
}

int mtsi_output_write(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mtsi_stage_area *stage = &worker->stage;
	if (atomic_load_explicit(&worker->client->lost, memory_order_relaxed)) {
		return -EPIPE;
	}
	if (stage->size == 0) {
		place_stage(worker);
	}
	if (size > stage->capacity - stage->size) {
		return write_more(worker, data, size);
	}
	append(stage, data, size);
	return 0;
}

int mtsi_output_flush(struct mtsi_worker *worker, bool wait)
{
	if (worker->stage.size == 0) {
		return atomic_load_explicit(&worker->client->lost, memory_order_relaxed) ? -EPIPE : 0;
	}
	return push_stage(worker, NULL, 0, wait ? limit_of(worker->client) : SIZE_MAX);
}

int mtsi_output_drain(struct mtsi_worker *worker)
{
	return push_stage(worker, NULL, 0, 0);
}

int mtsi_output_seize(struct mtsi_worker *worker)
{
	mtsi_lock_take(&worker->client->lock);
	worker->client->writing = true;
	mtsi_lock_release(&worker->client->lock);
	worker->seizes = true;
	return push_stage(worker, NULL, 0, 0);
}

int mtsi_output_wait(struct mtsi_worker *worker, bool progress)
{
	struct mts_client *client = worker->client;
	mtsi_lock_take(&client->lock);
	const bool lost = atomic_load(&client->lost);
	if (!lost) {
		mtsi_deadline_output_locked(client, true, progress);
	}
	mtsi_lock_release(&client->lock);
	if (lost) {
		return why_lost(client);
	}
	wait_for_room(worker, false);
	/* There is room: from now on it is the file that is waited for. */
	mtsi_lock_take(&client->lock);
	if (!atomic_load(&client->lost)) {
		mtsi_deadline_output_locked(client, false, false);
	}
	mtsi_lock_release(&client->lock);
	return 0;
}

int mtsi_output_push(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct pieces pieces = {{{(void *)(uintptr_t)data, size}, {NULL, 0}}, false};
	return push(worker, &pieces, 0);
}

int mtsi_output_lost(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->client;
	mtsi_client_lose(client);
	return why_lost(client);
}

void mtsi_output_yield(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->client;
	worker->seizes = false;
	mtsi_lock_take(&client->lock);
	client->writing = false;
	mtsi_deadline_output_locked(client, false, false);
	mtsi_lock_release(&client->lock);
}

char *mtsi_output_space(struct mtsi_worker *worker, size_t *size)
{
	struct mtsi_stage_area *stage = &worker->stage;
	mtsi_must(stage->size == 0);
	place_stage(worker);
	(void)enlarge_stage(worker, MTSI_LARGE_STAGE);
	*size = stage->capacity;
	return stage->data;
}

void mtsi_output_forget(struct mtsi_worker *worker)
{
	worker->stage.size = worker->stage.mark;
}

bool mtsi_output_hold(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	const size_t most = client->ending >= 0 ? 0 : limit_of(client);
	const bool held = mtsi_queue_size(&client->output) > most && !atomic_load(&client->lost);
	client->resume_at = held ? most : MTSI_NO_WISH;
	mtsi_lock_release(&client->lock);
	return held;
}

bool mtsi_output_continue_locked(struct mts_client *client)
{
	struct pieces none = {{{NULL, 0}, {NULL, 0}}, false};
	size_t sent = 0;
	if (client->stage != MTSI_CLIENT_SERVED || atomic_load(&client->lost)) {
		return false;
	}
	if (mtsi_queue_size(&client->output) > 0) {
		const bool lost = send_locked(client, &none, &sent) != 0;
		mtsi_count_shared(&client->server->stats, MTS_STAT_BYTES_OUT, sent);
		if (lost) {
			return true;
		}
		/* Whose worker waits for room has bytes of its own to send still. */
		const bool waits = mtsi_queue_size(&client->output) > 0 || client->writing;
		mtsi_deadline_output_locked(client, waits, sent > 0);
	}
	if (mtsi_queue_size(&client->output) == 0) {
		(void)mtsi_client_want_room_locked(client, false);
	}
	const bool wished = client->resume_at != MTSI_NO_WISH
		&& mtsi_queue_size(&client->output) <= client->resume_at;
	if (wished) {
		client->resume_at = MTSI_NO_WISH;
	}
	return wished;
}

static bool takes_messages_locked(const struct mts_client *client)
{
	return client->stage == MTSI_CLIENT_SERVED && atomic_load(&client->opened) && client->ending < 0
		&& !atomic_load(&client->lost);
}

/* Whether so much more would be too much. Where nothing waits, any one message is welcome. */
static bool too_much_locked(const struct mts_client *client, size_t size)
{
	const size_t queued = mtsi_queue_size(&client->output);
	const size_t limit = limit_of(client);
	return queued > 0 && (queued > limit || size > limit - queued);
}

/*
 * Into the queue: 0, -ENOMEM or -ENOBUFS. First it is in epoll: changing what that watches for
 * needs no memory, so once a part is sent the rest can be left to it.
 */
static int enqueue_locked(struct mts_client *client, const void *data, size_t size)
{
	if (client->watched == 0 && mtsi_client_watch_locked(client, MTSI_POLL_EDGE) != 0) {
		return -ENOMEM;
	}
	/* It is not for this client that too much waits. */
	return mtsi_memory_append_locked(client, data, size) != 0 ? -ENOMEM : 0;
}

int mtsi_output_post_locked(struct mts_client *client, const void *data, size_t size, bool *turn)
{
	*turn = false;
	if (!takes_messages_locked(client)) {
		return -ENOENT;
	}
	if (client->writing) {
		return -ENOBUFS;
	}
	if (too_much_locked(client, size)) {
		/* Who polls may be late, and the socket take more by now. */
		*turn = mtsi_output_continue_locked(client);
		if (atomic_load(&client->lost)) {
			return -ENOENT;
		}
		if (too_much_locked(client, size)) {
			return -ENOBUFS;
		}
	}
	const bool first = mtsi_queue_size(&client->output) == 0;
	const int result = enqueue_locked(client, data, size);
	if (result != 0) {
		return result;
	}
	if (first) {
		*turn = mtsi_output_continue_locked(client) || *turn;
		if (mtsi_queue_size(&client->output) > 0) {
			(void)mtsi_client_want_room_locked(client, true);
		}
	}
	return atomic_load(&client->lost) ? -ENOENT : 0;
}
