/* SPDX-License-Identifier: MIT
 *
 * A server whose clients share a little memory, and requests that take much of it. Where no client
 * is to be cut off, the library's clock stands still, so the server's patience does not end.
 */
#ifndef WEIGH_H
#define WEIGH_H

#include "scene.h"

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
	LIMIT = 1152 * KIB,
	WHOLE = 256 * KIB - 4, /* a request that fills its memory, with its prefix */
	PART = 200 * KIB, /* so much of it needs just as much memory */
	TAKEN = 256 * KIB + 1, /* what that is charged with; three of them leave no room for a fourth */
	WAITING = 128 * KIB + 1, /* what the fourth one has been charged by then */
	LARGEST = 512 * KIB,
	BUFFER = 16 * KIB + 1 /* by so much for each thread the limit may be exceeded */
};

extern struct gate weigh_cuts; /* messages that memory is short */
extern struct endings weigh_endings;

void weigh_setup(void);

/* A server of requests with a prefix of four bytes, with so much memory; not started. */
mts_server *weigh_server(mts_handler handler, size_t limit);

/* Ends it: everything is given back, and the limit was kept. */
void weigh_finish(mts_server *server, uint64_t limit);

/* How much is in use; waits until it is so much at least. */
uint64_t weigh_used(const mts_server *server);
void weigh_until(const mts_server *server, uint64_t least);

/* A handler: answers with the size of the request, its first byte and its last. */
int weigh_request(mts_client *client, const void *request, size_t size, void *user);

/* Sends the prefix of a request; sends so many bytes `fill` of it; expects the answer. */
void weigh_prefix(int peer, size_t size);
void weigh_body(int peer, size_t size, int fill);
void weigh_expect(int peer, size_t size, int fill);
void weigh_ask(int peer, size_t size, int fill); /* does all of that */

/*
 * A peer that sends most of a request, until that is kept beside so many others; sends the rest of
 * it.
 */
int weigh_occupy(mts_server *server, int others);
void weigh_complete(int peer);

/* A request that is sent by a thread of its own. */
struct weigh_sender {
	int peer;
	pthread_t thread;
};
void weigh_begin(struct weigh_sender *sender, int peer);
void weigh_end(struct weigh_sender *sender);

/* Sends until the peer is cut off. */
void weigh_send_until_gone(int peer);

#endif
