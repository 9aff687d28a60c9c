/* SPDX-License-Identifier: MIT
 *
 * The end of a client.
 *
 * Only the owner closes the socket. Before that it takes the descriptor out of the client under the
 * lock, so a thread that comes with the id finds none, and never uses a number that the kernel has
 * meanwhile given to the next connection. The owner also takes the client out of epoll first
 * (registration.c).
 *
 * An orderly end of the stream tells the peer that it has got all that was written for it. So a
 * thread that gives a client up first finds out whether this drops anything. That is done under the
 * lock, in the same critical section in which the client becomes lost. These may be dropped:
 *
 * - what waits in the queue, messages from elsewhere included;
 * - what a writer still has in its own memory, or the rest of a file that it is sending
 *   (`writing`);
 * - replies that lie in the worker's buffers, which no other thread can see. So the owner sets
 *   `has_replies` before the first reply lies there, and then looks whether the client is lost. A
 *   thread that cuts the client off sets `lost`, and then looks at `has_replies`. Both are
 *   sequentially consistent: either the writer is refused, or its reply counts as dropped.
 *   `has_replies` is cleared under the lock, in the critical section in which the replies have left
 *   the buffers;
 * - a deferred reply that is still to come (ticket.h): an orderly end would say that there is none;
 * - and what the owner itself drops, which it reports (mtsi_client_drop_locked()): what a failed
 *   handler has written, what a failed send did not take, what there was no memory for.
 *
 * If anything is dropped, the connection is reset. Its sending side is not shut down before that,
 * since this would send the orderly end. close(2) does not always reset: a child process that holds
 * the socket keeps the connection open. Disconnecting does (os/socket.h). Some kernels (6.5 and
 * 6.6) refuse it while a thread sleeps in a receive. Then the receiving side is shut down, which
 * wakes the owner, and the owner loses the client again. A Unix socket cannot be reset. It is ended
 * so that its peer gets an error, if possible: if there is unread input, close(2) brings that
 * about.
 *
 * If nothing is dropped, the sending side is shut down, and the kernel sends what it has, and then
 * the end. If the owner sleeps in a receive, it is woken by shutting down the receiving side. But
 * with both sides shut down the kernel answers further input with a reset, which would drop what it
 * still has to send. So in that case, unless the kernel has nothing left to send, the sending side
 * is left to the owner, which has woken (linger.c). The same holds where a deadline, a stop or the
 * program has shut the receiving side before. Whether the owner sleeps is seen in the client's word
 * (deadline.c): an owner writes there that it blocks, and then looks at `lost`.
 *
 * Our side of the stream may end before the client does (mts_client_shutdown()). Then `muted` is set
 * under the lock, where the queue and the buffers are empty; nothing is written after that, so
 * nothing can be dropped. `muted` also follows `lost`: so a writer asks one question for both, and
 * since its first reply asks for `lost` once more, the order in which it sees them does not matter.
 *
 * A client that is told to finish (mts_server_close()) ends in order too, but by its owner's hand:
 * nothing is taken from it but its next request. `finishing` says so, and `ends` after it; `ends`
 * also follows `lost`, so that an owner on its usual way asks one question for both. No owner misses
 * it:
 *
 * - The thread that tells it sets `ends`, and then claims the client (claim.h). If nobody owns it, it
 *   gets a turn to end in. Else AGAIN is left, and the owner cannot let go of the client before it
 *   has cleared that. An owner that clears AGAIN looks at `ends` afterwards, before
 *   it lets go: before each request that it takes, when what is here is not whole, and when nothing
 *   is here (engine/serve/request.c). A read beside requests is not the
 *   place to end; if it has cleared AGAIN, it leaves AGAIN again (engine/serve/fill.c).
 * - An owner that blocks until a request comes has said so in the client's word, and then looked at
 *   `ends`. The thread that tells it sets `ends`, and then reads the word. All this is sequentially
 *   consistent: either the owner does not begin to wait, or its receiving side is shut, which wakes
 *   it. If it has waked meanwhile, with a request, it finds `ends` before it takes that. An owner
 *   that reads beside requests says so in the word too, and is left alone: its request goes on.
 *
 * A stop tells every client in the same way that no further request is waited for: `ends` is set, and
 * then the word is read; the owner writes the word, and then looks at `ends`. So an owner that blocks
 * until a request comes is woken, and none begins to. A read beside requests belongs to the request in
 * progress: it is left alone, and goes on until the stop's deadline, at which the client is cut. A
 * socket that was shut can give what has come, but not wait for more. So `deaf` says that it was, for
 * a read that comes later: what ends the stream there need not be the peer. An owner may have waked
 * with a request before it was shut. Then that request is handled, but what its handler reads ends in
 * the same way. `deaf` is set before the shutdown, under the lock, and asked for under it, after the
 * end of the stream was seen: so it is never missed.
 *
 * A stop may leave clients some time before that (engine/run/stop.c). Then `ends` is set at the beginning
 * of this grace already, and nobody is woken. It only has owners look whether they may wait: one whose client
 * has been given a request since then does not. At the end of the grace the step of the stop is changed
 * first, and then each client is told as above. An owner writes the word, then looks at `ends`, then at
 * the step; so either it sees that the grace is over, or its word is seen.
 *
 * A client that ends, or is lost, is not told any more (the stage and `lost`, under the lock). So
 * there is one end, and the first to bring it about gives the reason. Whoever cuts off a client that
 * finishes does that as ever.
 */
#include "engine/client/client.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "engine/base/floor.h"
#include "engine/client/claim.h"
#include "engine/client/clients.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/list.h"
#include "engine/client/memory.h"
#include "engine/client/rare.h"
#include "engine/client/registration.h"
#include "engine/client/ticket.h"
#include "engine/client/via.h"
#include "os/lock.h"
#include "wire/buffer.h"

const unsigned char mtsi_client_stages[] = {
	[MTSI_CLIENT_FREE] = 0,
	[MTSI_CLIENT_WAITING] = MTSI_MAY_CUT,
	/* The open hook may converse, and wait for the client. */
	[MTSI_CLIENT_OPENING] = MTSI_MAY_CUT | MTSI_MAY_DROP | MTSI_MAY_EXPIRE | MTSI_MAY_SEND_ON
		| MTSI_MAY_EVICT | MTSI_MAY_FINISH,
	[MTSI_CLIENT_SERVED] = MTSI_MAY_CUT | MTSI_MAY_DROP | MTSI_MAY_EXPIRE | MTSI_MAY_SEND_ON
		| MTSI_MAY_EVICT | MTSI_MAY_MESSAGE | MTSI_MAY_FINISH,
	[MTSI_CLIENT_ENDING] = MTSI_MAY_CUT | MTSI_MAY_DROP | MTSI_MAY_EXPIRE | MTSI_MAY_SEND_ON,
	[MTSI_CLIENT_SEALED] = MTSI_MAY_CUT,
	[MTSI_CLIENT_LINGERING] = 0,
};

static bool is_local(const struct mts_client *client)
{
	return client->peer.local;
}

/* Ends the connection so that the peer knows that something is missing. */
static void reset_locked(struct mts_client *client)
{
	const int result = mtsi_conn_reset_locked(client);
	if (result == 0) {
		client->dropped = MTSI_DROPPED_AND_RESET;
		return;
	}
	/* A thread sleeps in a receive, or this socket cannot be reset before it is closed. */
	mtsi_conn_shut_receiving_locked(client);
	/* A thread that waits for room wakes only when both sides are shut. */
	if (client->writing || (is_local(client) && mtsi_conn_unread(client) == 0)) {
		mtsi_conn_shut_sending(client);
	}
}

/* Ends it in order: nothing is missing. */
static void end_locked(struct mts_client *client)
{
	const bool sleeps = mtsi_deadline_blocks(client);
	const bool deaf = sleeps || mtsi_conn_is_deaf_locked(client);
	if (sleeps) {
		mtsi_conn_shut_receiving_locked(client);
	}
	if (!deaf || is_local(client) || mtsi_conn_unacknowledged(client) == 0) {
		mtsi_conn_shut_sending(client);
	}
}

void mtsi_client_lose_locked(struct mts_client *client)
{
	mtsi_lock_assert_held(&client->lock);
	atomic_store(&client->lost, true); /* before `has_replies`: see above */
	atomic_store(&client->ends, true);
	atomic_store_explicit(&client->muted, true, memory_order_relaxed);
	mtsi_ticket_wake_locked(client);
	if (mtsi_buffer_size(&client->output) > 0 || client->writing
		|| atomic_load(&client->has_replies) || mtsi_ticket_is_open_locked(client)) {
		mtsi_client_drop_locked(client);
	}
	mtsi_memory_clear_locked(client);
	mtsi_deadline_output_locked(client, false, false);
	mtsi_registration_leave_locked(client);
	if (client->dropped == MTSI_DROPPED_SOME) {
		reset_locked(client);
	} else if (client->dropped == MTSI_DROPPED_NOTHING) {
		end_locked(client);
		client->dropped = MTSI_DROPPED_NOTHING_AND_ENDED;
	}
}

void mtsi_client_lose(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	mtsi_client_lose_locked(client);
	mtsi_lock_release(&client->lock);
}

bool mtsi_client_seal(struct mts_client *client, bool given_up, bool *dropped)
{
	mtsi_lock_take(&client->lock);
	const bool sealed = !given_up && !atomic_load(&client->lost)
		&& client->dropped < MTSI_DROPPED_SOME;
	if (sealed) {
		mtsi_registration_leave_locked(client);
		atomic_store(&client->lost, true);
		atomic_store(&client->ends, true);
		atomic_store_explicit(&client->muted, true, memory_order_relaxed);
	} else {
		mtsi_client_lose_locked(client);
	}
	client->stage = MTSI_CLIENT_SEALED;
	*dropped = client->dropped >= MTSI_DROPPED_SOME;
	mtsi_lock_release(&client->lock);
	return sealed;
}

bool mtsi_client_cut_locked(struct mts_client *client, int reason, struct mtsi_list *claimed)
{
	const bool cut = !atomic_load(&client->lost);
	if (!mtsi_client_may(client, MTSI_MAY_CUT)) {
		return false;
	}
	if (cut) {
		int none = MTSI_NO_CAUSE;
		(void)atomic_compare_exchange_strong(&client->cause, &none, reason);
	}
	/*
	 * Also when the client is lost already: it may have requests left, or its close hook may hang.
	 */
	atomic_store(&client->cut, true); /* before `lost`: see mtsi_client_is_cut() */
	mtsi_client_lose_locked(client);
	if (mtsi_claim(client)) {
		mtsi_list_add(claimed, client);
	}
	return cut;
}

bool mtsi_client_finish_locked(struct mts_client *client, struct mtsi_list *claimed)
{
	mtsi_lock_assert_held(&client->lock);
	if (!mtsi_client_may_still(client, MTSI_MAY_FINISH) || mtsi_client_finishes(client)) {
		return false;
	}
	atomic_store(&client->finishing, true);
	atomic_store(&client->ends, true); /* before the look at its word: see above */
	if (mtsi_deadline_awaits_request(client)) {
		mtsi_conn_shut_receiving_locked(client);
	}
	if (mtsi_claim(client)) {
		mtsi_list_add(claimed, client);
	}
	return true;
}

void mtsi_client_stop_waiting_locked(struct mts_client *client)
{
	mtsi_lock_assert_held(&client->lock);
	atomic_store(&client->ends, true); /* before the look at its word: see above */
	if (mtsi_deadline_awaits_request(client)) {
		client->deaf = true;
		mtsi_conn_shut_receiving_locked(client);
	}
}

bool mtsi_client_is_deaf(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	const bool deaf = client->deaf;
	mtsi_lock_release(&client->lock);
	return deaf;
}

/* The client has nothing any more. Returns its descriptor, and in `*reset` how to close that. */
static int empty(struct mts_client *client, bool *reset)
{
	mtsi_lock_take(&client->lock);
	mtsi_registration_leave_locked(client);
	*reset = client->dropped == MTSI_DROPPED_SOME && !is_local(client);
	const int fd = mtsi_conn_take_locked(client);
	mtsi_memory_clear_locked(client);
	mtsi_deadline_output_locked(client, false, false);
	mtsi_lock_release(&client->lock);
	mtsi_deadline_forget(client);
	mtsi_via_forget(client);
	mtsi_rare_forget(client);
	free(client->saved);
	client->saved = NULL;
	return fd;
}

void mtsi_client_close(struct mts_client *client)
{
	bool reset;
	const int fd = empty(client, &reset);
	mtsi_conn_close(client, fd, reset);
	mtsi_clients_release(client);
}

void mtsi_client_disown(struct mts_client *client)
{
	bool reset;
	(void)empty(client, &reset);
	mtsi_clients_release(client);
}
