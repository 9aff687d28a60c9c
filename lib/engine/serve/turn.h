/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_TURN_H
#define MTSI_ENGINE_SERVE_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

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
 * The client's next request, inside a callback, after what was written has been sent: 1; 0 at the
 * end of the stream; -ECANCELED, -ETIMEDOUT, -EMSGSIZE, -EPROTO, -EPIPE or -ENOMEM, and then it
 * gets none any more.
 */
int mtsi_turn_next(struct mtsi_worker *worker, const void **request, size_t *size);

/* Up to `size` bytes that follow the current request, inside a callback, as mtsi_input_read(). */
ssize_t mtsi_turn_read(struct mtsi_worker *worker, void *buffer, size_t size);

/*
 * Ends the client that this worker serves, since the program has ended the thread in one of its
 * callbacks; that one counts as failed.
 */
void mtsi_turn_abandon(struct mtsi_worker *worker);

/* Whether the handler has run for longer than it may. Inside a callback. */
bool mtsi_turn_overrun(struct mtsi_worker *worker);

#endif
