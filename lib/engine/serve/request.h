/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_REQUEST_H
#define MTSI_ENGINE_SERVE_REQUEST_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/deadline.h"
#include "engine/serve/fill.h"
#include "engine/serve/input.h"
#include "engine/serve/output.h"
#include "engine/serve/receive.h"
#include "engine/serve/worker.h"

/*
 * The client's next request, inside a callback, once what was written has been sent: 1; 0 at the
 * end of the stream; -ECANCELED, -ETIMEDOUT, -EMSGSIZE, -EPROTO, -EPIPE or -ENOMEM, and after one
 * of these the client gets no request any more.
 */
int mtsi_request_await(struct mtsi_worker *worker, const void **request, size_t *size);

/* Up to `size` bytes that follow the current request, inside a callback, as mtsi_fill_read(). */
ssize_t mtsi_request_read(struct mtsi_worker *worker, void *buffer, size_t size);

/* All of them, however often it has to receive; fewer at the end of the stream. Else the same. */
ssize_t mtsi_request_read_exact(struct mtsi_worker *worker, void *buffer, size_t size);

/*
 * The next line, whatever the framing, inside a callback: as mtsi_request_await(), but it waits as
 * mtsi_request_read().
 */
int mtsi_request_line(struct mtsi_worker *worker, const void **line, size_t *size);

/* There is no request, for that reason: returns it, or what it means for a client that finishes. */
int mtsi_request_none(struct mtsi_worker *worker, int reason);

/* What is here is not whole: 0, or -ECANCELED. */
int mtsi_request_not_whole(struct mtsi_worker *worker);

/* Framing has not found a request by itself: 1 if the program's framer does, else why there is none. */
int mtsi_request_look_closer(struct mtsi_worker *worker, int result);

/*
 * The client ends, but here is a request: 0 if it may still be handled, as that of a peer that is
 * gone, else an error.
 */
int mtsi_request_refuse(struct mtsi_worker *worker);

/* What was waited for is here. */
static inline void mtsi_request_has_come(struct mtsi_worker *worker)
{
	mtsi_deadline_met(worker->member.client);
	if (worker->late) {
		mtsi_receive_met(worker);
	}
}

/*
 * The next request among what is here: 1, and it is that of the worker's input; 0: none is whole; or
 * an error.
 */
static inline int mtsi_request_take(struct mtsi_worker *worker)
{
	const struct mtsi_framing *framing = &mtsi_base_floor(worker->member.server)->options.framing;
	int result = mtsi_input_request(&worker->input, framing);
	if (result != 1) {
		result = mtsi_request_look_closer(worker, result);
	}
	if (result == 1 && atomic_load(&worker->member.client->ends)) {
		const int refused = mtsi_request_refuse(worker);
		result = refused == 0 ? 1 : refused;
	}
	if (result == 1) {
		mtsi_request_has_come(worker);
		mtsi_count(&worker->member.counters, MTS_STAT_REQUESTS, 1);
	}
	return result;
}

/* Whether mtsi_fill() without `wait` would find nothing, as far as can be known without asking. */
static inline bool mtsi_request_is_exhausted(const struct mtsi_worker *worker)
{
	return worker->input.exhausted && !mtsi_claim_again(worker->member.client)
		&& !mtsi_stopping(worker->member.server);
}

/*
 * Sends what was written, and receives more: 1; 0 at the end of the stream; or an error. Without
 * `wait`: -EAGAIN when there is nothing, -ENOBUFS when too much output waits for the client to get
 * a request, -ENOSPC when there is no memory for the rest of it.
 */
static inline int mtsi_request_more(struct mtsi_worker *worker, bool wait)
{
	if (worker->replies.size > 0 || atomic_load(&worker->member.client->lost)) {
		const int result = mtsi_output_flush(worker, wait);
		if (result != 0) {
			return mtsi_request_none(worker, result);
		}
	}
	if (worker->input.ended) {
		return mtsi_request_not_whole(worker);
	}
	if (!wait) {
		if (worker->queued && mtsi_output_throttles(worker->member.client)) {
			return -ENOBUFS;
		}
		if (mtsi_request_is_exhausted(worker)) {
			return -EAGAIN;
		}
	}
	const int filled = mtsi_fill(worker, wait);
	return filled < 0 ? mtsi_request_none(worker, filled) : 1;
}

/*
 * The client's next request, by these two: receives until one is whole. Returns what the last of them
 * has returned.
 */
static inline int mtsi_request_next(struct mtsi_worker *worker, bool wait)
{
	const struct mtsi_input *input = &worker->input;
	int result = worker->failed;
	while (result == 0) {
		if (input->start < input->end || input->ended) {
			result = mtsi_request_take(worker);
		}
		if (result == 0) {
			result = mtsi_request_more(worker, wait);
			if (result != 1) {
				return result;
			}
			result = 0;
		}
	}
	return result;
}

/* Whether the handler has run for longer than it may. Inside a callback. */
bool mtsi_request_overrun(struct mtsi_worker *worker);

#endif
