/* SPDX-License-Identifier: MIT
 *
 * Calling the handler, where that is out of the usual: the watchdog takes a sample, or the handler has a
 * deadline; or the handler, or another callback, never returns.
 */
#include "engine/serve/handling.h"

#include "engine/base/log.h"
#include "engine/client/client.h"
#include "engine/serve/ending.h"
#include "engine/serve/fault.h"
#include "engine/serve/framer.h"
#include "engine/serve/output.h"
#include "engine/serve/turn.h"

/* Calls the handler, with its deadline, if it has one. */
static int call_in_time(struct mtsi_worker *worker)
{
	worker->overrun = false;
	worker->handler_since = mtsi_deadline_handler(worker->member.client);
	const int verdict = mtsi_handling_call(worker);
	if (worker->handler_since != 0) {
		worker->handler_since = 0;
		mtsi_deadline_met(worker->member.client);
	}
	return verdict;
}

/* The same for a sample. */
static int call_sampled(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	struct mtsi_sample sample;
	mtsi_watchdog_sample(&mtsi_crew_floor(server)->watchdog, &sample);
	worker->member.stood_aside = false;
	const int verdict = call_in_time(worker);
	/*
	 * A handler that has waited in a call of the library was relieved at once: nothing to report.
	 */
	if (sample.waking != 0 && !worker->member.stood_aside) {
		mtsi_watchdog_end_sample(server, &sample);
	}
	return verdict;
}

int mtsi_handling_watched(struct mtsi_worker *worker)
{
	return mtsi_watchdog_samples(&mtsi_crew_floor(worker->member.server)->watchdog)
		? call_sampled(worker)
		: call_in_time(worker);
}

void mtsi_handling_abandon(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	struct mts_client *client = worker->member.client;
	mtsi_framer_abandon(worker);
	if (atomic_load_explicit(&worker->member.counters.count[MTS_STAT_BUSY], memory_order_relaxed)
		> 0) {
		mtsi_gauge(&worker->member.counters, MTS_STAT_BUSY, 0);
		worker->handler_since = 0;
		mtsi_deadline_met(client);
		mtsi_fault_abandon(worker);
		mtsi_output_forget(worker);
	}
	if (worker->closing) {
		mtsi_ending_finish(worker, client);
		return;
	}
	if (client->worker != worker) {
		mtsi_turn_attach(worker, client); /* its thread was in the hook for new threads */
	}
	(void)mtsi_output_flush(worker, !mtsi_on_demand(server));
	mtsi_log_client(server, MTSI_LOG_HANDLER, client->id, &client->peer,
		"cut off, a callback has ended its thread");
	mtsi_ending(worker, client, MTS_CLOSED_ERROR);
}
