/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_TICKET_H
#define MTSI_ENGINE_CLIENT_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mts_client;
struct mts_server;
struct mtsi_signal;

enum mtsi_ticket_state {
	MTSI_TICKET_NONE, /* there is none, or the one that there was is no good any more */
	MTSI_TICKET_OPEN, /* the reply is still to come */
	MTSI_TICKET_COMPLETED /* it has come, and the owner does not know yet */
};

/*
 * For a reply that comes later than its handler returns. It is a part of the client's rare state
 * (rare.h). All of it is under the client's lock.
 */
struct mtsi_ticket {
	int64_t number; /* the latest ticket's; it counts how many the client has had */
	struct mtsi_signal *waiter; /* for this its owner waits, with a thread of its own */
	int verdict; /* once it is completed */
	unsigned char state; /* of the latest ticket */
	bool measured; /* a stop has come while it was open, and... */
	size_t last_left; /* ...this many bytes were in the socket by then: no others are served */
};

/*
 * Opens a ticket: its number; -EALREADY, there is one that has not been closed; or -ENOMEM. The
 * owner, like the next three; these take the client's lock.
 */
int64_t mtsi_ticket_open(struct mts_client *client);

/*
 * Looks whether the ticket is completed: true, and it is closed, and `*verdict` is what was said.
 * False: it is open.
 */
bool mtsi_ticket_collect(struct mts_client *client, int *verdict);

/* Closes the ticket, unless it is completed: false then. */
bool mtsi_ticket_close(struct mts_client *client);

/*
 * Waits until AGAIN has been left behind (claim.h) by somebody who then calls one of the two
 * functions that wake, or the client is lost.
 */
void mtsi_ticket_wait(struct mts_client *client);

/* Completes the open ticket, if that is the one: 0 or -ESTALE. Any thread, like the rest. */
int mtsi_ticket_complete_locked(struct mts_client *client, int64_t number, int verdict);

/* Whether the client is owed a reply. */
bool mtsi_ticket_is_open_locked(const struct mts_client *client);

/* Wakes the owner, if it waits. */
void mtsi_ticket_wake_locked(const struct mts_client *client);
void mtsi_ticket_wake(struct mts_server *server, uint64_t id); /* takes that lock */

#endif
