/* SPDX-License-Identifier: MIT
 *
 * Deadlines: how long a client may keep the server waiting.
 *
 * Each client has a word that says what it is waited for and since when, and under its lock the
 * time since which its output makes no progress. Writing these is all that a request costs: nobody
 * moves a timer. A heap holds the times at which clients are to be looked at, and the keeper sleeps
 * until the first of them. By then most of them have been active, so the keeper computes their
 * times anew, and puts them in again, once in a timeout for each client. The keeper ends those that
 * it finds overdue (expiry.c).
 *
 * A client that is being served is not waited for, however old its word is: the keeper leaves it
 * out of the heap, and leaves AGAIN behind (claim.h).
 *
 * A thread that begins a wait looks whether the heap knows about it: `armed` names a kind of wait
 * for which the client is in the heap early enough, since a later wait of that kind ends later. The
 * keeper clears `armed` before it reads the word; the thread that begins a wait writes the word
 * before it reads `armed`. Both are sequentially consistent. So either the keeper sees the new
 * wait, or the thread sees that it has to put the client into the heap. The bit ARMED, beside the
 * kind, stays set until the client ends: the client may be in the heap, or the keeper may have
 * taken it out, and still be busy with it. So the thread that closes the client knows, without the
 * lock, that the client has never been in the heap; or it takes the lock, and takes the client out.
 *
 *     somebody waits with a deadline   =>   it is in the heap early enough, or about to be put there
 *
 * When a timeout is changed, the keeper looks at all clients, in the same way; when one of a
 * client's own is, the client's owner does so for that one (timeouts.c). Times are rounded up, by
 * less than 512 ns, which makes room for flags beside them. So nothing ends early.
 */
#include "engine/client/deadline.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "engine/base/floor.h"
#include "engine/base/heap.h"
#include "engine/base/log.h"
#include "engine/base/options.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/floor.h"
#include "engine/client/timeouts.h"
#include "engine/client/wait.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/must.h"

enum { ARMED = 8 }; /* beside the kind in `armed`: the client has been in the heap */

static uint64_t round_up(uint64_t time)
{
	return (time + MTSI_WORD_FLAGS) & ~(uint64_t)MTSI_WORD_FLAGS;
}

static uint64_t ends_at(uint64_t since, uint64_t timeout)
{
	return timeout == MTSI_NEVER ? MTSI_NEVER : mtsi_clock_after(since, timeout);
}

uint64_t mtsi_deadline_of_wait(const struct mts_client *client, uint64_t word)
{
	static const enum mts_timeout which[] = {
		[MTSI_WAIT_IDLE] = MTS_TIMEOUT_IDLE,
		[MTSI_WAIT_REQUEST] = MTS_TIMEOUT_REQUEST,
		[MTSI_WAIT_LATER] = MTS_TIMEOUT_LATER,
		[MTSI_WAIT_HANDSHAKE] = MTS_TIMEOUT_HANDSHAKE,
	};
	const enum mtsi_wait kind = mtsi_wait_kind(word);
	if (kind == MTSI_WAIT_NOTHING || (word & MTSI_WORD_EXPIRED) != 0) {
		return MTSI_NEVER;
	}
	return ends_at(mtsi_wait_since(word),
		kind == MTSI_WAIT_HANDLER ? mtsi_timeout_of_call(client)
								  : mtsi_timeout_of(client, which[kind]));
}

uint64_t mtsi_deadline_of_output(const struct mts_client *client)
{
	const uint64_t since = atomic_load(&client->stuck_since);
	return since == 0 ? MTSI_NEVER : ends_at(since, mtsi_timeout_of(client, MTS_TIMEOUT_WRITE));
}

void mtsi_deadlines_init(struct mtsi_deadlines *deadlines)
{
	mtsi_lock_init(&deadlines->lock, MTSI_RANK_DEADLINES);
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

static void take_from_heap_locked(struct mtsi_deadlines *deadlines, struct mts_client *client)
{
	mtsi_lock_assert_held(&deadlines->lock);
	if (in_heap(client)) {
		mtsi_heap_take(&deadlines->heap, &client->deadline);
		client->deadline.key = MTSI_NEVER;
	}
}

/* Puts the client into the heap, unless it is there early enough. */
static void put_into_heap_locked(
	struct mtsi_deadlines *deadlines, struct mts_client *client, uint64_t due)
{
	mtsi_lock_assert_held(&deadlines->lock);
	if (due < client->deadline.key) {
		take_from_heap_locked(deadlines, client);
		client->deadline.key = due;
		mtsi_heap_put(&deadlines->heap, &client->deadline);
	}
}

void mtsi_deadline_arm(struct mts_client *client, uint64_t due, enum mtsi_wait kind)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(client->server)->deadlines;
	mtsi_lock_take(&deadlines->lock);
	put_into_heap_locked(deadlines, client, due);
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
		mtsi_wake_keeper(client->server);
	}
}

/* The heap does not know of this wait. Not inlined, to keep the usual case short. */
__attribute__((noinline)) static void arm(struct mts_client *client, uint64_t word)
{
	const uint64_t due = mtsi_deadline_of_wait(client, word);
	if (due != MTSI_NEVER) {
		mtsi_deadline_arm(client, due, mtsi_wait_kind(word));
	}
}

static inline void begin_wait(struct mts_client *client, uint64_t word)
{
	atomic_store(&client->waits, word);
	if ((atomic_load(&client->armed) & MTSI_WORD_KIND) != mtsi_wait_kind(word)) {
		arm(client, word);
	}
}

/* Goes on with a wait that began before: false when it has lasted too long. */
__attribute__((noinline)) static bool go_on_waiting(
	struct mts_client *client, uint64_t word, uint64_t now)
{
	if (mtsi_deadline_of_wait(client, word) <= now) {
		return false;
	}
	begin_wait(client, word);
	return true;
}

bool mtsi_deadline_wait(struct mts_client *client, enum mtsi_wait kind, uint64_t now)
{
	const uint64_t before = atomic_load_explicit(&client->waits, memory_order_relaxed);
	if (kind == MTSI_WAIT_NOTHING) {
		mtsi_deadline_met(client);
		return true;
	}
	if (mtsi_wait_kind(before) == kind) {
		return go_on_waiting(client, mtsi_wait_since(before) | kind, now);
	}
	begin_wait(client, round_up(now) | kind);
	return true;
}

bool mtsi_deadline_block(struct mts_client *client, enum mtsi_wait kind, enum mtsi_block how)
{
	const uint64_t now = mtsi_clock_now();
	const uint64_t before = atomic_load_explicit(&client->waits, memory_order_relaxed);
	const uint64_t flags = (uint64_t)kind | MTSI_WORD_BLOCKED | (uint64_t)how;
	if (((before ^ flags) & MTSI_WORD_KIND) == 0) {
		return go_on_waiting(client, mtsi_wait_since(before) | flags, now);
	}
	begin_wait(client, round_up(now) | flags);
	return true;
}

bool mtsi_deadline_unblock(struct mts_client *client)
{
	const uint64_t word = atomic_fetch_and(&client->waits, ~(uint64_t)MTSI_WORD_BLOCKED);
	return (word & MTSI_WORD_EXPIRED) == 0;
}

bool mtsi_deadline_blocks(const struct mts_client *client)
{
	return (atomic_load(&client->waits) & MTSI_WORD_BLOCKED) != 0;
}

bool mtsi_deadline_awaits_request(const struct mts_client *client)
{
	const uint64_t how = MTSI_WORD_BLOCKED | MTSI_WORD_RECEIVES;
	return (atomic_load(&client->waits) & (how | MTSI_WORD_READS)) == how;
}

uint64_t mtsi_deadline_handler(struct mts_client *client)
{
	if (!mtsi_deadline_times_handlers(client->server)) {
		return 0;
	}
	mtsi_timeout_begin_call(client);
	if (mtsi_timeout_of(client, MTS_TIMEOUT_HANDLER) == MTSI_NEVER) {
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
		begin_wait(client, since | MTSI_WAIT_HANDLER);
	}
}

bool mtsi_deadline_overrun(const struct mts_client *client)
{
	const uint64_t word = atomic_load(&client->waits);
	return mtsi_wait_kind(word) == MTSI_WAIT_HANDLER && (word & MTSI_WORD_EXPIRED) != 0;
}

void mtsi_deadline_progress_locked(struct mts_client *client, uint64_t now)
{
	client->stuck_with = (uint32_t)mtsi_conn_unacknowledged(client);
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
	mtsi_deadline_progress_locked(client, mtsi_clock_now());
	if (before == 0) {
		const uint64_t due = mtsi_deadline_of_output(client);
		if (due != MTSI_NEVER) {
			mtsi_deadline_arm(client, due, MTSI_WAIT_NOTHING);
		}
	}
}

uint64_t mtsi_deadline_idle_since(const struct mts_client *client)
{
	const uint64_t word = atomic_load(&client->waits);
	return mtsi_wait_is_idle(word) ? mtsi_wait_since(word) : 0;
}

bool mtsi_deadline_end_idle(struct mts_client *client)
{
	uint64_t word = atomic_load(&client->waits);
	mtsi_lock_assert_held(&client->lock);
	return mtsi_wait_is_idle(word) && (word & MTSI_WORD_BLOCKED) != 0
		&& atomic_compare_exchange_strong(&client->waits, &word, word | MTSI_WORD_EXPIRED);
}

void mtsi_deadline_forget(struct mts_client *client)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(client->server)->deadlines;
	mtsi_deadline_met(client);
	if (atomic_load(&client->armed) != 0) {
		mtsi_lock_take(&deadlines->lock);
		take_from_heap_locked(deadlines, client);
		atomic_store(&client->armed, 0);
		mtsi_lock_release(&deadlines->lock);
	}
}

/*
 * Computes anew when the client is to be looked at, whatever it was before; false when that is now.
 */
static bool reckon_locked(struct mts_client *client, uint64_t now)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(client->server)->deadlines;
	take_from_heap_locked(deadlines, client);
	atomic_store(&client->armed, ARMED);
	const uint64_t word = atomic_load(&client->waits);
	const uint64_t wait = mtsi_deadline_of_wait(client, word);
	const uint64_t output = mtsi_deadline_of_output(client);
	const uint64_t due = wait < output ? wait : output;
	if (due <= now) {
		return false;
	}
	if (due != MTSI_NEVER) {
		put_into_heap_locked(deadlines, client, due);
		const unsigned kind = wait != MTSI_NEVER ? mtsi_wait_kind(word) : MTSI_WAIT_NOTHING;
		atomic_store(&client->armed, (unsigned char)(ARMED | kind));
	}
	return true;
}

struct mts_client *mtsi_deadline_next_overdue(struct mts_server *server, uint64_t now)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(server)->deadlines;
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

void mtsi_deadline_end(struct mts_client *client, enum mtsi_wait kind)
{
	const uint64_t since = mtsi_wait_since(atomic_load(&client->waits));
	int none = MTSI_NO_CAUSE;
	mtsi_lock_take(&client->lock);
	const bool first = atomic_compare_exchange_strong(
		&client->cause, &none, mtsi_wait_reason(kind));
	mtsi_lock_release(&client->lock);
	if (!first) {
		return;
	}
	mtsi_count_shared(client->server, MTS_STAT_TIMEOUTS, 1);
	const bool idle = kind == MTSI_WAIT_IDLE;
	mtsi_log_client(client->server, idle ? MTSI_LOG_IDLE : MTSI_LOG_TIMEOUT, client->id,
		&client->peer, "%s %" PRIu64 " ms", mtsi_wait_text(kind),
		(mtsi_clock_now() - since) / MTSI_MILLISECOND);
}

void mtsi_deadline_reckon(struct mts_client *client)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(client->server)->deadlines;
	mtsi_lock_take(&deadlines->lock);
	/* Another one that is due by now too: it is looked at afterwards. */
	(void)reckon_locked(client, 0);
	mtsi_lock_release(&deadlines->lock);
}

void mtsi_deadline_changed_locked(struct mts_client *client)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(client->server)->deadlines;
	mtsi_lock_assert_held(&client->lock);
	mtsi_lock_take(&deadlines->lock);
	(void)reckon_locked(client, 0);
	const bool sooner = client->deadline.key < deadlines->planned;
	if (sooner) {
		deadlines->planned = client->deadline.key;
	}
	mtsi_lock_release(&deadlines->lock);
	if (sooner) {
		mtsi_wake_keeper(client->server);
	}
}

uint64_t mtsi_deadline_planned(struct mts_server *server)
{
	struct mtsi_deadlines *deadlines = &mtsi_client_floor(server)->deadlines;
	mtsi_lock_take(&deadlines->lock);
	const uint64_t planned = deadlines->planned;
	mtsi_lock_release(&deadlines->lock);
	return planned;
}

void mtsi_deadlines_changed(struct mts_server *server)
{
	atomic_store(&mtsi_client_floor(server)->deadlines.changed, true);
	mtsi_wake_keeper(server);
}
