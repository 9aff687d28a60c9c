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
 */
#include "engine/accept.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "engine/client.h"
#include "engine/line.h"
#include "engine/server.h"
#include "os/clock.h"
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

/* What ended a batch. */
struct outcome {
	int result; /* the last failure, or 0 */
	int tries;
};

static void failed(struct mts_server *server, int result, uint64_t freed)
{
	mtsi_count_shared(&server->stats, MTS_STAT_ACCEPT_ERRORS, 1);
	mtsi_log(server, MTSI_LOG_ACCEPT, "cannot accept: %s", strerror(-result));
	if (!mtsi_linger_evict(server)) {
		mtsi_door_pause(server, mtsi_clock_now(), freed);
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

/* Takes a batch: how many, and what ended it. */
static size_t take_batch(struct mts_server *server, int listener, size_t room,
	struct mtsi_line *found, struct outcome *outcome)
{
	size_t count = 0;
	for (outcome->tries = 0; outcome->tries < BATCH && count < room; outcome->tries++) {
		struct mts_client *client = accept_one(server, listener, &outcome->result);
		if (client != NULL) {
			mtsi_door_enter(server);
			mtsi_line_add(found, client);
			count++;
		} else if (about_the_connection(outcome->result)) {
			mtsi_count_shared(&server->stats, MTS_STAT_ACCEPT_ERRORS, 1);
		} else {
			break;
		}
	}
	return count;
}

void mtsi_accept(struct mts_server *server, uint64_t tag, bool shut_down, struct mtsi_line *found)
{
	struct outcome outcome = {0, 0};
	uint64_t freed;
	const size_t room = mtsi_door_room(server, &freed);
	if (shut_down) {
		mtsi_listeners_bury(server, tag);
		return;
	}
	mtsi_lock_take(&server->listeners.lock);
	const int listener = server->listeners.list[tag - 1].fd;
	const size_t count = listener < 0 ? 0 : take_batch(server, listener, room, found, &outcome);
	mtsi_lock_release(&server->listeners.lock);
	if (count > 0) {
		mtsi_door_well(server);
	}
	if (outcome.result != 0 && outcome.result != -EAGAIN && !about_the_connection(outcome.result)) {
		failed(server, outcome.result, freed);
	} else if (count == 0 && outcome.tries == BATCH) {
		mtsi_door_pause(server, mtsi_clock_now(), freed);
	}
}
