/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_HANDLING_H
#define MTSI_ENGINE_SERVE_HANDLING_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/deadline.h"
#include "engine/crew/floor.h"
#include "engine/crew/watchdog.h"
#include "engine/serve/worker.h"

/* The same where the watchdog wants to know whether the handler waits for something. */
int mtsi_handling_sampled(struct mtsi_worker *worker);

/*
 * Ends the client that this worker serves, since a callback of the program has ended the thread;
 * that callback counts as failed.
 */
void mtsi_handling_abandon(struct mtsi_worker *worker);

/* Calls the handler, with the request that the worker's input has; returns its verdict. */
static inline int mtsi_handling_call(struct mtsi_worker *worker)
{
	const struct mtsi_options *options = &mtsi_base_floor(worker->member.server)->options;
	worker->replies.mark = worker->replies.size;
	worker->handled++;
	mtsi_count(&worker->member.counters, MTS_STAT_BUSY, 1);
	worker->overrun = false;
	worker->handler_since = mtsi_deadline_handler(worker->member.client);
	const int verdict = options->handler(
		worker->member.client, worker->input.request, worker->input.frame.size, options->user);
	if (worker->handler_since != 0) {
		worker->handler_since = 0;
		mtsi_deadline_met(worker->member.client);
	}
	mtsi_count(&worker->member.counters, MTS_STAT_BUSY, (uint64_t)-1);
	return verdict;
}

/* The same, watched if need be. No lock is held. */
static inline int mtsi_handling(struct mtsi_worker *worker)
{
	return mtsi_watchdog_samples(&mtsi_crew_floor(worker->member.server)->watchdog)
		? mtsi_handling_sampled(worker)
		: mtsi_handling_call(worker);
}

#endif
