/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_TURN_H
#define MTSI_ENGINE_TURN_H

#include <stddef.h>

struct mts_client;
struct mtsi_worker;

/*
 * Serves a client on this worker's thread: opens it, hands its requests to the handler, closes it.
 * The client is gone when it returns. No lock is held.
 */
void mtsi_turn(struct mtsi_worker *worker, struct mts_client *client);

/*
 * The client's next request, after what was written has been sent: 1; 0 at the end of the stream;
 * -ECANCELED, -EMSGSIZE, -EPROTO, -EPIPE or -ENOMEM, and then it gets none any more.
 */
int mtsi_turn_next(struct mtsi_worker *worker, const void **request, size_t *size);

#endif
