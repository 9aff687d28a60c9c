/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_CLIENT_H
#define MTSI_ENGINE_CLIENT_CLIENT_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mtserver/handler.h>

#include "engine/base/heap.h"
#include "os/lock.h"
#include "wire/address.h"
#include "wire/buffer.h"

struct mts_server;
struct mtsi_list;
struct mtsi_worker;

/*
 * Where a client is in its life. It only goes forward. Each step is made by the client's owner,
 * under the client's lock; steps may be left out:
 *
 *   FREE -> WAITING -> OPENING -> SERVED -> ENDING -> SEALED -> LINGERING -> FREE
 *
 * The table in client.c says what others may do to the client in each stage, while it is not lost.
 * The owner may be a line of the crew, a worker, or the thread that polls (claim.h). A client
 * without an owner is parked, and whoever claims it becomes its owner.
 */
enum mtsi_stage {
	MTSI_CLIENT_FREE, /* a slot that nobody uses */
	MTSI_CLIENT_WAITING, /* accepted, waits for its first turn */
	MTSI_CLIENT_OPENING, /* its PROXY header is awaited, or its open hook runs */
	MTSI_CLIENT_SERVED, /* its requests are handled */
	MTSI_CLIENT_ENDING, /* why it ends is known; what was written for it is still sent */
	MTSI_CLIENT_SEALED, /* nothing is sent or received any more; the close hook runs */
	MTSI_CLIENT_LINGERING /* its callbacks are over; the socket waits for the peer to finish */
};

/*
 * What threads other than the owner may do to a client, or for it: a set of these for each stage.
 */
enum mtsi_may {
	MTSI_MAY_CUT = 1, /* it can be cut off, or hurried if it ends already */
	MTSI_MAY_DROP = 2, /* a kick, or the want of memory, may be the reason of the cut */
	MTSI_MAY_EVICT = 4, /* it makes room for another client, if it is idle */
	MTSI_MAY_EXPIRE = 8, /* a deadline ends a wait of it */
	MTSI_MAY_SEND_ON = 16, /* what is queued for it is sent on */
	MTSI_MAY_MESSAGE = 32, /* it takes messages from elsewhere */
	MTSI_MAY_FINISH = 64 /* it can be told to end after its present request */
};

/*
 * One client. Its memory is a slot of the table in clients.h, never freed while the server lives: a
 * stale pointer or id meets another client or a free slot, never freed memory.
 *
 * "Lock" is the member of that name. A thread that does not own the client, and wants to use its
 * socket or its queue, takes the lock, and looks at id and fd again under it.
 */
struct mts_client {
	/* What every turn touches comes first, in two cache lines. */
	alignas(64) struct mts_server *server; /* constant */
	_Atomic uint64_t id; /* written under the lock, by the thread that opens the client */
	_Atomic uint32_t claim; /* see claim.h */
	int fd; /* the owner writes under the lock; -1: none */
	struct mtsi_worker *worker; /* owner: who serves it; NULL when no call may use it any more */
	void *data; /* owner: the program's */
	struct mts_client *next; /* in a line that owns it, or the list of lingerers or of free slots */
	char *saved; /* owner: input that no worker's buffer holds; NULL: none */
	_Atomic bool lost; /* set under the lock: nothing can be sent or received any more */
	_Atomic unsigned char armed; /* see deadline.c */
	_Atomic bool special; /* a short read need not be all; set by who polls, before it claims */
	/* In one byte, which the owner alone touches: */
	bool opened : 1; /* the open hook has agreed */
	bool throttled : 1; /* its turn waits until less of its output does, for memory, or as: */
	bool deferred : 1; /* the handler has returned, and its reply is still to come */
	bool registered : 1; /* it is in epoll, and watched for input */
	bool said : 1; /* its peer has been told why it ends; kept while it lingers */
	bool awaits_header : 1; /* its PROXY header is still to come (engine/serve/header.c) */
	bool had_last : 1; /* in the grace of a stop: it has been given its last request */
	_Atomic bool muted; /* nothing more is written: lost or shut down; set under the lock */
	unsigned char stage; /* lock */
	_Atomic bool ends; /* lost, finishing, or told of a stop: set under the lock; see client.c */

	uint32_t watched; /* lock: what registration.c has epoll watch for; 0: it is not in epoll */
	union { /* owner */
		uint32_t ready_at; /* while it is in the ready or later list: since when, in microseconds */
		uint32_t discarded; /* while it lingers: bytes thrown away */
	};
	_Atomic uint64_t waits; /* what the client is waited for, and since when: see deadline.c */
	struct mtsi_lock lock;
	struct mtsi_buffer output; /* lock: what the socket has not taken yet */

	uint32_t saved_size; /* owner, like the next two: of the input that is saved */
	uint32_t saved_capacity; /* without the byte behind it for a NUL */
	uint32_t saved_scanned; /* what framing has searched already */
	_Atomic int cause; /* why the server has cut it off, one of enum mts_closed; or MTSI_NO_CAUSE */
	bool writing : 1; /* lock: its worker waits for room, in the middle of a write perhaps */
	bool evicted : 1; /* lock: the door counts it among those that make room */
	bool deaf : 1; /* lock: a stop has shut its receiving side */
	_Atomic bool cut; /* its time is up, as a client or as a lingerer; under the lock of either */
	_Atomic unsigned char listing; /* how it stands in the address book; see there */
	uint32_t stuck_with; /* lock: bytes that the peer had not acknowledged at stuck_since */
	union {
		size_t resume_at; /* lock: it wants a turn when so little output waits; or MTSI_NO_WISH */
		uint64_t lingers_since; /* linger lock: while it lingers */
	};
	struct mtsi_peer peer; /* the owner writes under the lock */
	_Atomic uint64_t
		stuck_since; /* written under the lock: since when its output makes no progress */
	struct mtsi_heap_node deadline; /* deadlines' lock: when to look at it, or MTSI_NEVER */
	union {
		struct mts_client *previous; /* linger lock, while it lingers */
		struct { /* before that: the owner writes, others read under the lock; see memory.c */
			_Atomic uint32_t input_memory; /* bytes that are charged for its input */
			_Atomic uint32_t wants; /* its input waits for so many more; 0: it waits for none */
		};
	};
	bool sends; /* linger lock: it lingers with its sending side open */
	bool shared; /* owner: somebody else has, or had, its socket, and may have set options */
	_Atomic bool
		has_replies; /* the owner: replies lie in its worker's buffers; read under the lock */
	unsigned char dropped; /* lock: see enum mtsi_dropped */
	uint16_t listener; /* constant: which one it has come through; or MTSI_NO_LISTENER */
	signed char reason; /* owner: why it ends, one of enum mts_closed; from ENDING on */
	_Atomic bool finishing; /* set under the lock: it gets no further request; read anywhere */
};

/* How a client stands in the address book (engine/door/address_book.h). */
enum mtsi_listing {
	MTSI_UNLISTED, /* it is not counted: nobody counts, or not yet */
	MTSI_LISTED, /* its address counts it */
	MTSI_DELISTED /* it is not to be counted: it is no client any more, or no one's yet */
};

/* What has become of the output that the program has written for a client. */
enum mtsi_dropped {
	MTSI_DROPPED_NOTHING, /* all of it is sent, or will be */
	MTSI_DROPPED_NOTHING_AND_ENDED, /* and the peer has been told that there is no more */
	MTSI_DROPPED_SOME, /* so the peer must not get an orderly end */
	MTSI_DROPPED_AND_RESET /* and the peer has got a reset */
};

#define MTSI_NO_WISH SIZE_MAX
#define MTSI_NO_LISTENER UINT16_MAX
enum { MTSI_NO_CAUSE = -1 };

#ifndef MTSI_DEBUG
static_assert(sizeof(struct mts_client) <= 256, "what an idle client may cost");
#endif

/*
 * The connection can be used no more, for whatever reason. Drops what waits, and takes the socket
 * out of epoll, which would go on reporting it. Ends the connection, which wakes any thread that
 * waits on it: with a reset if anything that the program wrote is dropped, else in order. This may
 * be called again, and then does what is still to be done; so a thread that wakes on the socket
 * calls it. Under the client's lock.
 */
void mtsi_client_lose_locked(struct mts_client *client);
void mtsi_client_lose(struct mts_client *client); /* takes that lock */

/*
 * Notes that something that was written will not be sent. The client must be ended next. Under the
 * client's lock.
 */
static inline void mtsi_client_drop_locked(struct mts_client *client)
{
	if (client->dropped < MTSI_DROPPED_SOME) {
		client->dropped = MTSI_DROPPED_SOME;
	}
}

/*
 * The first reply comes into the worker's empty buffers: true, and from now on a thread that cuts
 * the client off knows that it drops replies. False: the client is lost. By the owner.
 */
static inline bool mtsi_client_begin_replies(struct mts_client *client)
{
	atomic_store(&client->has_replies, true); /* before `lost`: see client.c */
	const bool lost = atomic_load(&client->lost);
	if (lost) {
		atomic_store_explicit(&client->has_replies, false, memory_order_relaxed);
	}
	return !lost;
}

/* Whether this may be done to the client in its stage. Under the client's lock, or the owner. */
extern const unsigned char mtsi_client_stages[];
static inline bool mtsi_client_may(const struct mts_client *client, enum mtsi_may what)
{
	return (mtsi_client_stages[client->stage] & what) != 0;
}

/* The same, and the client is not lost. Under the client's lock. */
static inline bool mtsi_client_may_still(const struct mts_client *client, enum mtsi_may what)
{
	return mtsi_client_may(client, what) && !atomic_load(&client->lost);
}

/*
 * The owner has nothing more for the client. True: it ends in order, since the kernel has all that
 * was written. False: it was lost before, or it is lost now, because something is dropped, or
 * because of `given_up`. `*dropped`: something was dropped.
 */
bool mtsi_client_seal(struct mts_client *client, bool given_up, bool *dropped);

/*
 * The server's own doing: the client is lost for this reason, one of enum mts_closed, unless it is
 * lost already. No request of it is handled any more, not even one that is here. If it is parked,
 * it is claimed and put into `claimed`, which is to be offered to the crew, so that it gets a turn
 * to end in. A client that lingers is left alone. Under the client's lock. True when this call has
 * cut it off: the first cause is the one that counts.
 */
bool mtsi_client_cut_locked(struct mts_client *client, int reason, struct mtsi_list *claimed);

/*
 * From elsewhere: the client ends when its present request is finished, as after MTS_CLOSE. It gets
 * no further request, not even one that is here, and no further message. If it is parked, it is
 * claimed and put into `claimed`, as above. Under the client's lock. False when it ends already.
 */
bool mtsi_client_finish_locked(struct mts_client *client, struct mtsi_list *claimed);

/*
 * The server stops: an owner that waits for a request is woken, and waits for none from now on. What
 * a callback reads beside requests is still waited for. Under the client's lock.
 */
void mtsi_client_stop_waiting_locked(struct mts_client *client);

/*
 * The grace of a stop begins: the client gets one more request, and then ends. Nobody is woken. Under the
 * client's lock.
 */
static inline void mtsi_client_give_grace_locked(struct mts_client *client)
{
	atomic_store(&client->ends, true);
}

/* Whether a stop has shut the receiving side, so that an end of the stream need not be the peer's. */
bool mtsi_client_is_deaf(struct mts_client *client);

/* Whether our side of the stream has ended before the client does. Under the lock, or the owner. */
static inline bool mtsi_client_is_shut(const struct mts_client *client)
{
	return atomic_load(&client->muted) && !atomic_load(&client->lost);
}

/* Whether it was told to finish, and is to get no further request. Any thread. */
static inline bool mtsi_client_finishes(const struct mts_client *client)
{
	return atomic_load(&client->finishing);
}

/* Whether the client has been cut. Any thread that may touch it. */
static inline bool mtsi_client_is_cut(const struct mts_client *client)
{
	return atomic_load_explicit(&client->lost, memory_order_acquire)
		&& atomic_load_explicit(&client->cut, memory_order_relaxed);
}

/*
 * Closes the socket and gives the slot back. By the owner, after its last callback; the client is
 * not to be touched afterwards.
 */
void mtsi_client_close(struct mts_client *client);

/* The same for a client that was never offered to the crew, but its socket stays open. By the owner. */
void mtsi_client_disown(struct mts_client *client);

#endif
