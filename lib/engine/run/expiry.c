/* SPDX-License-Identifier: MIT
 *
 * The keeper's half of the deadlines: looks closely at clients whose time seems to be up, and ends
 * those that are overdue. deadline.c says what a client is waited for, and how the keeper learns
 * it.
 *
 * - A parked client is claimed, as by any event, and gets a turn. That turn reads what has arrived,
 *   so a request that came in time is served, however busy the server is. When the client would be
 *   parked again, the turn finds that its time is up, and ends it (mtsi_deadline_wait()).
 * - A client whose owner blocks in the wait is marked as expired, by a compare-and-swap on its
 *   word. The owner takes the word back when it wakes; so either the owner has what it waited for,
 *   or the deadline has ended the wait. In the second case the receiving side is then shut down.
 *   The client can still be written to.
 * - Before it marks such a client, the keeper looks into the socket. What is there came in time, as
 *   far as anybody knows: the whole process may have been stopped, or starved, across the deadline,
 *   and the owner is being woken at this moment. So the client is left alone, and looked at again a
 *   little later. After the third look it is marked nevertheless: its owner may not be woken by so
 *   little (SO_RCVLOWAT).
 * - A client whose output makes no progress is cut off, whoever owns it: nothing has been sent, and
 *   the peer has acknowledged nothing either.
 * - A client whose reply was deferred is claimed in the same way. If its owner waits for the reply,
 *   with a thread of its own, it is woken, and finds that out by itself.
 * - A handler that runs too long is marked and logged, nothing else: it may ask
 *   (mts_client_gone()).
 *
 * In each case the owner takes what is in the socket by then, to the byte, before it gives the
 * client up (receive.c); and what a receive has returned is never thrown away. A wait for the rest
 * of a request goes on over several receives, and keeps the time at which it began: when it is
 * overdue, an owner that would block again does not (mtsi_deadline_block()). So a pause ends no
 * client that has sent in time, and sending one byte at a time saves none. The socket of a client
 * that waits for memory is not looked into: the client could not take what has come.
 */
#include "engine/run/expiry.h"

#include <errno.h>
#include <inttypes.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/floor.h"
#include "engine/client/list.h"
#include "engine/client/ticket.h"
#include "engine/client/wait.h"
#include "engine/crew/crew.h"
#include "engine/door/linger.h"
#include "os/clock.h"
#include "os/lock.h"
#include "wire/address.h"

/* How long after the first look the second one comes, and so on. */
static const uint64_t look_again[MTSI_WORD_MOST_LOOKS] = {
	10 * MTSI_MILLISECOND, 100 * MTSI_MILLISECOND, 1000 * MTSI_MILLISECOND};

/* What is to be said once the client's lock is released. */
struct verdict {
	uint64_t id;
	struct mtsi_peer peer;
	enum mtsi_log_kind kind;
	const char *text; /* NULL: nothing is to be said */
	uint64_t since;
};

static void expire_output_locked(
	struct mts_client *client, uint64_t now, struct mtsi_list *claimed, struct verdict *verdict)
{
	const uint64_t since = atomic_load(&client->stuck_since);
	if (mtsi_deadline_of_output(client) > now) {
		return;
	}
	/*
	 * The kernel reports room only when there is much of it; but the peer may have taken a little.
	 */
	if (mtsi_conn_unacknowledged(client) < client->stuck_with) {
		mtsi_deadline_progress_locked(client, now);
	} else if (mtsi_client_cut_locked(client, MTS_CLOSED_WRITE_TIMEOUT, claimed)) {
		mtsi_count_shared(client->server, MTS_STAT_TIMEOUTS, 1);
		verdict->kind = MTSI_LOG_TIMEOUT;
		verdict->text = "cut off, it has taken no output for";
		verdict->since = since;
	}
}

/* Whether what waits is a relay. */
static bool is_relay(uint64_t word)
{
	return mtsi_wait_kind(word) == MTSI_WAIT_IDLE && (word & MTSI_WORD_READS) != 0;
}

/*
 * Whether the owner, which blocks in a receive, is to be left alone for now. It is when something
 * has come, since then it is being woken. It also is at the first look, if that is so late that the
 * process must have been stopped: the owner may just have taken what had come. In both cases the
 * look is noted, and the client is looked at again later. A peek that finds the connection dead has
 * taken that news from the owner (socket.h), so the owner learns it in another way.
 */
static bool spare_locked(struct mts_client *client, uint64_t word, uint64_t now)
{
	const uint64_t looks = (word & MTSI_WORD_LOOKS) / MTSI_WORD_LOOK;
	const bool receives = (word & MTSI_WORD_RECEIVES) != 0;
	if (!(receives || is_relay(word)) || looks == MTSI_WORD_MOST_LOOKS) {
		return false;
	}
	/* A relay whose client has ended waits for the other socket. */
	const ssize_t found = receives ? mtsi_conn_peek(client) : -EAGAIN;
	if (found == -EPIPE) {
		mtsi_client_lose_locked(client);
		return true;
	}
	const bool on_time = now - mtsi_deadline_of_wait(client, word) < look_again[0];
	if (found == -EAGAIN && (on_time || looks > 0)) {
		return false;
	}
	if (atomic_compare_exchange_strong(&client->waits, &word, word + MTSI_WORD_LOOK)) {
		mtsi_deadline_arm(client, mtsi_clock_after(now, look_again[looks]), mtsi_wait_kind(word));
	}
	return true;
}

static void expire_wait_locked(struct mts_client *client, uint64_t now, struct verdict *verdict)
{
	uint64_t word = atomic_load(&client->waits);
	const enum mtsi_wait kind = mtsi_wait_kind(word);
	const bool ends = (word & MTSI_WORD_BLOCKED) != 0 || kind == MTSI_WAIT_HANDLER;
	if (!ends || mtsi_deadline_of_wait(client, word) > now || spare_locked(client, word, now)
		|| !atomic_compare_exchange_strong(&client->waits, &word, word | MTSI_WORD_EXPIRED)) {
		return;
	}
	mtsi_count_shared(client->server, MTS_STAT_TIMEOUTS, 1);
	verdict->since = mtsi_wait_since(word);
	if (kind == MTSI_WAIT_HANDLER) {
		verdict->kind = MTSI_LOG_HANDLER;
		verdict->text = "its handler has been running for";
		return;
	}
	if (kind != MTSI_WAIT_IDLE) {
		verdict->kind = MTSI_LOG_TIMEOUT;
		verdict->text = mtsi_wait_text(kind);
	} else if (verdict->text == NULL) {
		verdict->kind = MTSI_LOG_IDLE;
		verdict->text = mtsi_wait_text(kind);
	}
	int none = MTSI_NO_CAUSE;
	(void)atomic_compare_exchange_strong(&client->cause, &none, mtsi_wait_reason(kind));
	if (is_relay(word)) {
		mtsi_client_lose_locked(client); /* a stream is torn: engine/serve/relay.c */
	} else {
		mtsi_conn_shut_receiving_locked(client);
	}
}

/*
 * The client was taken out of the heap for one of its deadlines. The other one, or one that has
 * moved meanwhile, is still to come, so it is put in again. A parked client that is overdue was
 * claimed: its turn does this, or ends it.
 */
static void rearm_locked(struct mts_client *client, uint64_t now)
{
	const uint64_t word = atomic_load(&client->waits);
	const uint64_t wait = mtsi_deadline_of_wait(client, word);
	const uint64_t output = mtsi_deadline_of_output(client);
	if (wait > now && wait != MTSI_NEVER) {
		mtsi_deadline_arm(client, wait, mtsi_wait_kind(word));
	}
	if (output > now && output != MTSI_NEVER) {
		mtsi_deadline_arm(client, output, MTSI_WAIT_NOTHING);
	}
}

/* The client's time seems to be up; looks closely. */
static void expire(
	struct mts_server *server, struct mts_client *client, uint64_t now, struct mtsi_list *claimed)
{
	struct verdict verdict = {.text = NULL};
	if (mtsi_claim(client)) {
		if (client->stage == MTSI_CLIENT_LINGERING) {
			mtsi_linger_event(client);
			return;
		}
		mtsi_list_add(claimed, client);
	}
	mtsi_lock_take(&client->lock);
	if (client->fd >= 0 && mtsi_client_may(client, MTSI_MAY_EXPIRE)) {
		verdict.id = client->id;
		verdict.peer = client->peer;
		expire_output_locked(client, now, claimed, &verdict);
		expire_wait_locked(client, now, &verdict);
		mtsi_ticket_wake_locked(client); /* if its owner waits for its reply, that is overdue */
		rearm_locked(client, now);
	}
	mtsi_lock_release(&client->lock);
	if (verdict.text != NULL) {
		mtsi_log_client(server, verdict.kind, verdict.id, &verdict.peer, "%s %" PRIu64 " ms",
			verdict.text, (now - verdict.since) / MTSI_MILLISECOND);
	}
}

static void reckon_client(struct mts_client *client, struct mtsi_list *claimed)
{
	(void)claimed;
	mtsi_deadline_reckon(client);
}

uint64_t mtsi_expiry(struct mts_server *server, uint64_t now)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(server)->deadlines;
	struct mtsi_list claimed = {NULL, NULL, 0};
	struct mts_client *client;
	if (atomic_load(&deadlines->changed) && atomic_exchange(&deadlines->changed, false)) {
		mtsi_clients_each(server, reckon_client, &claimed);
	}
	while ((client = mtsi_deadline_next_overdue(server, now)) != NULL) {
		expire(server, client, now, &claimed);
	}
	mtsi_crew_offer(server, &claimed);
	return mtsi_deadline_planned(server);
}
