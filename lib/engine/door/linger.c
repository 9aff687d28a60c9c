/* SPDX-License-Identifier: MIT
 *
 * Closing so that the peer gets the whole reply.
 *
 * When a socket is closed with input unread, or input arrives afterwards, the kernel answers with a
 * reset, and what the peer has not received yet is lost (RFC 1122, 4.2.2.13). So the sending side
 * is shut down first, and input thrown away until the peer has finished too, for at most the linger
 * timeout and 1 MiB; or 16 MiB, if the peer was told why it ends (engine/serve/fault.c), since it
 * may be sending a request that was too large. Meanwhile the socket is watched by epoll, and the
 * client is parked. The thread that claims it (claim.h) drains it, and closes it when that is done: this is the thread that
 * polls, or the keeper when the client's time is up. The keeper marks such clients in the list as
 * cut, under the list's lock, and claims them. If one is owned at that moment, its owner closes it:
 * an owner looks at the mark before it lets go. A client is taken out of the list before it is
 * closed, so no client in the list is closed.
 *
 * Nothing can be lost, and the socket closes at once, when nothing is unread and what the peer has
 * not acknowledged is on the wire and fits in a first flight (RFC 6928: 10 segments), or is a short
 * reply that goes out with the end of the stream. More than that also waits when the peer has
 * finished sending: the kernel would go on by itself, but it gives up sockets that nobody has open
 * when its memory gets short (tcp_max_orphans, tcp(7)). Once both sides are shut down and all is
 * acknowledged, the connection is closed, and epoll says so.
 *
 * A stop, or a deadline, shuts down the receiving side to wake the worker, and the program may have
 * done so too. With the sending side also shut down, the kernel would answer further input with a
 * reset at once. The kernel knows best whether the receiving side is shut. So it is asked when the
 * client is handed over, under the lock under which the library shuts that side. A socket with its
 * receiving side shut keeps its sending side open until all is acknowledged, and then just closes.
 * No event tells that all is acknowledged, so while there are such sockets the keeper looks at them
 * every few milliseconds. What the peer sends after the close is answered with a reset, but by then
 * it has the reply.
 *
 * Clients that linger do not count as clients, but no more than an eighth of the clients' limit may
 * linger: above that the keeper closes the ones that are due first.
 *
 * A client is handed over in one critical section of its lock: it is put into the list, its stage
 * is set, its sending side is shut, and epoll is told. So a thread that finds it lingering under
 * that lock also finds it in the list. And a stop, or a deadline, either finds it lingering, and
 * leaves it alone, or has shut its receiving side before. If epoll has no memory for it, it stays
 * in the list, and is closed when it is due.
 */
#include "engine/door/linger.h"

#include <errno.h>

#include "engine/base/floor.h"
#include "engine/base/options.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/registration.h"
#include "engine/door/door.h"
#include "engine/door/floor.h"
#include "engine/door/lingerers.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/thread.h"

enum {
	FIRST_FLIGHT = 14 * 1024, /* bytes */
	MOST_DRAINED = 1024 * 1024,
	MOST_DRAINED_IF_TOLD = 16 * 1024 * 1024,
	DRAIN_AT_ONCE = 16 * 1024,
	FEW = 16 /* so few that linger are never too many */
};

static const uint64_t look_again = MTSI_MILLISECOND;
static const uint64_t look_time = 10
	* MTSI_MILLISECOND; /* for sockets whose progress raises no event */

void mtsi_linger_init(struct mtsi_linger *linger)
{
	mtsi_lock_init(&linger->lock, MTSI_RANK_LINGER);
	linger->usual = (struct mtsi_lingerers){NULL, NULL};
	linger->own = (struct mtsi_lingerers){NULL, NULL};
	linger->over = false;
	atomic_init(&linger->count, 0);
	atomic_init(&linger->sending, 0);
	linger->look_at = 0;
}

void mtsi_linger_free(struct mtsi_linger *linger)
{
	mtsi_must(linger->usual.first == NULL && linger->own.first == NULL);
	mtsi_lock_destroy(&linger->lock);
}

static bool nothing_to_lose(const struct mts_client *client, size_t corked)
{
	/*
	 * The number also counts what cannot be received, like an urgent byte in a Unix socket's
	 * stream.
	 */
	if (mtsi_conn_unread(client) > 0 && mtsi_conn_peek(client) == 1) {
		return false;
	}
	const size_t on_its_way = mtsi_conn_unacknowledged(client);
	if (on_its_way <= corked
		|| (on_its_way <= FIRST_FLIGHT && mtsi_conn_unsent(client) <= corked)) {
		return true;
	}
	/* What a Unix socket has taken, the peer has already. */
	const enum mtsi_socket_peer peer = mtsi_conn_peer(client);
	return peer == MTSI_PEER_UNKNOWN || peer == MTSI_PEER_CLOSED;
}

/* How many clients should linger, at most. */
static size_t places(struct mts_server *server)
{
	const size_t share = mtsi_door_max_clients(server) / 8;
	return share > FEW ? share : FEW;
}

static bool crowded(struct mts_server *server)
{
	return atomic_load(&mtsi_door_floor(server)->linger.count) > places(server);
}

bool mtsi_linger_has_room(struct mts_server *server)
{
	return atomic_load(&mtsi_door_floor(server)->linger.count) < places(server);
}

/*
 * Throws away what has come; whether the socket may be closed. No more than so much in one go, since
 * others wait for this thread: what is left raises another event.
 */
static bool is_emptied(struct mts_client *client)
{
	char nowhere[DRAIN_AT_ONCE];
	const uint32_t before = client->discarded;
	const uint32_t most = client->said ? MOST_DRAINED_IF_TOLD : MOST_DRAINED;
	for (;;) {
		const ssize_t count = mtsi_conn_receive_now(client, nowhere, sizeof(nowhere));
		if (count == -EAGAIN) {
			return false;
		}
		if (count == 0) {
			return mtsi_conn_peer(client) == MTSI_PEER_SENDING
				? mtsi_conn_unacknowledged(client) == 0
				: nothing_to_lose(client, 0);
		}
		if (count < 0) {
			return true;
		}
		client->discarded += (uint32_t)count;
		if (client->discarded >= most) {
			return true;
		}
		if (client->discarded - before >= MOST_DRAINED) {
			mtsi_registration_report_again(client);
			return false;
		}
	}
}

/* Closes a client that is out of the list. A stop waits for the last one of them. */
static void close_unlinked(struct mts_client *client)
{
	struct mts_server *server = client->server;
	if (client->sends) {
		mtsi_conn_shut_sending(client); /* input before the close is not to cause a reset */
	}
	mtsi_door_close(client);
	if (mtsi_stopping(server) && atomic_load(&mtsi_door_floor(server)->linger.count) == 0) {
		mtsi_wake_keeper(server);
	}
}

static void end(struct mts_client *client)
{
	struct mtsi_linger *linger = &mtsi_door_floor(client->server)->linger;
	mtsi_lock_take(&linger->lock);
	mtsi_lingerers_remove_locked(linger, client);
	mtsi_lock_release(&linger->lock);
	close_unlinked(client);
}

void mtsi_linger_event(struct mts_client *client)
{
	do {
		mtsi_claim_clear(client);
		if (atomic_load(&client->cut) || is_emptied(client)) {
			end(client);
			return;
		}
	} while (!mtsi_claim_release(client));
}

/* Lets the client linger, in one critical section of its lock; false: none may linger any more. */
static bool hand_over(struct mts_client *client)
{
	struct mts_server *server = client->server;
	bool soonest = false;
	mtsi_lock_take(&client->lock);
	const bool sends = mtsi_conn_is_deaf_locked(client) && mtsi_conn_unacknowledged(client) > 0;
	const bool handed = mtsi_lingerers_add(
		&mtsi_door_floor(server)->linger, client, sends, &soonest);
	if (handed) {
		client->stage = MTSI_CLIENT_LINGERING;
		client->discarded = 0;
		if (!sends) {
			mtsi_conn_shut_sending(client);
		}
		mtsi_registration_watch_end_locked(client);
	}
	mtsi_lock_release(&client->lock);
	if (soonest || (handed && (sends || crowded(server)))) {
		mtsi_wake_keeper(server);
	}
	if (handed && !mtsi_claim_release(client)) {
		mtsi_linger_event(client);
	}
	return handed;
}

void mtsi_linger_or_close(struct mts_client *client, bool given_up, size_t corked)
{
	/*
	 * A client that was refused has most likely sent nothing yet, and is about to. One that was told
	 * why it ends may be in the middle of sending, unless its peer has finished.
	 */
	const bool sends = !client->opened
		|| (client->said && mtsi_conn_peer(client) < MTSI_PEER_FINISHED);
	const bool at_once = !sends && nothing_to_lose(client, corked);
	if (given_up || at_once || !hand_over(client)) {
		mtsi_door_close(client);
	}
}

/* What became of the client that is due first. */
enum oldest {
	NOBODY, /* nobody lingers, or the first client is not due */
	CLOSED, /* it is closed */
	MARKED /* its owner will close it, in a moment */
};

/*
 * Closes the client that is due first, if it is due at `now`, or, with MTSI_NEVER, in any case.
 * `*due`: when it is; MTSI_NEVER: never, or there is none.
 */
static enum oldest close_oldest(struct mts_server *server, uint64_t now, uint64_t *due)
{
	struct mtsi_linger *linger = &mtsi_door_floor(server)->linger;
	enum oldest result = NOBODY;
	mtsi_lock_take(&linger->lock);
	struct mts_client *client = mtsi_lingerers_first_locked(linger, due);
	if (client != NULL && *due <= now) {
		if (!atomic_exchange(&client->cut, true) && now != MTSI_NEVER) {
			mtsi_count_shared(server, MTS_STAT_TIMEOUTS, 1);
		}
		result = MARKED;
		if (mtsi_claim(client)) {
			mtsi_lingerers_remove_locked(linger, client);
			result = CLOSED;
		}
	}
	mtsi_lock_release(&linger->lock);
	if (result == CLOSED) {
		close_unlinked(client);
	}
	return result;
}

/*
 * Claims the next client whose sending side is open, after `at`, which the caller owns; or the
 * first.
 */
static struct mts_client *claim_next(struct mtsi_linger *linger, const struct mts_client *at)
{
	mtsi_lock_take(&linger->lock);
	struct mts_client *client = mtsi_lingerers_next_locked(linger, at);
	while (client != NULL && !(client->sends && mtsi_claim(client))) {
		client = mtsi_lingerers_next_locked(linger, client);
	}
	mtsi_lock_release(&linger->lock);
	return client;
}

/* Now and then looks at those whose progress raises no event; returns when to call it again. */
static uint64_t look_at_lingerer(struct mts_server *server, uint64_t now)
{
	struct mtsi_linger *linger = &mtsi_door_floor(server)->linger;
	if (atomic_load(&linger->sending) == 0) {
		return MTSI_NEVER;
	}
	if (now < linger->look_at) {
		return linger->look_at;
	}
	linger->look_at = mtsi_clock_after(now, look_time);
	struct mts_client *client = claim_next(linger, NULL);
	while (client != NULL) {
		/* The caller owns this client, so it stays in the list meanwhile. */
		struct mts_client *next = claim_next(linger, client);
		mtsi_linger_event(client);
		client = next;
	}
	return linger->look_at;
}

/* Closes those that are due or too many; returns when to call it again. */
static uint64_t close_due(struct mts_server *server, uint64_t now)
{
	uint64_t due;
	enum oldest oldest = NOBODY;
	while (crowded(server) && (oldest = close_oldest(server, MTSI_NEVER, &due)) == CLOSED) {
	}
	if (oldest == MARKED) {
		return mtsi_clock_after(now, look_again);
	}
	while ((oldest = close_oldest(server, now, &due)) == CLOSED) {
	}
	return oldest == MARKED ? mtsi_clock_after(now, look_again) : due;
}

uint64_t mtsi_linger_expire(struct mts_server *server, uint64_t now)
{
	const uint64_t again = look_at_lingerer(server, now);
	const uint64_t due = close_due(server, now);
	return again < due ? again : due;
}

bool mtsi_linger_evict(struct mts_server *server)
{
	uint64_t due;
	return close_oldest(server, MTSI_NEVER, &due) != NOBODY;
}

size_t mtsi_linger_finish(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_door_floor(server)->linger.lock);
	mtsi_door_floor(server)->linger.over = true;
	mtsi_lock_release(&mtsi_door_floor(server)->linger.lock);
	const size_t count = atomic_load(&mtsi_door_floor(server)->linger.count);
	while (mtsi_linger_evict(server)) {
		mtsi_thread_yield();
	}
	return count;
}
