/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_CLIENTS_H
#define MTSI_ENGINE_CLIENT_CLIENTS_H

#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/client/client.h"
#include "engine/client/list.h"
#include "os/lock.h"

struct mtsi_rare;
struct sockaddr;

enum {
	MTSI_SLOT_BITS = 24, /* an id's low bits are the slot, the others its generation, from 1 up */
	MTSI_FIRST_CHUNK =
		6, /* the first chunk has 2^6 slots, each further one as many as all before it */
	MTSI_CHUNKS = MTSI_SLOT_BITS - MTSI_FIRST_CHUNK + 1
};

/* Ids are not below this, so the numbers below are free for other tags in the same epoll. */
#define MTSI_FIRST_ID (UINT64_C(1) << MTSI_SLOT_BITS)

/* A slot's chunk, and the first slot and the number of slots of a chunk. */
static inline unsigned mtsi_slot_chunk(size_t slot)
{
	const unsigned bits = (unsigned)sizeof(unsigned) * CHAR_BIT;
	const unsigned rest = (unsigned)(slot >> MTSI_FIRST_CHUNK);
	return rest == 0 ? 0 : bits - (unsigned)__builtin_clz(rest);
}

static inline size_t mtsi_chunk_start(unsigned chunk)
{
	return chunk == 0 ? 0 : (size_t)1 << (MTSI_FIRST_CHUNK + chunk - 1);
}

static inline size_t mtsi_chunk_size(unsigned chunk)
{
	return chunk == 0 ? (size_t)1 << MTSI_FIRST_CHUNK : mtsi_chunk_start(chunk);
}

/* The slot of the client that has, or had, this id. */
static inline size_t mtsi_slot_of(uint64_t id)
{
	return (size_t)(id & (MTSI_FIRST_ID - 1));
}

/* All clients of a server. */
struct mtsi_clients {
	struct mtsi_lock lock; /* guards free, and making slots */
	struct mts_client *free; /* slots to use again, the latest first */
	_Atomic size_t slots; /* how many have been made; grows only */
	struct mts_client
		*_Atomic chunks[MTSI_CHUNKS]; /* each is written once, before `slots` covers it */
	struct mtsi_rare *_Atomic rares[MTSI_CHUNKS]; /* beside these, made when needed: rare.h */
	_Atomic bool any_rares; /* one of these was made, or is about to be */
};

void mtsi_clients_init(struct mtsi_clients *clients);
void mtsi_clients_free(struct mtsi_clients *clients);

/* In a copy that another process has: closes all sockets. Takes no lock. */
void mtsi_clients_abandon(struct mtsi_clients *clients);

/*
 * Makes a client of an accepted socket, in the stage WAITING. NULL when memory is short; then the
 * socket is still the caller's.
 */
struct mts_client *mtsi_clients_open(
	struct mts_server *server, int fd, const struct sockaddr *peer, unsigned size);

/* Gives back a slot whose socket is closed: the last step of mtsi_client_close(). */
void mtsi_clients_release(struct mts_client *client);

/* A slot that has been made. Any thread. */
static inline struct mts_client *mtsi_clients_slot(const struct mtsi_clients *clients, size_t slot)
{
	const unsigned chunk = mtsi_slot_chunk(slot);
	return atomic_load(&clients->chunks[chunk]) + (slot - mtsi_chunk_start(chunk));
}

/*
 * The slot of the client with an id; NULL when the client is gone. The client may go at any time,
 * and the slot be used again, so the result is good for a claim only (claim.h). Any thread.
 */
static inline struct mts_client *mtsi_clients_with(const struct mtsi_clients *clients, uint64_t id)
{
	const size_t slot = mtsi_slot_of(id);
	if (id < MTSI_FIRST_ID || slot >= atomic_load(&clients->slots)) {
		return NULL;
	}
	struct mts_client *client = mtsi_clients_slot(clients, slot);
	return atomic_load(&client->id) == id ? client : NULL;
}

/* The same. */
struct mts_client *mtsi_clients_find(struct mts_server *server, uint64_t id);

/*
 * The client with an id, locked; NULL when it is gone. Any thread.
 */
struct mts_client *mtsi_clients_lock(struct mts_server *server, uint64_t id);

/*
 * The next client that has a socket, locked; NULL at the end. `*slot` is 0 at first. A client that
 * is there from the first call to the last is met once; one that comes meanwhile may be met. Any
 * thread.
 */
struct mts_client *mtsi_clients_lock_next(struct mts_server *server, size_t *slot);

/* Marks a client, or removes its mark, which has to be done before the client ends. The owner. */
void mtsi_clients_mark(struct mts_client *client, bool marked);

/*
 * As mtsi_clients_lock_next(), but only for clients that are marked; the others cost next to
 * nothing.
 */
struct mts_client *mtsi_clients_lock_marked(struct mts_server *server, size_t *slot);

/*
 * Calls `visit` with each client that has a socket, locked, and with `claimed`, into which it may
 * put clients that it has claimed. Any thread; `visit` takes no lock.
 */
void mtsi_clients_each(struct mts_server *server,
	void (*visit)(struct mts_client *client, struct mtsi_list *claimed), struct mtsi_list *claimed);

/*
 * Calls `look` with each slot, also free ones, without the slot's lock, so it may read only what is
 * atomic. Any thread.
 */
void mtsi_clients_peek(struct mts_server *server,
	void (*look)(const struct mts_client *client, void *context), void *context);

#endif
