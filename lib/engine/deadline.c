/* SPDX-License-Identifier: MIT
 *
 * Deadlines: how long a client may keep the server waiting.
 *
 * Each client has a word that says what it is waited for and since when, and under its lock the
 * time since which its output makes no progress. Writing these is all that a request costs: nobody
 * moves a timer. A heap holds the times at which clients are to be looked at, and the keeper sleeps
 * until the first of them. By then most have been active, so it reckons anew and puts them in
 * again, once a timeout for each client. What it finds overdue it ends:
 *
 * - A parked client is claimed, as by any event, and gets a turn. That turn reads what has arrived,
 *   so a request that came in time is served however busy the server is; and where it would be
 *   parked again, it finds that its time is up, and ends (mtsi_deadline_wait()).
 * - One whose owner blocks in the wait is marked as expired by a compare-and-swap on the word,
 *   which the owner takes back when it wakes; so either it has what it waited for, or the deadline
 *   has ended it. Then its receiving side is shut down. It can still be written to.
 * - Before that the keeper looks into the socket. What has come there came in time as far as anybody
 *   knows: the whole process may have been stopped, or starved, across the deadline, and the owner
 *   is being woken at this moment. So it is left alone, and looked at again a little later. After
 *   the third look it is marked nevertheless: it may not be woken by so little (SO_RCVLOWAT).
 * - One whose output makes no progress is cut off, whoever owns it: nothing has been sent, and the
 *   peer has acknowledged nothing either.
 * - A handler that runs too long is marked and logged, nothing else: it may ask
 *   (mts_client_gone()).
 *
 * In each case the owner takes what is in the socket by then, to the byte, before it gives the
 * client up (input.c); and what a receive has returned is never thrown away. A wait that goes on, the
 * one for the rest of a request, keeps its beginning: when it is past its end, who would block again
 * does not (mtsi_deadline_block()). So a pause ends nobody who has sent in time, and one byte at a
 * time saves nobody. Who waits for memory is not looked at: it would not take what has come.
 *
 * One that an owner is serving waits for nothing, however old the word is: it is left out of the
 * heap, and AGAIN is left behind (claim.h).
 *
 * Whoever begins a wait looks whether the heap knows: `armed` names a kind of wait for which the
 * client is in the heap early enough, since a later wait of that kind ends later. The keeper clears
 * it before it reads the word, and the other side writes the word before it reads `armed`; both are
 * sequentially consistent. So either the keeper sees the new wait, or its beginner sees that it has
 * to arm. ARMED beside the kind stays until the client ends: it may be in the heap, or the keeper has
 * it in its hands. So who closes it knows, without the lock, that it has never been there; or takes
 * the lock, and takes it out.
 *
 *     somebody waits with a deadline   =>   it is in the heap early enough, or about to be put there
 *
 * A timeout that is changed has the keeper look at all clients, in the same way. Times are rounded
 * up by less than 128 ns, which makes room for the flags beside them. Nothing ends early.
 */
#include "engine/deadline.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "engine/claim.h"
#include "engine/clients.h"
#include "engine/keeper.h"
#include "engine/line.h"
#include "engine/linger.h"
#include "engine/server.h"
#include "os/clock.h"
#include "os/must.h"
#include "os/socket.h"

/* The word: when the wait began, a multiple of 128 ns, and below: */
enum {
	KIND = 3,
	BLOCKED = 4,
	EXPIRED = 8,
	RECEIVES = MTSI_BLOCK_RECEIVE, /* what blocks is a receive */
	LOOK = 32, /* one look into the socket after the deadline, */
	LOOKS = 96, /* of at most so many: */
	MOST_LOOKS = 3,
	FLAGS = 127
};

enum { ARMED = 4 }; /* beside the kind in `armed`: it has been in the heap, for whatever reason */

/* How long after the first look, the second, the third it is looked at again. */
static const uint64_t look_again[MOST_LOOKS] = {
	10 * MTSI_MILLISECOND, 100 * MTSI_MILLISECOND, 1000 * MTSI_MILLISECOND};

static uint64_t round_up(uint64_t time)
{
	return (time + FLAGS) & ~(uint64_t)FLAGS;
}

static uint64_t begun(uint64_t word)
{
	return word & ~(uint64_t)FLAGS;
}

static enum mtsi_wait kind_of(uint64_t word)
{
	return (enum mtsi_wait)(word & KIND);
}

static uint64_t ends_at(const struct mts_server *server, enum mts_timeout which, uint64_t since)
{
	const uint64_t timeout = mtsi_timeout(&server->options, which);
	return timeout == MTSI_NEVER ? MTSI_NEVER : mtsi_clock_after(since, timeout);
}

/* When the wait ends that a word tells of; MTSI_NEVER: it does not, or has. */
static uint64_t wait_ends(const struct mts_server *server, uint64_t word)
{
	static const enum mts_timeout which[] = {
		[MTSI_WAIT_IDLE] = MTS_TIMEOUT_IDLE,
		[MTSI_WAIT_REQUEST] = MTS_TIMEOUT_REQUEST,
		[MTSI_WAIT_HANDLER] = MTS_TIMEOUT_HANDLER,
	};
	if (kind_of(word) == MTSI_WAIT_NOTHING || (word & EXPIRED) != 0) {
		return MTSI_NEVER;
	}
	return ends_at(server, which[kind_of(word)], begun(word));
}

static uint64_t output_ends(const struct mts_client *client)
{
	const uint64_t since = atomic_load(&client->stuck_since);
	return since == 0 ? MTSI_NEVER : ends_at(client->server, MTS_TIMEOUT_WRITE, since);
}

void mtsi_deadlines_init(struct mtsi_deadlines *deadlines)
{
	mtsi_lock_init(&deadlines->lock);
	deadlines->heap.first = NULL;
	deadlines->planned = MTSI_NEVER;
	atomic_init(&deadlines->changed, false);
}

void mtsi_deadlines_free(struct mtsi_deadlines *deadlines)
{
	mtsi_lock_destroy(&deadlines->lock);
}

static struct mts_client *client_of(struct mtsi_heap_node *node)
{
	return (struct mts_client *)(void *)((char *)node - offsetof(struct mts_client, deadline));
}

static bool in_heap(const struct mts_client *client)
{
	return client->deadline.key != MTSI_NEVER;
}

static void take_locked(struct mtsi_deadlines *deadlines, struct mts_client *client)
{
	mtsi_lock_assert_held(&deadlines->lock);
	if (in_heap(client)) {
		mtsi_heap_take(&deadlines->heap, &client->deadline);
		client->deadline.key = MTSI_NEVER;
	}
}

/* Puts it into the heap, unless it is there early enough. */
static void put_locked(struct mtsi_deadlines *deadlines, struct mts_client *client, uint64_t due)
{
	mtsi_lock_assert_held(&deadlines->lock);
	if (due < client->deadline.key) {
		take_locked(deadlines, client);
		client->deadline.key = due;
		mtsi_heap_put(&deadlines->heap, &client->deadline);
	}
}

/* Sees to it that the keeper looks at it in time; for this kind of wait from now on. */
static void arm(struct mts_client *client, uint64_t due, enum mtsi_wait kind)
{
	struct mtsi_deadlines *deadlines = &client->server->deadlines;
	mtsi_lock_take(&deadlines->lock);
	put_locked(deadlines, client, due);
	if (kind != MTSI_WAIT_NOTHING) {
		atomic_store(&client->armed, (unsigned char)(ARMED | kind));
	} else {
		atomic_fetch_or(&client->armed, ARMED);
	}
	const bool sooner = due < deadlines->planned;
	if (sooner) {
		deadlines->planned = due;
	}
	mtsi_lock_release(&deadlines->lock);
	if (sooner) {
		mtsi_keeper_wake(client->server);
	}
}

static void begin(struct mts_client *client, uint64_t word)
{
	const enum mtsi_wait kind = kind_of(word);
	atomic_store(&client->waits, word);
	if ((atomic_load(&client->armed) & KIND) != kind) {
		const uint64_t due = wait_ends(client->server, word);
		if (due != MTSI_NEVER) {
			arm(client, due, kind);
		}
	}
}

bool mtsi_deadline_wait(struct mts_client *client, enum mtsi_wait kind, uint64_t now)
{
	const uint64_t before = atomic_load_explicit(&client->waits, memory_order_relaxed);
	if (kind == MTSI_WAIT_NOTHING) {
		mtsi_deadline_met(client);
		return true;
	}
	const uint64_t since = kind_of(before) == kind ? begun(before) : round_up(now);
	const uint64_t word = since | kind;
	if (wait_ends(client->server, word) <= now) {
		return false;
	}
	begin(client, word);
	return true;
}

void mtsi_deadline_met(struct mts_client *client)
{
	atomic_store_explicit(&client->waits, MTSI_WAIT_NOTHING, memory_order_relaxed);
}

/* A wait that has begun before. Apart from the usual case, so that this one is short. */
__attribute__((noinline)) static bool go_on_blocking(struct mts_client *client, uint64_t word)
{
	if (wait_ends(client->server, word) <= mtsi_clock_now()) {
		return false;
	}
	begin(client, word);
	return true;
}

bool mtsi_deadline_block(struct mts_client *client, enum mtsi_wait kind, enum mtsi_block how)
{
	const uint64_t before = atomic_load_explicit(&client->waits, memory_order_relaxed);
	const uint64_t flags = (uint64_t)kind | BLOCKED | (uint64_t)how;
	if (kind_of(before) == kind) {
		return go_on_blocking(client, begun(before) | flags);
	}
	begin(client, round_up(mtsi_clock_now()) | flags);
	return true;
}

bool mtsi_deadline_unblock(struct mts_client *client)
{
	const uint64_t word = atomic_fetch_and(&client->waits, ~(uint64_t)BLOCKED);
	return (word & EXPIRED) == 0;
}

bool mtsi_deadline_blocks(const struct mts_client *client)
{
	return (atomic_load(&client->waits) & BLOCKED) != 0;
}

uint64_t mtsi_deadline_handler(struct mts_client *client)
{
	if (mtsi_timeout(&client->server->options, MTS_TIMEOUT_HANDLER) == MTSI_NEVER) {
		return 0;
	}
	const uint64_t since = round_up(mtsi_clock_now());
	mtsi_deadline_handler_since(client, since);
	return since;
}

void mtsi_deadline_handler_since(struct mts_client *client, uint64_t since)
{
	if (since == 0) {
		mtsi_deadline_met(client);
	} else {
		begin(client, since | MTSI_WAIT_HANDLER);
	}
}

bool mtsi_deadline_overrun(const struct mts_client *client)
{
	const uint64_t word = atomic_load(&client->waits);
	return kind_of(word) == MTSI_WAIT_HANDLER && (word & EXPIRED) != 0;
}

/* From now on nothing more is taken, as far as is known. */
static void note_progress_locked(struct mts_client *client, uint64_t now)
{
	client->stuck_with = (uint32_t)mtsi_socket_unacknowledged(client->fd);
	atomic_store(&client->stuck_since, now);
}

void mtsi_deadline_output_locked(struct mts_client *client, bool waits, bool progress)
{
	const uint64_t before = atomic_load_explicit(&client->stuck_since, memory_order_relaxed);
	mtsi_lock_assert_held(&client->lock);
	if (!waits) {
		if (before != 0) {
			atomic_store(&client->stuck_since, 0);
		}
		return;
	}
	if (before != 0 && !progress) {
		return;
	}
	note_progress_locked(client, mtsi_clock_now());
	if (before == 0) {
		const uint64_t due = output_ends(client);
		if (due != MTSI_NEVER) {
			arm(client, due, MTSI_WAIT_NOTHING);
		}
	}
}

uint64_t mtsi_deadline_idle_since(const struct mts_client *client)
{
	const uint64_t word = atomic_load(&client->waits);
	return kind_of(word) == MTSI_WAIT_IDLE && (word & EXPIRED) == 0 ? begun(word) : 0;
}

bool mtsi_deadline_end_idle(struct mts_client *client)
{
	uint64_t word = atomic_load(&client->waits);
	mtsi_lock_assert_held(&client->lock);
	return kind_of(word) == MTSI_WAIT_IDLE && (word & (BLOCKED | EXPIRED)) == BLOCKED
		&& atomic_compare_exchange_strong(&client->waits, &word, word | EXPIRED);
}

void mtsi_deadline_forget(struct mts_client *client)
{
	struct mtsi_deadlines *deadlines = &client->server->deadlines;
	mtsi_deadline_met(client);
	if (atomic_load(&client->armed) != 0) {
		mtsi_lock_take(&deadlines->lock);
		take_locked(deadlines, client);
		atomic_store(&client->armed, 0);
		mtsi_lock_release(&deadlines->lock);
	}
}

/* Reckons anew when it is to be looked at, whatever it was; false when that is now. */
static bool reckon_locked(struct mts_client *client, uint64_t now)
{
	struct mtsi_deadlines *deadlines = &client->server->deadlines;
	take_locked(deadlines, client);
	atomic_store(&client->armed, ARMED);
	const uint64_t word = atomic_load(&client->waits);
	const uint64_t wait = wait_ends(client->server, word);
	const uint64_t output = output_ends(client);
	const uint64_t due = wait < output ? wait : output;
	if (due <= now) {
		return false;
	}
	if (due != MTSI_NEVER) {
		put_locked(deadlines, client, due);
		const unsigned kind = wait != MTSI_NEVER ? kind_of(word) : MTSI_WAIT_NOTHING;
		atomic_store(&client->armed, (unsigned char)(ARMED | kind));
	}
	return true;
}

/* The next client whose time seems to be up; NULL: there is none, and `planned` says when. */
static struct mts_client *next_overdue(struct mts_server *server, uint64_t now)
{
	struct mtsi_deadlines *deadlines = &server->deadlines;
	struct mts_client *overdue = NULL;
	mtsi_lock_take(&deadlines->lock);
	while (overdue == NULL && deadlines->heap.first != NULL && deadlines->heap.first->key <= now) {
		struct mts_client *client = client_of(deadlines->heap.first);
		overdue = reckon_locked(client, now) ? NULL : client;
	}
	const struct mtsi_heap_node *first = deadlines->heap.first;
	deadlines->planned = first != NULL ? first->key : MTSI_NEVER;
	mtsi_lock_release(&deadlines->lock);
	return overdue;
}

/* What is to be said once the client's lock is released. */
struct verdict {
	uint64_t id;
	struct mtsi_peer peer;
	enum mtsi_log_kind kind;
	const char *text; /* NULL: nothing is to be said */
	uint64_t since;
};

static void expire_output_locked(
	struct mts_client *client, uint64_t now, struct mtsi_line *claimed, struct verdict *verdict)
{
	const uint64_t since = atomic_load(&client->stuck_since);
	if (output_ends(client) > now) {
		return;
	}
	/* The kernel tells of room only when there is much; but the peer may have taken a little. */
	if (mtsi_socket_unacknowledged(client->fd) < client->stuck_with) {
		note_progress_locked(client, now);
	} else if (mtsi_client_cut_locked(client, MTS_CLOSED_WRITE_TIMEOUT, claimed)) {
		mtsi_count_shared(&client->server->stats, MTS_STAT_TIMEOUTS, 1);
		verdict->kind = MTSI_LOG_TIMEOUT;
		verdict->text = "cut off, it has taken no output for";
		verdict->since = since;
	}
}

static int reason_for(enum mtsi_wait kind)
{
	return kind == MTSI_WAIT_IDLE ? MTS_CLOSED_IDLE : MTS_CLOSED_REQUEST_TIMEOUT;
}

static const char not_whole[] = "its request has not come whole within";

/*
 * Whether the owner, which blocks in a receive, is to be left alone: since something has come, and it
 * is being woken; or, the first time, since it may just have taken that, where this comes so late that
 * the process must have been stopped. Then this is noted, and it is looked at again later. A peek that
 * finds the connection dead has taken that news from the owner (socket.h), so it is told in another
 * way.
 */
static bool spare_locked(struct mts_client *client, uint64_t word, uint64_t now)
{
	const uint64_t looks = (word & LOOKS) / LOOK;
	if ((word & RECEIVES) == 0 || looks == MOST_LOOKS) {
		return false;
	}
	const ssize_t found = mtsi_socket_peek(client->fd);
	if (found == -EPIPE) {
		mtsi_client_lose_locked(client);
		return true;
	}
	const bool on_time = now - wait_ends(client->server, word) < look_again[0];
	if (found == -EAGAIN && (on_time || looks > 0)) {
		return false;
	}
	if (atomic_compare_exchange_strong(&client->waits, &word, word + LOOK)) {
		arm(client, mtsi_clock_after(now, look_again[looks]), kind_of(word));
	}
	return true;
}

static void expire_wait_locked(struct mts_client *client, uint64_t now, struct verdict *verdict)
{
	uint64_t word = atomic_load(&client->waits);
	const enum mtsi_wait kind = kind_of(word);
	const bool ends = (word & BLOCKED) != 0 || kind == MTSI_WAIT_HANDLER;
	if (!ends || wait_ends(client->server, word) > now || spare_locked(client, word, now)
		|| !atomic_compare_exchange_strong(&client->waits, &word, word | EXPIRED)) {
		return;
	}
	mtsi_count_shared(&client->server->stats, MTS_STAT_TIMEOUTS, 1);
	verdict->since = begun(word);
	if (kind == MTSI_WAIT_HANDLER) {
		verdict->kind = MTSI_LOG_HANDLER;
		verdict->text = "its handler has been running for";
		return;
	}
	if (kind == MTSI_WAIT_REQUEST) {
		verdict->kind = MTSI_LOG_TIMEOUT;
		verdict->text = not_whole;
	}
	int none = MTSI_NO_CAUSE;
	(void)atomic_compare_exchange_strong(&client->cause, &none, reason_for(kind));
	mtsi_socket_shut_receiving(client->fd);
}

void mtsi_deadline_end(struct mts_client *client, enum mtsi_wait kind)
{
	const uint64_t since = begun(atomic_load(&client->waits));
	int none = MTSI_NO_CAUSE;
	mtsi_lock_take(&client->lock);
	const bool first = atomic_compare_exchange_strong(&client->cause, &none, reason_for(kind));
	mtsi_lock_release(&client->lock);
	if (!first) {
		return;
	}
	mtsi_count_shared(&client->server->stats, MTS_STAT_TIMEOUTS, 1);
	if (kind == MTSI_WAIT_REQUEST) {
		mtsi_log_client(client->server, MTSI_LOG_TIMEOUT, client->id, &client->peer,
			"%s %" PRIu64 " ms", not_whole, (mtsi_clock_now() - since) / MTSI_MILLISECOND);
	}
}

/*
 * It was taken out of the heap for one of its deadlines; the other one, or one that has been moved
 * meanwhile, is still to come. Who is parked and overdue is claimed: its turn arms again, or ends
 * it.
 */
static void rearm_locked(struct mts_client *client, uint64_t now)
{
	const uint64_t word = atomic_load(&client->waits);
	const uint64_t wait = wait_ends(client->server, word);
	const uint64_t output = output_ends(client);
	if (wait > now && wait != MTSI_NEVER) {
		arm(client, wait, kind_of(word));
	}
	if (output > now && output != MTSI_NEVER) {
		arm(client, output, MTSI_WAIT_NOTHING);
	}
}

/* Its time seems to be up; now look closely. */
static void expire(
	struct mts_server *server, struct mts_client *client, uint64_t now, struct mtsi_line *claimed)
{
	struct verdict verdict = {.text = NULL};
	if (mtsi_claim(client)) {
		if (client->stage == MTSI_CLIENT_LINGERING) {
			mtsi_linger_event(client);
			return;
		}
		mtsi_line_add(claimed, client);
	}
	mtsi_lock_take(&client->lock);
	if (client->fd >= 0 && client->stage == MTSI_CLIENT_SERVED) {
		verdict.id = client->id;
		verdict.peer = client->peer;
		expire_output_locked(client, now, claimed, &verdict);
		expire_wait_locked(client, now, &verdict);
		rearm_locked(client, now);
	}
	mtsi_lock_release(&client->lock);
	if (verdict.text != NULL) {
		mtsi_log_client(server, verdict.kind, verdict.id, &verdict.peer, "%s %" PRIu64 " ms",
			verdict.text, (now - verdict.since) / MTSI_MILLISECOND);
	}
}

static void reckon(struct mts_client *client, struct mtsi_line *claimed)
{
	struct mtsi_deadlines *deadlines = &client->server->deadlines;
	(void)claimed;
	mtsi_lock_take(&deadlines->lock);
	/* One that is due by now too: it is looked at afterwards. */
	(void)reckon_locked(client, 0);
	mtsi_lock_release(&deadlines->lock);
}

uint64_t mtsi_deadlines_expire(struct mts_server *server, uint64_t now)
{
	struct mtsi_deadlines *deadlines = &server->deadlines;
	struct mtsi_line claimed = {NULL, NULL, 0};
	struct mts_client *client;
	if (atomic_load(&deadlines->changed) && atomic_exchange(&deadlines->changed, false)) {
		mtsi_clients_each(server, reckon, &claimed);
	}
	while ((client = next_overdue(server, now)) != NULL) {
		expire(server, client, now, &claimed);
	}
	mtsi_crew_offer(server, &claimed);
	mtsi_lock_take(&deadlines->lock);
	const uint64_t due = deadlines->planned;
	mtsi_lock_release(&deadlines->lock);
	return due;
}

void mtsi_deadlines_changed(struct mts_server *server)
{
	atomic_store(&server->deadlines.changed, true);
	mtsi_keeper_wake(server);
}
