/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_RECEIVE_H
#define MTSI_ENGINE_SERVE_RECEIVE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/serve/worker.h"

/*
 * Whether the client is to get no request any more, and what would be received now is for one. A
 * read beside requests belongs to the present one; but not once the client has been told.
 */
bool mtsi_receive_wants_no_more(const struct mtsi_worker *worker, enum mtsi_wait kind);

/*
 * Whether the client has had its last request, in the grace of a stop. It ends when it is between two
 * requests, and nothing has come of a further one.
 */
bool mtsi_receive_had_last(const struct mtsi_worker *worker);

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

/*
 * Takes what is there, on demand, as long as nothing is out of the usual; -EAGAIN when that is
 * nothing. What else it returns is what the socket has said.
 */
__attribute__((always_inline)) static inline ssize_t mtsi_receive_now(
	struct mtsi_worker *worker, void *buffer, size_t size)
{
	struct mts_client *client = worker->member.client;
	if (!mtsi_on_demand(worker->member.server) || mtsi_stopping(worker->member.server)
		|| worker->late || atomic_load_explicit(&client->ends, memory_order_relaxed)
		|| (worker->input.exhausted && !mtsi_claim_again(client))) {
		return -EAGAIN;
	}
	mtsi_claim_clear(client);
	const ssize_t count = mtsi_conn_receive_now(client, buffer, size);
	worker->input.exhausted = mtsi_conn_received_all(client, count, size)
		&& !mtsi_conn_holds_back(client);
	if (count > 0) {
		mtsi_count(&worker->member.counters, MTS_STAT_BYTES_IN, (uint64_t)count);
	}
	return count;
}

/*
 * The seam between the thread models: goes on where mtsi_receive_now() has returned `count`, no more
 * than 0. Waits for the client's next bytes where the model does, or with `wait`. Returns what
 * mtsi_fill() does, with their count instead of 1.
 */
ssize_t mtsi_receive(struct mtsi_worker *worker, void *buffer, size_t size, bool wait,
	enum mtsi_wait kind, ssize_t count);

#endif
