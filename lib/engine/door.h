/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_H
#define MTSI_ENGINE_DOOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/lock.h"

struct mts_server;

/* Admission: how many clients there are, and whether the listeners are watched. */
struct mtsi_door {
	struct mtsi_lock lock; /* guards the rest */
	size_t clients; /* from accept until their last callback is over */
	bool armed; /* the listeners are watched */
	bool open; /* the server runs and takes clients */
	uint64_t short_until; /* descriptors or memory are short: no accept before; 0: they are not */
	uint64_t freed; /* how many descriptors have become free so far */
	uint64_t short_for; /* how long the last pause was meant to be */
	_Atomic size_t max_clients; /* live; 0: not set yet */
};

void mtsi_door_init(struct mtsi_door *door);
void mtsi_door_free(struct mtsi_door *door);

/* Live: changes the limit, and lets in who may come now. Any thread. */
void mtsi_door_set_max_clients(struct mts_server *server, size_t clients);
size_t mtsi_door_max_clients(const struct mts_server *server);

/* Takes clients from now on; settles the default limit. */
void mtsi_door_open(struct mts_server *server);

/* Takes no more. */
void mtsi_door_shut(struct mts_server *server);

/*
 * How many clients may come in; when none, the listeners rest until one may. The one who accepts.
 * `*freed` is for mtsi_door_pause().
 */
size_t mtsi_door_room(struct mts_server *server, uint64_t *freed);
void mtsi_door_enter(struct mts_server *server);

/* A client's last callback is over. Any thread. */
void mtsi_door_leave(struct mts_server *server);

/* A descriptor has become free. Any thread. */
void mtsi_door_freed(struct mts_server *server);

/*
 * accept has run short of something: the listeners rest, each time in a row longer; unless a
 * descriptor has become free since `freed` was read.
 */
void mtsi_door_pause(struct mts_server *server, uint64_t now, uint64_t freed);

/* accept works. */
void mtsi_door_well(struct mts_server *server);

/* Ends a pause that is over; when the present one ends. The keeper. */
uint64_t mtsi_door_resume(struct mts_server *server, uint64_t now);

/* How many clients there are. */
size_t mtsi_door_clients(struct mts_server *server);

#endif
