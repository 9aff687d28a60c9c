/* SPDX-License-Identifier: MIT
 *
 * One go of service, the same for every thread model: open, then read, frame and handle until
 * something ends it, then close. What differs between models is how the wait for input is done
 * (input.c), nothing here.
 *
 * Requests that came together are handled one after the other, and their replies gather; only when
 * no whole request is left does the batch go out, right before the wait for more.
 *
 * The end comes in a fixed order, whatever its cause: the output is handed to the kernel or given
 * up, the close hook runs, the client is counted as closed, and only then does the socket linger or
 * close.
 */
#include "engine/turn.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "engine/client.h"
#include "engine/linger.h"
#include "engine/server.h"
#include "engine/worker.h"
#include "os/clock.h"

static void lose(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	mtsi_client_lose_locked(client);
	mtsi_lock_release(&client->lock);
}

int mtsi_turn_next(struct mtsi_worker *worker, const void **request, size_t *size)
{
	int result = worker->failed;
	while (result == 0) {
		result = mtsi_input_request(worker, request, size);
		if (result == 0) {
			result = mtsi_output_flush(worker);
		}
		if (result == 0) {
			if (worker->input.ended) {
				return 0;
			}
			const int filled = mtsi_input_fill(worker);
			result = filled < 0 ? filled : 0;
		}
	}
	if (result == -ENOMEM) {
		lose(worker->client);
	}
	if (result < 0) {
		worker->failed = result;
	} else {
		mtsi_count(&worker->stats, MTS_STAT_REQUESTS, 1);
	}
	return result;
}

static void attach(struct mtsi_worker *worker, struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	client->stage = MTSI_CLIENT_SERVED;
	client->worker = worker;
	mtsi_lock_release(&client->lock);
	mtsi_input_begin(worker);
	memset(&worker->stage, 0, sizeof(worker->stage));
	worker->failed = 0;
	worker->last_turn = false;
	worker->peer[0] = '\0';
	worker->local[0] = '\0';
	atomic_store_explicit(&worker->since, mtsi_clock_now(), memory_order_relaxed);
}

static bool open_client(struct mtsi_worker *worker)
{
	const struct mtsi_options *options = &worker->server->options;
	struct mts_client *client = worker->client;
	if (options->on_open != NULL && options->on_open(client, options->on_open_user) != 0) {
		mtsi_count(&worker->stats, MTS_STAT_REFUSED, 1);
		return false;
	}
	client->opened = true;
	mtsi_count(&worker->stats, MTS_STAT_ACCEPTED, 1);
	return true;
}

static int handle(struct mtsi_worker *worker, const void *request, size_t size)
{
	const struct mtsi_options *options = &worker->server->options;
	worker->stage.mark = worker->stage.size;
	mtsi_count(&worker->stats, MTS_STAT_BUSY, 1);
	const int verdict = options->handler(worker->client, request, size, options->user);
	mtsi_count(&worker->stats, MTS_STAT_BUSY, (uint64_t)-1);
	return verdict;
}

/* The connection is gone: by the server's doing, or the peer's. */
static int loser(const struct mts_client *client)
{
	return atomic_load(&client->cut) ? MTS_CLOSED_STOP : MTS_CLOSED_BY_PEER;
}

static int end_of_input(struct mtsi_worker *worker, int result)
{
	struct mts_server *server = worker->server;
	struct mts_client *client = worker->client;
	switch (result) {
	case 0:
		return MTS_CLOSED_BY_PEER;
	case -EPIPE:
		return loser(client);
	case -ECANCELED:
		return MTS_CLOSED_STOP;
	case -EMSGSIZE:
		mtsi_log_client(server, MTSI_LOG_TOO_LARGE, client->id, &client->peer,
			"request above the limit of %zu bytes", server->options.framing.limit);
		return MTS_CLOSED_TOO_LARGE;
	case -EPROTO:
		mtsi_log_client(
			server, MTSI_LOG_PROTOCOL, client->id, &client->peer, "not a whole request");
		return MTS_CLOSED_PROTOCOL;
	default:
		mtsi_log_client(
			server, MTSI_LOG_CLIENT, client->id, &client->peer, "cut off: %s", strerror(-result));
		return MTS_CLOSED_ERROR;
	}
}

static int handler_failed(struct mtsi_worker *worker, int verdict)
{
	mtsi_output_forget(worker);
	(void)mtsi_output_flush(worker);
	const struct mts_client *client = worker->client;
	mtsi_log_client(worker->server, MTSI_LOG_HANDLER, client->id, &client->peer,
		"cut off, the handler returned %d: %s", verdict, strerror(verdict < 0 ? -verdict : EINVAL));
	return MTS_CLOSED_ERROR;
}

/* Until the client ends; why it has. */
static int serve(struct mtsi_worker *worker)
{
	for (;;) {
		const void *request;
		size_t size;
		const int result = mtsi_turn_next(worker, &request, &size);
		if (result != 1) {
			return end_of_input(worker, result);
		}
		const int verdict = handle(worker, request, size);
		if (verdict == MTS_CLOSE) {
			return MTS_CLOSED_BY_HANDLER;
		}
		if (verdict != MTS_KEEP) {
			return handler_failed(worker, verdict);
		}
	}
}

/* From here on the program can write and read nothing more; the kernel has all that was written. */
static void seal(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	(void)mtsi_client_watch_locked(client, 0);
	atomic_store(&client->lost, true);
	mtsi_lock_release(&client->lock);
}

static void run_close_hook(struct mtsi_worker *worker, int reason)
{
	const struct mtsi_options *options = &worker->server->options;
	if (worker->client->opened) {
		if (options->on_close != NULL) {
			options->on_close(worker->client, reason, options->on_close_user);
		}
		mtsi_count(&worker->stats, MTS_STAT_CLOSED, 1);
	}
}

void mtsi_turn(struct mtsi_worker *worker, struct mts_client *client)
{
	attach(worker, client);
	int reason = open_client(worker) ? serve(worker) : MTS_CLOSED_BY_HANDLER;
	const bool given_up = reason == MTS_CLOSED_ERROR || mtsi_output_drain(worker) != 0;
	if (given_up && reason != MTS_CLOSED_ERROR) {
		reason = worker->failed == -ENOMEM ? MTS_CLOSED_ERROR : loser(client);
	}
	if (given_up) {
		lose(client);
	} else {
		seal(client);
	}
	worker->failed = -EPIPE;
	run_close_hook(worker, reason);
	client->worker = NULL;
	mtsi_input_end(worker);
	mtsi_linger_or_close(client, given_up);
}
