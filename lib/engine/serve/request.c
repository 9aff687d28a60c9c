/* SPDX-License-Identifier: MIT
 *
 * The next request of the client that is being served: for its turn, and for callbacks that converse.
 * While one waits here its replies go out, and the deadline of its handler rests.
 */
#include "engine/serve/request.h"

#include <errno.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/deadline.h"
#include "engine/serve/fill.h"
#include "engine/serve/framer.h"
#include "engine/serve/input.h"
#include "engine/serve/output.h"
#include "engine/serve/receive.h"
#include "engine/serve/worker.h"

/*
 * A client that finishes is not waited for, and what it may have sent is not looked at; one that has had its
 * last request is not waited for: returns the reason for which it gets no request, or has none now.
 */
static int or_canceled(const struct mtsi_worker *worker, int reason)
{
	const bool open = reason == -EAGAIN || reason == -ENOSPC || reason == -EMSGSIZE
		|| reason == -EPROTO;
	const bool over = reason == -EAGAIN && worker->input.start == worker->input.end
		&& mtsi_receive_had_last(worker);
	return over || (open && mtsi_client_finishes(worker->member.client)) ? -ECANCELED : reason;
}

/* The input ends for that reason, unless it is one that passes: returns it. */
static int end_input(struct mtsi_worker *worker, int reason)
{
	if (reason == -EAGAIN || reason == -ENOSPC) {
		return reason;
	}
	if (reason == -ENOMEM) {
		mtsi_client_lose(worker->member.client);
	}
	worker->failed = reason;
	return reason;
}

int mtsi_request_none(struct mtsi_worker *worker, int reason)
{
	return end_input(worker, or_canceled(worker, reason));
}

int mtsi_request_not_whole(struct mtsi_worker *worker)
{
	return mtsi_client_finishes(worker->member.client) ? mtsi_request_none(worker, -ECANCELED) : 0;
}

int mtsi_request_look_closer(struct mtsi_worker *worker, int result)
{
	if (result == MTSI_FRAME_ASK) {
		result = mtsi_framer_request(worker);
	}
	if (result == 1) {
		return 1;
	}
	return result == 0 ? mtsi_request_not_whole(worker) : mtsi_request_none(worker, result);
}

int mtsi_request_refuse(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	/* A receive returns what has come even if the socket was shut down meanwhile. */
	if (mtsi_client_is_cut(client)) {
		mtsi_client_lose(client); /* it may not have been reset yet */
		return mtsi_request_none(worker, -EPIPE);
	}
	client->had_last = mtsi_in_grace(worker->member.server);
	return mtsi_client_finishes(client) ? mtsi_request_none(worker, -ECANCELED) : 0;
}

bool mtsi_request_overrun(struct mtsi_worker *worker)
{
	worker->overrun = worker->overrun || mtsi_deadline_overrun(worker->member.client);
	return worker->overrun;
}

/* A blocking call of a callback is over; the handler goes on. */
static void go_on(struct mtsi_worker *worker, bool overrun)
{
	mtsi_deadline_handler_since(worker->member.client, overrun ? 0 : worker->handler_since);
}

int mtsi_request_await(struct mtsi_worker *worker, const void **request, size_t *size)
{
	const bool overrun = mtsi_request_overrun(worker);
	const int result = mtsi_request_next(worker, true);
	go_on(worker, overrun);
	worker->told = result < 0;
	if (result == 1) {
		*request = worker->input.request;
		*size = worker->input.frame.size;
	}
	return result;
}

static ssize_t read_some(struct mtsi_worker *worker, void *buffer, size_t size)
{
	const bool timed_out = worker->failed == -ETIMEDOUT;
	const ssize_t count = timed_out ? -ETIMEDOUT : mtsi_fill_read(worker, buffer, size);
	if (count < 0) {
		worker->failed = (int)count;
		worker->told = true;
	}
	return count;
}

ssize_t mtsi_request_read(struct mtsi_worker *worker, void *buffer, size_t size)
{
	const bool overrun = mtsi_request_overrun(worker);
	const ssize_t count = read_some(worker, buffer, size);
	go_on(worker, overrun);
	return count;
}

ssize_t mtsi_request_read_exact(struct mtsi_worker *worker, void *buffer, size_t size)
{
	const bool overrun = mtsi_request_overrun(worker);
	size_t done = 0;
	ssize_t count;
	do {
		count = read_some(worker, (char *)buffer + done, size - done);
		done += count > 0 ? (size_t)count : 0;
		mtsi_deadline_met(worker->member.client); /* each wait is one of its own */
	} while (count > 0 && done < size);
	go_on(worker, overrun);
	return count < 0 ? count : (ssize_t)done;
}

/* The next line, received as often as it takes; returns what mtsi_request_line() does. */
static int next_line(struct mtsi_worker *worker)
{
	const struct mtsi_framing lines = mtsi_frame_lines_within(
		mtsi_base_floor(worker->member.server)->options.framing.limit);
	for (;;) {
		const int result = mtsi_input_request(&worker->input, &lines);
		if (result != 0 || worker->input.ended) {
			return result;
		}
		const int filled = mtsi_fill_line(worker);
		if (filled < 0) {
			return filled;
		}
	}
}

int mtsi_request_line(struct mtsi_worker *worker, const void **line, size_t *size)
{
	const bool overrun = mtsi_request_overrun(worker);
	worker->input.scanned = 0; /* what framing has searched says nothing about lines */
	int result = worker->failed == -ETIMEDOUT ? -ETIMEDOUT : next_line(worker);
	if (result == 1 && mtsi_client_is_cut(worker->member.client)) {
		mtsi_client_lose(worker->member.client); /* it may not have been reset yet */
		result = -EPIPE;
	}
	if (result == 1) {
		mtsi_request_has_come(worker);
	} else if (result < 0) {
		result = end_input(worker, result);
		worker->told = true;
	}
	go_on(worker, overrun);
	if (result == 1) {
		*line = worker->input.request;
		*size = worker->input.frame.size;
	}
	return result;
}
