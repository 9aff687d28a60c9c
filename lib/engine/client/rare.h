/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_RARE_H
#define MTSI_ENGINE_CLIENT_RARE_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/options.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/floor.h"
#include "engine/client/ticket.h"

struct mtsi_via;

/*
 * What only few clients have, so that it has no place among the 256 bytes that each client costs.
 * It is reset when the client goes. All zero means that the client has nothing of it.
 */
struct mtsi_rare {
	/* Its own timeouts: 0: it has none, and the server's holds; else one more than milliseconds. */
	_Atomic unsigned timeouts[MTSI_TIMEOUTS];
	/* In nanoseconds, for the present call of its handler, which has changed it; 0: it has not. */
	_Atomic uint64_t handler;
	struct mtsi_ticket ticket; /* for a reply that comes later */
	struct mtsi_via *via; /* of its PROXY header; NULL: it has sent none. Freed by via.c */
};

#ifndef MTSI_DEBUG
static_assert(sizeof(struct mts_client) + sizeof(struct mtsi_rare) <= 400,
	"what a client may cost whose reply is deferred");
#endif

/*
 * A client's part; NULL: it has none. Whoever may touch the client, so that it knows what those did
 * who might before: that `any_rares` is set, too, if this client has one. Most servers need none.
 */
static inline struct mtsi_rare *mtsi_rare(const struct mts_client *client)
{
	struct mtsi_clients *clients = &mtsi_client_floor(client->server)->clients;
	if (!atomic_load_explicit(&clients->any_rares, memory_order_relaxed)) {
		return NULL;
	}
	const size_t slot = mtsi_slot_of(atomic_load_explicit(&client->id, memory_order_relaxed));
	const unsigned chunk = mtsi_slot_chunk(slot);
	struct mtsi_rare *first = atomic_load(&clients->rares[chunk]);
	return first != NULL ? first + (slot - mtsi_chunk_start(chunk)) : NULL;
}

/* The same, and it is made if need be. NULL: there is no memory for it. */
struct mtsi_rare *mtsi_rare_make(const struct mts_client *client);

/* The client goes, and who gets its slot next has nothing. The owner. */
void mtsi_rare_forget_some(struct mtsi_rare *rare);

static inline void mtsi_rare_forget(const struct mts_client *client)
{
	struct mtsi_rare *rare = mtsi_rare(client);
	if (rare != NULL) {
		mtsi_rare_forget_some(rare);
	}
}

/* All that was made for a server's clients is given back. */
void mtsi_rares_free(struct mtsi_clients *clients);

#endif
