/* SPDX-License-Identifier: MIT
 *
 * Clients that are known by their ids. Callbacks run on threads of the library, so they only note what
 * they are told; the test's own thread judges it.
 */
#ifndef REACH_H
#define REACH_H

#include <stdatomic.h>

#include "support.h"

enum { REACH_MIB = 1024 * 1024, REACH_CLIENTS = 20 };

extern struct reach {
	struct gate opened;
	struct gate entered; /* a handler has come to the point */
	struct gate leave; /* lets the handler go on, or it has gone on */
	struct endings endings;
	_Atomic uint64_t ids[REACH_CLIENTS]; /* of clients, in the order in which they have opened */
	_Atomic int answers[8]; /* what callbacks were told */
} reach;

void reach_setup(void);

/*
 * A server of lines, not started, with an open hook that notes ids. Then: one more client, which is
 * open.
 */
mts_server *reach_server(mts_handler handler, void *user);
int reach_join(mts_server *server);
int reach_open(mts_client *client, void *user);

/* Handlers: echoes; writes more than fits, and notes what it was told. */
int reach_echo(mts_client *client, const void *request, size_t size, void *user);
int reach_pour(mts_client *client, const void *request, size_t size, void *user);

/* Sends pieces of the pattern until not one byte more is taken: how much was. */
uint64_t reach_until_refused(mts_server *server, uint64_t id);

#endif
