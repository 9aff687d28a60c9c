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
 * early.
 */
#include "engine/accept.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "engine/client.h"
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

static void failed(struct mts_server *server, int result, uint64_t freed)
{
	mtsi_count_shared(&server->stats, MTS_STAT_ACCEPT_ERRORS, 1);
	if (about_the_connection(result)) {
		return;
	}
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

void mtsi_accept(struct mts_server *server, uint64_t tag)
{
	const int listener = server->listeners.list[tag - 1].fd;
	struct mts_client *first = NULL;
	struct mts_client **end = &first;
	size_t count = 0;
	uint64_t freed;
	const size_t room = mtsi_door_room(server, &freed);
	int result = 0;
	int tries;
	for (tries = 0; tries < BATCH && count < room; tries++) {
		struct mts_client *client = accept_one(server, listener, &result);
		if (client != NULL) {
			mtsi_door_enter(server);
			*end = client;
			end = &client->next;
			count++;
		} else if (!about_the_connection(result)) {
			break;
		} else {
			failed(server, result, freed);
		}
	}
	if (count > 0) {
		mtsi_door_well(server);
		mtsi_crew_offer(server, first, count);
	}
	if (result != 0 && result != -EAGAIN && !about_the_connection(result)) {
		failed(server, result, freed);
	} else if (count == 0 && tries == BATCH) {
		mtsi_door_pause(server, mtsi_clock_now(), freed);
	}
}
