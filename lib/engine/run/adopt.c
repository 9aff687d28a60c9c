/* SPDX-License-Identifier: MIT
 *
 * Connections that the program hands over, instead of a listener's.
 *
 * First it is looked whether the peer may connect at all. All else is one critical section of the
 * listeners' lock, under which connections become clients (accept.c). So a stop that has closed the
 * listeners under that lock knows that no client comes any more; that each one that came before is in
 * the mailbox, for the keeper to hand to the crew; and so is each that was claimed to be evicted for it.
 *
 * A connection that the program hands over does not wait at the door: it has nobody to wait for, as a
 * listener's queue has. So it is let in, or not. Only where clients are evicted for those who come
 * it is held until one that is idle has gone; if there is none, it is taken back. The listeners' lock
 * keeps others from coming meanwhile; but one may leave, and let this one in.
 */
#include "engine/run/adopt.h"

#include <errno.h>

#include <mtserver/networks.h>

#include "engine/base/floor.h"
#include "engine/base/wake.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/conn.h"
#include "engine/client/list.h"
#include "engine/door/access.h"
#include "engine/door/address_book.h"
#include "engine/door/door.h"
#include "engine/door/eviction.h"
#include "engine/door/floor.h"
#include "engine/run/server.h"
#include "engine/serve/mailbox.h"
#include "os/connected.h"
#include "os/lock.h"
#include "os/thread.h"
#include "wire/address.h"

/* The client goes to the crew by way of the keeper: this may be any thread. */
static void hand_over(struct mts_server *server, struct mts_client *client)
{
	struct mtsi_list let_in = {NULL, NULL, 0};
	mtsi_list_add(&let_in, client);
	(void)mtsi_mailbox_put_locked(server, &let_in);
}

/* Evicts somebody for a client that is held: 0, or -EAGAIN, and the client is the caller's again. */
static int evict_for(struct mts_server *server, struct mts_client *client)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	mtsi_eviction_look_again(server); /* it asks once only */
	mtsi_eviction_run(server, &claimed);
	if (mtsi_mailbox_put_locked(server, &claimed)) {
		mtsi_wake_keeper(server); /* also for one that was claimed, and does not go */
	}
	return mtsi_eviction_take_back(server, client) ? -EAGAIN : 0;
}

/* Lets the client in, or has somebody make room for it: 0, -EAGAIN or -ENOMEM. */
static int admit_locked(struct mts_server *server, struct mts_client *client)
{
	const int result = mtsi_address_book_enter(client);
	if (result != 0) {
		return result == -EUSERS ? -EAGAIN : result;
	}
	switch (mtsi_door_enter_or_evict(server, client)) {
	case MTSI_LET_IN:
		hand_over(server, client);
		return 0;
	case MTSI_HELD_BACK:
		return evict_for(server, client);
	default:
		return -EAGAIN;
	}
}

static int adopt_locked(
	struct mts_server *server, int fd, const struct mtsi_connected *connected, void *data)
{
	static const struct mtsi_traits adopted = {.shared = true, .index = MTSI_NO_LISTENER};
	if (mtsi_door_floor(server)->listeners.closed || mtsi_stopping(server)) {
		return -ECANCELED;
	}
	struct mts_client *client = mtsi_clients_open(
		server, fd, (const struct sockaddr *)&connected->peer, (unsigned)connected->size);
	if (client == NULL) {
		return -ENOMEM;
	}
	mtsi_conn_accepted(client, &adopted);
	client->data = data;
	const int result = admit_locked(server, client);
	if (result != 0) {
		mtsi_address_book_leave(client);
		mtsi_client_disown(client);
	}
	return result;
}

static bool is_denied(struct mts_server *server, const struct mtsi_connected *connected)
{
	struct mtsi_peer peer;
	mtsi_peer_from(&peer, (const struct sockaddr *)&connected->peer, connected->size);
	return mtsi_access_verdict(server, &peer) == MTS_DENY;
}

static int adopt(
	struct mts_server *server, int fd, const struct mtsi_connected *connected, void *data)
{
	if (is_denied(server, connected)) {
		return -EACCES;
	}
	mtsi_lock_take(&mtsi_door_floor(server)->listeners.lock);
	const int result = adopt_locked(server, fd, connected, data);
	mtsi_lock_release(&mtsi_door_floor(server)->listeners.lock);
	return result;
}

int mtsi_adopt(struct mts_server *server, int fd, void *data)
{
	struct mtsi_connected connected;
	const bool runs = mtsi_door_is_open(server)
		|| atomic_load(&server->lifecycle.state) != MTSI_LIFECYCLE_NEW;
	if (!runs && !mtsi_stopping(server)) {
		return -EINVAL;
	}
	if (mtsi_stopping(server)) {
		return -ECANCELED;
	}
	int result = mtsi_connected_take(fd, mtsi_base_floor(server)->options.keepalive, &connected);
	if (result != 0) {
		return result;
	}
	const int before = mtsi_thread_shield();
	result = adopt(server, fd, &connected, data);
	if (result == 0) {
		mtsi_wake_keeper(server);
	} else {
		mtsi_connected_give_back(fd, &connected);
	}
	mtsi_thread_unshield(before);
	return result;
}
