/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_H
#define MTSI_ENGINE_CLIENT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mtserver/handler.h>

#include "os/lock.h"
#include "wire/address.h"
#include "wire/queue.h"

struct mts_server;
struct mtsi_worker;

/*
 * Where a client stands. Forward only, each step made by its owner:
 *
 *   FREE -> WAITING -> SERVED -> (LINGERING ->) FREE
 *
 * WAITING belongs to the crew's ready list, SERVED to one worker, LINGERING to the keeper.
 */
enum mtsi_stage {
	MTSI_CLIENT_FREE, /* a slot that nobody uses */
	MTSI_CLIENT_WAITING, /* accepted, waits for a thread */
	MTSI_CLIENT_SERVED, /* a worker serves it */
	MTSI_CLIENT_LINGERING /* its callbacks are over; the socket waits for the peer to finish */
};

/*
 * One client. Its memory is a slot of the table in clients.h, never freed while the server lives: a
 * stale pointer or id meets another client or a free slot, never freed memory.
 *
 * "Owner" is whoever the stage above names. "Lock" is the member of that name: whoever wants to use
 * the socket or the queue without owning the client holds it, and looks at id and fd again under
 * it.
 */
struct mts_client {
	struct mts_server *server; /* constant */
	struct mtsi_lock lock;
	uint64_t id; /* the owner writes under the lock; others read under the lock */
	int fd; /* likewise; -1: none */
	uint32_t watched; /* lock: what epoll watches the socket for; 0: it is not in epoll */
	struct mtsi_queue output; /* lock: what the socket has not taken yet */
	_Atomic bool lost; /* set under the lock: nothing can be sent or received any more */
	_Atomic bool cut; /* set under the lock, with lost: the server did that */
	unsigned char stage; /* lock */
	bool opened; /* owner: the open hook has agreed */
	uint32_t drained; /* owner: bytes thrown away while lingering */
	struct mtsi_peer peer; /* owner */
	void *data; /* owner: the program's */
	struct mtsi_worker *worker; /* owner: who serves it; NULL when no call may use it any more */
	uint64_t due; /* linger lock: when lingering ends */

	/*
	 * Place in the list of its stage: free slots, ready clients, lingerers; the lock of that list.
	 */
	struct mts_client *next;
	struct mts_client *previous;
};

#ifndef MTSI_DEBUG
static_assert(sizeof(struct mts_client) <= 256, "what an idle client may cost");
#endif

/*
 * Changes what epoll watches the socket for; 0: nothing. Under the client's lock. 0 or a negative
 * errno value, and then nothing has changed.
 */
int mtsi_client_watch_locked(struct mts_client *client, uint32_t events);

/*
 * The connection is no good any more, for whatever reason: drops what waits, takes the socket out
 * of epoll, which would go on reporting it, and shuts it down, which wakes whoever waits on it.
 * Under the client's lock.
 */
void mtsi_client_lose_locked(struct mts_client *client);

/*
 * Closes the socket and gives the slot back. By the owner, after its last callback; the client is
 * not to be touched afterwards.
 */
void mtsi_client_close(struct mts_client *client);

#endif
