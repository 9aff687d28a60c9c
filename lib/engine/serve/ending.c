/* SPDX-License-Identifier: MIT
 *
 * The end of a client, in a fixed order, whatever its cause: the peer may have been told why
 * (fault.c), the output is handed to the kernel or given up, the close hook runs, the client is
 * counted as closed, and only then does the socket linger or close. On demand a client whose peer
 * does not read its last replies is parked, with nothing watched but its output. When that output is
 * gone, the client gets a turn for the rest of the order.
 *
 * A short last reply waits in the kernel for the end of the stream, so that both go in one packet.
 * This saves one packet to the peer, and one wake-up there, of the three that a connection for a
 * single request takes. The end of the stream must follow at once, so this is not done where a hook
 * runs in between.
 */
#include "engine/serve/ending.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/registration.h"
#include "engine/door/address_book.h"
#include "engine/door/door.h"
#include "engine/door/linger.h"
#include "engine/serve/input.h"
#include "engine/serve/output.h"
#include "engine/serve/reason.h"
#include "engine/serve/worker.h"
#include "os/lock.h"

/* Replies that fit into one packet of any connection: the default segment size (RFC 9293, 3.7.1). */
enum { FEW_BYTES = 536 };

enum { MOST_DISCARDED = 1024 * 1024 };

/* Whether the client ends during a stop, but not because the stop's deadline has cut it off. */
static bool is_drained(const struct mtsi_worker *worker)
{
	return mtsi_stopping(worker->member.server)
		&& atomic_load(&worker->member.client->cause) != MTS_CLOSED_STOP;
}

static void run_close_hook(struct mtsi_worker *worker, int reason)
{
	const struct mtsi_options *options = &mtsi_base_floor(worker->member.server)->options;
	if (worker->member.client->opened && options->on_close != NULL) {
		options->on_close(worker->member.client, reason, options->on_close_user);
	}
}

/*
 * To close a socket with unread input is to reset it, which would drop what the kernel still has of
 * the output (RFC 1122, 4.2.2.13). There is no time to linger, so that input is read and thrown
 * away.
 */
static void discard_input(struct mts_client *client)
{
	char nowhere[MOST_DISCARDED / 64];
	for (int i = 0; i < 64; i++) {
		if (mtsi_conn_receive_now(client, nowhere, sizeof(nowhere)) <= 0) {
			return;
		}
	}
}

/* The client leaves. The order of the steps matters: each says why. */
void mtsi_ending_finish(struct mtsi_worker *worker, struct mts_client *client)
{
	struct mts_server *server = worker->member.server;
	/*
	 * Final: a lost or sealed client is not evicted any more. (Evictions for memory do not set
	 * this.)
	 */
	const bool evicted = client->evicted;

	/*
	 * 1. The client is counted as closed before its peer can know that it is.
	 */
	if (client->opened) {
		mtsi_count(&worker->member.counters, MTS_STAT_DRAINED, worker->drained ? 1 : 0);
		mtsi_count(&worker->member.counters, MTS_STAT_CLOSED, 1);
	}
	/*
	 * 2. The worker lets go of it: no call may use it any more, and the next client gets the
	 *    buffers.
	 */
	worker->closing = false;
	client->worker = NULL;
	mtsi_input_end(worker);
	/*
	 * 3. The peer is told the end of the stream first, since closing the socket may reset it.
	 */
	if (worker->ends_in_order) {
		mtsi_conn_shut_sending(client);
	}
	if (worker->discards) {
		discard_input(client);
	}
	/*
	 * 4. Its address counts it no more: it was a client until here, and lingering does not count.
	 */
	mtsi_address_book_leave(client);
	/* 5. Its socket lingers, or is closed. The client is not to be touched from here on. */
	mtsi_linger_or_close(client, worker->closes_at_once, worker->corked);
	/*
	 * 6. The door counts it out, and lets in the next client, which may now get its descriptor.
	 */
	mtsi_door_leave(server, evicted);
}

/*
 * Whether a client that is lost, with nothing dropped, is closed at once: because the connection is
 * dead, or there is no time, or the peer has got everything. If not, the kernel has all that was
 * written, and must go on sending it, even though the peer has sent something that is not read.
 */
static bool closes_at_once(const struct mts_client *client, int reason)
{
	const int cause = atomic_load(&client->cause);
	const bool dead = cause == MTSI_NO_CAUSE && reason != MTS_CLOSED_ERROR;
	/*
	 * The end of the stream counts as one byte. A Unix socket that is closed with unread input
	 * fails for its peer, whatever the peer has got already.
	 */
	const bool arrived = !client->peer.local && mtsi_conn_unacknowledged(client) <= 1
		&& mtsi_conn_unsent(client) == 0;
	return dead || cause == MTS_CLOSED_STOP || arrived;
}

void mtsi_ending_unopened(struct mtsi_worker *worker, struct mts_client *client, bool lingers)
{
	worker->failed = -EPIPE;
	worker->closing = true;
	worker->closes_at_once = !lingers;
	worker->ends_in_order = false;
	worker->discards = false;
	mtsi_ending_finish(worker, client);
}

/* The rest of the order, once the output is handed over or given up. */
static void finish_client(
	struct mtsi_worker *worker, struct mts_client *client, int reason, bool given_up)
{
	/* From here on the program can write and read nothing. */
	bool dropped;
	const bool sealed = mtsi_client_seal(client, given_up, &dropped);
	worker->failed = -EPIPE;
	worker->closing = true;
	worker->closes_at_once = dropped || (!sealed && closes_at_once(client, reason));
	worker->ends_in_order = worker->closes_at_once && !dropped;
	worker->discards = worker->ends_in_order && atomic_load(&client->cause) == MTS_CLOSED_STOP;
	worker->drained = is_drained(worker);
	/* From here on nobody can cut the client off; whoever did so before has said why. */
	run_close_hook(worker, mtsi_reason(client, reason));
	mtsi_ending_finish(worker, client);
}

/*
 * A client that ends waits for its output, without a thread if possible: then it is parked, and
 * this returns true.
 */
static bool wait_for_output(struct mtsi_worker *worker, struct mts_client *client)
{
	if (!mtsi_on_demand(worker->member.server) || mtsi_output_flush(worker, false) != 0) {
		return false;
	}
	mtsi_deadline_met(client);
	while (mtsi_output_throttles(client)) {
		client->worker = NULL;
		mtsi_input_end(worker);
		mtsi_registration_ignore_input(client);
		if (mtsi_claim_release(client)) {
			return true;
		}
		mtsi_claim_clear(client);
		client->worker = worker;
		mtsi_input_begin(worker);
	}
	return false;
}

/*
 * How many bytes of replies may go out in one packet with the end of the stream. That must follow
 * at once, so no hook may come in between, and the receiving side must be open (linger.c); and they
 * are so few that any window takes them.
 */
static size_t corkable(const struct mtsi_worker *worker, int reason)
{
	const bool at_once = reason == MTS_CLOSED_BY_HANDLER
		&& mtsi_base_floor(worker->member.server)->options.on_close == NULL
		&& !mtsi_stopping(worker->member.server) && !mtsi_client_finishes(worker->member.client);
	return at_once && worker->replies.size <= FEW_BYTES ? worker->replies.size : 0;
}

void mtsi_ending(struct mtsi_worker *worker, struct mts_client *client, int reason)
{
	mtsi_lock_take(&client->lock);
	client->stage = MTSI_CLIENT_ENDING;
	client->reason = (signed char)reason;
	mtsi_lock_release(&client->lock);
	worker->corked = corkable(worker, reason);
	const bool failed = reason == MTS_CLOSED_ERROR && !client->said;
	if (!failed && wait_for_output(worker, client)) {
		return;
	}
	const bool given_up = failed || mtsi_output_finish(worker) != 0;
	if (given_up && reason != MTS_CLOSED_ERROR) {
		const bool ours = worker->failed == -ENOMEM || worker->failed == -EFAULT;
		reason = ours ? MTS_CLOSED_ERROR : mtsi_reason(client, MTS_CLOSED_BY_PEER);
	}
	finish_client(worker, client, reason, given_up);
}

void mtsi_ending_give_up(struct mtsi_worker *worker, struct mts_client *client)
{
	mtsi_log_client(worker->member.server, MTSI_LOG_CLIENT, client->id, &client->peer,
		"cut off: %s", strerror(ENOMEM));
	client->worker = worker;
	finish_client(worker, client, MTS_CLOSED_ERROR, true);
}
