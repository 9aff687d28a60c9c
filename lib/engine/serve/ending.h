/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_ENDING_H
#define MTSI_ENGINE_SERVE_ENDING_H

#include <stdbool.h>

struct mts_client;
struct mtsi_worker;

/*
 * Ends the client that this worker serves, for this reason. When this returns the client is gone,
 * or parked until its output is gone. From here on nobody else sends it anything. No lock is held.
 */
void mtsi_ending(struct mtsi_worker *worker, struct mts_client *client, int reason);

/*
 * The same for a client that was never opened, and is sealed: it lingers, or is closed at once.
 */
void mtsi_ending_unopened(struct mtsi_worker *worker, struct mts_client *client, bool lingers);

/*
 * The steps after the close hook; for a hook that has not returned, since the program ended the
 * thread in it.
 */
void mtsi_ending_finish(struct mtsi_worker *worker, struct mts_client *client);

/* Cuts the client off, since there is no memory to keep it: what waits for it is dropped. Logged. */
void mtsi_ending_give_up(struct mtsi_worker *worker, struct mts_client *client);

#endif
