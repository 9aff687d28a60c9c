/* SPDX-License-Identifier: MIT
 *
 * Deferred replies, seen from the worker that serves the client, and from the thread that has the
 * reply. client/ticket.c says who wins where they meet.
 *
 * When its handler has returned MTS_LATER the client is parked, as between two requests. But nothing
 * of it is looked at, neither what is in the worker's buffers, which is saved, nor its socket, which
 * epoll does not watch for input. What still comes from epoll is that the connection is dead, once
 * (it is watched for edges), since no reply can be sent then: the client ends. A peer that has only
 * finished sending waits for its reply. A deadline runs, a stop or a kick comes as ever, and each of
 * them brings the client a turn, which looks at the ticket and parks again if there is no reason not
 * to.
 *
 * With a thread per client the client stays owned, and its thread waits in the place where it would
 * be let go of; nothing else is different.
 *
 * If epoll has no memory to take the client in, it is not heard that the connection is dead. So the
 * client stays until it is sent something, or until its reply is completed or overdue.
 */
#include "engine/serve/later.h"

#include <errno.h>

#include <mtserver/hooks.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/base/wake.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/list.h"
#include "engine/client/rare.h"
#include "engine/client/registration.h"
#include "engine/client/ticket.h"
#include "engine/serve/mailbox.h"
#include "engine/serve/output.h"
#include "engine/serve/worker.h"
#include "os/lock.h"
#include "os/thread.h"

/* A worker counts itself as busy exactly while it runs a handler. */
static bool in_handler(const struct mtsi_worker *worker)
{
	return atomic_load_explicit(&worker->member.counters.count[MTS_STAT_BUSY], memory_order_relaxed)
		> 0;
}

int64_t mtsi_later_defer(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	if (!in_handler(worker)) {
		return -EINVAL;
	}
	const int64_t ticket = mtsi_ticket_open(client);
	if (ticket < 0) {
		return ticket;
	}
	/* What was written so far, replies to earlier requests too, comes before this reply. */
	if (mtsi_output_flush(worker, false) != 0) {
		(void)mtsi_ticket_close(client);
		return -EPIPE;
	}
	worker->deferred = true;
	return ticket;
}

int mtsi_later_returned(struct mtsi_worker *worker, int verdict)
{
	struct mts_client *client = worker->member.client;
	int said = MTS_LATER;
	worker->deferred = false;
	if (verdict == MTS_LATER) {
		client->deferred = !mtsi_ticket_collect(client, &said);
		return said;
	}
	if (!mtsi_ticket_close(client)) {
		(void)mtsi_ticket_collect(client, &said); /* the handler has changed its mind */
	}
	return verdict;
}

void mtsi_later_measure(struct mtsi_worker *worker)
{
	struct mtsi_ticket *ticket = &mtsi_rare(worker->member.client)->ticket;
	if (!mtsi_closing(worker->member.server)) {
		return;
	}
	if (worker->last_turn) {
		ticket->last_left = worker->last_left;
	} else if (!ticket->measured) {
		ticket->last_left = mtsi_conn_unread(worker->member.client);
	}
	ticket->measured = true;
}

enum mtsi_later mtsi_later_look(struct mtsi_worker *worker, int *verdict)
{
	struct mts_client *client = worker->member.client;
	if (mtsi_ticket_collect(client, verdict)) {
		const struct mtsi_ticket *ticket = &mtsi_rare(client)->ticket;
		client->deferred = false;
		if (*verdict == MTS_KEEP && atomic_load(&client->cause) != MTSI_NO_CAUSE) {
			*verdict = MTS_CLOSE; /* its time was up before, and now it has all that it is owed */
		}
		worker->last_turn = ticket->measured;
		worker->last_left = ticket->last_left;
		mtsi_deadline_met(client);
		return MTSI_LATER_COMPLETED;
	}
	if (!atomic_load(&client->lost) && mtsi_conn_state(client) != MTSI_SOCKET_DEAD) {
		return MTSI_LATER_OPEN;
	}
	mtsi_client_lose(client); /* it may not have been reset yet */
	return MTSI_LATER_LOST;
}

bool mtsi_later_give_up(struct mts_client *client)
{
	const bool open = mtsi_ticket_close(client);
	if (open) {
		mtsi_deadline_end(client, MTSI_WAIT_LATER);
	}
	return open;
}

bool mtsi_later_let_go(struct mts_client *client)
{
	client->worker = NULL;
	mtsi_registration_ignore_input(client);
	client->registered = false;
	if (mtsi_on_demand(client->server)) {
		return mtsi_claim_release(client);
	}
	mtsi_ticket_wait(client);
	return false;
}

/* The same under the client's lock, in which it is also claimed, if it has no owner. */
static int complete_locked(
	struct mts_client *client, int64_t ticket, int verdict, struct mtsi_list *claimed)
{
	if (!mtsi_client_may_still(client, MTSI_MAY_MESSAGE)) {
		return -ENOENT;
	}
	const int result = mtsi_ticket_complete_locked(client, ticket, verdict);
	if (result != 0) {
		return result;
	}
	if (mtsi_claim(client)) {
		mtsi_list_add(claimed, client);
	} else {
		mtsi_ticket_wake_locked(client);
	}
	return 0;
}

int mtsi_later_complete(struct mts_server *server, uint64_t id, int64_t ticket, int verdict)
{
	const int before = mtsi_thread_shield();
	struct mtsi_list claimed = {NULL, NULL, 0};
	int result = -ENOENT;
	bool wake = false;
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client != NULL) {
		result = complete_locked(client, ticket, verdict, &claimed);
		wake = mtsi_mailbox_put_locked(server, &claimed);
		mtsi_lock_release(&client->lock);
	}
	if (wake) {
		mtsi_wake_keeper(server);
	}
	mtsi_thread_unshield(before);
	return result;
}
