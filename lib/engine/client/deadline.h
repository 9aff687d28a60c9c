/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_DEADLINE_H
#define MTSI_ENGINE_CLIENT_DEADLINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/floor.h"
#include "engine/base/heap.h"
#include "engine/base/options.h"
#include "engine/client/client.h"
#include "os/clock.h"
#include "os/lock.h"

/* What a client may be waited for, besides room for its output. */
enum mtsi_wait {
	MTSI_WAIT_NOTHING,
	MTSI_WAIT_IDLE, /* the first byte of a request */
	MTSI_WAIT_REQUEST, /* the rest of a request, or what a callback reads beside requests: */
	MTSI_WAIT_HANDLER, /* not for the client, but for its handler, if that has a deadline */
	MTSI_WAIT_LATER, /* nor for it, but for its reply, which was deferred; never to block */
	MTSI_WAIT_HANDSHAKE, /* what comes before its open hook: a PROXY header */
	/* To block only: the same as REQUEST, but what comes is no part of a request. */
	MTSI_WAIT_READ = MTSI_WAIT_REQUEST | 256,
	/* The same as IDLE; but it is no wait for a request, so it makes no room for others. */
	MTSI_WAIT_RELAY = MTSI_WAIT_IDLE | 256
};

/* The deadlines of all clients. */
struct mtsi_deadlines {
	struct mtsi_lock lock; /* guards the rest, and the heap's node in each client */
	struct mtsi_heap heap; /* clients, by when they are to be looked at */
	uint64_t planned; /* when the keeper will look anyway; MTSI_NEVER: it will not */
	_Atomic bool changed; /* a timeout has been changed. Any thread */
};

void mtsi_deadlines_init(struct mtsi_deadlines *deadlines);
void mtsi_deadlines_free(struct mtsi_deadlines *deadlines);

/*
 * The owner, before it lets go of a client, says what the client is waited for from now on. A wait
 * of the same kind that has begun already goes on. False when that wait has lasted too long.
 */
bool mtsi_deadline_wait(struct mts_client *client, enum mtsi_wait kind, uint64_t now);

/* A wait is over, since a whole request is here. The owner. */
static inline void mtsi_deadline_met(struct mts_client *client)
{
	atomic_store_explicit(&client->waits, MTSI_WAIT_NOTHING, memory_order_relaxed);
}

/* How the owner blocks; the values are flags in the client's word (wait.h). */
enum mtsi_block { MTSI_BLOCK_MEMORY = 0, MTSI_BLOCK_RECEIVE = 32 };

/*
 * An owner begins to block, in a receive or for memory. False when this wait began earlier and has
 * lasted too long: then the owner must not block.
 */
bool mtsi_deadline_block(struct mts_client *client, enum mtsi_wait kind, enum mtsi_block how);

/*
 * The owner blocks no more. False when the deadline has ended the wait, by shutting down the
 * receiving side; the client's cause says which deadline.
 */
bool mtsi_deadline_unblock(struct mts_client *client);

/*
 * Whether the client's owner blocks. An owner says so first, and then looks whether the client is
 * lost. Any thread.
 */
bool mtsi_deadline_blocks(const struct mts_client *client);

/*
 * Whether the client's owner blocks in a receive until a request comes, or the rest of one; not in a
 * read beside requests. An owner says so first, and then looks whether the client ends. Any thread.
 */
bool mtsi_deadline_awaits_request(const struct mts_client *client);

/*
 * The owner gives the client up, since a wait of this kind has lasted too long, and all that had
 * come by then has been taken. This becomes the client's cause, unless it has one. Counted and
 * logged. No lock is held.
 */
void mtsi_deadline_end(struct mts_client *client, enum mtsi_wait kind);

/* Whether any handler may have a deadline. Any thread. */
static inline bool mtsi_deadline_times_handlers(struct mts_server *server)
{
	const struct mtsi_options *options = &mtsi_base_floor(server)->options;
	return atomic_load_explicit(&options->handlers_timed, memory_order_relaxed);
}

/* The handler begins: returns the time, if it has a deadline, else 0. The owner. */
uint64_t mtsi_deadline_handler(struct mts_client *client);

/*
 * The handler goes on, after a blocking call in which it waited for its client: it counts as
 * running since `since`. 0: it has ended. The owner.
 */
void mtsi_deadline_handler_since(struct mts_client *client, uint64_t since);

/* Whether the handler has run for too long. The owner. */
bool mtsi_deadline_overrun(const struct mts_client *client);

/*
 * Says whether output waits for room in the socket, and whether it has made progress. Under the
 * client's lock.
 */
void mtsi_deadline_output_locked(struct mts_client *client, bool waits, bool progress);

/*
 * Since when a client waits for its next request, or for what comes before the first; 0: it does
 * not. A moment later it may. Any thread.
 */
uint64_t mtsi_deadline_idle_since(const struct mts_client *client);

/*
 * Ends such a wait, if the client's owner blocks in it: true, and the owner gets no request any
 * more. Under the client's lock; the caller cuts the client off next.
 */
bool mtsi_deadline_end_idle(struct mts_client *client);

/* The client ends: no deadline of it runs any more. The owner. */
void mtsi_deadline_forget(struct mts_client *client);

/* A timeout of the client's own has been changed. The owner, under the client's lock. */
void mtsi_deadline_changed_locked(struct mts_client *client);

/* A timeout of the server's has been changed while it runs. Any thread. */
void mtsi_deadlines_changed(struct mts_server *server);

#endif
