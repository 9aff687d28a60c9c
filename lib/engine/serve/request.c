/* SPDX-License-Identifier: MIT
 *
 * The next request of the client that is being served: for its turn, and for callbacks that converse.
 * While one waits here its replies go out, and the deadline of its handler rests.
 */
#include "engine/serve/request.h"

#include <errno.h>

#include "engine/base/counters.h"
#include "engine/client/client.h"
#include "engine/client/deadline.h"
#include "engine/serve/fill.h"
#include "engine/serve/input.h"
#include "engine/serve/output.h"
#include "engine/serve/receive.h"
#include "engine/serve/worker.h"

int mtsi_request_next(struct mtsi_worker *worker, const void **request, size_t *size, bool wait)
{
	int result = worker->failed;
	while (result == 0) {
		if (worker->input.start < worker->input.end || worker->input.ended) {
			result = mtsi_input_request(worker, request, size);
		}
		if (result == 0) {
			result = mtsi_output_flush(worker, wait);
		}
		if (result == 0) {
			if (worker->input.ended) {
				return 0;
			}
			if (!wait && worker->queued && mtsi_output_throttles(worker->member.client)) {
				return -ENOBUFS;
			}
			if (!wait && mtsi_receive_exhausted(worker)) {
				return -EAGAIN;
			}
			const int filled = mtsi_fill(worker, wait);
			result = filled < 0 ? filled : 0;
		}
	}
	if (result == -EAGAIN || result == -ENOBUFS || result == -ENOSPC) {
		return result;
	}
	if (result == -ENOMEM) {
		mtsi_client_lose(worker->member.client);
	}
	/* A receive returns what has come even if the socket was shut down meanwhile. */
	if (result == 1 && mtsi_client_is_cut(worker->member.client)) {
		mtsi_client_lose(worker->member.client); /* it may not have been reset yet */
		result = -EPIPE;
	}
	if (result < 0) {
		worker->failed = result;
	} else {
		mtsi_deadline_met(worker->member.client);
		if (worker->late) {
			mtsi_receive_met(worker);
		}
		mtsi_count(&worker->member.counters, MTS_STAT_REQUESTS, 1);
	}
	return result;
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
	const int result = mtsi_request_next(worker, request, size, true);
	go_on(worker, overrun);
	return result;
}

ssize_t mtsi_request_read(struct mtsi_worker *worker, void *buffer, size_t size)
{
	const bool overrun = mtsi_request_overrun(worker);
	const bool timed_out = worker->failed == -ETIMEDOUT;
	const ssize_t count = timed_out ? -ETIMEDOUT : mtsi_fill_read(worker, buffer, size);
	if (count < 0) {
		worker->failed = (int)count;
	}
	go_on(worker, overrun);
	return count;
}
