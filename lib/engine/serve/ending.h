/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_ENDING_H
#define MTSI_ENGINE_SERVE_ENDING_H

struct mts_client;
struct mtsi_worker;

/*
 * Ends the client that this worker serves, for this reason. When this returns the client is gone,
 * or parked until its output is gone. From here on nobody else sends it anything. No lock is held.
 */
void mtsi_ending(struct mtsi_worker *worker, struct mts_client *client, int reason);

/*
 * The steps after the close hook; for a hook that has not returned, since the program ended the
 * thread in it.
 */
void mtsi_ending_finish(struct mtsi_worker *worker, struct mts_client *client);

/* Ends the client at once, since there is no memory to keep it: what waits for it is dropped. */
void mtsi_ending_give_up(struct mtsi_worker *worker, struct mts_client *client);

#endif
