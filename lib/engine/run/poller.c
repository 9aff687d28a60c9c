/* SPDX-License-Identifier: MIT
 *
 * What epoll reports: connections to accept, output to send on, and input of clients that are to be
 * served. The thread that polls does the first two at once, since they do not wait for anything;
 * for the third it claims the clients. With a thread per client the stand-in polls, and no input is
 * watched but that of lingerers. On demand a worker polls that has nothing else to do.
 *
 * A late event is harmless. It carries the client's id: if that client is gone, the event finds
 * nothing, or the next client in the slot looks once in vain (claim.h).
 */
#include "engine/run/poller.h"

#include <stdatomic.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/floor.h"
#include "engine/client/list.h"
#include "engine/client/ticket.h"
#include "engine/door/accept.h"
#include "engine/door/eviction.h"
#include "engine/door/floor.h"
#include "engine/door/linger.h"
#include "engine/door/listener.h"
#include "engine/serve/output.h"
#include "os/lock.h"
#include "os/poll.h"

enum { EVENTS = 128 };

/* Sends on what is queued; whether the client is to have a turn because of that. */
static bool continue_output(struct mts_server *server, uint64_t id)
{
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client == NULL) {
		return false;
	}
	const bool turn = mtsi_output_continue_locked(client);
	mtsi_lock_release(&client->lock);
	mtsi_eviction_offer(server, id);
	return turn;
}

static void client_event(
	struct mts_server *server, const struct epoll_event *event, struct mtsi_list *found)
{
	const uint32_t writable = MTSI_POLL_OUT | MTSI_POLL_HUP | MTSI_POLL_ERR;
	const uint32_t special = MTSI_POLL_HUP | MTSI_POLL_ERR | MTSI_POLL_RDHUP | MTSI_POLL_PRI;
	bool turn = (event->events & ~MTSI_POLL_OUT) != 0;
	if ((event->events & writable) != 0 && continue_output(server, event->data.u64)) {
		turn = true;
	}
	struct mts_client *client = turn
		? mtsi_clients_with(&mtsi_client_floor(server)->clients, event->data.u64)
		: NULL;
	if (client == NULL) {
		return;
	}
	if ((event->events & special) != 0) {
		atomic_store(&client->special, true);
	}
	__builtin_prefetch(&client->lock);
	if (!mtsi_claim(client)) {
		if ((event->events & special) != 0) {
			mtsi_ticket_wake(server, event->data.u64); /* no reply can be sent to it, perhaps */
		}
		return;
	}
	if (client->stage == MTSI_CLIENT_LINGERING) {
		mtsi_linger_event(client);
	} else {
		mtsi_list_add(found, client);
	}
}

static void dispatch(struct mts_server *server, struct mtsi_member *worker,
	const struct epoll_event *event, struct mtsi_list *found)
{
	const uint64_t tag = event->data.u64;
	if (tag == MTSI_BELL_TAG) {
		mtsi_wake_clear(atomic_load(&mtsi_base_floor(server)->bell));
	} else if (mtsi_listeners_tag(&mtsi_door_floor(server)->listeners, tag)) {
		const bool shut_down = (event->events & (MTSI_POLL_HUP | MTSI_POLL_RDHUP)) != 0;
		mtsi_accept(server, worker, tag, shut_down, found);
	} else {
		client_event(server, event, found);
	}
}

void mtsi_poller_poll(struct mts_server *server, struct mtsi_member *worker, uint64_t deadline,
	struct mtsi_list *found)
{
	struct epoll_event events[EVENTS];
	const int count = mtsi_poll_wait(mtsi_base_floor(server)->poll, events, EVENTS, deadline);
	if (count < 0) {
		mtsi_log(server, MTSI_LOG_POLL, "cannot wait for events: %s", strerror(-count));
	}
	for (int i = 0; i < count; i++) {
		dispatch(server, worker, &events[i], found);
	}
}
