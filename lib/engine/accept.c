/* SPDX-License-Identifier: MIT
 *
 * From a listener's queue to clients that wait for a thread.
 *
 * What accept(2) can fail with comes in three kinds: the connection's own trouble, already past,
 * which costs one turn of the loop; a shortage on this machine, after which the listeners rest
 * (door.c), once lingering sockets, which can spare theirs, have been closed; and anything else,
 * which is treated as a shortage too, since it must neither spin nor end the server. A whole batch
 * of nothing but trouble is a shortage as well.
 *
 * A listener is level-triggered, and a batch is bounded, so nothing is lost when the batch ends
 * early. The listeners' lock is held over a batch, which does not wait for anything: so a stop that
 * has closed them under that lock knows that no client comes any more.
 *
 * Who comes is counted by its address first (address_book.c), then by the door. Whoever is above a
 * limit that does not let it wait is closed at once; the log is told once for each batch.
 *
 * Where clients are to be refused rather than wait (MTS_OVERLOAD_REFUSE) that goes on without
 * descriptors: one is kept to spare, and given up to take a connection, which is closed, so that
 * the spare one can be had again. When another thread has got it meanwhile there is none for now,
 * and the listeners rest; the next descriptor that is free becomes the spare one.
 */
#include "engine/accept.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "engine/client.h"
#include "engine/line.h"
#include "engine/server.h"
#include "os/clock.h"
#include "os/poll.h"
#include "os/socket.h"

enum { BATCH = 64 };

/* The errors that accept(2) hands on from the connection, or that concern it alone. */
static bool about_the_connection(int result)
{
	switch (result) {
	case -ECONNABORTED:
	case -EPERM:
	case -EPROTO:
	case -ENETDOWN:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -EOPNOTSUPP:
	case -ENETUNREACH:
	case -ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* What has come of a batch. */
struct batch {
	int result; /* the last failure, or 0 */
	size_t tries;
	size_t troubles; /* of these, those that failed by the connection's own trouble */
	size_t let_in;
	size_t held;
	size_t refused;
	struct mtsi_peer last; /* the last that was refused, and why */
	int why; /* -EUSERS: too many from there; -ENOMEM; -EBUSY: too many in all */
};

static bool refuses(const struct mts_server *server)
{
	return server->options.overload == MTS_OVERLOAD_REFUSE;
}

static void refuse(struct mts_client *client, int why, struct batch *batch)
{
	batch->last = client->peer;
	batch->why = why;
	batch->refused++;
	mtsi_door_turn_away(client);
}

/* Lets it in, or does with it what the limits demand. */
static void admit(struct mts_client *client, struct mtsi_line *found, struct batch *batch)
{
	const int result = mtsi_address_book_enter(client);
	if (result != 0) {
		refuse(client, result, batch);
		return;
	}
	switch (mtsi_door_enter(client->server, client)) {
	case MTSI_LET_IN:
		mtsi_line_add(found, client);
		batch->let_in++;
		break;
	case MTSI_HELD_BACK:
		batch->held++;
		break;
	default:
		refuse(client, -EBUSY, batch);
	}
}

/* One connection: NULL when there is none, or it failed, with *result telling. */
static struct mts_client *accept_one(struct mts_server *server, int listener, int *result)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	const int fd = mtsi_socket_accept(listener, (struct sockaddr *)&peer, &size);
	if (fd < 0) {
		*result = fd;
		return NULL;
	}
	struct mts_client *client = mtsi_clients_open(
		server, fd, (const struct sockaddr *)&peer, (unsigned)size);
	if (client == NULL) {
		mtsi_socket_close(fd);
		mtsi_count_shared(&server->stats, MTS_STAT_REFUSED, 1);
		*result = -ENOMEM;
	}
	return client;
}

/* Takes a batch, `room` at most besides those that are refused. */
static void take_batch(struct mts_server *server, int listener, size_t room,
	struct mtsi_line *found, struct batch *batch)
{
	while (batch->tries < BATCH && batch->let_in + batch->held < room) {
		struct mts_client *client = accept_one(server, listener, &batch->result);
		batch->tries++;
		if (client != NULL) {
			admit(client, found, batch);
		} else if (about_the_connection(batch->result)) {
			mtsi_count_shared(&server->stats, MTS_STAT_ACCEPT_ERRORS, 1);
			batch->troubles++;
		} else {
			break;
		}
	}
}

static void report_refused(struct mts_server *server, const struct batch *batch)
{
	char who[MTSI_ADDRESS_TEXT] = "";
	(void)mtsi_peer_format(&batch->last, who, sizeof(who));
	switch (batch->why) {
	case -EUSERS:
		mtsi_log(server, MTSI_LOG_REFUSED,
			"refused %zu connections, the last from %s: no more than %zu clients of one address",
			batch->refused, who, mtsi_address_book_limit(server));
		break;
	case -EBUSY:
		mtsi_log(server, MTSI_LOG_REFUSED,
			"refused %zu connections, the last from %s: no more than %zu clients", batch->refused,
			who, mtsi_door_max_clients(server));
		break;
	default:
		mtsi_log(server, MTSI_LOG_REFUSED, "refused %zu connections, the last from %s: %s",
			batch->refused, who, strerror(-batch->why));
	}
}

/* Takes one connection in the place of the spare descriptor, and closes it: 0 or an error. */
static int refuse_one(struct mts_server *server, int listener)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	int *spare = &server->listeners.spare;
	if (*spare < 0) {
		return -EMFILE;
	}
	mtsi_socket_close(*spare);
	const int fd = mtsi_socket_accept(listener, (struct sockaddr *)&peer, &size);
	if (fd >= 0) {
		mtsi_count_shared(&server->stats, MTS_STAT_REFUSED, 1);
		mtsi_socket_close(fd);
	}
	*spare = mtsi_wake_open();
	return fd >= 0 ? 0 : fd;
}

/*
 * No descriptor is to be had, but clients are to be told: whether any was, or none waits. accept(2)
 * asks for a descriptor first, so who polls beside another one gets here for what that one has taken.
 */
static bool refuse_batch(struct mts_server *server, uint64_t tag)
{
	size_t count = 0;
	int result = 0;
	mtsi_lock_take(&server->listeners.lock);
	const int listener = server->listeners.list[tag - 1].fd;
	while (listener >= 0 && count < BATCH && result == 0) {
		result = refuse_one(server, listener);
		count += result == 0 ? 1 : 0;
	}
	mtsi_lock_release(&server->listeners.lock);
	return count > 0 || result == -EAGAIN;
}

/* Accept does not work: makes that better, or rests. */
static void failed(struct mts_server *server, uint64_t tag, int result, uint64_t freed)
{
	const bool descriptors = result == -EMFILE || result == -ENFILE;
	mtsi_count_shared(&server->stats, MTS_STAT_ACCEPT_ERRORS, 1);
	mtsi_log(server, MTSI_LOG_ACCEPT, "cannot accept: %s", strerror(-result));
	if (mtsi_linger_evict(server)) {
		return;
	}
	if (!(descriptors && refuses(server) && refuse_batch(server, tag))) {
		mtsi_door_pause(server, mtsi_clock_now(), freed);
	}
}

/* What a batch leaves to be done, with no lock held. */
static void conclude(
	struct mts_server *server, uint64_t tag, const struct batch *batch, uint64_t freed)
{
	if (batch->let_in + batch->held + batch->refused > 0) {
		mtsi_door_well(server);
	}
	if (batch->refused > 0) {
		report_refused(server, batch);
	}
	if (batch->result != 0 && batch->result != -EAGAIN && !about_the_connection(batch->result)) {
		failed(server, tag, batch->result, freed);
	} else if (batch->troubles == BATCH) {
		mtsi_door_pause(server, mtsi_clock_now(), freed);
	}
}

void mtsi_accept(struct mts_server *server, uint64_t tag, bool shut_down, struct mtsi_line *found)
{
	struct mtsi_listeners *listeners = &server->listeners;
	struct batch batch = {.result = 0};
	if (shut_down) {
		mtsi_listeners_bury(server, tag);
		return;
	}
	/* Two may poll: what there is room for, only one of them lets in. */
	mtsi_lock_take(&listeners->lock);
	uint64_t freed;
	const size_t room = mtsi_door_room(server, &freed);
	const int listener = listeners->list[tag - 1].fd;
	if (listener >= 0) {
		if (refuses(server) && listeners->spare < 0) {
			listeners->spare = mtsi_wake_open(); /* first: it is for when no other is left */
		}
		take_batch(server, listener, room, found, &batch);
	}
	mtsi_lock_release(&listeners->lock);
	conclude(server, tag, &batch, freed);
	if (batch.held > 0) {
		mtsi_eviction_run(server, found);
	}
}
