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

/*
 * The same where the watchdog wants to know whether the handler waits for something, or the handler
 * has a deadline.
 */
int mtsi_handling_watched(struct mtsi_worker *worker);

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
	mtsi_gauge(&worker->member.counters, MTS_STAT_BUSY, 1);
	const int verdict = options->handler(
		worker->member.client, worker->input.request, worker->input.frame.size, options->user);
	mtsi_gauge(&worker->member.counters, MTS_STAT_BUSY, 0);
	return verdict;
}

/* The same, watched if need be. No lock is held. */
static inline int mtsi_handling(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	return mtsi_watchdog_samples(&mtsi_crew_floor(server)->watchdog)
			|| mtsi_deadline_times_handlers(server)
		? mtsi_handling_watched(worker)
		: mtsi_handling_call(worker);
}

#endif
