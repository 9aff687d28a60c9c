/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_ENTRY_H
#define MTSI_ENGINE_DOOR_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

struct mts_server;
struct mtsi_listener;
struct mtsi_listeners;

/*
 * Takes the turn to accept at the listener with that tag: returns its descriptor, which stays open,
 * and from which nobody else accepts, until the turn is given back. -1: the listener is closed, or
 * another thread accepts; in the second case what waits is reported again. By the thread that
 * polls, with no lock held; it may sleep in its turn.
 */
int mtsi_entry_take(struct mts_server *server, uint64_t tag);

/* Gives the turn back. By the thread that has it, with no lock held. */
void mtsi_entry_give_back(struct mts_server *server, uint64_t tag);

/* Waits until no thread has a turn, but not beyond `until`. Any thread, with no lock held. */
void mtsi_entry_wait_until_left(struct mts_server *server, uint64_t until);

/* Whether a thread accepts at it, or may be about to. Under the listeners' lock. */
bool mtsi_entry_taken_locked(
	struct mtsi_listeners *listeners, const struct mtsi_listener *listener);

/*
 * The address of a listener that others have too, at which a thread accepts, and so perhaps sleeps;
 * NULL: there is none. Any thread.
 */
const char *mtsi_entry_taken(struct mts_server *server);

/* Gives away the spare descriptor; -1: there is none. The thread that accepts. */
int mtsi_entry_take_spare(struct mts_server *server);

/* Keeps `spare` as the spare descriptor; -1: none could be had. The thread that accepts. */
void mtsi_entry_keep_spare(struct mts_server *server, int spare);

/* Opens the spare descriptor if there is none. The thread that accepts. */
void mtsi_entry_want_spare(struct mts_server *server);

#endif
