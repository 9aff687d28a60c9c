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
	 * Descriptors that the default limit leaves free: for those who are held, one that is being
	 * refused, and what log hook and handlers open now and then.
	 */
	MTSI_RESERVED_DESCRIPTORS = 8,
	MTSI_MOST_HELD = 4
};

/* Admission: how many clients there are, who waits for room, and whether the listeners are watched. */
struct mtsi_door {
	struct mtsi_lock lock; /* guards the rest */
	size_t clients; /* from when they were let in until their last callback is over */
	struct mtsi_list held; /* accepted, and not let in yet: there is no room; owned by this line */
	size_t evicting; /* how many have been evicted for these, and have not left yet */
	bool armed; /* the listeners are watched */
	bool open; /* the server runs and takes clients */
	size_t in_use; /* descriptors that were open when it started */
	uint64_t short_until; /* descriptors or memory are short: no accept before; 0: they are not */
	uint64_t freed; /* how many descriptors have become free so far */
	uint64_t short_at; /* when the last pause began */
	uint64_t short_for; /* how long it was meant to be */
	_Atomic size_t max_clients; /* live; 0: not set yet */
};

void mtsi_door_init(struct mtsi_door *door);
void mtsi_door_free(struct mtsi_door *door);

/*
 * Live: changes the limit. True: somebody waits who may come now (mtsi_eviction_soon()). Any
 * thread.
 */
bool mtsi_door_set_max_clients(struct mts_server *server, size_t clients);

/* The limit. Any thread. */
size_t mtsi_door_max_clients(struct mts_server *server);

/*
 * Counts the descriptors that are open. By who starts the server, so that nothing is opened, even
 * for a moment, once it runs.
 */
void mtsi_door_prepare(struct mts_server *server);

/*
 * Takes clients from now on. Settles the default limit; says so when the descriptors do not suffice
 * for the one that was set. The keeper.
 */
void mtsi_door_open(struct mts_server *server);

/* Takes no more, and turns away those who are held. The keeper. */
void mtsi_door_shut(struct mts_server *server);

/*
 * How many connections may be accepted; when none, the listeners rest until one may. The one who
 * accepts. `*freed` is for mtsi_door_pause().
 */
size_t mtsi_door_room(struct mts_server *server, uint64_t *freed);

/* What becomes of a client that has been accepted. */
enum mtsi_admission {
	MTSI_LET_IN,
	MTSI_HELD_BACK, /* the door owns it now, until there is room for it */
	MTSI_FULL /* there is no room, and it is not to wait: it is the caller's still */
};
enum mtsi_admission mtsi_door_enter(struct mts_server *server, struct mts_client *client);

/* Closes a client that was never let in, or never opened. Its owner, who loses it. */
void mtsi_door_turn_away(struct mts_client *client);

/*
 * The last callback of a client is over, which had been evicted or not. Threads of the library; who
 * was held and comes in now is offered to the crew.
 */
void mtsi_door_leave(struct mts_server *server, bool evicted);

/*
 * Whether one more client has to be evicted, for those who are held: it counts as evicted then. Any
 * thread.
 */
bool mtsi_door_begin_eviction(struct mts_server *server);

/* None was found: it does not. Any thread. */
void mtsi_door_cancel_eviction(struct mts_server *server);

/* Closes a client (mtsi_client_close()), and knows that a descriptor has become free by that. */
void mtsi_door_close(struct mts_client *client);

/* A descriptor has become free. Any thread. */
void mtsi_door_freed(struct mts_server *server);

/*
 * A descriptor is free again that was taken after `since`, for a moment: the pause may be for want
 * of it if that began meanwhile. Any thread.
 */
void mtsi_door_returned(struct mts_server *server, uint64_t since);

/*
 * accept has run short of something: the listeners rest, each time in a row longer; unless a
 * descriptor has become free since `freed` was read.
 */
void mtsi_door_pause(struct mts_server *server, uint64_t now, uint64_t freed);

/* accept works. */
void mtsi_door_well(struct mts_server *server);

/*
 * Whether this listener is not to be watched for connections for the time being, armed or not. Under
 * the listeners' lock; who polls.
 */
void mtsi_door_put_off(struct mts_server *server, struct mtsi_listener *listener, bool put_off);

/* Lets in who may come now; ends a pause that is over; when the present one ends. The keeper. */
uint64_t mtsi_door_resume(struct mts_server *server, uint64_t now);

/* How many clients there are. */
size_t mtsi_door_clients(struct mts_server *server);

#endif
