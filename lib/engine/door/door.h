/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_DOOR_H
#define MTSI_ENGINE_DOOR_DOOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/client/list.h"
#include "os/lock.h"

struct mts_client;
struct mts_server;
struct mtsi_listener;

enum {
	/*
	 * Descriptors that the default limit leaves free: for clients that are held, for one that is
	 * being refused, and for what the log hook and handlers open now and then.
	 */
	MTSI_RESERVED_DESCRIPTORS = 8,
	MTSI_MOST_HELD = 4
};

/* Admission: how many clients there are, who waits for room, and whether the listeners are watched. */
struct mtsi_door {
	struct mtsi_lock lock; /* guards the rest */
	size_t clients; /* from when each was let in until its last callback is over */
	struct mtsi_list held; /* accepted, and not let in yet: there is no room; owned by this line */
	size_t evicting; /* clients that were evicted for these, and have not left yet */
	bool armed; /* the listeners are watched */
	bool open; /* the server runs and takes clients */
	size_t in_use; /* descriptors that were open when the server started */
	uint64_t short_until; /* descriptors or memory are short: no accept before; 0: all is well */
	uint64_t freed; /* how many descriptors have become free so far */
	uint64_t short_at; /* when the last pause began */
	uint64_t short_for; /* how long it was to last */
	_Atomic size_t max_clients; /* live; 0: not set yet */
	_Atomic bool suspended; /* nobody is to be accepted; written under the lock, read anywhere */
	bool told; /* the log has been told that */
	bool usual; /* that is the default, not set by the program */
};

void mtsi_door_init(struct mtsi_door *door);
void mtsi_door_free(struct mtsi_door *door);

/*
 * Live: changes the limit. True: a client waits that may come in now (mtsi_eviction_soon()). Any
 * thread.
 */
bool mtsi_door_set_max_clients(struct mts_server *server, size_t clients);

/* The limit. Any thread. */
size_t mtsi_door_max_clients(struct mts_server *server);

/*
 * Counts the descriptors that are open, and settles the default limit by that. By the thread that
 * starts the server, so that nothing is opened for this, even for a moment, once the server runs.
 */
void mtsi_door_prepare(struct mts_server *server);

/*
 * Takes clients from now on. Logs if there are not enough descriptors for a limit that the program
 * has set. The keeper.
 */
void mtsi_door_open(struct mts_server *server);

/* Takes no more clients. Those that are held still come in when there is room for them. The keeper. */
void mtsi_door_shut(struct mts_server *server);

/* Turns away those that are held. Once the door is shut; the keeper. */
void mtsi_door_turn_away_held(struct mts_server *server);

/*
 * How many connections may be accepted; if none, the listeners rest until one may. By the thread
 * that accepts. `*freed` is for mtsi_door_pause().
 */
size_t mtsi_door_room(struct mts_server *server, uint64_t *freed);

/* What becomes of a client that has been accepted. */
enum mtsi_admission {
	MTSI_LET_IN,
	MTSI_HELD_BACK, /* the door owns it now, until there is room for it */
	MTSI_FULL /* there is no room, and it is not to wait: it is still the caller's */
};
enum mtsi_admission mtsi_door_enter(struct mts_server *server, struct mts_client *client);

/* The same for one that is held back only if somebody else may be evicted for it. */
enum mtsi_admission mtsi_door_enter_or_evict(struct mts_server *server, struct mts_client *client);

/* Takes back a client that is held, unless others go for all that are, or it has come in. */
bool mtsi_door_take_back(struct mts_server *server, struct mts_client *client);

/* Whether clients may come in. Any thread, like the three above. */
bool mtsi_door_is_open(struct mts_server *server);

/*
 * Closes a client that was never let in, or never opened. By its owner, to which it is lost then.
 */
void mtsi_door_turn_away(struct mts_client *client);

/*
 * The last callback of a client is over; `evicted`: it was evicted. Threads of the library. A
 * client that was held, and comes in now, is offered to the crew.
 */
void mtsi_door_leave(struct mts_server *server, bool evicted);

/*
 * Whether one more client has to be evicted, for those that are held; if so, it counts as evicted.
 * Any thread.
 */
bool mtsi_door_begin_eviction(struct mts_server *server);

/* None could be evicted: that count is taken back. Any thread. */
void mtsi_door_cancel_eviction(struct mts_server *server);

/* Closes a client (mtsi_client_close()), and takes note that this has freed a descriptor. */
void mtsi_door_close(struct mts_client *client);

/* Whether the program wants nobody accepted (suspend.h). Any thread. */
static inline bool mtsi_door_is_suspended(const struct mtsi_door *door)
{
	return atomic_load(&door->suspended);
}

/* Arms or disarms the listeners, as things stand. Under the door's lock. */
void mtsi_door_arm_locked(struct mts_server *server);

/* A descriptor has become free. Any thread. */
void mtsi_door_freed(struct mts_server *server);

/*
 * A descriptor that was taken for a moment, after `since`, is free again. A pause that began
 * meanwhile may be for the lack of it, and ends. Any thread.
 */
void mtsi_door_returned(struct mts_server *server, uint64_t since);

/*
 * accept has run short of something: the listeners rest, longer each time in a row. Not if a
 * descriptor has become free since `freed` was read.
 */
void mtsi_door_pause(struct mts_server *server, uint64_t now, uint64_t freed);

/* accept works. */
void mtsi_door_well(struct mts_server *server);

/*
 * Whether this listener is not to be watched for connections for the time being, armed or not.
 * Under the listeners' lock; by the thread that polls.
 */
void mtsi_door_put_off(struct mts_server *server, struct mtsi_listener *listener, bool put_off);

/*
 * Lets in clients that may come now, and ends a pause that is over; returns when the present pause
 * ends. The keeper.
 */
uint64_t mtsi_door_resume(struct mts_server *server, uint64_t now);

/* How many clients there are. */
size_t mtsi_door_clients(struct mts_server *server);

#endif
