/* SPDX-License-Identifier: MIT
 *
 * Receiving, by the thread that serves the client.
 *
 * mtsi_receive() is the seam at which thread models differ. With a thread per client it is one
 * blocking call. On demand it does not wait: the client is parked instead (turn.c). Only a callback
 * that asks for more waits in it, after it has let the crew know. A read that is shorter than the
 * buffer has taken all there was, which saves asking again (client/conn.h). This is not true once
 * urgent data or an end of the stream was announced, since recv(2) stops at either, nor on sockets
 * that keep the pieces apart, as Unix ones may. What comes afterwards raises an event, which leaves
 * AGAIN (claim.h).
 *
 * A stop sets its flag, and then wakes the threads that wait for a request, by shutting down the
 * receiving side; client.c says why none of them is missed. From then on only what had already
 * arrived is taken for requests, to the byte, so that requests received whole are served and a peer
 * that never stops sending cannot hold up the stop. A callback that reads beside requests goes on
 * receiving what belongs to the request in progress, until the stop's deadline cuts the client off.
 * But not if the receiving side was shut before: then it too gets only what had arrived.
 *
 * Before that there may be a grace. Then all is as ever, but a client that has been given a request in it
 * is not waited for once nothing of a further one is here. So one that is in the middle of sending is.
 *
 * A deadline ends a wait in the same way, and the same is done then (`late`), since what is there
 * may have come in time, for instance while the process was stopped. If this makes the request
 * whole, and the deadline has not shut the socket down, the client was in time, and stays.
 */
#include "engine/serve/receive.h"

#include <errno.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/crew/stint.h"
#include "engine/door/eviction.h"
#include "engine/door/floor.h"
#include "engine/serve/worker.h"
#include "os/clock.h"
#include "os/lock.h"

int mtsi_receive_failed(struct mts_client *client)
{
	mtsi_client_lose(client);
	return -EPIPE;
}

/*
 * All that had come in time has been taken: returns 0 when the peer has finished too, else why the
 * client ends.
 */
static int end_of_last(struct mtsi_worker *worker, enum mtsi_wait kind)
{
	const struct mts_client *client = worker->member.client;
	if (mtsi_conn_unread(client) == 0 && mtsi_conn_peer(client) >= MTSI_PEER_FINISHED) {
		return 0;
	}
	if (!worker->late) {
		return -ECANCELED;
	}
	mtsi_deadline_end(worker->member.client, kind);
	return -ETIMEDOUT;
}

/* The server is stopping, or a wait has lasted too long: takes only what is here already. */
__attribute__((noinline)) static ssize_t receive_last(
	struct mtsi_worker *worker, void *buffer, size_t size, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	if (!worker->last_turn) {
		worker->last_turn = true;
		worker->last_left = mtsi_conn_unread(client);
	}
	if (worker->last_left == 0) {
		return end_of_last(worker, kind);
	}
	const ssize_t count = mtsi_conn_receive_now(
		client, buffer, size < worker->last_left ? size : worker->last_left);
	if (count == 0 || count == -EAGAIN) {
		worker->last_left = 0;
		return end_of_last(worker, kind);
	}
	worker->last_left -= count > 0 ? (size_t)count : 0;
	return count;
}

void mtsi_receive_late(struct mtsi_worker *worker)
{
	worker->late = true;
	worker->input.exhausted = false;
}

/* The client is late no more, unless the deadline has shut its receiving side. */
static void forgive(struct mtsi_worker *worker)
{
	if (atomic_load(&worker->member.client->cause) == MTSI_NO_CAUSE) {
		worker->late = false;
		worker->last_turn = false;
	}
}

/* A first byte has come, late or not: this begins a request, which has a deadline of its own. */
__attribute__((noinline)) static void forgive_late(struct mtsi_worker *worker, enum mtsi_wait kind)
{
	if (worker->late && kind == MTSI_WAIT_IDLE) {
		forgive(worker);
	}
}

void mtsi_receive_met(struct mtsi_worker *worker)
{
	mtsi_deadline_met(worker->member.client);
	if (worker->late) {
		forgive(worker);
	}
}

/* Somebody has ended the wait, under the client's lock: waits until that is done completely. */
__attribute__((noinline)) static void wait_ended(struct mtsi_worker *worker)
{
	mtsi_lock_take(&worker->member.client->lock);
	mtsi_lock_release(&worker->member.client->lock);
	mtsi_receive_late(worker);
}

bool mtsi_receive_wants_no_more(const struct mtsi_worker *worker, enum mtsi_wait kind)
{
	return mtsi_client_finishes(worker->member.client)
		&& (kind != MTSI_WAIT_READ || worker->failed == -ECANCELED);
}

bool mtsi_receive_had_last(const struct mtsi_worker *worker)
{
	const struct mts_client *client = worker->member.client;
	return client->had_last && mtsi_in_grace(worker->member.server)
		&& !mtsi_conn_holds_back(client);
}

/* The client ends: whether the owner must not wait, and why; else 0. */
__attribute__((noinline)) static int may_not_wait(
	const struct mtsi_worker *worker, enum mtsi_wait kind)
{
	if (atomic_load(&worker->member.client->lost)) {
		return -EPIPE;
	}
	if (mtsi_receive_wants_no_more(worker, kind)
		|| (kind == MTSI_WAIT_IDLE && mtsi_receive_had_last(worker))) {
		return -ECANCELED;
	}
	return kind != MTSI_WAIT_READ && mtsi_closing(worker->member.server) ? -EAGAIN : 0;
}

/*
 * A read beside requests has taken so many bytes. Those that had arrived by a stop are the first of
 * them, so fewer of these are left to be taken for requests.
 */
static void take_off(struct mtsi_worker *worker, size_t count)
{
	worker->last_left -= count < worker->last_left ? count : worker->last_left;
}

/* Waits for the client's next bytes, in a callback or for a thread of its own. */
static ssize_t receive_waiting(
	struct mtsi_worker *worker, void *buffer, size_t size, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	mtsi_stint_step_aside(&worker->member);
	worker->input.exhausted = false;
	if (!mtsi_deadline_block(client, kind, MTSI_BLOCK_RECEIVE)) {
		mtsi_receive_late(worker);
		return -EAGAIN;
	}
	if (mtsi_eviction_wanted(&mtsi_door_floor(worker->member.server)->eviction)) {
		mtsi_eviction_offer(worker->member.server, client->id);
	}
	/*
	 * Looked at after it has said that it waits: a later cut wakes it, an earlier one is seen here
	 * (client.c). So with a client that is told to finish, and with a stop.
	 */
	if (atomic_load(&client->ends)) {
		const int result = may_not_wait(worker, kind);
		if (result != 0) {
			(void)mtsi_deadline_unblock(client);
			return result;
		}
	}
	const ssize_t count = mtsi_conn_receive(client, buffer, size);
	if (worker->last_turn && count > 0) {
		take_off(worker, (size_t)count);
	}
	if (!mtsi_deadline_unblock(client)) {
		wait_ended(worker);
		if (count > 0) {
			forgive_late(worker, kind);
		}
	}
	return count;
}

void mtsi_receive_reset_if_lost(struct mts_client *client)
{
	if (atomic_load(&client->lost)) {
		mtsi_client_lose(client);
	}
}

/* Some bytes have come. */
static inline ssize_t note_received(struct mtsi_worker *worker, ssize_t count)
{
	mtsi_count(&worker->member.counters, MTS_STAT_BYTES_IN, (uint64_t)count);
	if (!mtsi_on_demand(worker->member.server)) {
		atomic_store_explicit(&worker->member.since, mtsi_clock_now(), memory_order_relaxed);
	}
	return count;
}

/* Whether only what is here already is taken: the client is late, or a stop has ended the wait. */
static bool takes_the_last(const struct mtsi_worker *worker, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	return worker->late
		|| (mtsi_closing(client->server)
			&& (kind != MTSI_WAIT_READ || mtsi_client_is_deaf(client)));
}

/* No bytes have come: what that means. Not inlined, to keep the usual case short. */
__attribute__((noinline)) static ssize_t received_nothing(
	struct mtsi_worker *worker, void *buffer, size_t size, ssize_t count, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	if (atomic_load(&client->lost)) {
		mtsi_receive_reset_if_lost(client);
		return -EPIPE; /* whoever has cut it off has ended the stream, not the peer */
	}
	if ((count == 0 || count == -EAGAIN) && mtsi_receive_wants_no_more(worker, kind)) {
		return -ECANCELED; /* the stream may have been ended here, not by the peer */
	}
	if ((count == 0 || count == -EAGAIN) && takes_the_last(worker, kind)) {
		count = receive_last(worker, buffer, size, kind);
	}
	if (count > 0) {
		forgive_late(worker, kind);
		return note_received(worker, count);
	}
	if (count == 0) {
		worker->input.ended = true;
	} else if (count == -EPIPE) {
		return mtsi_receive_failed(client);
	}
	return count;
}

/*
 * The same as mtsi_receive_now(), which leaves it to this in the grace of a stop: whether a client that has
 * had its last request is sending another one has to be known before it ends.
 */
__attribute__((noinline)) static ssize_t receive_in_grace(
	struct mtsi_worker *worker, void *buffer, size_t size)
{
	struct mts_client *client = worker->member.client;
	mtsi_claim_clear(client);
	const ssize_t count = mtsi_conn_receive_now(client, buffer, size);
	worker->input.exhausted = mtsi_conn_received_all(client, count, size)
		&& !mtsi_conn_holds_back(client);
	return count;
}

ssize_t mtsi_receive(struct mtsi_worker *worker, void *buffer, size_t size, bool wait,
	enum mtsi_wait kind, ssize_t count)
{
	struct mts_server *server = worker->member.server;
	if (atomic_load(&worker->member.client->lost)) {
		mtsi_client_lose(worker->member.client); /* it may not have been reset yet */
		return -EPIPE; /* whoever has cut it off has ended the stream, not the peer */
	}
	if (count == -EAGAIN && mtsi_in_grace(server) && !worker->late
		&& !mtsi_receive_wants_no_more(worker, kind)) {
		count = receive_in_grace(worker, buffer, size);
	}
	if (count == -EAGAIN && !worker->late && (wait || !mtsi_on_demand(server))
		&& (kind == MTSI_WAIT_READ || !mtsi_closing(server))) {
		count = receive_waiting(worker, buffer, size, kind);
	}
	return count > 0 ? note_received(worker, count)
					 : received_nothing(worker, buffer, size, count, kind);
}
