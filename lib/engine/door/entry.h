/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_ENTRY_H
#define MTSI_ENGINE_DOOR_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

struct mts_server;
struct mtsi_listener;
struct mtsi_listeners;

/*
 * Takes the turn to accept at the listener with that tag: its descriptor, which stays open and is
 * nobody else's to accept from until the turn is given back; or -1: it is closed, or somebody else
 * accepts, and then what waits is reported again. By who polls, with no lock held; it may sleep in
 * its turn.
 */
int mtsi_entry_take(struct mts_server *server, uint64_t tag);

/* Gives the turn back. By who has taken it, with no lock held. */
void mtsi_entry_give_back(struct mts_server *server, uint64_t tag);

/* Whether somebody accepts at it, or may be about to. Under the listeners' lock. */
bool mtsi_entry_taken_locked(
	struct mtsi_listeners *listeners, const struct mtsi_listener *listener);

/*
 * The address of a listener that others have too and at which somebody accepts, so perhaps sleeps;
 * NULL: there is none. Any thread.
 */
const char *mtsi_entry_taken(struct mts_server *server);

/* Gives away the spare descriptor; -1: there is none. Who accepts. */
int mtsi_entry_take_spare(struct mts_server *server);

/* Keeps this one as the spare descriptor; -1: it could not be had. Who accepts. */
void mtsi_entry_keep_spare(struct mts_server *server, int spare);

/* Opens the spare descriptor if there is none. Who accepts. */
void mtsi_entry_want_spare(struct mts_server *server);

#endif
