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
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
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
#include "engine/serve/handling.h"
#include "engine/serve/header.h"
#include "engine/serve/input.h"
#include "engine/serve/later.h"
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
	STARVED, /* it waits for memory */
	DEFERRED, /* it waits for its reply */
	AWAY, /* it has been let go of while it waits for that */
	GOES_ON /* none of these: its next request */
};

/*
 * What follows each of the results IDLE to STARVED. The client is either parked: its input is
 * saved, epoll watches it, and its owner lets go of it. Or it is kept for a further turn: its input
 * is saved too, and it goes into the later list.
 */
static const struct {
	bool asks; /* its replies may make it wait: it is parked, with no turn before they are out */
	bool later; /* if they do not, it is kept for a further turn */
	bool holds; /* it gets no turn before it has what it waits for */
} after[] = {
	[IDLE] = {.asks = true},
	[SATED] = {.asks = true, .later = true},
	[THROTTLED] = {.holds = true},
	[STARVED] = {.asks = true, .holds = true},
};

/* The part of a worker that is zero when a client gets it. */
enum {
	FRESH_FROM = offsetof(struct mtsi_worker, replies.size),
	FRESH_TO = offsetof(struct mtsi_worker, handled)
};

void mtsi_turn_attach(struct mtsi_worker *worker, struct mts_client *client)
{
	client->worker = worker;
	memset((char *)worker + FRESH_FROM, 0, FRESH_TO - FRESH_FROM);
	mtsi_input_begin(worker);
}

/* Whether the client has had its share; never at a stop, where only what had arrived is read. */
static inline bool had_enough(const struct mtsi_worker *worker)
{
	const struct mtsi_input *input = &worker->input;
	if (worker->failed != 0 || (worker->handled < TURN_REQUESTS && worker->received < TURN_BYTES)) {
		return false;
	}
	const bool more = input->start < input->end || !input->exhausted;
	return more && mtsi_on_demand(worker->member.server) && !mtsi_closing(worker->member.server)
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

/* What a verdict leads to, whether a handler has returned it or somebody has said it later. */
static enum result settle(struct mtsi_worker *worker, int verdict)
{
	if (verdict == MTS_KEEP) {
		return GOES_ON;
	}
	if (verdict == MTS_CLOSE) {
		return ends(worker, mtsi_reason(worker->member.client, MTS_CLOSED_BY_HANDLER));
	}
	return ends(worker, mtsi_reason_of_failure(worker, verdict));
}

/* What follows a handler that has not just returned MTS_KEEP. */
__attribute__((noinline)) static enum result conclude(struct mtsi_worker *worker, int verdict)
{
	const bool has_ticket = worker->deferred;
	if (has_ticket) {
		verdict = mtsi_later_returned(worker, verdict);
	}
	return has_ticket && verdict == MTS_LATER ? DEFERRED : settle(worker, verdict);
}

/* Serves until the client ends, or is idle, sated, starved or deferred. */
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
		const int verdict = mtsi_handling(worker);
		if ((verdict | worker->deferred) != 0) {
			const enum result next = conclude(worker, verdict);
			if (next != GOES_ON) {
				return next;
			}
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
	if (!client->registered) {
		if (!mtsi_registration_watch_input(client)) {
			return -ENOMEM;
		}
		client->registered = true;
	}
	return mtsi_claim_release(client) ? 0 : -EAGAIN;
}

/* Keeps the client for another turn: 0 or -ENOMEM. */
static int keep(struct mtsi_worker *worker, struct mts_client *client)
{
	const bool saved = mtsi_input_save(worker);
	client->worker = NULL;
	return saved ? 0 : -ENOMEM;
}

/* The first go of a client. */
__attribute__((noinline)) static enum result open_and_serve(struct mtsi_worker *worker)
{
	const int opened = mtsi_opening(worker);
	if (opened != 1) {
		return opened == 0 ? ends(worker, MTS_CLOSED_BY_HANDLER) : without_request(worker, opened);
	}
	const enum result result = serve_requests(worker);
	mtsi_opening_learn(worker);
	return result;
}

static inline enum result serve(struct mtsi_worker *worker, const struct mts_client *client)
{
	return client->opened ? serve_requests(worker) : open_and_serve(worker);
}

/* The client's reply was deferred: what has become of that. */
static enum result resume(struct mtsi_worker *worker)
{
	int verdict = MTS_KEEP;
	switch (mtsi_later_look(worker, &verdict)) {
	case MTSI_LATER_OPEN:
		return DEFERRED;
	case MTSI_LATER_COMPLETED:
		return settle(worker, verdict);
	default:
		return ends(worker, mtsi_reason_of_input(worker, -EPIPE));
	}
}

/* Whether the client is still to wait, without a look at its input; GOES_ON: no more. */
__attribute__((noinline)) static enum result hold_back(
	struct mtsi_worker *worker, struct mts_client *client)
{
	if (client->deferred) {
		const enum result result = resume(worker);
		if (result != GOES_ON) {
			return result;
		}
	}
	/* Who finishes needs no room for replies: it ends, and waits for what is queued then. */
	if (mtsi_on_demand(worker->member.server) && !mtsi_client_finishes(client)
		&& mtsi_output_throttles(client)) {
		mtsi_memory_content(client); /* it does not want memory now */
		return THROTTLED;
	}
	client->throttled = false;
	return GOES_ON;
}

/*
 * One go: until the client ends, can be parked, or has had enough. A client that is throttled gets
 * none: what it has sent meanwhile stays in the socket, and is asked for when its output has gone.
 */
static enum result go(struct mtsi_worker *worker, struct mts_client *client)
{
	mtsi_turn_attach(worker, client);
	if (client->stage == MTSI_CLIENT_ENDING) {
		return ENDS;
	}
	mtsi_claim_clear(client);
	if (client->throttled) {
		const enum result result = hold_back(worker, client);
		if (result != GOES_ON) {
			return result;
		}
	}
	return serve(worker, client);
}

/* What the client is waited for once the turn is over. */
static enum mtsi_wait wait_after(const struct mtsi_worker *worker, bool throttled, bool later)
{
	const bool partial = worker->input.start < worker->input.end;
	if (throttled || (later && worker->handled > 0)) {
		return MTSI_WAIT_NOTHING;
	}
	if (!worker->member.client->opened) {
		return MTSI_WAIT_HANDSHAKE;
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

/* The reply has taken too long, unless it is completed by now. Returns what serve() does. */
static enum result reply_too_late(struct mtsi_worker *worker, struct mts_client *client)
{
	if (mtsi_later_give_up(client)) {
		return ends(worker, mtsi_reason_of_input(worker, -ETIMEDOUT));
	}
	const enum result result = hold_back(worker, client);
	return result == GOES_ON ? serve_requests(worker) : result;
}

/*
 * The handler has returned, and its reply comes later: what it has written goes out, and nobody
 * waits for it. AWAY: the client is not to be touched any more; else what go() returns.
 */
__attribute__((noinline)) static enum result await_reply(
	struct mtsi_worker *worker, struct mts_client *client)
{
	if (mtsi_output_flush(worker, false) != 0) {
		return ends(worker, mtsi_reason_of_input(worker, -EPIPE));
	}
	mtsi_later_measure(worker);
	client->throttled = true;
	worker->member.now = mtsi_clock_now();
	if (!mtsi_deadline_wait(client, MTSI_WAIT_LATER, worker->member.now)) {
		return reply_too_late(worker, client);
	}
	if (!mtsi_input_is_spent(&worker->input) && !mtsi_input_save(worker)) {
		mtsi_ending_give_up(worker, client);
		return AWAY;
	}
	return mtsi_later_let_go(client) ? AWAY : go(worker, client);
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
			if (client->awaits_header) {
				mtsi_header_end(worker, client);
				return false;
			}
			(void)mtsi_fault(worker, client->reason);
			mtsi_ending(worker, client, client->reason);
			return false;
		}
		if (result >= DEFERRED) {
			if (result == AWAY) {
				return false;
			}
			result = await_reply(worker, client);
			continue;
		}
		if (worker->replies.size > 0) {
			(void)mtsi_output_flush(worker, false);
		}
		/* Mostly it is just idle, and all of its output is out. */
		const bool plain = result == IDLE && !worker->queued;
		const bool throttled = !plain
			&& (!after[result].asks || (worker->queued && mtsi_output_throttles(client)));
		const bool later = !plain && after[result].later && !throttled;
		client->throttled = !plain && (throttled || after[result].holds);
		const enum mtsi_wait kind = wait_after(worker, throttled, later);
		worker->member.now = mtsi_clock_now();
		if (!mtsi_deadline_wait(client, kind, worker->member.now)) {
			result = too_late(worker, kind, result);
			continue;
		}
		const int parked = later ? keep(worker, client) : park(worker, client);
		if (parked == -ENOMEM) {
			mtsi_ending_give_up(worker, client);
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
