/* SPDX-License-Identifier: MIT
 *
 * A client that is relayed to a socket of the program, whose other end the test holds.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "reach.h"

enum route_kind { ROUTE_TCP, ROUTE_UNIX, ROUTE_NON_BLOCKING, ROUTE_KINDS };

struct route {
	mts_server *server;
	int peer; /* the client's end */
	int far; /* the other end of what it is relayed to, */
	int near; /* which the handler hands over */
	int descriptors; /* how many there were before */
};

/*
 * A server whose handler relays each client, after it has written "hello\n", to `near`; it notes what
 * it is told in reach.answers[0], and what mts_client_gone() says in [1], and returns [2], or with
 * [3] what it was told. Not started.
 */
void route_make(struct route *route, enum route_kind kind);

/* Starts it. The client has asked, with `more` in one piece with that, and the relay has begun. */
void route_start(struct route *route, const char *more);

/* Waits until the relay is over, for this reason: what it was told. */
int route_over(struct route *route, int reason);

/* Closes what is left; descriptors must be as many as before. */
void route_end(struct route *route);

/* Two connected ends of TCP on 127.0.0.1. */
void route_pair(int ends[2]);

#endif
