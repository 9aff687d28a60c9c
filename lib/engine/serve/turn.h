/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_TURN_H
#define MTSI_ENGINE_SERVE_TURN_H

#include <stdbool.h>

struct mts_client;
struct mtsi_worker;

/*
 * Serves a client, which this worker owns, on its thread: opens it, hands its requests to the
 * handler, closes it. With a thread per client it is gone when this returns; on demand this ends as
 * soon as no whole request is here, and the client is parked or gone. True when it has had enough
 * for one turn, and is still the worker's: it is to have another one after the others. No lock is
 * held.
 */
bool mtsi_turn(struct mtsi_worker *worker, struct mts_client *client);

/*
 * Ends the client that this worker serves, since the program has ended the thread in one of its
 * callbacks; that one counts as failed.
 */
void mtsi_turn_abandon(struct mtsi_worker *worker);

#endif
