/* SPDX-License-Identifier: MIT
 *
 * Deferred replies: a server of lines whose handler gives its tickets to the test.
 */
#ifndef LATER_H
#define LATER_H

#include "support.h"

enum { LATER_MOST = 20000 };

/* A reply that is owed. */
struct later_ticket {
	uint64_t id;
	int64_t ticket;
};

extern struct later {
	struct gate opened; /* clients */
	struct gate asked; /* tickets that have been given out: so many of these are written */
	struct gate leave; /* what handlers may wait for */
	struct endings endings;
	struct later_ticket tickets[LATER_MOST];
	_Atomic uint64_t ids[LATER_MOST]; /* of clients, in the order in which they have opened */
	_Atomic int64_t answers[4]; /* what callbacks were told */
} later;

void later_setup(void);

/* The server, not started; and one with another handler. */
mts_server *later_server(void);
mts_server *later_server_of(mts_handler handler);

/* Its handler: defers the reply to "later", and echoes all else. A ticket that is to be given out. */
int later_answer(mts_client *client, const void *request, size_t size, void *user);
int64_t later_take(mts_client *client);

/* A peer has asked, so that the number-th reply is owed, and its client waits for that. */
int later_ask(mts_server *server);
void later_waits(int number);

/* Completes the number-th reply that was asked for, from 0 on, after sending it, if it is not NULL. */
int later_complete(mts_server *server, int number, const char *reply, int verdict);

/* Ends it all; each client has ended once. */
void later_end(mts_server *server, int peer);

#endif
