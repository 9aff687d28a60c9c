/* SPDX-License-Identifier: MIT
 *
 * The scene of the fault tests: a server of lines that echoes, and counts what its hooks are told.
 */
#ifndef SCENE_H
#define SCENE_H

#include "../api/support.h"
#include "faults.h"

enum { SCENE_LEVELS = 8, SCENE_REASONS = MTS_CLOSED_LATER_TIMEOUT + 1 };

struct scene {
	mts_server *server;
	bool small; /* clients get a small send buffer, so that replies must be queued */
	struct gate opened;
	struct gate closed;
	struct gate entered; /* scene_hold() has begun */
	struct gate release; /* lets scene_hold() go on, once for each */
	struct gate logs[SCENE_LEVELS];
	struct gate reasons[SCENE_REASONS];
	int (*held)(mts_client *client); /* what scene_hold() does when it is let go; NULL: nothing */
};

/* A server, listening on 127.0.0.1, not started. Its handler is told the scene. */
void scene_make(struct scene *scene, mts_handler handler);
/*
 * Allows one thread only, on demand, so that one worker polls: then accept is called once for each
 * connection, and a fault that is meant for it meets it.
 */
void scene_alone(struct scene *scene);
void scene_start(struct scene *scene);

/* Stops and frees it; every client that was opened must have been closed. */
void scene_end(struct scene *scene);

/*
 * Stops it, and lets its stop timeout, in milliseconds, pass. All clients that are left must be cut
 * off by then, and no callback may hang. The library's clock stands still meanwhile, so threads may
 * take as long as they need to leave.
 */
void scene_stop_late(struct scene *scene, unsigned timeout);

/* Handlers: echoes the line; the same and closes; holds its thread until let go. */
int scene_echo(mts_client *client, const void *request, size_t size, void *user);
int scene_echo_once(mts_client *client, const void *request, size_t size, void *user);
int scene_hold(mts_client *client, const void *request, size_t size, void *user);

/* A handler: the request is a number, and the reply so many bytes of the pattern, in pieces. */
enum { SCENE_PIECE = 50000 };
int scene_pour(mts_client *client, const void *request, size_t size, void *user);

/* For held: ends the client. */
int scene_close(mts_client *client);

/* gate_wait() for callbacks: the faults, and the clock, are for the library, not for callbacks. */
void scene_wait(struct gate *gate, int count);

/* Sends a line and waits for its echo. */
void scene_ask(int peer, const char *line);

/* A new peer that asks once, and stays. */
int scene_visit(struct scene *scene);

/* A new peer that lingers: it has its reply, but not all that it sent was read. For scene_hold(). */
int scene_linger(struct scene *scene);

#endif
