/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_RECEIVE_H
#define MTSI_ENGINE_SERVE_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "engine/client/deadline.h"

struct mts_client;
struct mtsi_worker;

/*
 * The seam: receives the client's next bytes, and waits for them where the thread model does, or
 * with `wait`. Returns what mtsi_fill() does, with their count instead of 1.
 */
ssize_t mtsi_receive(
	struct mtsi_worker *worker, void *buffer, size_t size, bool wait, enum mtsi_wait kind);

/* Whether mtsi_fill() without `wait` would find nothing, as far as can be known without asking. */
bool mtsi_receive_exhausted(const struct mtsi_worker *worker);

/*
 * A wait has lasted too long: only what has come by now is still received, then -ETIMEDOUT follows.
 */
void mtsi_receive_late(struct mtsi_worker *worker);

/* What was waited for has come. So the client is not late, unless its deadline has ended it. */
void mtsi_receive_met(struct mtsi_worker *worker);

/* The connection is no good any more: loses the client, and returns -EPIPE. */
int mtsi_receive_failed(struct mts_client *client);

/* Resets a client that was cut off while its owner slept, which may have prevented the reset. */
void mtsi_receive_reset_if_lost(struct mts_client *client);

#endif
