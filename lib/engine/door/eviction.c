/* SPDX-License-Identifier: MIT
 *
 * Which client goes when another one wants to come: the one that has been idle for longest.
 *
 * A client is idle if it waits for the first byte of its next request, parked, or with a thread
 * that blocks in that wait and nothing else; with no output waiting, and nothing to be read in its
 * socket. The socket is asked for this by a receive (MSG_PEEK), since the number of bytes there
 * also counts what cannot be received. Since when the client is idle is in its word, which it has
 * for its deadlines anyway.
 *
 * The clients are not kept in the order of that word, since each request would pay for it. One look
 * at all of them, which takes no lock, collects the 64 that have been idle for longest, and these
 * are used up one by one. Each is looked at again, closely, under its lock: if its word is what it
 * was, it has been idle ever since, and every client that has become idle meanwhile has been idle
 * for less time. So the order is exact, and a flood pays for the look once in 64 times.
 *
 * It may be that all of the 64 are refused, for instance since what they have sent is not read yet.
 * Then the next look, a moment later, passes them over, and so on until a client is evicted or all
 * have been seen. So clients that seem idle and are not protect no others, however many they are. A
 * client that was refused offers itself, as described below, once it has really become idle, as
 * long as one is wanted; so it need not be looked at again. When none is wanted any more, it is
 * forgotten which ones were refused.
 *
 * If the look finds fewer than 64, nearly all clients are busy, and the next look might find none.
 * So it is not repeated before eight times as long as it took has passed. Meanwhile, and whenever
 * no client is idle, `wanting` is set. Then each client that becomes idle offers itself
 * (mtsi_eviction_offer()): when it has been parked, begins to block, or when its last output has
 * gone. `wanting` is set before clients are looked at; a client's owner lets go of it before it
 * reads `wanting`. Both are sequentially consistent (or, for output, under the client's lock). So a
 * client that was found busy will see `wanting`, and none is missed.
 *
 * The door says how many have to go. It counts each from the moment at which it is chosen until its
 * close hook is over. So no client goes in vain, and none comes too early.
 */
#include "engine/door/eviction.h"

#include <inttypes.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/list.h"
#include "engine/crew/crew.h"
#include "engine/door/door.h"
#include "engine/door/floor.h"
#include "os/clock.h"
#include "os/lock.h"
#include "wire/address.h"
#include "wire/buffer.h"

enum { REST = 8 }; /* how many times as long as the look has taken */

static const uint64_t shortest_rest = MTSI_MILLISECOND;

/* Which client has been evicted, for the log. */
struct evicted {
	uint64_t id; /* 0: nobody */
	uint64_t since;
	struct mtsi_peer peer;
};

void mtsi_eviction_init(struct mtsi_eviction *eviction)
{
	memset(eviction, 0, sizeof(*eviction)); /* an id is never 0, nor is a time */
	mtsi_lock_init(&eviction->lock, MTSI_RANK_EVICTION);
	atomic_init(&eviction->wanting, false);
	atomic_init(&eviction->retry_at, MTSI_NEVER);
}

void mtsi_eviction_free(struct mtsi_eviction *eviction)
{
	mtsi_lock_destroy(&eviction->lock);
}

/* The order in which they go; it is also defined where the times are the same. */
static bool goes_before(struct mtsi_candidate one, struct mtsi_candidate other)
{
	return one.since != other.since ? one.since < other.since : one.id < other.id;
}

/*
 * Keeps a client, if it is among the 64 that have been idle for longest of those not passed over.
 * Without the client's lock, so it may only seem to be idle: its next request, or its PROXY header, may be
 * here, and the client wait for a thread. evict() looks closely.
 */
static void collect(const struct mts_client *client, void *context)
{
	struct mtsi_eviction *eviction = context;
	const struct mtsi_candidate new = {atomic_load(&client->id), mtsi_deadline_idle_since(client)};
	size_t at = eviction->count;
	if (new.since == 0 || atomic_load(&client->stuck_since) != 0
		|| !goes_before(eviction->past, new)) {
		return;
	}
	while (at > 0 && goes_before(new, eviction->list[at - 1])) {
		at--;
	}
	if (at == MTSI_CANDIDATES) {
		return;
	}
	eviction->count += eviction->count < MTSI_CANDIDATES ? 1 : 0;
	memmove(&eviction->list[at + 1], &eviction->list[at], (eviction->count - 1 - at) * sizeof(new));
	eviction->list[at] = new;
}

static void look_at_all_locked(struct mts_server *server)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	const uint64_t start = mtsi_clock_now();
	eviction->next = 0;
	eviction->count = 0;
	mtsi_clients_peek(server, collect, eviction);
	const uint64_t now = mtsi_clock_now();
	const uint64_t rest = REST * (now - start);
	eviction->rest_until = 0;
	if (eviction->count < MTSI_CANDIDATES) {
		eviction->rest_until = mtsi_clock_after(now, rest > shortest_rest ? rest : shortest_rest);
	}
}

/* Whether a client may be evicted: it is idle, since `since`; 0: since any time. */
static bool idle_locked(struct mts_client *client, uint64_t since)
{
	const uint64_t idle = mtsi_deadline_idle_since(client);
	mtsi_lock_assert_held(&client->lock);
	return mtsi_client_may_still(client, MTSI_MAY_EVICT)
		&& atomic_load(&client->cause) == MTSI_NO_CAUSE && idle != 0
		&& (since == 0 || idle == since) && mtsi_buffer_size(&client->output) == 0
		&& mtsi_conn_peek(client) != 1;
}

/*
 * Sees to it that no thread gets a request of the client any more. A parked client is claimed, and
 * then looked at again, since it may have had a turn before; it gets a turn in any case.
 */
static bool seize_locked(struct mts_client *client, uint64_t since, struct mtsi_list *claimed)
{
	if (mtsi_deadline_end_idle(client)) {
		return true;
	}
	if (!mtsi_claim(client)) {
		return false;
	}
	mtsi_list_add(claimed, client);
	return idle_locked(client, since);
}

/* Evicts this client, if it is idle. */
static bool evict(struct mts_server *server, struct mtsi_candidate candidate,
	struct mtsi_list *claimed, struct evicted *evicted)
{
	struct mts_client *client = mtsi_clients_lock(server, candidate.id);
	if (client == NULL) {
		return false;
	}
	const uint64_t since = mtsi_deadline_idle_since(client);
	const bool goes = idle_locked(client, candidate.since)
		&& seize_locked(client, candidate.since, claimed);
	if (goes) {
		evicted->id = candidate.id;
		evicted->since = since;
		evicted->peer = client->peer;
		client->evicted = true;
		mtsi_count_shared(server, MTS_STAT_EVICTED, 1);
		(void)mtsi_client_cut_locked(client, MTS_CLOSED_EVICTED, claimed);
	}
	mtsi_lock_release(&client->lock);
	return goes;
}

/* Evicts the first of the candidates that is still idle; false when none is left. */
static bool evict_candidate_locked(
	struct mts_server *server, struct mtsi_list *claimed, struct evicted *evicted)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	bool done = false;
	while (!done && eviction->next < eviction->count) {
		done = evict(server, eviction->list[eviction->next++], claimed, evicted);
	}
	return done;
}

/*
 * None is wanted, or all have been seen: clients that were refused are looked at again next time.
 */
static void forget_refused_locked(struct mtsi_eviction *eviction)
{
	mtsi_lock_assert_held(&eviction->lock);
	eviction->past = (struct mtsi_candidate){0, 0};
}

static void want_none_locked(struct mtsi_eviction *eviction)
{
	atomic_store(&eviction->wanting, false);
	forget_refused_locked(eviction);
}

/*
 * All that the look has found were refused: returns when to look at the others, if there are any.
 */
static uint64_t pass_over_locked(struct mtsi_eviction *eviction)
{
	if (eviction->count < MTSI_CANDIDATES) {
		forget_refused_locked(eviction);
		return MTSI_NEVER; /* there are no others, and each of these will offer itself */
	}
	eviction->past = eviction->list[MTSI_CANDIDATES - 1];
	return mtsi_clock_after(mtsi_clock_now(), shortest_rest);
}

/*
 * Evicts the client that has been idle for longest; if there is none, arranges to be told of one.
 */
static bool evict_oldest_locked(
	struct mts_server *server, struct mtsi_list *claimed, struct evicted *evicted)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	mtsi_lock_assert_held(&eviction->lock);
	if (evict_candidate_locked(server, claimed, evicted)) {
		return true;
	}
	atomic_store(&eviction->wanting, true);
	uint64_t retry = eviction->rest_until;
	if (mtsi_clock_now() >= eviction->rest_until) {
		look_at_all_locked(server);
		if (evict_candidate_locked(server, claimed, evicted)) {
			return true;
		}
		retry = pass_over_locked(eviction);
	}
	if (retry != MTSI_NEVER) {
		atomic_store(&eviction->retry_at, retry);
		mtsi_wake_keeper(server);
	}
	return false;
}

static void report_evicted(struct mts_server *server, const struct evicted *evicted)
{
	const uint64_t now = mtsi_clock_now();
	mtsi_log_client(server, MTSI_LOG_EVICTED, evicted->id, &evicted->peer,
		"evicted to let another one in, idle for %" PRIu64 " ms",
		now > evicted->since ? (now - evicted->since) / MTSI_MILLISECOND : 0);
}

/* One step of this: false when no client has to go, or none can. */
static bool run_once(struct mts_server *server, struct mtsi_list *claimed)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	struct evicted evicted = {.id = 0};
	mtsi_lock_take(&eviction->lock);
	const bool wanted = mtsi_door_begin_eviction(server);
	if (!wanted) {
		want_none_locked(eviction);
	} else if (!evict_oldest_locked(server, claimed, &evicted)) {
		mtsi_door_cancel_eviction(server);
	}
	mtsi_lock_release(&eviction->lock);
	if (evicted.id != 0) {
		report_evicted(server, &evicted);
	}
	return evicted.id != 0;
}

void mtsi_eviction_run(struct mts_server *server, struct mtsi_list *claimed)
{
	while (run_once(server, claimed)) {
	}
}

void mtsi_eviction_look_again(struct mts_server *server)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	mtsi_lock_take(&eviction->lock);
	eviction->rest_until = 0;
	mtsi_lock_release(&eviction->lock);
}

bool mtsi_eviction_take_back(struct mts_server *server, struct mts_client *client)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	mtsi_lock_take(&eviction->lock);
	const bool back = mtsi_door_take_back(server, client);
	mtsi_lock_release(&eviction->lock);
	return back;
}

void mtsi_eviction_offer(struct mts_server *server, uint64_t id)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	const struct mtsi_candidate candidate = {id, 0};
	struct mtsi_list claimed = {NULL, NULL, 0};
	struct evicted evicted = {.id = 0};
	if (!mtsi_eviction_wanted(eviction)) {
		return;
	}
	mtsi_lock_take(&eviction->lock);
	if (!mtsi_door_begin_eviction(server)) {
		want_none_locked(eviction);
	} else if (!evict(server, candidate, &claimed, &evicted)) {
		mtsi_door_cancel_eviction(server);
	}
	mtsi_lock_release(&eviction->lock);
	if (evicted.id != 0) {
		report_evicted(server, &evicted);
	}
	mtsi_crew_offer(server, &claimed);
}

void mtsi_eviction_soon(struct mts_server *server)
{
	atomic_store(&mtsi_door_floor(server)->eviction.retry_at, 0);
	mtsi_wake_keeper(server);
}

uint64_t mtsi_eviction_retry(struct mts_server *server, uint64_t now)
{
	struct mtsi_eviction *eviction = &mtsi_door_floor(server)->eviction;
	struct mtsi_list claimed = {NULL, NULL, 0};
	/* Taken back before the try: if another one is asked for meanwhile, that is not forgotten. */
	if (atomic_load(&eviction->retry_at) <= now) {
		atomic_store(&eviction->retry_at, MTSI_NEVER);
		mtsi_eviction_run(server, &claimed);
		mtsi_crew_offer(server, &claimed);
	}
	return atomic_load(&eviction->retry_at);
}
