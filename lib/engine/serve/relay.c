/* SPDX-License-Identifier: MIT
 *
 * A relay: the bytes of a client go to another socket of the program, and back, until both have ended.
 * Each way is carried by carry.c; here is the wait for both, and what may end it.
 *
 * While it lasts the way out is seized (output.h): what was written before has been sent, nobody else
 * sends, and whoever cuts the client off drops something, so the peer gets a reset, and no end of
 * stream that it could take for the other side's. It counts as the request in progress: a
 * stop, or who tells the client to finish, leaves it alone, as any other read beside requests
 * (client.c).
 *
 * The wait is a poll for both sockets. Whoever cuts the client off resets its socket, or shuts both
 * sides of it, and both wake the poll. That cannot be seen any more where both sides of the client have
 * ended already; then the thread looks every few milliseconds whether the client is lost. Nobody reads
 * or writes meanwhile:
 *
 * - Neither way holds anything: the client is idle, and the keeper ends the wait as it does any other
 *   (expiry.c), by its word, of the kind MTSI_WAIT_RELAY; but it also cuts the client off, which wakes
 *   this thread in any case.
 * - The client does not take what is held for it: the keeper sees to that too (`stuck_since`).
 * - The other socket does not take what is held for it: there is no keeper for that, so this thread
 *   looks at the clock. As with a client, less that is not acknowledged is progress. It looks once a
 *   second, since the timeout may be changed meanwhile.
 *
 * A relay that ends early has torn a stream in two, so then the client is lost, and reset.
 */
#include "engine/serve/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <mtserver/hooks.h>
#include <mtserver/limits.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/options.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/list.h"
#include "engine/client/timeouts.h"
#include "engine/crew/stint.h"
#include "engine/serve/carry.h"
#include "engine/serve/input.h"
#include "engine/serve/output.h"
#include "engine/serve/push.h"
#include "engine/serve/request.h"
#include "engine/serve/worker.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/sigpipe.h"
#include "os/splice.h"
#include "os/stream.h"

enum {
	LOOK_AGAIN = 1000, /* milliseconds, while the other socket takes nothing */
	LOOK_SOON = 20 /* the same while the client's socket cannot wake this thread */
};

struct relay {
	struct mtsi_worker *worker;
	int fd;
	struct mtsi_way out; /* from the client to the other socket */
	struct mtsi_way back; /* from there to the client */
	struct mtsi_watch watch[2]; /* the client, the other */
	bool quiet[2]; /* it reports an end in any case, so it is not watched for that */
	bool client_stuck; /* that output waits was noted */
	uint64_t stuck_since; /* the other socket takes nothing since then; 0: it does */
	size_t stuck_with; /* so much was not acknowledged then */
	bool splices; /* the client is prepared for splice(2), */
	bool changed; /* and the other socket made non-blocking for it */
	struct mtsi_sigpipe before;
};

/* The other socket has taken nothing for too long: cuts the client off. */
static int other_timed_out(struct relay *relay, uint64_t now)
{
	struct mts_client *client = relay->worker->member.client;
	struct mtsi_list none = {NULL, NULL, 0};
	mtsi_lock_take(&client->lock);
	const bool cut = mtsi_client_cut_locked(client, MTS_CLOSED_WRITE_TIMEOUT, &none);
	mtsi_lock_release(&client->lock);
	if (cut) {
		mtsi_count_shared(client->server, MTS_STAT_TIMEOUTS, 1);
		mtsi_log_client(client->server, MTSI_LOG_TIMEOUT, client->id, &client->peer,
			"cut off, what it is relayed to has taken nothing for %" PRIu64 " ms",
			(now - relay->stuck_since) / MTSI_MILLISECOND);
	}
	return cut ? -ETIMEDOUT : -EPIPE;
}

/*
 * How long to wait for the other socket to take something, in milliseconds; -1: for ever, since
 * nothing is held for it; or 0: it has lasted too long.
 */
static int other_may_wait(struct relay *relay, uint64_t now)
{
	const uint64_t timeout = mtsi_timeout_of(relay->worker->member.client, MTS_TIMEOUT_WRITE);
	if (!mtsi_way_holds(&relay->out)) {
		relay->stuck_since = 0;
		return -1;
	}
	const bool late = relay->stuck_since != 0
		&& mtsi_clock_after(relay->stuck_since, timeout) <= now;
	if (relay->stuck_since == 0 || relay->out.gave || late) {
		const size_t unacknowledged = mtsi_stream_unacknowledged(relay->fd);
		if (late && !relay->out.gave && unacknowledged >= relay->stuck_with) {
			return 0;
		}
		relay->stuck_since = now;
		relay->stuck_with = unacknowledged;
	}
	relay->out.gave = false;
	const uint64_t left = mtsi_clock_after(relay->stuck_since, timeout) - now;
	return left < LOOK_AGAIN * MTSI_MILLISECOND ? (int)(left / MTSI_MILLISECOND) + 1 : LOOK_AGAIN;
}

/* Says whether the client is waited for to take what is held for it. */
static void note_client_stuck(struct relay *relay)
{
	struct mts_client *client = relay->worker->member.client;
	const bool stuck = mtsi_way_holds(&relay->back);
	if (stuck || relay->client_stuck) {
		mtsi_lock_take(&client->lock);
		if (!atomic_load(&client->lost)) {
			mtsi_deadline_output_locked(client, stuck, relay->back.gave);
		}
		mtsi_lock_release(&client->lock);
	}
	relay->client_stuck = stuck;
	relay->back.gave = false;
}

/* For what a socket is watched: `in` comes from it, `out` goes to it. */
static unsigned wanted(const struct mtsi_way *in, const struct mtsi_way *out)
{
	return (!in->ended && !mtsi_way_holds(in) ? (unsigned)MTSI_WATCH_IN : 0)
		| (mtsi_way_holds(out) ? (unsigned)MTSI_WATCH_OUT : 0);
}

/*
 * Something was found of a socket of which nothing is wanted: it has failed, or its end is known, and
 * will be reported for ever, or it is cut off. 0 or an error.
 */
static int found_ends(struct relay *relay)
{
	const unsigned dead = MTSI_WATCH_HUP | MTSI_WATCH_ERR;
	int result = 0;
	for (int i = 0; i < 2; i++) {
		const struct mtsi_watch *watch = &relay->watch[i];
		if (watch->wanted != 0 || watch->found == 0) {
			continue;
		}
		relay->quiet[i] = true;
		if (i == 0 && (watch->found & dead) == dead) {
			return -EPIPE;
		}
		if (i == 1 && (watch->found & MTSI_WATCH_ERR) != 0) {
			result = mtsi_stream_error(relay->fd);
		}
	}
	return result;
}

/*
 * Waits for both sockets: for what is wanted of them, and for the end of a connection, as long as that
 * can be told. 0 or an error.
 */
static int watch_both(struct relay *relay, int milliseconds)
{
	struct mtsi_watch *client = &relay->watch[0];
	struct mtsi_watch *other = &relay->watch[1];
	client->wanted = wanted(&relay->out, &relay->back);
	other->wanted = wanted(&relay->back, &relay->out);
	other->fd = other->wanted != 0 || !relay->quiet[1] ? relay->fd : -1;
	const bool watched = client->wanted != 0 || !relay->quiet[0];
	if (!watched && (milliseconds < 0 || milliseconds > LOOK_SOON)) {
		milliseconds = LOOK_SOON;
	}
	mtsi_conn_watch(relay->worker->member.client, watched, relay->watch, milliseconds);
	relay->out.told = (client->found & client->wanted & MTSI_WATCH_IN) != 0;
	relay->back.told = (other->found & other->wanted & MTSI_WATCH_IN) != 0;
	return found_ends(relay);
}

/* Nothing is held, so the client is idle: waits until something comes. 0 or an error. */
static int wait_idle(struct relay *relay)
{
	struct mts_client *client = relay->worker->member.client;
	int result = 0;
	/* Where the client has ended, what its socket says tells nothing about its being idle. */
	const enum mtsi_block how = relay->out.ended ? MTSI_BLOCK_MEMORY : MTSI_BLOCK_RECEIVE;
	if (!mtsi_deadline_block(client, MTSI_WAIT_RELAY, how)) {
		mtsi_deadline_end(client, MTSI_WAIT_IDLE);
		return -ETIMEDOUT;
	}
	/* Looked at after it has said that it waits, as in receive.c. */
	if (!atomic_load(&client->lost)) {
		result = watch_both(relay, -1);
	}
	return mtsi_deadline_unblock(client) ? result : -ETIMEDOUT;
}

/* Nothing can be moved now: waits until that may have changed. 0 or an error. */
static int await(struct relay *relay)
{
	mtsi_stint_step_aside(&relay->worker->member);
	note_client_stuck(relay);
	if (relay->out.moved || relay->back.moved) {
		mtsi_deadline_met(relay->worker->member.client);
		relay->out.moved = false;
		relay->back.moved = false;
	}
	if (!mtsi_way_holds(&relay->out) && !mtsi_way_holds(&relay->back)) {
		relay->stuck_since = 0;
		return wait_idle(relay);
	}
	const uint64_t now = mtsi_clock_now();
	const int milliseconds = other_may_wait(relay, now);
	if (milliseconds == 0) {
		return other_timed_out(relay, now);
	}
	return watch_both(relay, milliseconds);
}

/* One way goes on. The other may be stuck meanwhile, so its time counts too. 0 or an error. */
static int note_stuck(struct relay *relay)
{
	const uint64_t now = mtsi_way_holds(&relay->out) ? mtsi_clock_now() : 0;
	if (relay->client_stuck || mtsi_way_holds(&relay->back)) {
		note_client_stuck(relay);
	}
	return other_may_wait(relay, now) == 0 ? other_timed_out(relay, now) : 0;
}

/* Carries both ways until both have ended: 0, or why not. */
static int carry_both(struct relay *relay)
{
	struct mts_client *client = relay->worker->member.client;
	for (;;) {
		if (atomic_load(&client->lost)) {
			return mtsi_push_why_lost(client);
		}
		const int out = mtsi_carry(&relay->out);
		const int back = out < 0 ? 0 : mtsi_carry(&relay->back);
		if (out < 0 || back < 0) {
			/* If it was cut off, that is why it failed. */
			const int result = out < 0 ? out : back;
			return atomic_load(&client->lost) ? mtsi_push_why_lost(client) : result;
		}
		if (relay->out.done && relay->back.done) {
			return 0;
		}
		const int result = out + back == 0 ? await(relay) : note_stuck(relay);
		if (result != 0) {
			return result == -EPIPE ? mtsi_push_why_lost(client) : result;
		}
	}
}

/* Prepares a way: with a pipe, or to copy. False: there is no memory to copy through. */
static bool prepare_way(struct relay *relay, struct mtsi_way *way, bool from_client, bool splices)
{
	*way = (struct mtsi_way){.worker = relay->worker,
		.fd = relay->fd,
		.from_client = from_client,
		.moved = true,
		.pipe = {-1, -1}};
	way->copies = !splices || mtsi_pipe_open(way->pipe) != 0;
	return !way->copies || mtsi_worker_large(relay->worker);
}

/* Prepares both ways; what is pending goes out first. False as above. */
static bool prepare(struct relay *relay)
{
	struct mtsi_worker *worker = relay->worker;
	struct mtsi_input *input = &worker->input;
	relay->splices = mtsi_conn_splice_begin(worker->member.client, &relay->before);
	const bool splices = relay->splices && mtsi_stream_begin(relay->fd, &relay->changed);
	const bool out = prepare_way(relay, &relay->out, true, splices);
	const bool back = prepare_way(relay, &relay->back, false, splices);
	mtsi_input_take_nul(input);
	relay->out.data = input->data + input->start;
	relay->out.left = input->end - input->start;
	relay->out.ended = input->ended;
	input->start = input->end;
	input->scanned = 0;
	input->exhausted = false;
	return out && back;
}

static void close_way(const struct mtsi_way *way)
{
	if (way->pipe[0] >= 0) {
		mtsi_pipe_close(way->pipe);
	}
}

/* The sockets and the thread are as they were. */
static void put_back(const struct relay *relay)
{
	close_way(&relay->out);
	close_way(&relay->back);
	if (relay->changed) {
		mtsi_stream_end(relay->fd);
	}
	if (relay->splices) {
		mtsi_conn_splice_end(relay->worker->member.client, &relay->before);
	}
}

/* The relay has ended early, for this reason: the client is lost. */
static void give_up(struct mtsi_worker *worker, int result)
{
	struct mts_client *client = worker->member.client;
	struct mtsi_list none = {NULL, NULL, 0};
	worker->failed = result;
	if (result == -EPIPE || result == -ETIMEDOUT || result == -ENOMEM) {
		mtsi_client_lose(client);
		return;
	}
	/* An error of the other socket, which the client has to be told. */
	mtsi_lock_take(&client->lock);
	(void)mtsi_client_cut_locked(client, MTS_CLOSED_ERROR, &none);
	mtsi_lock_release(&client->lock);
}

/*
 * 0, or why a relay cannot begin: a stop or a deadline may have shut the receiving side, which looks
 * like the end of the peer's stream. What the callback is told here it may return (reason.c).
 */
static int may_begin(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	int result = worker->failed;
	mtsi_lock_take(&client->lock);
	if (atomic_load(&client->muted)) {
		result = -EPIPE;
	} else if (result == 0 && !worker->input.ended) {
		const bool late = atomic_load(&client->cause) != MTSI_NO_CAUSE;
		worker->failed = late ? -ETIMEDOUT : client->deaf ? -ECANCELED : 0;
		worker->told = worker->failed != 0;
		result = worker->failed;
	}
	mtsi_lock_release(&client->lock);
	return result;
}

/* The other socket was found good, or has failed already, which is an error of the relay. */
static int relay_with(struct mtsi_worker *worker, int fd, int error)
{
	struct relay relay = {.worker = worker, .fd = fd};
	int result = mtsi_output_seize(worker);
	if (result == 0 && error == 0) {
		result = prepare(&relay) ? carry_both(&relay) : -ENOMEM;
		put_back(&relay);
	} else if (result == 0) {
		result = error;
	}
	if (result != 0) {
		give_up(worker, result);
	} else {
		worker->input.ended = true;
	}
	mtsi_output_yield(worker);
	return result;
}

int mtsi_relay(struct mtsi_worker *worker, int fd)
{
	struct mts_client *client = worker->member.client;
	bool failed = false;
	if (atomic_load(&client->muted)) {
		return -EPIPE;
	}
	const int checked = mtsi_conn_is(client, fd) ? -EINVAL : mtsi_stream_check(fd, &failed);
	if (checked != 0 && !failed) {
		return checked;
	}
	const bool overrun = mtsi_request_overrun(worker);
	int result = may_begin(worker);
	if (result == 0) {
		mtsi_deadline_met(client);
		result = relay_with(worker, fd, checked);
		mtsi_deadline_handler_since(client, overrun ? 0 : worker->handler_since);
	}
	return result;
}
