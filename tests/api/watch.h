/* SPDX-License-Identifier: MIT
 *
 * What the tests of a server's life and end share: a record of which clients were opened and closed, and
 * why; and a stop whose time is taken.
 */
#ifndef WATCH_H
#define WATCH_H

#include "support.h"

enum { WATCH_CLIENTS = 4096, WATCH_REASONS = 16 };

/* Filled in by hooks. Every client is to be closed exactly once, after it was opened. */
struct watch {
	struct gate opened;
	struct gate closed;
	struct gate stopping; /* the log has said that a stop has begun */
	pthread_mutex_t mutex; /* guards the rest */
	int reasons[WATCH_REASONS]; /* how many were closed for each */
	int faults; /* closed twice, never opened, or for no known reason */
	int seen; /* how many of the entries are taken */
	struct watch_entry {
		uint64_t id;
		int closes;
	} entries[WATCH_CLIENTS];
};

/* Sets the open, close and log hooks of a server that does not run yet. */
void watch_install(struct watch *watch, mts_server *server);

/* A watched server with a stop timeout in milliseconds, on TCP or a Unix socket. */
mts_server *watch_server(struct watch *watch, mts_handler handler, unsigned timeout, int family);

/* The hooks that watch_install() sets, for hooks that do more. */
int watch_open(mts_client *client, void *watch);
void watch_close(mts_client *client, int reason, void *watch);

/* Exactly so many clients were opened, and all of them were closed for this reason. */
void watch_expect(struct watch *watch, int reason, int count);

/* So many of them were closed for this reason; the others may have had another one. */
void watch_expect_some(struct watch *watch, int reason, int count);

/*
 * Stops a server and waits for its end, which must have this `result`, and must come within the
 * stop timeout + 100 ms; returns how many milliseconds it took. If the machine wakes threads late,
 * that holds for the library's threads too. So this lateness is measured, and added to the bound:
 * nothing on a quiet machine.
 */
uint64_t watch_stop(mts_server *server, unsigned timeout, int result);

/* The same for a stop that works, and needs no cut; or whose deadline cuts off so many clients. */
void watch_stop_well(mts_server *server, unsigned timeout);
void watch_stop_by_cut(mts_server *server, unsigned timeout, unsigned count);

/* Destroys a server that was stopped. */
void watch_destroy(mts_server *server);
void watch_destroy_at_last(mts_server *server); /* once its last callback has returned */

/*
 * Waits until the process has so many threads: a thread that was joined is listed for a moment
 * longer.
 */
void wait_threads(int count);

/* How many threads there are, including any that a sanitizer starts with the first thread. */
int settled_threads(void);

/* Fixtures: after a test there are as many threads and descriptors as before it. */
void remember_what_there_is(void);
void expect_nothing_left(void);

/* Waits until so many bytes lie unread in the socket of a server's client. */
void wait_unread(int fd, int count);

#endif
