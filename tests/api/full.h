/* SPDX-License-Identifier: MIT
 *
 * A server that is full, and peers that want to get in. What its hooks have seen, and how to try.
 */
#ifndef FULL_H
#define FULL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "support.h"

enum { FULL_POURED = 4 * 1024 * 1024 }; /* what "pour" is answered with */

extern struct full {
	struct endings endings;
	struct gate opened;
	struct gate entered; /* a handler that holds has begun */
	struct gate release; /* lets one such handler go on, or one close hook */
	struct gate closing; /* a close hook has begun */
	struct gate refusals; /* messages */
	_Atomic bool slow_close; /* close hooks wait for `release` */
	_Atomic int inside; /* clients, from the open hook to the end of the close hook */
	_Atomic int most_inside;
} full;

void full_setup(void);

/* A server of lines: "hold", "pour", "converse" and "close" are done, all others are echoed. */
mts_server *full_server(int policy, size_t clients);
mts_server *full_start(int policy, size_t clients);

/* Sends a line and expects its echo; a new client that does so. */
void full_ask(int peer);
int full_visit(mts_server *server);

/* Whether the peer gets an answer, or is gone. Neither takes long. */
bool full_try(int peer);

/*
 * Tries again until it gets in: a client that leaves still counts for a moment after its end is
 * seen.
 */
int full_get_in(mts_server *server);

/* Requires that so many have been let in, and no more once the server has come to rest. */
void full_patience(int count);

#endif
