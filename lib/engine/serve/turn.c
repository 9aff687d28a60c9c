/* SPDX-License-Identifier: MIT
 *
 * One go of service, the same for every thread model: open, then read, frame and handle until
 * something ends it (ending.c). What differs between models is how the wait for input is done
 * (receive.c), and what follows when there is none: on demand the client is parked.
 *
 * Requests that came together are handled one after the other, and their replies gather; only when
 * no whole request is left does the batch go out, right before the wait for more. On demand a turn
 * is bounded, so that a client that never stops sending cannot hold up the others: when it has had
 * its share, and there is more, it gets another turn after them.
 *
 * Parking: what is left of the client's input in the worker's buffers is saved, epoll is told to
 * watch the client if it does not yet, and then the worker lets go of the client. If anything has
 * happened meanwhile, the worker cannot let go, and looks once more. Once it has let go, the client
 * may belong to anybody.
 */
#include "engine/serve/turn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/deadline.h"
#include "engine/client/memory.h"
#include "engine/client/registration.h"
#include "engine/crew/floor.h"
#include "engine/crew/watchdog.h"
#include "engine/door/eviction.h"
#include "engine/door/floor.h"
#include "engine/serve/ending.h"
#include "engine/serve/fault.h"
#include "engine/serve/input.h"
#include "engine/serve/opening.h"
#include "engine/serve/output.h"
#include "engine/serve/reason.h"
#include "engine/serve/receive.h"
#include "engine/serve/request.h"
#include "engine/serve/worker.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/observe.h"

/* What a client may have in one turn, on demand. */
enum { TURN_REQUESTS = 64, TURN_BYTES = 16 * 1024 };

/* What a go of service results in. */
enum result {
	ENDS, /* the client ends, for its `reason` */
	IDLE, /* no whole request is here any more */
	SATED, /* it has had its share, and there may be more */
	THROTTLED, /* too much of its output waits still */
	STARVED /* it waits for memory */
};

/*
 * What follows each result but ENDS. The client is either parked: its input is saved, epoll watches
 * it, and its owner lets go of it. Or it is kept for a further turn: its input is saved too, and it
 * goes into the later list.
 */
static const struct {
	bool
		asks; /* its replies may make it wait: it is parked, and gets no turn before they are out */
	bool later; /* if they do not, it is kept for a further turn */
	bool holds; /* it gets no turn before it has what it waits for */
} after[] = {
	[IDLE] = {.asks = true},
	[SATED] = {.asks = true, .later = true},
	[THROTTLED] = {.holds = true},
	[STARVED] = {.asks = true, .holds = true},
};

static void enter_stage(struct mts_client *client, enum mtsi_stage stage)
{
	mtsi_lock_take(&client->lock);
	client->stage = (unsigned char)stage;
	mtsi_lock_release(&client->lock);
}

static void attach(struct mtsi_worker *worker, struct mts_client *client)
{
	if (client->stage == MTSI_CLIENT_WAITING) {
		enter_stage(client, MTSI_CLIENT_OPENING);
	}
	client->worker = worker;
	mtsi_input_begin(worker);
	worker->replies.size = 0;
	worker->replies.mark = 0;
	worker->corked = 0;
	worker->failed = 0;
	worker->told = false;
	worker->tells = false;
	worker->queued = false;
	worker->seizes = false;
	worker->late = false;
	worker->last_turn = false;
	worker->peer[0] = '\0';
	worker->local[0] = '\0';
}

static inline int call_handler(struct mtsi_worker *worker)
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

/* The watchdog wants to know whether the handler waits for something. */
__attribute__((noinline)) static int call_sampled(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	struct mtsi_sample sample;
	mtsi_watchdog_sample(&mtsi_crew_floor(server)->watchdog, &sample);
	worker->member.stood_aside = false;
	const int verdict = call_handler(worker);
	/*
	 * A handler that has waited in a call of the library was relieved at once: nothing to report.
	 */
	if (sample.waking != 0 && !worker->member.stood_aside) {
		mtsi_watchdog_end_sample(server, &sample);
	}
	return verdict;
}

static inline int handle(struct mtsi_worker *worker)
{
	return mtsi_watchdog_samples(&mtsi_crew_floor(worker->member.server)->watchdog)
		? call_sampled(worker)
		: call_handler(worker);
}

static int handler_failed(struct mtsi_worker *worker, int verdict)
{
	const struct mts_client *client = worker->member.client;
	if (mtsi_reason_is_told(worker, verdict)) {
		return mtsi_reason_of_input(worker, verdict); /* nothing that it has written is dropped */
	}
	if (atomic_load(&client->cause) != MTSI_NO_CAUSE || !mtsi_fault(worker, MTS_CLOSED_ERROR)) {
		mtsi_output_forget(worker);
		(void)mtsi_output_flush(worker, !mtsi_on_demand(worker->member.server));
	}
	if (atomic_load(&client->cause) != MTSI_NO_CAUSE) {
		return mtsi_reason(client, MTS_CLOSED_ERROR); /* a call has told the handler so */
	}
	mtsi_log_client(worker->member.server, MTSI_LOG_HANDLER, client->id, &client->peer,
		"cut off, the handler returned %d: %s", verdict, strerror(verdict < 0 ? -verdict : EINVAL));
	return MTS_CLOSED_ERROR;
}

/*
 * Whether the client has had its share; never at a stop, where only what had arrived by then is
 * read.
 */
static inline bool had_enough(const struct mtsi_worker *worker)
{
	const struct mtsi_input *input = &worker->input;
	if (worker->failed != 0 || (worker->handled < TURN_REQUESTS && worker->received < TURN_BYTES)) {
		return false;
	}
	const bool more = input->start < input->end || !input->exhausted;
	return more && mtsi_on_demand(worker->member.server) && !mtsi_stopping(worker->member.server)
		&& !worker->late;
}

static enum result ends(struct mtsi_worker *worker, int reason)
{
	worker->member.client->reason = (signed char)reason;
	return ENDS;
}

/* What follows when there is no further request, as mtsi_request_next() has said. */
static inline enum result without_request(struct mtsi_worker *worker, int result)
{
	if (result == -EAGAIN) {
		return IDLE;
	}
	if (result == -ENOBUFS) {
		return SATED;
	}
	if (result == -ENOSPC) {
		return STARVED;
	}
	return ends(worker, mtsi_reason_of_input(worker, result));
}

/* Serves until the client ends, or is idle, sated or starved. */
static enum result serve_requests(struct mtsi_worker *worker)
{
	const bool wait = !mtsi_on_demand(worker->member.server);
	for (;;) {
		if (had_enough(worker)) {
			return SATED;
		}
		const int result = mtsi_request_next(worker, wait);
		if (result != 1) {
			return without_request(worker, result);
		}
		const int verdict = handle(worker);
		if (verdict == MTS_CLOSE) {
			return ends(worker, mtsi_reason(worker->member.client, MTS_CLOSED_BY_HANDLER));
		}
		if (verdict != MTS_KEEP) {
			return ends(worker, handler_failed(worker, verdict));
		}
	}
}

/*
 * Tries to let go of the client. 0: done, and the client is not to be touched any more. -EAGAIN:
 * look at it again. -ENOMEM: it cannot be kept.
 */
static int park(struct mtsi_worker *worker, struct mts_client *client)
{
	if (!mtsi_input_is_spent(&worker->input) && !mtsi_input_save(worker)) {
		return -ENOMEM;
	}
	client->worker = NULL;
	if (!client->registered && !mtsi_registration_watch_input(client)) {
		return -ENOMEM;
	}
	client->registered = true;
	return mtsi_claim_release(client) ? 0 : -EAGAIN;
}

/* Keeps the client for another turn: 0 or -ENOMEM. */
static int keep(struct mtsi_worker *worker, struct mts_client *client)
{
	const bool saved = mtsi_input_save(worker);
	client->worker = NULL;
	return saved ? 0 : -ENOMEM;
}

/* Cuts off a client that could not be parked. */
static void cannot_keep(struct mtsi_worker *worker, struct mts_client *client)
{
	mtsi_log_client(worker->member.server, MTSI_LOG_CLIENT, client->id, &client->peer,
		"cut off: %s", strerror(ENOMEM));
	client->worker = worker;
	mtsi_ending_give_up(worker, client);
}

/* The first go of a client. */
__attribute__((noinline)) static enum result open_and_serve(struct mtsi_worker *worker)
{
	if (!mtsi_opening(worker)) {
		return ends(worker, MTS_CLOSED_BY_HANDLER);
	}
	const enum result result = serve_requests(worker);
	mtsi_opening_learn(worker);
	return result;
}

static inline enum result serve(struct mtsi_worker *worker, const struct mts_client *client)
{
	return client->opened ? serve_requests(worker) : open_and_serve(worker);
}

/*
 * One go: until the client ends, can be parked, or has had enough. A client that is throttled gets
 * none: what it has sent meanwhile stays in the socket, and is asked for when its output has gone.
 */
static enum result go(struct mtsi_worker *worker, struct mts_client *client)
{
	attach(worker, client);
	if (client->stage == MTSI_CLIENT_ENDING) {
		return ENDS;
	}
	mtsi_claim_clear(client);
	/* Who finishes needs no room for replies: it ends, and waits for what is queued then. */
	if (client->throttled && !mtsi_client_finishes(client) && mtsi_output_throttles(client)) {
		mtsi_memory_content(client); /* it does not want memory now */
		return THROTTLED;
	}
	client->throttled = false;
	return serve(worker, client);
}

/* What the client is waited for once the turn is over. */
static enum mtsi_wait wait_after(const struct mtsi_worker *worker, bool throttled, bool later)
{
	const bool partial = worker->input.start < worker->input.end;
	if (throttled || (later && worker->handled > 0)) {
		return MTSI_WAIT_NOTHING;
	}
	return partial ? MTSI_WAIT_REQUEST : MTSI_WAIT_IDLE;
}

/*
 * The client has been waited for too long. What is in its socket at this moment may have come in
 * time, so that is served before the client ends; a client that waits for memory cannot take it.
 * Returns what serve() does.
 */
static enum result too_late(struct mtsi_worker *worker, enum mtsi_wait kind, enum result result)
{
	if (result != STARVED && !worker->late) {
		mtsi_receive_late(worker);
		result = serve(worker, worker->member.client);
		if (result != STARVED) {
			return result;
		}
	}
	mtsi_deadline_end(worker->member.client, kind);
	return ends(worker, mtsi_reason_of_input(worker, -ETIMEDOUT));
}

bool mtsi_turn(struct mtsi_worker *worker, struct mts_client *client)
{
	const uint64_t id = client->id;
	atomic_store_explicit(&worker->member.since, worker->member.now, memory_order_relaxed);
	worker->received = 0;
	worker->handled = 0;
	enum result result = go(worker, client);
	for (;;) {
		if (result == ENDS) {
			(void)mtsi_fault(worker, client->reason);
			mtsi_ending(worker, client, client->reason);
			return false;
		}
		if (worker->replies.size > 0) {
			(void)mtsi_output_flush(worker, false);
		}
		const bool throttled = !after[result].asks
			|| (worker->queued && mtsi_output_throttles(client));
		const bool later = after[result].later && !throttled;
		client->throttled = throttled || after[result].holds;
		const enum mtsi_wait kind = wait_after(worker, throttled, later);
		worker->member.now = mtsi_clock_now();
		if (!mtsi_deadline_wait(client, kind, worker->member.now)) {
			result = too_late(worker, kind, result);
			continue;
		}
		const int parked = later ? keep(worker, client) : park(worker, client);
		if (parked == -ENOMEM) {
			cannot_keep(worker, client);
		}
		if (parked == 0 && !later
			&& mtsi_eviction_wanted(&mtsi_door_floor(worker->member.server)->eviction)) {
			mtsi_eviction_offer(worker->member.server, id);
		}
		if (parked != -EAGAIN) {
			return later && parked == 0;
		}
		result = go(worker, client);
	}
}

void mtsi_turn_abandon(struct mtsi_worker *worker)
{
	struct mts_server *server = worker->member.server;
	struct mts_client *client = worker->member.client;
	if (atomic_load_explicit(&worker->member.counters.count[MTS_STAT_BUSY], memory_order_relaxed)
		> 0) {
		mtsi_count(&worker->member.counters, MTS_STAT_BUSY, (uint64_t)-1);
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
		attach(worker, client); /* its thread was in the hook for new threads */
	}
	(void)mtsi_output_flush(worker, !mtsi_on_demand(server));
	mtsi_log_client(server, MTSI_LOG_HANDLER, client->id, &client->peer,
		"cut off, a callback has ended its thread");
	mtsi_ending(worker, client, MTS_CLOSED_ERROR);
}
