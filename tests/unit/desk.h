/* SPDX-License-Identifier: MIT
 *
 * A worker without a crew: the test's own thread serves one client, over a pair of sockets, and looks at
 * each step.
 */
#ifndef DESK_H
#define DESK_H

#include "../api/support.h"
#include "engine/run/server.h"
#include "engine/serve/worker.h"

struct desk {
	mts_server *server; /* made, not started; with an epoll instance */
	struct mts_client *client; /* being served */
	int peer; /* the other end */
	struct mtsi_worker worker;
};

/* Opens it, with the framing that `server` has been given; the server becomes the desk's. */
mts_server *desk_server(void);
void desk_open(struct desk *desk, mts_server *server);

/* How much output waits. */
size_t desk_queued(struct desk *desk);

/* Ends the client and frees all. */
void desk_close(struct desk *desk);

#endif
