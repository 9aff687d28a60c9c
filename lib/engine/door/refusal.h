/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_REFUSAL_H
#define MTSI_ENGINE_DOOR_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

struct mts_client;
struct mts_server;

enum { MTSI_MOST_REFUSAL = 1024 };

/* What clients for which there is no room are told. */
struct mtsi_refusal {
	size_t size; /* both under the door's lock; 0: they are told nothing */
	char words[MTSI_MOST_REFUSAL];
};

/* Live: copies so many bytes, at most MTSI_MOST_REFUSAL. Any thread. */
void mtsi_refusal_set(struct mts_server *server, const void *words, size_t size);

/*
 * There is no room for this client, which has just been accepted: it is counted, told so, and lingers
 * if it can, or is closed. By its owner, to which it is lost then; no lock is held. Never waits.
 */
void mtsi_refusal_turn_away(struct mts_client *client);

/*
 * The client was let in, and its header shows that there is no room for it: it is told so, and sealed.
 * True: it is to linger; else to be closed at once. By its owner; never waits.
 */
bool mtsi_refusal_tell(struct mts_client *client);

/*
 * The same for a connection that is no client, since there are no descriptors: it is closed at once.
 * Unless `tells`, it is told nothing.
 */
void mtsi_refusal_close(struct mts_server *server, int fd, bool tells);

#endif
