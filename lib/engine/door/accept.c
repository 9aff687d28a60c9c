/* SPDX-License-Identifier: MIT
 *
 * From a listener's queue to clients that wait for a thread.
 *
 * accept(2) fails in three ways. The connection's own trouble: it is already past, and costs one
 * turn of the loop. A shortage on this machine: lingering sockets, which can spare their
 * descriptors, are closed, and then the listeners rest (door.c). Anything else is treated as a
 * shortage too, since it must neither spin nor end the server. A whole batch of nothing but trouble
 * is a shortage as well.
 *
 * A listener is level-triggered, and a batch is bounded, so nothing is lost when the batch ends
 * early. It ends with the last connection that is known to wait, not with an accept that finds
 * none: TCP says beforehand how many there are, for the price of one call. So accept is not called
 * in vain. Only such a call would sleep, if somebody who shares the socket has made it blocking.
 * Where that may be, at a socket that was handed down, the socket is also looked at before each
 * batch, and made non-blocking again. At a Unix socket of our own a wait in accept has a bound
 * (bind.c).
 *
 * It is still possible that, between that look and accept, somebody both makes the socket blocking
 * and takes the connection. Then accept waits for the next connection. That costs this one thread:
 * no lock is held over accept, only the entry (entry.c). A worker counts meanwhile like one in a
 * handler, and so is relieved (crew.c); a stand-in is replaced (stand_in.c); and a stop does not
 * wait for the thread beyond its deadline.
 *
 * Each connection becomes a client under the listeners' lock, and only while the listeners are
 * open. So a stop that has closed them under that lock knows that no client comes any more.
 *
 * Whoever may not connect (access.c) is closed before it becomes a client, and told nothing. Who is a
 * proxy has to say first whose client it brings (proxied.c).
 *
 * A client that comes is counted by its address first (address_book.c), then by the door. A client
 * above a limit that does not let it wait is turned away (refusal.c), with no lock held; its owner is
 * this thread until then, and a stop waits for that. The log is told once for each batch (report.c).
 *
 * Where clients are to be refused rather than wait (MTS_OVERLOAD_REFUSE), this goes on without free
 * descriptors. One descriptor is kept to spare. It is given up to take a connection; that is
 * closed, so that the spare one can be opened again. If another thread has got the descriptor
 * meanwhile, there is no spare one for now, and the listeners rest; the next descriptor that is
 * free becomes the spare one.
 */
#include "engine/door/accept.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <mtserver/proxy.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/conn.h"
#include "engine/client/list.h"
#include "engine/crew/stand_in.h"
#include "engine/crew/stint.h"
#include "engine/door/access.h"
#include "engine/door/address_book.h"
#include "engine/door/door.h"
#include "engine/door/entry.h"
#include "engine/door/eviction.h"
#include "engine/door/floor.h"
#include "engine/door/linger.h"
#include "engine/door/listener.h"
#include "engine/door/proxied.h"
#include "engine/door/refusal.h"
#include "engine/door/report.h"
#include "os/clock.h"
#include "os/listening.h"
#include "os/lock.h"
#include "os/poll.h"
#include "os/socket.h"
#include "wire/address.h"

enum { BATCH = 64 };

/* Errors that accept(2) passes on from the connection, or that concern only that. */
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

/* Where a batch comes from, and what has come of it. */
struct batch {
	struct mtsi_listener *listener;
	int fd; /* of the listener */
	size_t waiting; /* so many more connections are known to wait */
	bool counted; /* they have been counted, and accept has not failed since */
	int result; /* the last failure, or 0; -ECANCELED: the listeners are closed */
	size_t tries;
	size_t troubles; /* how many tries failed by the connection's own trouble */
	size_t let_in;
	size_t held;
	enum mtsi_beginning beginning; /* of the connection that is being taken */
	struct mts_client *turned_away; /* one that is refused, until the lock is released */
	struct mtsi_report report; /* of those who are not let in */
};

static bool refuses(struct mts_server *server)
{
	return mtsi_base_floor(server)->options.overload == MTS_OVERLOAD_REFUSE;
}

static void refuse_client(struct mts_client *client, int why, struct batch *batch)
{
	mtsi_report_refused(&batch->report, &client->peer, why);
	batch->turned_away = client;
}

/*
 * Finds out how a connection from there begins. True: it may not be made; it was counted and closed.
 */
static bool deny(struct mts_server *server, int fd, const struct sockaddr *address, socklen_t size,
	struct batch *batch)
{
	const int mode = batch->listener->traits.proxy;
	struct mtsi_peer peer;
	batch->beginning = MTSI_BEGINS_PLAIN;
	if (mode == MTS_PROXY_OFF && !mtsi_access_is_limited(server)) {
		return false;
	}
	mtsi_peer_from(&peer, address, size);
	batch->beginning = mtsi_proxied_begins(server, mode, &peer);
	if (batch->beginning < MTSI_MAY_NOT_BEGIN) {
		return false;
	}
	if (batch->beginning == MTSI_MAY_NOT_BEGIN) {
		mtsi_count_shared(server, MTS_STAT_DENIED, 1);
		mtsi_report_denied(&batch->report, &peer);
	} else {
		mtsi_count_shared(server, MTS_STAT_PROXY_ERRORS, 1);
		mtsi_report_stranger(&batch->report, &peer);
	}
	mtsi_socket_close_now(fd);
	return true;
}

/* Lets a client in, or does with it what the limits demand. */
static void admit_client(struct mts_client *client, struct mtsi_list *found, struct batch *batch)
{
	const int result = mtsi_address_book_enter(client);
	if (result != 0) {
		refuse_client(client, result, batch);
		return;
	}
	switch (mtsi_door_enter(client->server, client)) {
	case MTSI_LET_IN:
		mtsi_list_add(found, client);
		batch->let_in++;
		break;
	case MTSI_HELD_BACK:
		batch->held++;
		break;
	default:
		refuse_client(client, -EBUSY, batch);
	}
}

/* A connection becomes a client: 0; or -ENOMEM or -ECANCELED, and the connection is closed. */
static int take_in_locked(struct mts_server *server, int fd, const struct sockaddr *peer,
	unsigned size, struct mtsi_list *found, struct batch *batch)
{
	mtsi_lock_assert_held(&mtsi_door_floor(server)->listeners.lock);
	if (mtsi_door_floor(server)->listeners.closed) {
		mtsi_socket_close_now(fd);
		return -ECANCELED;
	}
	struct mts_client *client = mtsi_clients_open(server, fd, peer, size);
	if (client == NULL) {
		mtsi_refusal_close(server, fd, batch->beginning == MTSI_BEGINS_PLAIN);
		return -ENOMEM;
	}
	mtsi_conn_accepted(client, &batch->listener->traits);
	if (batch->beginning == MTSI_BEGINS_WITH_HEADER) {
		mtsi_proxied_await(client);
	}
	admit_client(client, found, batch);
	return 0;
}

/* Accepts one connection: 0, or why there is none. */
static int accept_one(struct mts_server *server, struct mtsi_list *found, struct batch *batch)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	const int fd = mtsi_socket_accept(batch->fd, (struct sockaddr *)&peer, &size);
	if (fd < 0) {
		return fd;
	}
	if (deny(server, fd, (const struct sockaddr *)&peer, size, batch)) {
		return 0;
	}
	if (peer.ss_family == AF_UNIX) {
		mtsi_socket_keep_urgent(fd);
	}
	mtsi_lock_take(&mtsi_door_floor(server)->listeners.lock);
	const int result = take_in_locked(
		server, fd, (const struct sockaddr *)&peer, (unsigned)size, found, batch);
	mtsi_lock_release(&mtsi_door_floor(server)->listeners.lock);
	if (batch->turned_away != NULL) {
		mtsi_refusal_turn_away(batch->turned_away);
		batch->turned_away = NULL;
	}
	return result;
}

/* Whether to ask for one more. At a socket of our own, accept itself may say that there is none. */
static bool somebody_waits(struct mts_server *server, struct batch *batch)
{
	const struct mtsi_listener *listener = batch->listener;
	if (mtsi_door_is_suspended(&mtsi_door_floor(server)->door)) {
		return false;
	}
	if (!listener->counts) {
		return batch->tries == 0 || !listener->traits.shared || mtsi_listening_ready(batch->fd);
	}
	if (!batch->counted) {
		batch->waiting = mtsi_listening_count(batch->fd);
		batch->counted = true;
	}
	return batch->waiting > 0;
}

/* Counts a try. If it failed, fewer connections may wait than it seemed, or more. */
static void count_try(struct batch *batch, int result)
{
	batch->tries++;
	batch->result = result != 0 ? result : batch->result;
	batch->counted = batch->counted && result == 0;
	batch->waiting -= batch->counted ? 1 : 0;
}

/* Takes a batch: at most `room` clients, besides those that are refused. */
static void take_batch(
	struct mts_server *server, size_t room, struct mtsi_list *found, struct batch *batch)
{
	while (batch->tries < BATCH && batch->let_in + batch->held < room
		&& somebody_waits(server, batch)) {
		const int result = accept_one(server, found, batch);
		count_try(batch, result);
		if (result != 0 && !about_the_connection(result)) {
			break;
		}
		if (result != 0) {
			mtsi_count_shared(server, MTS_STAT_ACCEPT_ERRORS, 1);
			batch->troubles++;
		}
	}
}

/* Takes one connection in the place of the spare descriptor, and closes it: 0 or an error. */
static int refuse_one(struct mts_server *server, struct batch *batch)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	const int spare = mtsi_entry_take_spare(server);
	if (spare < 0) {
		return -EMFILE;
	}
	mtsi_socket_close(spare);
	const int fd = mtsi_socket_accept(batch->fd, (struct sockaddr *)&peer, &size);
	if (fd >= 0 && !deny(server, fd, (const struct sockaddr *)&peer, size, batch)) {
		mtsi_refusal_close(server, fd, batch->beginning == MTSI_BEGINS_PLAIN);
	}
	mtsi_entry_keep_spare(server, mtsi_wake_open());
	return fd >= 0 ? 0 : fd;
}

/*
 * No descriptor is to be had, but clients are to be refused: whether any was, or none waits any
 * more. accept(2) takes a descriptor before it looks for a connection. So of two threads that poll,
 * one may get here for a connection that the other has taken.
 */
static bool refuse_batch(struct mts_server *server, struct batch *batch)
{
	size_t count = 0;
	int result = 0;
	bool waits = true;
	while (count < BATCH && result == 0 && (waits = somebody_waits(server, batch))) {
		result = refuse_one(server, batch);
		count_try(batch, result);
		count += result == 0 ? 1 : 0;
	}
	return count > 0 || result == -EAGAIN || !waits;
}

/* Accept does not work: finds a remedy, or has the listeners rest. */
static void failed(struct mts_server *server, struct batch *batch, uint64_t freed)
{
	const int result = batch->result;
	const bool descriptors = result == -EMFILE || result == -ENFILE;
	mtsi_count_shared(server, MTS_STAT_ACCEPT_ERRORS, 1);
	mtsi_log(server, MTSI_LOG_ACCEPT, "cannot accept: %s", strerror(-result));
	if (mtsi_linger_evict(server)) {
		return;
	}
	if (!(descriptors && refuses(server) && refuse_batch(server, batch))) {
		mtsi_door_pause(server, mtsi_clock_now(), freed);
	}
}

/* Whether accept has really failed, not just been asked in vain. */
static bool has_failed(int result)
{
	const bool in_vain = result == 0 || result == -EAGAIN || result == -ECANCELED;
	return !in_vain && !about_the_connection(result);
}

/* Does what a batch leaves to be done, with no lock held. */
static void conclude(struct mts_server *server, struct batch *batch, uint64_t freed)
{
	const struct mtsi_report *report = &batch->report;
	if (batch->let_in + batch->held + report->refused + report->denied + report->strangers > 0) {
		mtsi_door_well(server);
	}
	if (has_failed(batch->result)) {
		failed(server, batch, freed);
	} else if (batch->troubles == BATCH) {
		mtsi_door_pause(server, mtsi_clock_now(), freed);
	}
	mtsi_report(server, report);
}

/* Makes a socket non-blocking again, which somebody else who has it may have changed. */
static void look_after(struct mts_server *server, struct mtsi_listener *listener, int fd)
{
	if (mtsi_listening_unblock(fd) && !listener->told) {
		listener->told = true;
		mtsi_log(server, MTSI_LOG_LISTENER,
			"somebody has made the listener on %s blocking: it is not any more", listener->text);
	}
}

/* The thread has the entry: takes a batch. */
static void take_turn(
	struct mts_server *server, uint64_t tag, int listener, struct mtsi_list *found)
{
	struct batch batch = {
		.listener = &mtsi_door_floor(server)->listeners.list[tag - 1], .fd = listener};
	uint64_t freed;
	const size_t room = mtsi_door_room(server, &freed);
	if (batch.listener->traits.shared && room > 0) {
		look_after(server, batch.listener, listener);
	}
	if (refuses(server)) {
		mtsi_entry_want_spare(server); /* first: the spare one is for when no other is left */
	}
	take_batch(server, room, found, &batch);
	conclude(server, &batch, freed);
	mtsi_entry_give_back(server, tag);
	if (batch.held > 0) {
		mtsi_eviction_run(server, found);
	}
}

void mtsi_accept(struct mts_server *server, struct mtsi_member *worker, uint64_t tag,
	bool shut_down, struct mtsi_list *found)
{
	if (shut_down) {
		mtsi_listeners_bury(server, tag);
		return;
	}
	const int listener = mtsi_entry_take(server, tag);
	if (listener < 0) {
		return;
	}
	/* Where accept may sleep, the thread must not count as polling meanwhile. */
	if (!mtsi_door_floor(server)->listeners.list[tag - 1].traits.shared) {
		take_turn(server, tag, listener, found);
	} else if (worker != NULL) {
		mtsi_stint_leave_poll(worker);
		take_turn(server, tag, listener, found);
		mtsi_stint_return_to_poll(worker);
	} else {
		const uint64_t stint = mtsi_stand_in_leave_poll(server);
		take_turn(server, tag, listener, found);
		mtsi_stand_in_return_to_poll(server, stint);
	}
}
