/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_EVICTION_H
#define MTSI_ENGINE_DOOR_EVICTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/lock.h"

struct mts_client;
struct mts_server;
struct mtsi_list;

/* A client that was idle, since `since`, when all were looked at. */
struct mtsi_candidate {
	uint64_t id;
	uint64_t since;
};

enum { MTSI_CANDIDATES = 64 };

/* Which client is to go, so that another one may come. */
struct mtsi_eviction {
	_Atomic bool wanting; /* an idle client is wanted; written under the lock */
	_Atomic uint64_t retry_at; /* when the keeper is to try again; MTSI_NEVER: not at all */
	struct mtsi_lock lock; /* guards the rest; taken before a client's, or the door's */
	struct mtsi_candidate past; /* all up to this one have been refused while one was wanted */
	struct mtsi_candidate list[MTSI_CANDIDATES]; /* the longest idle first */
	size_t next; /* the first in the list that is not used up */
	size_t count;
	uint64_t rest_until; /* no look at all clients before this time */
};

void mtsi_eviction_init(struct mtsi_eviction *eviction);
void mtsi_eviction_free(struct mtsi_eviction *eviction);

/*
 * Cuts off as many idle clients as the door wants; those that were parked are put into `claimed`,
 * which is to be offered to the crew. If there are too few, the rest is done later, without a
 * further call. Threads of the library, with no lock held.
 */
void mtsi_eviction_run(struct mts_server *server, struct mtsi_list *claimed);

/* Whether an idle client is wanted. Any thread. */
static inline bool mtsi_eviction_wanted(const struct mtsi_eviction *eviction)
{
	return atomic_load(&eviction->wanting);
}

/* The client with this id has perhaps just become idle. Threads of the library, no lock held. */
void mtsi_eviction_offer(struct mts_server *server, uint64_t id);

/* The door may want more clients to go. Any thread. */
void mtsi_eviction_soon(struct mts_server *server);

/* Tries again if it is time for that; returns when to call it again. The keeper. */
uint64_t mtsi_eviction_retry(struct mts_server *server, uint64_t now);

/* The next look at all clients need not wait for a while after the last one. Any thread. */
void mtsi_eviction_look_again(struct mts_server *server);

/*
 * Takes back a client that is held (mtsi_door_take_back()), while nobody else is about to evict, and may
 * find that there is nobody. Any thread.
 */
bool mtsi_eviction_take_back(struct mts_server *server, struct mts_client *client);

#endif
