/* SPDX-License-Identifier: MIT
 *
 * The way out: from writes to the socket, in order and whole.
 *
 * Three places hold output on its way. Small writes gather in the worker's buffers, untouched by
 * any lock, and go out in one send when the handler's batch of requests is done. What the socket
 * does not take moves into the client's queue, up to the output limit; epoll says when the socket
 * takes more, and the thread that polls sends on, under the client's lock. What exceeds the limit
 * stays where it is, in the writer's own memory, while the writer waits: that is the backpressure.
 * The writer also waits when the memory of all clients together is used up (memory.c). The lock is
 * never held while anybody waits, be it for the peer or for a page of the writer's memory (push.c):
 * small writes are copied before it is taken, and large ones faulted in.
 *
 * When a client is about to be parked, its replies, at most one buffer of them, are queued whatever
 * the limit is. If the queue is above the limit then, the client gets no further turn until it is
 * not: so a peer that does not read holds no thread. A client that ends waits in the same way,
 * until nothing is left.
 *
 * The order is kept because the queue goes first: nothing is sent past a queue that is not empty,
 * and both are done under the lock.
 */
#include "engine/serve/output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/memory.h"
#include "engine/client/registration.h"
#include "engine/serve/fault.h"
#include "engine/serve/push.h"
#include "engine/serve/worker.h"
#include "os/foreign.h"
#include "os/lock.h"
#include "os/must.h"
#include "wire/buffer.h"

size_t mtsi_output_limit(const struct mts_client *client)
{
	const struct mtsi_options *options = &mtsi_base_floor(client->server)->options;
	return atomic_load_explicit(&options->max_output, memory_order_relaxed);
}

/*
 * Pushes the replies that have gathered, and after them the program's bytes, of which `ready` are
 * faulted in.
 */
static int push_with(
	struct mtsi_worker *worker, const void *data, size_t size, size_t ready, size_t limit)
{
	struct mtsi_replies *replies = &worker->replies;
	struct mtsi_pieces pieces = {.ours = {replies->data, replies->size},
		.theirs = {(void *)(uintptr_t)data, size},
		.ready = ready,
		.more = worker->corked > 0};
	replies->size = 0;
	replies->mark = 0;
	return mtsi_push(worker, &pieces, limit);
}

static int push_replies(struct mtsi_worker *worker, size_t limit)
{
	return push_with(worker, NULL, 0, 0, limit);
}

/*
 * Replies gather behind the input in the small buffer, if that is where it is; or behind the
 * current request, if only that is there.
 */
static void place_replies(struct mtsi_worker *worker)
{
	const struct mtsi_input *input = &worker->input;
	size_t used = input->end + 1;
	if (input->data != worker->small) {
		used = input->owned ? input->held : 0;
	}
	worker->replies.data = worker->small + used;
	worker->replies.capacity = MTSI_SMALL - used;
}

/* Moves on to the large buffer, so that `size` bytes more fit; false when that is not possible. */
static bool enlarge_replies(struct mtsi_worker *worker, size_t size)
{
	struct mtsi_replies *replies = &worker->replies;
	if (size > MTSI_LARGE_REPLIES - replies->size || !mtsi_worker_large(worker)) {
		return false;
	}
	char *const larger = worker->large + MTSI_LARGE_INPUT + 1;
	if (replies->data != larger) {
		memcpy(larger, replies->data, replies->size);
	}
	replies->data = larger;
	replies->capacity = MTSI_LARGE_REPLIES;
	return true;
}

/* Adds to the replies that have gathered, where there is room: 0, or -EPIPE. */
static inline int append_reply(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mtsi_replies *replies = &worker->replies;
	if (size == 0) {
		return 0;
	}
	if (replies->size == 0 && !mtsi_client_begin_replies(worker->member.client)) {
		return -EPIPE;
	}
	char *const end = replies->data + replies->size;
	replies->size += size;
	memcpy(end, data, size);
	return 0;
}

/* From now on nobody else may send, until mtsi_output_yield(). */
static void seize(struct mtsi_worker *worker)
{
	mtsi_lock_take(&worker->member.client->lock);
	worker->member.client->writing = true;
	mtsi_lock_release(&worker->member.client->lock);
	worker->seizes = true;
}

/*
 * Has the kernel copy the next bytes of a write into the buffers: how many, or -EPIPE or -EFAULT.
 */
static ssize_t copy_reply(struct mtsi_worker *worker, const char *data, size_t size)
{
	struct mtsi_replies *replies = &worker->replies;
	const size_t room = replies->capacity - replies->size;
	const size_t count = size < room ? size : room;
	if (replies->size == 0 && !mtsi_client_begin_replies(worker->member.client)) {
		return -EPIPE;
	}
	const int result = mtsi_foreign_copy(replies->data + replies->size, data, count);
	replies->size += result == 0 ? count : 0;
	return result == 0 ? (ssize_t)count : result;
}

/*
 * A part of a write is in the buffers, and is taken back; or it has gone out, and the client is
 * lost.
 */
static void take_back(struct mtsi_worker *worker, size_t before, bool pushed)
{
	struct mts_client *client = worker->member.client;
	mtsi_lock_take(&client->lock);
	if (pushed) {
		mtsi_push_torn_locked(client);
		worker->failed = -EFAULT;
		worker->replies.size = 0;
	} else {
		worker->replies.size = before;
		atomic_store_explicit(&client->has_replies, before > 0, memory_order_relaxed);
	}
	mtsi_lock_release(&client->lock);
}

/*
 * A write that does not fit, from memory that cannot be faulted in: it goes piece by piece through
 * our own buffers, while nobody else may send.
 */
static int write_copied(struct mtsi_worker *worker, const char *data, size_t size)
{
	size_t before = worker->replies.size;
	bool pushed = false;
	ssize_t count = 0;
	int result = 0;
	(void)enlarge_replies(worker, MTSI_LARGE_REPLIES - before);
	seize(worker);
	for (size_t done = 0; done < size && result == 0; done += (size_t)count) {
		if (worker->replies.size == worker->replies.capacity) {
			result = push_replies(worker, mtsi_output_limit(worker->member.client));
			pushed = pushed || done > 0;
			before = 0;
		}
		count = result == 0 ? copy_reply(worker, data + done, size - done) : 0;
		if (count < 0) {
			result = (int)count;
			count = 0;
		}
	}
	if (result == -EFAULT) {
		take_back(worker, before, pushed);
	}
	mtsi_output_yield(worker);
	return result;
}

/* A write that is pushed, behind what has gathered. */
static int write_pushed(struct mtsi_worker *worker, const void *data, size_t size)
{
	const size_t first = size < MTSI_PUSH_FIRST ? size : MTSI_PUSH_FIRST;
	const int result = mtsi_foreign_fault_in(data, first);
	if (result == -ENOSYS) {
		return write_copied(worker, data, size);
	}
	return result == 0
		? push_with(worker, data, size, first, mtsi_output_limit(worker->member.client))
		: result;
}

/* A write that does not fit. Not inlined, to keep the usual case short. */
__attribute__((noinline)) static int write_more(
	struct mtsi_worker *worker, const void *data, size_t size)
{
	if (enlarge_replies(worker, size)) {
		return append_reply(worker, data, size);
	}
	const bool silent = mtsi_fault_is_silent(worker);
	const int result = write_pushed(worker, data, size);
	if (result != 0 && silent) {
		mtsi_fault_stays_silent(worker);
	}
	return result;
}

int mtsi_output_write(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mtsi_replies *replies = &worker->replies;
	if (atomic_load_explicit(&worker->member.client->muted, memory_order_relaxed)) {
		return -EPIPE;
	}
	if (replies->size == 0) {
		place_replies(worker);
	}
	return size > replies->capacity - replies->size ? write_more(worker, data, size)
													: append_reply(worker, data, size);
}

int mtsi_output_gather(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mtsi_replies *replies = &worker->replies;
	if (atomic_load_explicit(&worker->member.client->muted, memory_order_relaxed)) {
		return -EPIPE;
	}
	if (replies->size == 0) {
		place_replies(worker);
	}
	if (size > replies->capacity - replies->size && !enlarge_replies(worker, size)) {
		return -ENOBUFS;
	}
	return append_reply(worker, data, size);
}

int mtsi_output_flush(struct mtsi_worker *worker, bool wait)
{
	if (worker->replies.size == 0) {
		return atomic_load_explicit(&worker->member.client->lost, memory_order_relaxed) ? -EPIPE
																						: 0;
	}
	return mtsi_push_replies(worker, wait ? mtsi_output_limit(worker->member.client) : SIZE_MAX);
}

int mtsi_output_finish(struct mtsi_worker *worker)
{
	return push_replies(worker, 0);
}

int mtsi_output_seize(struct mtsi_worker *worker)
{
	seize(worker);
	return push_replies(worker, 0);
}

int mtsi_output_shut(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	if (mtsi_client_is_shut(client)) {
		return 0;
	}
	/* While it waits for the queue to empty, nobody else adds to it. */
	int result = mtsi_output_seize(worker);
	mtsi_lock_take(&client->lock);
	if (result == 0 && atomic_load(&client->lost)) {
		result = -EPIPE;
	}
	if (result == 0) {
		atomic_store(&client->muted, true);
		mtsi_conn_shut_sending(client);
		client->writing = false; /* all is handed over: whoever cuts it off now drops nothing */
	}
	mtsi_lock_release(&client->lock);
	mtsi_output_yield(worker);
	return result;
}

int mtsi_output_wait(struct mtsi_worker *worker, bool progress)
{
	struct mts_client *client = worker->member.client;
	mtsi_lock_take(&client->lock);
	const bool lost = atomic_load(&client->lost);
	if (!lost) {
		mtsi_deadline_output_locked(client, true, progress);
	}
	mtsi_lock_release(&client->lock);
	if (lost) {
		return mtsi_push_why_lost(client);
	}
	(void)mtsi_push_wait(worker, false);
	/* There is room: from now on the file is what is waited for. */
	mtsi_lock_take(&client->lock);
	if (!atomic_load(&client->lost)) {
		mtsi_deadline_output_locked(client, false, false);
	}
	mtsi_lock_release(&client->lock);
	return 0;
}

int mtsi_output_push(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mtsi_pieces pieces = {.ours = {(void *)(uintptr_t)data, size}};
	return mtsi_push(worker, &pieces, 0);
}

int mtsi_output_lost(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	mtsi_client_lose(client); /* in the middle of a write: `writing` */
	return mtsi_push_why_lost(client);
}

void mtsi_output_yield(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	worker->seizes = false;
	mtsi_lock_take(&client->lock);
	client->writing = false;
	mtsi_deadline_output_locked(client, mtsi_buffer_size(&client->output) > 0, false);
	mtsi_lock_release(&client->lock);
}

char *mtsi_output_space(struct mtsi_worker *worker, size_t *size)
{
	struct mtsi_replies *replies = &worker->replies;
	mtsi_must(replies->size == 0);
	place_replies(worker);
	if (*size > replies->capacity) {
		(void)enlarge_replies(worker, MTSI_LARGE_REPLIES);
	}
	*size = *size < replies->capacity ? *size : replies->capacity;
	return replies->data;
}

void mtsi_output_forget(struct mtsi_worker *worker)
{
	struct mtsi_replies *replies = &worker->replies;
	struct mts_client *client = worker->member.client;
	if (replies->size == replies->mark) {
		return;
	}
	mtsi_lock_take(&client->lock);
	mtsi_client_drop_locked(client);
	replies->size = replies->mark;
	atomic_store_explicit(&client->has_replies, replies->size > 0, memory_order_relaxed);
	mtsi_lock_release(&client->lock);
}

bool mtsi_output_throttles(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	const size_t most = client->stage == MTSI_CLIENT_ENDING ? 0 : mtsi_output_limit(client);
	const bool throttled = mtsi_buffer_size(&client->output) > most && !atomic_load(&client->lost);
	client->resume_at = throttled ? most : MTSI_NO_WISH;
	mtsi_lock_release(&client->lock);
	return throttled;
}

bool mtsi_output_continue_locked(struct mts_client *client)
{
	size_t sent = 0;
	if (!mtsi_client_may_still(client, MTSI_MAY_SEND_ON)) {
		return false;
	}
	if (mtsi_buffer_size(&client->output) > 0) {
		const bool lost = mtsi_push_queue_locked(client, &sent) != 0;
		mtsi_count_shared(client->server, MTS_STAT_BYTES_OUT, sent);
		if (lost) {
			return true;
		}
		/* A client whose worker waits for room has bytes of its own still to be sent. */
		const bool waits = mtsi_buffer_size(&client->output) > 0 || client->writing;
		mtsi_deadline_output_locked(client, waits, sent > 0);
	}
	if (mtsi_buffer_size(&client->output) == 0) {
		(void)mtsi_registration_watch_room_locked(client, false);
	}
	const bool wished = client->resume_at != MTSI_NO_WISH
		&& mtsi_buffer_size(&client->output) <= client->resume_at;
	if (wished) {
		client->resume_at = MTSI_NO_WISH;
	}
	return wished;
}
