/* SPDX-License-Identifier: MIT
 *
 * The table of clients: slots in chunks of doubling size, made when they are first needed and kept
 * until the server goes. So a pointer to a slot stays good for ever, and an id finds its client
 * without a search: the low bits are the slot's number, the high ones count how often the slot was
 * used. A slot whose generations are used up (2^40 clients) is never used again, and neither is an
 * id.
 *
 * Finding is lock-free up to the slot: a chunk's pointer is written before the count covers it.
 * Then the slot's own lock is taken and the id compared under it; the id changes only under that
 * lock. A free slot keeps its last id, and has no socket.
 *
 * Behind the slots of a chunk there is a bit for each of them, its mark. So the few marked ones are
 * found without a look at all the others.
 */
#include "engine/client/clients.h"

#include <string.h>
#include <sys/socket.h>

#include "engine/base/ranks.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/floor.h"
#include "engine/client/rare.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/pages.h"
#include "wire/address.h"

enum { MARKS = 64 }; /* bits in a word; the first chunk has one word, each further one several */

static const size_t most_slots = (size_t)1 << MTSI_SLOT_BITS;
static const uint64_t last_generation = UINT64_MAX >> MTSI_SLOT_BITS;

static size_t chunk_bytes(unsigned chunk)
{
	return mtsi_chunk_size(chunk) * sizeof(struct mts_client) + mtsi_chunk_size(chunk) / CHAR_BIT;
}

void mtsi_clients_init(struct mtsi_clients *clients)
{
	memset(clients, 0, sizeof(*clients));
	mtsi_lock_init(&clients->lock, MTSI_RANK_CLIENTS);
}

void mtsi_clients_free(struct mtsi_clients *clients)
{
	const size_t slots = atomic_load(&clients->slots);
	for (size_t slot = 0; slot < slots; slot++) {
		mtsi_lock_destroy(&mtsi_clients_slot(clients, slot)->lock);
	}
	for (unsigned chunk = 0; chunk < MTSI_CHUNKS; chunk++) {
		struct mts_client *memory = atomic_load(&clients->chunks[chunk]);
		if (memory != NULL) {
			mtsi_pages_give(memory, chunk_bytes(chunk));
		}
	}
	mtsi_rares_free(clients);
	mtsi_lock_destroy(&clients->lock);
}

void mtsi_clients_abandon(struct mtsi_clients *clients)
{
	const size_t slots = atomic_load(&clients->slots);
	for (size_t slot = 0; slot < slots; slot++) {
		struct mts_client *client = mtsi_clients_slot(clients, slot);
		mtsi_conn_abandon(client);
	}
}

/*
 * A chunk's memory stays untouched, and so costs nothing, until slots in it are used. It begins at
 * a page, so each slot begins at a cache line.
 */
static bool make_chunk(struct mtsi_clients *clients, unsigned chunk)
{
	if (atomic_load(&clients->chunks[chunk]) == NULL) {
		struct mts_client *memory = mtsi_pages_take(chunk_bytes(chunk));
		if (memory == NULL) {
			return false;
		}
		atomic_store(&clients->chunks[chunk], memory);
	}
	return true;
}

static struct mts_client *make_slot(struct mts_server *server)
{
	struct mtsi_clients *clients = &mtsi_client_floor(server)->clients;
	const size_t slot = atomic_load(&clients->slots);
	if (slot == most_slots || !make_chunk(clients, mtsi_slot_chunk(slot))) {
		return NULL;
	}
	struct mts_client *client = mtsi_clients_slot(clients, slot);
	client->server = server;
	client->fd = -1;
	client->deadline.key = MTSI_NEVER;
	mtsi_lock_init(&client->lock, MTSI_RANK_CLIENT);
	atomic_init(&client->claim, MTSI_OWNED);
	atomic_init(&client->id, slot); /* generation 0: nobody has had it yet */
	atomic_store(&clients->slots, slot + 1);
	return client;
}

static struct mts_client *take_slot(struct mts_server *server)
{
	struct mtsi_clients *clients = &mtsi_client_floor(server)->clients;
	mtsi_lock_take(&clients->lock);
	struct mts_client *client = clients->free;
	if (client != NULL) {
		clients->free = client->next;
	} else {
		client = make_slot(server);
	}
	mtsi_lock_release(&clients->lock);
	return client;
}

struct mts_client *mtsi_clients_open(
	struct mts_server *server, int fd, const struct sockaddr *peer, unsigned size)
{
	struct mts_client *client = take_slot(server);
	if (client == NULL) {
		return NULL;
	}
	mtsi_lock_take(&client->lock);
	atomic_store(&client->claim, MTSI_OWNED);
	atomic_fetch_add(&client->id, MTSI_FIRST_ID);
	client->fd = fd;
	client->stage = MTSI_CLIENT_WAITING;
	atomic_store_explicit(&client->lost, false, memory_order_relaxed);
	atomic_store_explicit(&client->ends, false, memory_order_relaxed);
	atomic_store_explicit(&client->finishing, false, memory_order_relaxed);
	atomic_store_explicit(&client->cut, false, memory_order_relaxed);
	atomic_store_explicit(&client->listing, MTSI_UNLISTED, memory_order_relaxed);
	atomic_store_explicit(&client->cause, MTSI_NO_CAUSE, memory_order_relaxed);
	client->opened = false;
	client->throttled = false;
	client->deferred = false;
	client->registered = false;
	client->awaits_header = false;
	client->reason = 0;
	client->said = false;
	client->had_last = false;
	client->listener = MTSI_NO_LISTENER;
	atomic_store_explicit(&client->muted, false, memory_order_relaxed);
	client->writing = false;
	client->evicted = false;
	client->deaf = false;
	client->shared = false;
	atomic_store_explicit(&client->has_replies, false, memory_order_relaxed);
	client->dropped = MTSI_DROPPED_NOTHING;
	atomic_store_explicit(&client->input_memory, 0, memory_order_relaxed);
	atomic_store_explicit(&client->wants, 0, memory_order_relaxed);
	client->resume_at = MTSI_NO_WISH;
	client->data = NULL;
	client->worker = NULL;
	mtsi_peer_from(&client->peer, peer, size);
	atomic_store(&client->special, client->peer.local);
	if (client->peer.local) {
		mtsi_peer_set_user(&client->peer, mtsi_conn_user(client));
	}
	mtsi_lock_release(&client->lock);
	return client;
}

void mtsi_clients_release(struct mts_client *client)
{
	struct mtsi_clients *clients = &mtsi_client_floor(client->server)->clients;
	mtsi_must(client->fd < 0);
	mtsi_lock_take(&client->lock);
	client->stage = MTSI_CLIENT_FREE;
	const bool used_up = atomic_load(&client->id) >> MTSI_SLOT_BITS == last_generation;
	mtsi_lock_release(&client->lock);
	if (used_up) {
		return;
	}
	mtsi_lock_take(&clients->lock);
	client->next = clients->free;
	clients->free = client;
	mtsi_lock_release(&clients->lock);
}

struct mts_client *mtsi_clients_find(struct mts_server *server, uint64_t id)
{
	return mtsi_clients_with(&mtsi_client_floor(server)->clients, id);
}

struct mts_client *mtsi_clients_lock(struct mts_server *server, uint64_t id)
{
	struct mts_client *client = mtsi_clients_find(server, id);
	if (client == NULL) {
		return NULL;
	}
	mtsi_lock_take(&client->lock);
	if (atomic_load(&client->id) == id && client->fd >= 0) {
		return client;
	}
	mtsi_lock_release(&client->lock);
	return NULL;
}

struct mts_client *mtsi_clients_lock_next(struct mts_server *server, size_t *slot)
{
	while (*slot < atomic_load(&mtsi_client_floor(server)->clients.slots)) {
		struct mts_client *client = mtsi_clients_slot(
			&mtsi_client_floor(server)->clients, (*slot)++);
		mtsi_lock_take(&client->lock);
		if (client->fd >= 0) {
			return client;
		}
		mtsi_lock_release(&client->lock);
	}
	return NULL;
}

/*
 * The marks of the slots from `slot` on, which is a multiple of 64. Marks after the last slot are
 * unset.
 */
static _Atomic uint64_t *marks_at(struct mtsi_clients *clients, size_t slot)
{
	const unsigned chunk = mtsi_slot_chunk(slot);
	struct mts_client *memory = atomic_load(&clients->chunks[chunk]);
	_Atomic uint64_t *marks = (_Atomic uint64_t *)(void *)(memory + mtsi_chunk_size(chunk));
	return &marks[(slot - mtsi_chunk_start(chunk)) / MARKS];
}

void mtsi_clients_mark(struct mts_client *client, bool marked)
{
	struct mtsi_clients *clients = &mtsi_client_floor(client->server)->clients;
	const size_t slot = mtsi_slot_of(atomic_load(&client->id));
	_Atomic uint64_t *marks = marks_at(clients, slot);
	const uint64_t bit = UINT64_C(1) << slot % MARKS;
	if (marked) {
		atomic_fetch_or(marks, bit);
	} else {
		atomic_fetch_and(marks, ~bit);
	}
}

/* The first marked slot from `slot` on; or a number that no slot has. */
static size_t next_mark(struct mtsi_clients *clients, size_t slot)
{
	const size_t slots = atomic_load(&clients->slots);
	while (slot < slots) {
		const uint64_t marks = atomic_load(marks_at(clients, slot)) >> slot % MARKS;
		if (marks != 0) {
			return slot + (size_t)__builtin_ctzll(marks);
		}
		slot += MARKS - slot % MARKS;
	}
	return slots;
}

struct mts_client *mtsi_clients_lock_marked(struct mts_server *server, size_t *slot)
{
	size_t next;
	while ((next = next_mark(&mtsi_client_floor(server)->clients, *slot))
		< atomic_load(&mtsi_client_floor(server)->clients.slots)) {
		struct mts_client *client = mtsi_clients_slot(&mtsi_client_floor(server)->clients, next);
		*slot = next + 1;
		mtsi_lock_take(&client->lock);
		if (client->fd >= 0) {
			return client;
		}
		mtsi_lock_release(&client->lock);
	}
	return NULL;
}

void mtsi_clients_each(struct mts_server *server,
	void (*visit)(struct mts_client *client, struct mtsi_list *claimed), struct mtsi_list *claimed)
{
	struct mts_client *client;
	size_t slot = 0;
	while ((client = mtsi_clients_lock_next(server, &slot)) != NULL) {
		visit(client, claimed);
		mtsi_lock_release(&client->lock);
	}
}

void mtsi_clients_peek(struct mts_server *server,
	void (*look)(const struct mts_client *client, void *context), void *context)
{
	const size_t slots = atomic_load(&mtsi_client_floor(server)->clients.slots);
	for (size_t slot = 0; slot < slots; slot++) {
		look(mtsi_clients_slot(&mtsi_client_floor(server)->clients, slot), context);
	}
}
