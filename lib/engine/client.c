/* SPDX-License-Identifier: MIT
 *
 * The end of a client, and its place in epoll.
 *
 * Only the owner closes the socket. Before that it takes the descriptor out of the client under the
 * lock, so whoever comes with the id finds none, and a number that the kernel gives to the next
 * connection is never hit. It also leaves epoll first: a descriptor that a child process still
 * holds would go on raising events (epoll(7)).
 *
 * Close must not wait, which SO_LINGER would have it do, on the keeper perhaps, or with a lock held.
 * It is switched off before, where somebody can have switched it on: the program, since it has asked
 * for the descriptor; who made the listener, from which sockets inherit it; or a child process, since
 * there has been one (fork.c). All others are spared that call.
 */
#include "engine/client.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "engine/claim.h"
#include "engine/clients.h"
#include "engine/door.h"
#include "engine/line.h"
#include "engine/server.h"
#include "os/fork.h"
#include "os/poll.h"
#include "os/socket.h"

int mtsi_client_watch_locked(struct mts_client *client, uint32_t events)
{
	const int poll = client->server->poll;
	mtsi_lock_assert_held(&client->lock);
	if (events == client->watched) {
		return 0;
	}
	int result = 0;
	if (events == 0) {
		mtsi_poll_remove(poll, client->fd);
	} else if (client->watched == 0) {
		result = mtsi_poll_add(poll, client->fd, events, client->id);
	} else {
		result = mtsi_poll_change(poll, client->fd, events, client->id);
	}
	if (result == 0) {
		client->watched = events;
	}
	return result;
}

int mtsi_client_want_room_locked(struct mts_client *client, bool wanted)
{
	const uint32_t others = client->watched & ~MTSI_POLL_OUT;
	return mtsi_client_watch_locked(client, wanted ? others | MTSI_POLL_OUT : others);
}

bool mtsi_client_watch(struct mts_client *client, uint32_t events)
{
	mtsi_lock_take(&client->lock);
	const uint32_t room = client->watched & MTSI_POLL_OUT;
	const bool watched = mtsi_client_watch_locked(client, events | room) == 0;
	mtsi_lock_release(&client->lock);
	return watched;
}

void mtsi_client_lose_locked(struct mts_client *client)
{
	mtsi_lock_assert_held(&client->lock);
	atomic_store(&client->lost, true);
	mtsi_memory_clear_locked(client);
	mtsi_deadline_output_locked(client, false, false);
	(void)mtsi_client_watch_locked(client, 0);
	mtsi_socket_shut(client->fd);
}

void mtsi_client_lose(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	mtsi_client_lose_locked(client);
	mtsi_lock_release(&client->lock);
}

bool mtsi_client_cut_locked(struct mts_client *client, int reason, struct mtsi_line *claimed)
{
	const bool cut = !atomic_load(&client->lost);
	if (client->stage == MTSI_CLIENT_LINGERING) {
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
		mtsi_line_add(claimed, client);
	}
	return cut;
}

void mtsi_client_close(struct mts_client *client)
{
	struct mts_server *server = client->server;
	mtsi_lock_take(&client->lock);
	(void)mtsi_client_watch_locked(client, 0);
	const int fd = client->fd;
	client->fd = -1;
	mtsi_memory_clear_locked(client);
	mtsi_deadline_output_locked(client, false, false);
	mtsi_lock_release(&client->lock);
	/* A Unix socket's close never waits. */
	const bool may_wait = client->peer.family != AF_UNIX && (client->shared || mtsi_forked());
	mtsi_deadline_forget(client);
	free(client->saved);
	client->saved = NULL;
	if (may_wait) {
		mtsi_socket_close_now(fd);
	} else {
		mtsi_socket_close(fd);
	}
	mtsi_clients_release(client);
	mtsi_door_freed(server);
}
