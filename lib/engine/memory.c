/* SPDX-License-Identifier: MIT
 *
 * One limit for the memory of all clients: the beginnings of requests, requests that fit into no
 * worker's buffer, and output that waits. Each block is charged before it is allocated, with all
 * its capacity, and given back after it is freed; while something moves to a larger block both
 * count. So what is in use is never more than what is charged. Clients with neither cost nothing
 * here.
 *
 * What needs more memory when there is none:
 *
 * - Output is not queued. A handler's write waits for its peer, as past its own output limit; and
 *   so does a worker whose client is to be parked with replies that the socket does not take.
 * - Input is not received, and the kernel's window stops the peer. On demand its client is parked,
 *   and the keeper claims it when there is room; a callback, or a thread of its own, asks again by
 *   itself. One of which nothing is kept, and nothing has come, is parked as ever: it needs none
 *   yet (input.c).
 *
 * A worker has room for 16 KiB of input, which cost nothing as long as they lie there. But when the
 * client is parked, what is left of them has to be kept. So as long as more than three quarters of
 * the limit are in use, the client is charged for the buffer before anything is received into it.
 * Who has received without that, since there seemed to be enough, is charged afterwards in any
 * case. That can happen to each worker at most once before it finds memory tight. Hence:
 *
 *     charged  <=  limit + workers * (16 KiB + 1)
 *
 * where a limit that was lowered counts from when the keeper has enforced it.
 *
 * An eighth of the limit is kept for needs of up to 16 KiB, and half of that for those of up to 1
 * KiB, which is what a short request needs for its turn. So who needs little goes on when others
 * have taken all the rest, and is the first to go on when something is freed; among equals it goes
 * round.
 *
 * The keeper looks at those whose input waits every 10 ms, as long as there are any or the limit is
 * exceeded. It claims parked clients for which there is room. If for 100 ms there has been room for
 * none of them, it cuts off the client that holds most, and the next, until there is. Writes that
 * wait do not count: their peers need only read. Nobody is exempt: the largest may be the one that
 * waits.
 *
 * Who waits is marked in the table of clients, so looking at them costs nothing for all the others.
 * Who holds most is asked only when somebody is to be cut off: then all clients are looked at, once,
 * and those that hold most are remembered in that order.
 *
 * Nothing is lost by looking only now and then: a client is marked, and `waiting` is raised, before
 * it is let go of, and whoever raises it from 0 wakes the keeper, which from then on comes by itself
 * until it is 0 again.
 */
#include "engine/memory.h"

#include <errno.h>

#include "engine/claim.h"
#include "engine/client.h"
#include "engine/keeper.h"
#include "engine/line.h"
#include "engine/server.h"
#include "engine/worker.h"
#include "os/clock.h"
#include "os/foreign.h"
#include "os/must.h"

enum {
	TINY_NEED = MTSI_SMALL_INPUT + 1,
	SMALL_NEED = MTSI_LARGE_INPUT + 1,
	MOST_CUTS = 64, /* at once */
	LONGEST_PAUSE = 60 /* milliseconds */
};

static const size_t least_usual = (size_t)256 * 1024 * 1024;
static const uint64_t look_again = 10 * MTSI_MILLISECOND;
static const uint64_t patience = 100 * MTSI_MILLISECOND;

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
 * The program may set it at the same time. It notes what it has chosen, then sets the limit; here
 * the choice is looked at once more after the limit was set. One of the two comes last, and is
 * right.
 */
void mtsi_memory_settle(struct mts_server *server)
{
	const _Atomic size_t *chosen = &server->options.max_memory;
	if (atomic_load(chosen) == 0) {
		atomic_store(&server->memory.limit, usual(&server->options));
	}
	const size_t limit = atomic_load(chosen);
	if (limit != 0) {
		atomic_store(&server->memory.limit, limit);
	}
}

void mtsi_memory_set_limit(struct mts_server *server, size_t bytes)
{
	atomic_store(&server->options.max_memory, bytes);
	atomic_store(&server->memory.limit, bytes);
	mtsi_keeper_wake(server);
}

static void note_peak(struct mtsi_memory *memory, size_t used)
{
	size_t peak = atomic_load_explicit(&memory->peak, memory_order_relaxed);
	while (used > peak && !atomic_compare_exchange_weak(&memory->peak, &peak, used)) {
	}
}

/* How much may be in use for a need of this size. */
static size_t limit_for(const struct mtsi_memory *memory, size_t need)
{
	const size_t limit = atomic_load_explicit(&memory->limit, memory_order_relaxed);
	if (need <= TINY_NEED) {
		return limit;
	}
	return need <= SMALL_NEED ? limit - limit / 16 : limit - limit / 8;
}

/* Charges so much; false when there is no room. */
static bool take(struct mtsi_memory *memory, size_t bytes)
{
	const size_t limit = limit_for(memory, bytes);
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
	struct mts_client *client, const void *data, size_t size, mtsi_queue_copier *copy)
{
	struct mtsi_memory *memory = &client->server->memory;
	struct mtsi_queue *queue = &client->output;
	mtsi_lock_assert_held(&client->lock);
	const size_t before = queue->capacity;
	const size_t block = mtsi_queue_block(queue, size);
	if (block > 0 && !take(memory, block)) {
		return -ENOBUFS;
	}
	const int result = mtsi_queue_append_by(queue, data, size, copy);
	if (block > 0) {
		/* It has moved; or not; or what was to be copied cannot be, and the block is empty. */
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
	struct mtsi_queue *queue = &client->output;
	mtsi_lock_assert_held(&client->lock);
	const size_t before = queue->capacity;
	mtsi_queue_consume(queue, count);
	if (queue->capacity < before) {
		give(&client->server->memory, before - queue->capacity);
	}
}

void mtsi_memory_clear_locked(struct mts_client *client)
{
	mtsi_memory_consume_locked(client, SIZE_MAX);
}

static size_t charged(const struct mts_client *client)
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
	struct mtsi_memory *memory = &client->server->memory;
	const size_t before = charged(client);
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
	struct mtsi_memory *memory = &client->server->memory;
	if (!mtsi_memory_input(client, bytes)) {
		const size_t more = bytes - charged(client);
		set_charged(client, bytes);
		note_peak(memory, atomic_fetch_add(&memory->used, more) + more);
	}
}

/* The client's input waits for so many bytes more; 0: it waits no more. */
static void want(struct mts_client *client, size_t bytes)
{
	struct mtsi_memory *memory = &client->server->memory;
	const uint32_t before = atomic_load_explicit(&client->wants, memory_order_relaxed);
	if (before == bytes) {
		return;
	}
	atomic_store(&client->wants, (uint32_t)bytes);
	if (before == 0) {
		mtsi_clients_mark(client, true);
		if (atomic_fetch_add(&memory->waiting, 1) == 0) {
			mtsi_keeper_wake(client->server);
		}
	} else if (bytes == 0) {
		mtsi_clients_mark(client, false);
		atomic_fetch_sub(&memory->waiting, 1);
	}
}

bool mtsi_memory_input_at_least(struct mts_client *client, size_t bytes)
{
	const size_t before = charged(client);
	const bool enough = bytes <= before || mtsi_memory_input(client, bytes);
	want(client, enough ? 0 : bytes - before);
	return enough;
}

void mtsi_memory_input_at_most(struct mts_client *client, size_t bytes)
{
	if (charged(client) > bytes) {
		(void)mtsi_memory_input(client, bytes);
	}
}

void mtsi_memory_content(struct mts_client *client)
{
	want(client, 0);
}

/* So that all who block ask no more than some thousand times a second together. */
unsigned mtsi_memory_block(struct mts_server *server)
{
	const size_t pause = 10 + atomic_fetch_add(&server->memory.blocked, 1) / 2;
	return pause < LONGEST_PAUSE ? (unsigned)pause : LONGEST_PAUSE;
}

void mtsi_memory_unblock(struct mts_server *server)
{
	atomic_fetch_sub(&server->memory.blocked, 1);
}

/* The clients that hold most, the largest first; among equals those in the earlier slots. */
struct largest {
	size_t count;
	struct {
		uint64_t id;
		size_t held;
	} list[MOST_CUTS];
};

static size_t wanted(const struct mts_client *client)
{
	return client->stage == MTSI_CLIENT_SERVED ? atomic_load(&client->wants) : 0;
}

static size_t held(const struct mts_client *client)
{
	return client->stage == MTSI_CLIENT_SERVED ? client->output.capacity + charged(client) : 0;
}

/* The smallest need for which somebody waits; 0: nobody does. */
static size_t least_need(struct mts_server *server)
{
	size_t least = 0;
	struct mts_client *client;
	size_t slot = 0;
	while ((client = mtsi_clients_lock_marked(server, &slot)) != NULL) {
		const size_t need = atomic_load(&client->lost) ? 0 : wanted(client);
		if (need > 0 && (least == 0 || need < least)) {
			least = need;
		}
		mtsi_lock_release(&client->lock);
	}
	return least;
}

static void add_to_largest(struct largest *largest, uint64_t id, size_t bytes)
{
	size_t place = largest->count;
	while (place > 0 && largest->list[place - 1].held < bytes) {
		place--;
	}
	if (place == MOST_CUTS) {
		return;
	}
	if (largest->count < MOST_CUTS) {
		largest->count++;
	}
	for (size_t i = largest->count - 1; i > place; i--) {
		largest->list[i] = largest->list[i - 1];
	}
	largest->list[place].id = id;
	largest->list[place].held = bytes;
}

static void find_largest(struct mts_server *server, struct largest *largest)
{
	struct mts_client *client;
	size_t slot = 0;
	largest->count = 0;
	while ((client = mtsi_clients_lock_next(server, &slot)) != NULL) {
		const size_t bytes = atomic_load(&client->lost) ? 0 : held(client);
		if (bytes > 0) {
			add_to_largest(largest, atomic_load(&client->id), bytes);
		}
		mtsi_lock_release(&client->lock);
	}
}

/* Whether there is room for a need, if `extra` bytes more were free. */
static bool fits(const struct mtsi_memory *memory, size_t need, size_t extra)
{
	const size_t limit = limit_for(memory, need);
	const size_t used = atomic_load(&memory->used);
	const size_t left = used > extra ? used - extra : 0;
	return left <= limit && need <= limit - left;
}

/* Whose turn it is: those that wait for more than `above` and no more than `most`, from a slot on. */
struct round {
	size_t above;
	size_t most;
	size_t room; /* for so much there is room still */
	size_t slot;
	struct mtsi_line *claimed;
};

/* Claims them, up to the slot `end`, as long as there is room. */
static void resume(struct mts_server *server, struct round *round, size_t end)
{
	struct mts_client *client;
	while (round->room > 0 && round->slot < end
		&& (client = mtsi_clients_lock_marked(server, &round->slot)) != NULL) {
		const size_t need = wanted(client);
		if (need > round->above && need <= round->most && need <= round->room) {
			round->room -= need;
			if (mtsi_claim(client)) {
				mtsi_line_add(round->claimed, client);
			}
		}
		mtsi_lock_release(&client->lock);
	}
}

static size_t room_for(const struct mtsi_memory *memory, size_t need)
{
	const size_t limit = limit_for(memory, need);
	const size_t used = atomic_load(&memory->used);
	return used < limit ? limit - used : 0;
}

/* The smallest needs first. Each time it begins behind the last one who was let go on. */
static void resume_all(struct mts_server *server)
{
	static const size_t sizes[] = {0, TINY_NEED, SMALL_NEED, SIZE_MAX};
	struct mtsi_memory *memory = &server->memory;
	struct mtsi_line claimed = {NULL, NULL, 0};
	const size_t first = memory->next_slot;
	size_t given = 0;
	for (int i = 1; i < 4; i++) {
		const size_t room = room_for(memory, sizes[i]);
		struct round round = {
			sizes[i - 1], sizes[i], room > given ? room - given : 0, first, &claimed};
		const size_t before = round.room;
		resume(server, &round, SIZE_MAX);
		if (round.room > 0) {
			round.slot = 0;
			resume(server, &round, first);
		}
		given += before - round.room;
		if (round.room < before) {
			memory->next_slot = round.slot;
		}
	}
	mtsi_crew_offer(server, &claimed);
}

/* Cuts off a client that has been found to be among the largest: how much is freed by that sooner or later. */
static size_t cut(struct mts_server *server, uint64_t id)
{
	struct mtsi_line claimed = {NULL, NULL, 0};
	struct mtsi_peer peer;
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client == NULL) {
		return 0;
	}
	const size_t output = client->output.capacity;
	const size_t input = held(client) - output;
	peer = client->peer;
	/* Not one that has been lost or sealed since: it gives its memory back by itself. */
	const bool done = client->stage == MTSI_CLIENT_SERVED && !atomic_load(&client->lost)
		&& mtsi_client_cut_locked(client, MTS_CLOSED_EVICTED, &claimed);
	if (done) { /* before it can have ended */
		mtsi_count_shared(&server->stats, MTS_STAT_MEMORY_CUTS, 1);
	}
	mtsi_lock_release(&client->lock);
	if (done) {
		mtsi_log_client(server, MTSI_LOG_MEMORY, id, &peer,
			"cut off, memory is short: %zu bytes of input, %zu of output", input, output);
	}
	mtsi_crew_offer(server, &claimed);
	return done ? input : 0;
}

/* Until there is room, or will be when those that are cut off have ended. */
static void cut_largest(struct mts_server *server, size_t least)
{
	struct largest largest;
	size_t coming = 0;
	find_largest(server, &largest);
	for (size_t i = 0; i < largest.count && !fits(&server->memory, least, coming); i++) {
		coming += cut(server, largest.list[i].id);
		least = least_need(server); /* it may have been the one that waited */
	}
}

uint64_t mtsi_memory_relieve(struct mts_server *server, uint64_t now)
{
	struct mtsi_memory *memory = &server->memory;
	if (atomic_load(&memory->waiting) == 0
		&& atomic_load(&memory->used) <= atomic_load(&memory->limit)) {
		memory->tight_since = 0;
		return MTSI_NEVER;
	}
	const size_t least = least_need(server);
	if (fits(memory, least, 0)) {
		memory->tight_since = 0;
		resume_all(server);
	} else if (memory->tight_since == 0) {
		memory->tight_since = now;
	} else if (now - memory->tight_since >= patience) {
		cut_largest(server, least);
		memory->tight_since = now;
	}
	return mtsi_clock_after(now, look_again);
}
