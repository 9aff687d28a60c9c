/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_LINGER_H
#define MTSI_ENGINE_DOOR_LINGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/lock.h"

struct mts_client;
struct mts_server;

/* A list of clients, the one that is due first at the front. */
struct mtsi_lingerers {
	struct mts_client *first;
	struct mts_client *last;
};

/*
 * Sockets whose close waits for the peer to finish. They are parked, so no thread waits for them.
 */
struct mtsi_linger {
	struct mtsi_lock
		lock; /* taken last; guards all of this, and next, previous and lingers_since of those in the lists */
	struct mtsi_lingerers
		usual; /* as long as the server says, so in the order in which they came */
	struct mtsi_lingerers own; /* with a timeout of their own, in the order in which they are due */
	bool over; /* the server ends: none may linger any more */
	_Atomic size_t count; /* written under the lock */
	_Atomic size_t sending; /* of these, those with their sending side open; likewise */
	uint64_t look_at; /* the keeper's: when to look at those next */
};

void mtsi_linger_init(struct mtsi_linger *linger);
void mtsi_linger_free(struct mtsi_linger *linger);

/*
 * Ends a client whose callbacks are over and whose output the kernel has. Closes it at once when it
 * is given up, or when nothing can be lost by that; else lets it linger. Up to `corked` bytes of
 * output have not been sent yet only because the kernel waits for this. By the owner, to which it
 * is lost.
 */
void mtsi_linger_or_close(struct mts_client *client, bool given_up, size_t corked);

/* Whether one more may linger, without a place being taken from another. Any thread. */
bool mtsi_linger_has_room(struct mts_server *server);

/*
 * Something happened on a lingering client's socket. By the thread that polls, once it has claimed
 * the client.
 */
void mtsi_linger_event(struct mts_client *client);

/*
 * Closes those that are due or too many, and looks at those whose progress raises no event; returns
 * when to call it again. The keeper.
 */
uint64_t mtsi_linger_expire(struct mts_server *server, uint64_t now);

/* Closes the one that is due first; false when there is none. Any thread. */
bool mtsi_linger_evict(struct mts_server *server);

/*
 * Closes all; clients that come later are closed at once. Returns how many there were. The keeper.
 */
size_t mtsi_linger_finish(struct mts_server *server);

#endif
