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
 * The seam: the client's next bytes, for which to wait if that is the kind of a wait. As
 * mtsi_fill(), with their count instead of 1.
 */
ssize_t mtsi_receive(
	struct mtsi_worker *worker, void *buffer, size_t size, bool wait, enum mtsi_wait kind);

/* Whether mtsi_fill() without `wait` would find nothing, as far as is known without asking. */
bool mtsi_receive_exhausted(const struct mtsi_worker *worker);

/* A wait has lasted too long: from now on only what has come by now is received, then -ETIMEDOUT. */
void mtsi_receive_late(struct mtsi_worker *worker);

/* What was waited for has come. So nobody is late, unless its deadline has ended it. */
void mtsi_receive_met(struct mtsi_worker *worker);

/* The connection is no good any more: loses the client, and returns -EPIPE. */
int mtsi_receive_failed(struct mts_client *client);

/* Whoever has cut it off while its owner slept may not have been able to reset it. */
void mtsi_receive_reset_if_lost(struct mts_client *client);

#endif
