/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_ADDRESS_BOOK_H
#define MTSI_ENGINE_DOOR_ADDRESS_BOOK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "os/lock.h"

struct mts_client;
struct mts_server;

/* How many clients each address has, while there is a limit for that. */
struct mtsi_address_book {
	struct mtsi_lock changing; /* held by a thread while it changes the limit; taken first */
	struct mtsi_lock lock; /* guards the rest; taken after a client's */
	void *entries; /* a tree of tsearch(3); each entry counts a client */
	bool short_of_memory; /* a client that was there could not be counted */
	_Atomic size_t limit; /* 0: none; written under the lock, read by any thread */
};

void mtsi_address_book_init(struct mtsi_address_book *book);
void mtsi_address_book_free(struct mtsi_address_book *book);

/*
 * Live: how many clients an address may have; 0: any number. If there was no limit before, the
 * clients that are there are counted. 0, or -ENOMEM, and nothing has changed. Any thread.
 */
int mtsi_address_book_set_limit(struct mts_server *server, size_t clients);

/* The limit; 0: none. Any thread. */
size_t mtsi_address_book_limit(struct mts_server *server);

/*
 * Counts a client that has come: 0; -EUSERS when its address has as many as it may have; -ENOMEM.
 * By its owner, who calls mtsi_address_book_leave() in any case.
 */
int mtsi_address_book_enter(struct mts_client *client);

/* A client leaves, and is counted no more. By its owner. */
void mtsi_address_book_leave(struct mts_client *client);

#endif
