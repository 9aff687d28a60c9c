/* SPDX-License-Identifier: MIT
 *
 * A scene on a clock that the test moves, mostly with one client: what it is waited for, and since when.
 */
#ifndef MOMENT_H
#define MOMENT_H

#include "scene.h"

#include "engine/client/client.h"
#include "engine/client/deadline.h"

extern struct scene scene;

/* Begins the scene with this handler; ends it, once its one client is closed for this reason. */
void moment_begin(mts_handler handler);
void moment_end(int peer, int reason);

/* Stops the library's clock, or lets it go on; returns its time. */
void moment_stop(bool still);
uint64_t moment_now(void);

/* Sets the clock to that moment, and has the keeper look. */
void moment_go_to(uint64_t moment);

/* Goes to the last moment before the first deadline, at which all is well, and then to the deadline. */
void moment_pass(uint64_t deadline);

/* The client; waits until there is one. */
struct mts_client *moment_client(void);

/* Waits until the client is waited for in this way; returns since when it is. */
void moment_waits_for(enum mtsi_wait kind);
uint64_t moment_since(void);

/*
 * Since when the client's output is stuck; 0: it is not, for example between two writes. The first
 * function waits until it is.
 */
uint64_t moment_is_stuck(void);
uint64_t moment_stuck_since(void);

#endif
