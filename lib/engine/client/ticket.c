/* SPDX-License-Identifier: MIT
 *
 * A deferred reply, as far as it is a matter of who has said what first.
 *
 * A handler opens a ticket; whoever has the reply completes it, from any thread and at any time; and
 * the client's owner collects it. The latest ticket of a client is open, completed, or closed, and
 * each of these steps is made under the client's lock. So of all that can happen to an open ticket
 * at the same time, one thing happens:
 *
 * - It is completed: by one thread, since a second one finds it completed or closed (-ESTALE).
 * - The handler returns something else, or the reply has taken too long: the owner closes it, and
 *   who completes it afterwards is told that it is stale. If it was completed before, the owner
 *   collects what was said.
 * - The client is lost, by its peer, a kick or a stop. `lost` is set under the same lock, and the
 *   ticket of a lost client is not completed any more: who comes with it finds no client.
 *
 * That the owner looks at a completed ticket is the claim word's doing (claim.h). Who completes it
 * claims the client in the same critical section. If nobody owns the client it gets a turn. Else
 * AGAIN is left, and the owner, after it has cleared AGAIN and before it lets go, looks at the
 * ticket. A handler that has not returned is such an owner: whatever has cleared AGAIN meanwhile,
 * the ticket is looked at when it returns.
 *
 * With a thread per client the owner does not let go, but sleeps until AGAIN is left. Who leaves it
 * then takes the lock, if it does not hold it anyway, and signals; the owner looks at AGAIN under
 * that lock before it sleeps. So either the owner sees AGAIN, or it is signalled.
 */
#include "engine/client/ticket.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/rare.h"
#include "os/clock.h"
#include "os/lock.h"

int64_t mtsi_ticket_open(struct mts_client *client)
{
	struct mtsi_rare *rare = mtsi_rare_make(client);
	int64_t number = -EALREADY;
	if (rare == NULL) {
		return -ENOMEM;
	}
	mtsi_lock_take(&client->lock);
	if (rare->ticket.state == MTSI_TICKET_NONE) {
		rare->ticket.state = MTSI_TICKET_OPEN;
		number = ++rare->ticket.number;
	}
	mtsi_lock_release(&client->lock);
	return number;
}

bool mtsi_ticket_collect(struct mts_client *client, int *verdict)
{
	struct mtsi_ticket *ticket = &mtsi_rare(client)->ticket;
	mtsi_lock_take(&client->lock);
	const bool completed = ticket->state == MTSI_TICKET_COMPLETED;
	if (completed) {
		ticket->state = MTSI_TICKET_NONE;
		*verdict = ticket->verdict;
	}
	mtsi_lock_release(&client->lock);
	return completed;
}

bool mtsi_ticket_close(struct mts_client *client)
{
	struct mtsi_ticket *ticket = &mtsi_rare(client)->ticket;
	mtsi_lock_take(&client->lock);
	const bool open = ticket->state == MTSI_TICKET_OPEN;
	if (open) {
		ticket->state = MTSI_TICKET_NONE;
	}
	mtsi_lock_release(&client->lock);
	return open;
}

void mtsi_ticket_wait(struct mts_client *client)
{
	struct mtsi_ticket *ticket = &mtsi_rare(client)->ticket;
	struct mtsi_signal signal;
	mtsi_signal_init(&signal);
	mtsi_lock_take(&client->lock);
	ticket->waiter = &signal;
	while (!mtsi_claim_again(client) && !atomic_load(&client->lost)) {
		(void)mtsi_signal_wait(&signal, &client->lock, MTSI_NEVER);
	}
	ticket->waiter = NULL;
	mtsi_lock_release(&client->lock);
	mtsi_signal_destroy(&signal);
}

int mtsi_ticket_complete_locked(struct mts_client *client, int64_t number, int verdict)
{
	struct mtsi_rare *rare = mtsi_rare(client);
	mtsi_lock_assert_held(&client->lock);
	if (rare == NULL || rare->ticket.state != MTSI_TICKET_OPEN || rare->ticket.number != number) {
		return -ESTALE;
	}
	rare->ticket.verdict = verdict;
	rare->ticket.state = MTSI_TICKET_COMPLETED;
	return 0;
}

bool mtsi_ticket_is_open_locked(const struct mts_client *client)
{
	const struct mtsi_rare *rare = mtsi_rare(client);
	return rare != NULL && rare->ticket.state == MTSI_TICKET_OPEN;
}

void mtsi_ticket_wake_locked(const struct mts_client *client)
{
	const struct mtsi_rare *rare = mtsi_rare(client);
	if (rare != NULL && rare->ticket.waiter != NULL) {
		mtsi_signal_all(rare->ticket.waiter);
	}
}

void mtsi_ticket_wake(struct mts_server *server, uint64_t id)
{
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client != NULL) {
		mtsi_ticket_wake_locked(client);
		mtsi_lock_release(&client->lock);
	}
}
