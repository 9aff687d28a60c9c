/* SPDX-License-Identifier: MIT
 *
 * When the memory of all clients is short (memory.c keeps the ledger): which clients go on, and
 * which are cut off.
 *
 * As long as the input of any client waits, or the limit is exceeded, the keeper looks at these
 * clients every 10 ms. It claims parked ones for which there is room. If for 100 ms there has been
 * room for none of them, it cuts off the client that holds most, and then the next, until there is.
 * Writes that wait do not count: their peers need only read. No client is exempt: the one that
 * holds most may be one that waits.
 *
 * Clients that wait are marked in the table, so looking at them costs nothing for all the others.
 * Only when one is to be cut off are all clients looked at, once, to find those that hold most;
 * these are remembered in that order.
 */
#include "engine/run/shortage.h"

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/floor.h"
#include "engine/client/list.h"
#include "engine/client/memory.h"
#include "engine/client/via.h"
#include "engine/crew/crew.h"
#include "os/clock.h"
#include "os/lock.h"
#include "wire/address.h"

enum { MOST_CUTS = 64 /* at once */ };

static const uint64_t look_again = 10 * MTSI_MILLISECOND;
static const uint64_t patience = 100 * MTSI_MILLISECOND;

/* The clients that hold most, the largest first; among equals those in the earlier slots. */
struct largest {
	size_t count;
	struct {
		uint64_t id;
		size_t bytes;
	} list[MOST_CUTS];
};

static size_t wanted_by(const struct mts_client *client)
{
	return mtsi_client_may(client, MTSI_MAY_DROP) ? atomic_load(&client->wants) : 0;
}

static size_t kept_for(const struct mts_client *client)
{
	const struct mtsi_via *via = mtsi_via(client);
	const size_t header = via != NULL ? mtsi_via_size(via) : 0;
	return mtsi_client_may(client, MTSI_MAY_DROP)
		? client->output.capacity + mtsi_memory_charged(client) + header
		: 0;
}

/* The smallest need of the clients that wait; 0: none waits. */
static size_t least_need(struct mts_server *server)
{
	size_t least = 0;
	struct mts_client *client;
	size_t slot = 0;
	while ((client = mtsi_clients_lock_marked(server, &slot)) != NULL) {
		const size_t need = atomic_load(&client->lost) ? 0 : wanted_by(client);
		if (need > 0 && (least == 0 || need < least)) {
			least = need;
		}
		mtsi_lock_release(&client->lock);
	}
	return least;
}

static void add_to_largest(struct largest *largest, uint64_t id, size_t bytes)
{
	size_t place = largest->count;
	while (place > 0 && largest->list[place - 1].bytes < bytes) {
		place--;
	}
	if (place == MOST_CUTS) {
		return;
	}
	if (largest->count < MOST_CUTS) {
		largest->count++;
	}
	for (size_t i = largest->count - 1; i > place; i--) {
		largest->list[i] = largest->list[i - 1];
	}
	largest->list[place].id = id;
	largest->list[place].bytes = bytes;
}

static void find_largest(struct mts_server *server, struct largest *largest)
{
	struct mts_client *client;
	size_t slot = 0;
	largest->count = 0;
	while ((client = mtsi_clients_lock_next(server, &slot)) != NULL) {
		const size_t bytes = atomic_load(&client->lost) ? 0 : kept_for(client);
		if (bytes > 0) {
			add_to_largest(largest, atomic_load(&client->id), bytes);
		}
		mtsi_lock_release(&client->lock);
	}
}

/* Whether there is room for a need, if `extra` bytes more were free. */
static bool fits(const struct mtsi_memory *memory, size_t need, size_t extra)
{
	const size_t limit = mtsi_memory_limit_for(memory, need);
	const size_t used = atomic_load(&memory->used);
	const size_t left = used > extra ? used - extra : 0;
	return left <= limit && need <= limit - left;
}

/*
 * The clients whose turn it is: those that wait for more than `above` and at most `most`, from a
 * slot on.
 */
struct round {
	size_t above;
	size_t most;
	size_t room; /* there is still room for so much */
	size_t slot;
	struct mtsi_list *claimed;
};

/* Claims them, up to the slot `end`, as long as there is room. */
static void resume(struct mts_server *server, struct round *round, size_t end)
{
	struct mts_client *client;
	while (round->room > 0 && round->slot < end
		&& (client = mtsi_clients_lock_marked(server, &round->slot)) != NULL) {
		const size_t need = wanted_by(client);
		if (need > round->above && need <= round->most && need <= round->room) {
			round->room -= need;
			if (mtsi_claim(client)) {
				mtsi_list_add(round->claimed, client);
			}
		}
		mtsi_lock_release(&client->lock);
	}
}

static size_t room_for(const struct mtsi_memory *memory, size_t need)
{
	const size_t limit = mtsi_memory_limit_for(memory, need);
	const size_t used = atomic_load(&memory->used);
	return used < limit ? limit - used : 0;
}

/* Resumes the smallest needs first. Each time it begins after the last client that could go on. */
static void resume_all(struct mts_server *server)
{
	static const size_t sizes[] = {0, MTSI_TINY_NEED, MTSI_SMALL_NEED, SIZE_MAX};
	struct mtsi_memory *memory = &mtsi_client_floor(server)->memory;
	struct mtsi_list claimed = {NULL, NULL, 0};
	const size_t first = memory->next_slot;
	size_t given = 0;
	for (int i = 1; i < 4; i++) {
		const size_t room = room_for(memory, sizes[i]);
		struct round round = {
			sizes[i - 1], sizes[i], room > given ? room - given : 0, first, &claimed};
		const size_t before = round.room;
		resume(server, &round, SIZE_MAX);
		if (round.room > 0) {
			round.slot = 0;
			resume(server, &round, first);
		}
		given += before - round.room;
		if (round.room < before) {
			memory->next_slot = round.slot;
		}
	}
	mtsi_crew_offer(server, &claimed);
}

/*
 * Cuts off a client that was found to be among the largest; returns how much this frees in the end.
 */
static size_t cut_holder(struct mts_server *server, uint64_t id)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	struct mtsi_peer peer;
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client == NULL) {
		return 0;
	}
	const size_t output = client->output.capacity;
	const size_t input = kept_for(client) - output;
	peer = client->peer;
	/* Not one that has been lost or sealed since: it gives its memory back by itself. */
	const bool done = mtsi_client_may_still(client, MTSI_MAY_DROP)
		&& mtsi_client_cut_locked(client, MTS_CLOSED_EVICTED, &claimed);
	if (done) { /* before the client can have ended */
		mtsi_count_shared(server, MTS_STAT_MEMORY_CUTS, 1);
	}
	mtsi_lock_release(&client->lock);
	if (done) {
		mtsi_log_client(server, MTSI_LOG_MEMORY, id, &peer,
			"cut off, memory is short: %zu bytes of input, %zu of output", input, output);
	}
	mtsi_crew_offer(server, &claimed);
	return done ? input : 0;
}

/* Cuts off clients until there is room, or will be when they have ended. */
static void cut_largest(struct mts_server *server, size_t least)
{
	struct largest largest;
	size_t coming = 0;
	find_largest(server, &largest);
	for (size_t i = 0;
		 i < largest.count && !fits(&mtsi_client_floor(server)->memory, least, coming); i++) {
		coming += cut_holder(server, largest.list[i].id);
		least = least_need(server); /* the client may have been one that waited */
	}
}

uint64_t mtsi_shortage_relieve(struct mts_server *server, uint64_t now)
{
	struct mtsi_memory *memory = &mtsi_client_floor(server)->memory;
	if (atomic_load(&memory->waiting) == 0
		&& atomic_load(&memory->used) <= atomic_load(&memory->limit)) {
		memory->tight_since = 0;
		return MTSI_NEVER;
	}
	const size_t least = least_need(server);
	if (fits(memory, least, 0)) {
		memory->tight_since = 0;
		resume_all(server);
	} else if (memory->tight_since == 0) {
		memory->tight_since = now;
	} else if (now - memory->tight_since >= patience) {
		cut_largest(server, least);
		memory->tight_since = now;
	}
	return mtsi_clock_after(now, look_again);
}
