/* SPDX-License-Identifier: MIT
 *
 * One limit for the memory of all clients: the beginnings of requests, requests that fit into no
 * worker's buffer, and output that waits. Each block is charged before it is allocated, with all
 * its capacity, and given back after it is freed; while something moves to a larger block, both
 * blocks count. So what is in use is never more than what is charged. Clients that keep nothing
 * cost nothing here.
 *
 * When more memory is needed and there is none:
 *
 * - Output is not queued. A handler's write waits for its peer, as it does above its own output
 *   limit. So does a worker whose client is to be parked with replies that the socket does not
 *   take.
 * - Input is not received, and the kernel's window stops the peer. On demand its client is parked,
 *   and the keeper claims it when there is room. A callback that waits, or a worker that stays with
 *   its client, asks again by itself. A client of which nothing is kept, and from which nothing has
 *   come, is parked as usual: it needs no memory yet (fill.c).
 *
 * A worker has room for 16 KiB of input, which cost nothing as long as they lie there. But when the
 * client is parked, what is left of them has to be kept. So as long as more than three quarters of
 * the limit are in use, the client is charged for the buffer before anything is received into it.
 * If input was received without that, since there seemed to be enough memory, it is charged
 * afterwards in any case. This can happen to each worker at most once before it finds memory tight.
 * Hence:
 *
 *     charged  <=  limit + workers * (16 KiB + 1)
 *
 * A limit that was lowered counts here from the moment at which the keeper has enforced it.
 *
 * An eighth of the limit is kept for needs of up to 16 KiB, and half of that for needs of up to 1
 * KiB, which is what a short request needs for its turn. So a client that needs little goes on when
 * others have taken all the rest, and is the first to go on when something is freed. Clients with
 * equal needs take turns.
 *
 * The keeper looks only now and then (shortage.c), and still no client is forgotten. A client is
 * marked, and `waiting` is raised, before its owner lets go of it. The thread that raises `waiting`
 * from 0 wakes the keeper, which from then on comes by itself until it is 0 again.
 */
#include "engine/client/memory.h"

#include <errno.h>

#include "engine/base/floor.h"
#include "engine/base/wake.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/floor.h"
#include "os/foreign.h"
#include "os/lock.h"
#include "os/must.h"
#include "wire/buffer.h"
#include "wire/frame.h"

enum { LONGEST_PAUSE = 60 /* milliseconds */ };

static const size_t least_usual = (size_t)256 * 1024 * 1024;

void mtsi_memory_init(struct mtsi_memory *memory)
{
	atomic_init(&memory->limit, least_usual);
	atomic_init(&memory->used, 0);
	atomic_init(&memory->peak, 0);
	atomic_init(&memory->waiting, 0);
	atomic_init(&memory->blocked, 0);
	memory->tight_since = 0;
	memory->next_slot = 0;
}

void mtsi_memory_free(struct mtsi_memory *memory)
{
	mtsi_must(atomic_load(&memory->used) == 0 && atomic_load(&memory->waiting) == 0);
}

static size_t usual(const struct mtsi_options *options)
{
	const size_t request = mtsi_frame_room(&options->framing);
	const size_t output = atomic_load(&options->max_output);
	if (request > SIZE_MAX / 128 || output > SIZE_MAX / 128) {
		return SIZE_MAX / 2;
	}
	const size_t many = 64 * (request + output);
	return many > least_usual ? many : least_usual;
}

/*
 * The program may set the limit at the same time. It notes its choice, and then sets the limit;
 * here the choice is read once more after the limit was set. One of the two comes last, and is
 * right.
 */
void mtsi_memory_settle(struct mts_server *server)
{
	const _Atomic size_t *chosen = &mtsi_base_floor(server)->options.max_memory;
	if (atomic_load(chosen) == 0) {
		atomic_store(
			&mtsi_client_floor(server)->memory.limit, usual(&mtsi_base_floor(server)->options));
	}
	const size_t limit = atomic_load(chosen);
	if (limit != 0) {
		atomic_store(&mtsi_client_floor(server)->memory.limit, limit);
	}
}

void mtsi_memory_set_limit(struct mts_server *server, size_t bytes)
{
	atomic_store(&mtsi_base_floor(server)->options.max_memory, bytes);
	atomic_store(&mtsi_client_floor(server)->memory.limit, bytes);
	mtsi_wake_keeper(server);
}

static void note_peak(struct mtsi_memory *memory, size_t used)
{
	size_t peak = atomic_load_explicit(&memory->peak, memory_order_relaxed);
	while (used > peak && !atomic_compare_exchange_weak(&memory->peak, &peak, used)) {
	}
}

size_t mtsi_memory_limit_for(const struct mtsi_memory *memory, size_t need)
{
	const size_t limit = atomic_load_explicit(&memory->limit, memory_order_relaxed);
	if (need <= MTSI_TINY_NEED) {
		return limit;
	}
	return need <= MTSI_SMALL_NEED ? limit - limit / 16 : limit - limit / 8;
}

static bool take(struct mtsi_memory *memory, size_t bytes)
{
	const size_t limit = mtsi_memory_limit_for(memory, bytes);
	size_t used = atomic_load(&memory->used);
	do {
		if (used > limit || bytes > limit - used) {
			return false;
		}
	} while (!atomic_compare_exchange_weak(&memory->used, &used, used + bytes));
	note_peak(memory, used + bytes);
	return true;
}

static void give(struct mtsi_memory *memory, size_t bytes)
{
	const size_t before = atomic_fetch_sub(&memory->used, bytes);
	mtsi_must(before >= bytes);
}

static int append_locked(
	struct mts_client *client, const void *data, size_t size, mtsi_buffer_copier *copy)
{
	struct mtsi_memory *memory = &mtsi_client_floor(client->server)->memory;
	struct mtsi_buffer *queue = &client->output;
	mtsi_lock_assert_held(&client->lock);
	const size_t before = queue->capacity;
	const size_t block = mtsi_buffer_block(queue, size);
	if (block > 0 && !take(memory, block)) {
		return -ENOBUFS;
	}
	const int result = mtsi_buffer_append_by(queue, data, size, copy);
	if (block > 0) {
		/*
		 * The queue has moved, or has not; or its bytes cannot be copied, and the block is empty.
		 */
		const size_t after = queue->capacity;
		mtsi_must(after == block || (result != 0 && (after == before || after == 0)));
		give(memory, before + block - after);
	}
	return result;
}

int mtsi_memory_append_locked(struct mts_client *client, const void *data, size_t size)
{
	return append_locked(client, data, size, NULL);
}

int mtsi_memory_append_foreign_locked(struct mts_client *client, const void *data, size_t size)
{
	return append_locked(client, data, size, mtsi_foreign_copy);
}

void mtsi_memory_consume_locked(struct mts_client *client, size_t count)
{
	struct mtsi_buffer *queue = &client->output;
	mtsi_lock_assert_held(&client->lock);
	const size_t before = queue->capacity;
	mtsi_buffer_consume(queue, count);
	if (queue->capacity < before) {
		give(&mtsi_client_floor(client->server)->memory, before - queue->capacity);
	}
}

void mtsi_memory_clear_locked(struct mts_client *client)
{
	mtsi_memory_consume_locked(client, SIZE_MAX);
}

size_t mtsi_memory_charged(const struct mts_client *client)
{
	return atomic_load_explicit(&client->input_memory, memory_order_relaxed);
}

static void set_charged(struct mts_client *client, size_t bytes)
{
	/* Requests are at most 1 GiB, so two blocks fit. */
	atomic_store_explicit(&client->input_memory, (uint32_t)bytes, memory_order_relaxed);
}

bool mtsi_memory_input(struct mts_client *client, size_t bytes)
{
	struct mtsi_memory *memory = &mtsi_client_floor(client->server)->memory;
	const size_t before = mtsi_memory_charged(client);
	if (bytes > before && !take(memory, bytes - before)) {
		return false;
	}
	set_charged(client, bytes);
	if (bytes < before) {
		give(memory, before - bytes);
	}
	return true;
}

void mtsi_memory_input_anyway(struct mts_client *client, size_t bytes)
{
	struct mtsi_memory *memory = &mtsi_client_floor(client->server)->memory;
	if (!mtsi_memory_input(client, bytes)) {
		const size_t more = bytes - mtsi_memory_charged(client);
		set_charged(client, bytes);
		note_peak(memory, atomic_fetch_add(&memory->used, more) + more);
	}
}

bool mtsi_memory_take(struct mts_server *server, size_t bytes)
{
	return take(&mtsi_client_floor(server)->memory, bytes);
}

void mtsi_memory_give(struct mts_server *server, size_t bytes)
{
	give(&mtsi_client_floor(server)->memory, bytes);
}

/* The client's input waits for so many bytes more; 0: it waits no more. */
static void want(struct mts_client *client, size_t bytes)
{
	struct mtsi_memory *memory = &mtsi_client_floor(client->server)->memory;
	const uint32_t before = atomic_load_explicit(&client->wants, memory_order_relaxed);
	if (before == bytes) {
		return;
	}
	atomic_store(&client->wants, (uint32_t)bytes);
	if (before == 0) {
		mtsi_clients_mark(client, true);
		if (atomic_fetch_add(&memory->waiting, 1) == 0) {
			mtsi_wake_keeper(client->server);
		}
	} else if (bytes == 0) {
		mtsi_clients_mark(client, false);
		atomic_fetch_sub(&memory->waiting, 1);
	}
}

bool mtsi_memory_input_at_least(struct mts_client *client, size_t bytes)
{
	const size_t before = mtsi_memory_charged(client);
	const bool enough = bytes <= before || mtsi_memory_input(client, bytes);
	want(client, enough ? 0 : bytes - before);
	return enough;
}

void mtsi_memory_input_at_most(struct mts_client *client, size_t bytes)
{
	if (mtsi_memory_charged(client) > bytes) {
		(void)mtsi_memory_input(client, bytes);
	}
}

void mtsi_memory_content(struct mts_client *client)
{
	want(client, 0);
}

/*
 * The pause grows with the threads that block, so that together they ask no more than some thousand
 * times a second.
 */
unsigned mtsi_memory_block(struct mts_server *server)
{
	const size_t pause = 10 + atomic_fetch_add(&mtsi_client_floor(server)->memory.blocked, 1) / 2;
	return pause < LONGEST_PAUSE ? (unsigned)pause : LONGEST_PAUSE;
}

void mtsi_memory_unblock(struct mts_server *server)
{
	atomic_fetch_sub(&mtsi_client_floor(server)->memory.blocked, 1);
}
