/* SPDX-License-Identifier: MIT
 *
 * The end of a client.
 *
 * Only the owner closes the socket. Before that it takes the descriptor out of the client under the
 * lock, so whoever comes with the id finds none, and a number that the kernel gives to the next
 * connection is never hit. It also leaves epoll first (registration.c).
 *
 * An orderly end of the stream tells the peer that it has got all that was written for it. So whoever
 * gives a client up asks first whether anything is dropped by that, under the lock, in the critical
 * section in which it becomes lost:
 *
 * - what waits in the queue, messages from elsewhere included;
 * - what a writer has in its own memory still, or a file in the middle of which it is (`writing`);
 * - replies that lie in the worker's buffers, which nobody else can see. So their owner says in
 *   `has_replies` that there are any, before the first one lies there, and then looks whether the client
 *   is lost; whoever cuts it off sets `lost`, and then looks at `has_replies`. Both are sequentially
 *   consistent: either the writer is refused, or its reply counts as dropped. It is cleared under
 *   the lock, in the critical section in which they have left the buffers;
 * - and what its owner has said that it drops (mtsi_client_drop_locked()): what a failed handler has
 *   written, what a failed send did not take, what there was no memory for.
 *
 * If anything is, the connection is reset, and its sending side is not shut down before, since that
 * would send the orderly end. close(2) would not do: a child process that holds the socket keeps it
 * open. Disconnecting does it (os/socket.h). Some kernels (6.5 and 6.6) refuse that while
 * somebody sleeps in a receive; then the receiving side is shut down, which wakes the owner, and
 * that one loses the client again. What cannot be reset, a Unix socket, is ended so that its peer
 * gets an error if that can be: if there is input that was not read, close(2) sees to it.
 *
 * If nothing is, the sending side is shut down, and the kernel sends what it has, and then the end.
 * Who sleeps in a receive is woken by shutting down the other side; but with both shut down the
 * kernel answers further input with a reset, which would drop what it still has. So then, unless
 * that is nothing, the sending side is left to the owner, who wakes (linger.c). That somebody sleeps
 * is seen in what the client is waited for: it says so, then looks at `lost`. Likewise where a
 * deadline, a stop or the program has shut the receiving side before.
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
#include "engine/client/registration.h"
#include "os/lock.h"
#include "wire/buffer.h"

const unsigned char mtsi_client_stages[] = {
	[MTSI_CLIENT_FREE] = 0,
	[MTSI_CLIENT_WAITING] = MTSI_MAY_CUT,
	/* The open hook may converse, and wait for the client. */
	[MTSI_CLIENT_OPENING] = MTSI_MAY_CUT | MTSI_MAY_DROP | MTSI_MAY_EXPIRE | MTSI_MAY_SEND_ON
		| MTSI_MAY_EVICT,
	[MTSI_CLIENT_SERVED] = MTSI_MAY_CUT | MTSI_MAY_DROP | MTSI_MAY_EXPIRE | MTSI_MAY_SEND_ON
		| MTSI_MAY_EVICT | MTSI_MAY_MESSAGE,
	[MTSI_CLIENT_ENDING] = MTSI_MAY_CUT | MTSI_MAY_DROP | MTSI_MAY_EXPIRE | MTSI_MAY_SEND_ON,
	[MTSI_CLIENT_SEALED] = MTSI_MAY_CUT,
	[MTSI_CLIENT_LINGERING] = 0,
};

static bool is_local(const struct mts_client *client)
{
	return client->peer.family == AF_UNIX;
}

/* Ends the connection so that the peer knows that something is missing. */
static void reset_locked(struct mts_client *client)
{
	const int result = mtsi_conn_reset_locked(client);
	if (result == 0) {
		client->dropped = MTSI_DROPPED_AND_RESET;
		return;
	}
	/* Somebody sleeps there, or this cannot be reset before it is closed. */
	mtsi_conn_shut_receiving_locked(client);
	/* Who waits for room is woken by nothing less than both. */
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
	if (mtsi_buffer_size(&client->output) > 0 || client->writing
		|| atomic_load(&client->has_replies)) {
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
	/* Also when it is lost already: it may have requests left, or its close hook may hang. */
	atomic_store(&client->cut, true); /* before `lost`: see mtsi_client_is_cut() */
	mtsi_client_lose_locked(client);
	if (mtsi_claim(client)) {
		mtsi_list_add(claimed, client);
	}
	return cut;
}

void mtsi_client_close(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	mtsi_registration_leave_locked(client);
	const bool reset = client->dropped == MTSI_DROPPED_SOME && !is_local(client);
	const int fd = mtsi_conn_take_locked(client);
	mtsi_memory_clear_locked(client);
	mtsi_deadline_output_locked(client, false, false);
	mtsi_lock_release(&client->lock);
	mtsi_deadline_forget(client);
	free(client->saved);
	client->saved = NULL;
	mtsi_conn_close(client, fd, reset);
	mtsi_clients_release(client);
}
