/* SPDX-License-Identifier: MIT
 *
 * A server that is full, and the peers that want to get in: what its hooks have seen, and how to ask.
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
	struct gate entered; /* a handler holds */
	struct gate release; /* lets one go on, or a close hook */
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

/* Whether it gets an answer, or is gone. Neither takes long. */
bool full_try(int peer);

/* Comes again until it gets in: whoever leaves counts for a moment after its end is seen. */
int full_get_in(mts_server *server);

/* So many have been let in, and nobody more when the server has come to rest. */
void full_patience(int count);

#endif
