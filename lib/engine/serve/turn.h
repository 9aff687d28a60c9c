/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_TURN_H
#define MTSI_ENGINE_SERVE_TURN_H

#include <stdbool.h>

struct mts_client;
struct mtsi_worker;

/*
 * Serves a client, which this worker owns, on its thread: opens it, hands its requests to the
 * handler, closes it. With a thread per client the client is gone when this returns. On demand this
 * ends as soon as no whole request is here, and the client is parked or gone. True when the client
 * has had enough for one turn, and is still the worker's: it is to have another turn after the
 * others. No lock is held.
 */
bool mtsi_turn(struct mtsi_worker *worker, struct mts_client *client);

/* The client gets this worker's buffers, with what is saved of its input. At each turn's beginning. */
void mtsi_turn_attach(struct mtsi_worker *worker, struct mts_client *client);

#endif
