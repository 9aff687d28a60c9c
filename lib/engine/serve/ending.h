/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_ENDING_H
#define MTSI_ENGINE_SERVE_ENDING_H

struct mts_client;
struct mtsi_worker;

/*
 * Ends the client that this worker serves, for this reason: it is gone when this returns, or parked
 * until its output is. From here on nobody else sends it anything. No lock is held.
 */
void mtsi_ending(struct mtsi_worker *worker, struct mts_client *client, int reason);

/* What comes after the close hook, which has not returned: the program has ended the thread in it. */
void mtsi_ending_finish(struct mtsi_worker *worker, struct mts_client *client);

/* The same at once, since it could not be kept: what waits for it is dropped. */
void mtsi_ending_give_up(struct mtsi_worker *worker, struct mts_client *client);

#endif
