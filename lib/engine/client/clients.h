/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_CLIENTS_H
#define MTSI_ENGINE_CLIENT_CLIENTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/client/client.h"
#include "engine/client/list.h"
#include "os/lock.h"

struct sockaddr;

enum {
	MTSI_SLOT_BITS = 24, /* an id's low bits are the slot, the others its generation, from 1 up */
	MTSI_FIRST_CHUNK =
		6, /* the first chunk has 2^6 slots, each further one as many as all before it */
	MTSI_CHUNKS = MTSI_SLOT_BITS - MTSI_FIRST_CHUNK + 1
};

/* Ids are above this; below it is room for other tags in the same epoll. */
#define MTSI_FIRST_ID (UINT64_C(1) << MTSI_SLOT_BITS)

/* All clients of a server. */
struct mtsi_clients {
	struct mtsi_lock lock; /* guards free, and making slots */
	struct mts_client *free; /* slots to use again, the latest first */
	_Atomic size_t slots; /* how many have been made; grows only */
	struct mts_client
		*_Atomic chunks[MTSI_CHUNKS]; /* written once each, before slots covers them */
};

void mtsi_clients_init(struct mtsi_clients *clients);
void mtsi_clients_free(struct mtsi_clients *clients);

/* Closes all sockets of a copy that another process has; takes no lock. */
void mtsi_clients_abandon(struct mtsi_clients *clients);

/*
 * Makes a client of an accepted socket: stage WAITING. NULL when memory is short; the socket is the
 * caller's then.
 */
struct mts_client *mtsi_clients_open(
	struct mts_server *server, int fd, const struct sockaddr *peer, unsigned size);

/* Gives a slot back whose socket is closed: what is left of mtsi_client_close(). */
void mtsi_clients_release(struct mts_client *client);

/*
 * The slot of the client with an id; NULL when it is gone. It may go, and the slot be used again,
 * at any time: it is good for a claim, nothing else (claim.h). Any thread.
 */
struct mts_client *mtsi_clients_find(struct mts_server *server, uint64_t id);

/*
 * The client with an id, locked; NULL when it is gone. Any thread.
 */
struct mts_client *mtsi_clients_lock(struct mts_server *server, uint64_t id);

/*
 * The next client that has a socket, locked; NULL at the end. `*slot` is 0 at first. One that is
 * there from the first call to the last is met once; one that comes meanwhile, perhaps. Any thread.
 */
struct mts_client *mtsi_clients_lock_next(struct mts_server *server, size_t *slot);

/*
 * Marks a client, or takes that back: who has marked one takes it back before its end. The owner.
 */
void mtsi_clients_mark(struct mts_client *client, bool marked);

/*
 * As mtsi_clients_lock_next(), but goes over those only that are marked, and costs next to nothing
 * for the others.
 */
struct mts_client *mtsi_clients_lock_marked(struct mts_server *server, size_t *slot);

/*
 * Calls `visit` with each client that has a socket, locked, and with `claimed`, where it may put
 * those that it has claimed. Any thread; `visit` takes no lock.
 */
void mtsi_clients_each(struct mts_server *server,
	void (*visit)(struct mts_client *client, struct mtsi_list *claimed), struct mtsi_list *claimed);

/*
 * Calls `look` with each slot, also the free ones, and without its lock: only what is atomic may be
 * read. Any thread.
 */
void mtsi_clients_peek(struct mts_server *server,
	void (*look)(const struct mts_client *client, void *context), void *context);

#endif
