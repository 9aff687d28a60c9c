/* SPDX-License-Identifier: MIT
 *
 * Who comes in. The listeners are watched as long as there is room and nothing is short; otherwise
 * they rest, and the kernel's queue holds new connections. Resting costs nothing: level-triggered
 * epoll reports them as soon as the listeners are watched again.
 *
 * Whenever something can change the answer (a client comes or goes, the limit changes, a descriptor
 * becomes free, a pause ends), all of it is looked at again under the one lock, and the listeners
 * are armed or disarmed under it. So there is no moment between "full" and "resting" in which a
 * client that leaves could be missed.
 *
 * A client counts from when it is let in, which happens here, under the lock, and only while there
 * are fewer than may be. So there are never more clients than the limit; a limit that was lowered
 * lets no client in until enough have left.
 *
 * The program chooses what becomes of connections for which there is no room. They wait outside; or
 * they are accepted and turned away; or an idle client makes room for them (eviction.c). In the
 * last case they have to be accepted before a client is cut off: an address that has too many
 * clients already must not cost others theirs. So a few are held at the door, owned by it, until a
 * client has left. Of the clients, just as many are evicted as are held and lack room. A client
 * that leaves, evicted or not, makes room for the one that has been held for longest. Even where
 * connections wait outside, a client is held if the limit is lowered at the very moment at which it
 * is accepted, or if another client takes the last place then, by another listener (entry.c). While
 * somebody is held there is a client, since one that leaves lets another in in one critical section. So
 * a stop that waits in its grace until there is none forgets nobody.
 *
 * When accept runs short of descriptors or memory the listeners rest for 10 ms, then 20, up to a
 * second, and wake early when a client of ours closes: accept neither spins nor gives up. No client
 * is evicted for that, since others may be the ones that take all descriptors, and they would take
 * the new one too. The watchdog opens files for a moment. If that takes the only free descriptor,
 * and accept asks for one meanwhile, accept has failed without need: that pause ends as soon as the
 * watchdog has given the descriptor back.
 *
 * The program may want nobody accepted for a while (suspend.c). That is one more reason to rest.
 */
#include "engine/door/door.h"

#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/client/client.h"
#include "engine/client/list.h"
#include "engine/crew/crew.h"
#include "engine/door/address_book.h"
#include "engine/door/floor.h"
#include "engine/door/listener.h"
#include "os/bind.h"
#include "os/clock.h"
#include "os/lock.h"

enum { USUAL_CLIENTS = 10000 };

static const uint64_t shortest_pause = 10 * MTSI_MILLISECOND;
static const uint64_t longest_pause = MTSI_SECOND;

void mtsi_door_init(struct mtsi_door *door)
{
	memset(door, 0, sizeof(*door));
	mtsi_lock_init(&door->lock, MTSI_RANK_DOOR);
	atomic_init(&door->max_clients, 0);
	atomic_init(&door->suspended, false);
}

void mtsi_door_free(struct mtsi_door *door)
{
	mtsi_lock_destroy(&door->lock);
}

/* For how many clients there is room, besides those that are held. */
static size_t room_locked(struct mtsi_door *door)
{
	const size_t taken = door->clients + door->held.count;
	const size_t most = atomic_load(&door->max_clients);
	mtsi_lock_assert_held(&door->lock);
	return taken < most ? most - taken : 0;
}

/* How many connections may be accepted, as things stand. */
static size_t wanted_locked(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	const size_t room = room_locked(door);
	if (mtsi_door_is_suspended(door)) {
		return 0;
	}
	switch (mtsi_base_floor(server)->options.overload) {
	case MTS_OVERLOAD_REFUSE:
		return SIZE_MAX;
	case MTS_OVERLOAD_EVICT:
		return room + (door->held.count < MTSI_MOST_HELD ? MTSI_MOST_HELD - door->held.count : 0);
	default:
		return room;
	}
}

void mtsi_door_arm_locked(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_assert_held(&door->lock);
	const bool wanted = door->open && wanted_locked(server) > 0 && door->short_until == 0;
	if (wanted != door->armed) {
		mtsi_listeners_arm(server, wanted);
		door->armed = wanted;
	}
}

/* Lets in clients that are held, as far as there is room: into `admitted`, for the crew. */
static void admit_locked(struct mtsi_door *door, struct mtsi_list *admitted)
{
	mtsi_lock_assert_held(&door->lock);
	while (door->held.count > 0 && door->clients < atomic_load(&door->max_clients)) {
		mtsi_list_add(admitted, mtsi_list_take(&door->held));
		door->clients++;
	}
}

bool mtsi_door_set_max_clients(struct mts_server *server, size_t clients)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	door->usual = false;
	atomic_store(&door->max_clients, clients);
	mtsi_door_arm_locked(server);
	const bool somebody = door->held.count > 0;
	mtsi_lock_release(&door->lock);
	return somebody;
}

size_t mtsi_door_max_clients(struct mts_server *server)
{
	return atomic_load_explicit(&mtsi_door_floor(server)->door.max_clients, memory_order_relaxed);
}

/* For how many clients there are descriptors. */
static size_t affordable(size_t descriptors, size_t in_use)
{
	const size_t others = in_use + MTSI_RESERVED_DESCRIPTORS;
	return descriptors > others ? descriptors - others : 0;
}

/* Settles the default limit, if the program has set none. */
static void settle_limit_locked(struct mtsi_door *door, size_t afford)
{
	mtsi_lock_assert_held(&door->lock);
	if (atomic_load(&door->max_clients) == 0 || door->usual) {
		const size_t usual = afford < USUAL_CLIENTS ? afford : USUAL_CLIENTS;
		door->usual = true;
		atomic_store(&door->max_clients, usual > 0 ? usual : 1);
	}
}

void mtsi_door_prepare(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	const size_t descriptors = mtsi_descriptor_limit();
	const size_t in_use = mtsi_descriptors_open(mtsi_base_floor(server)->poll);
	mtsi_lock_take(&door->lock);
	door->in_use = in_use;
	settle_limit_locked(door, affordable(descriptors, in_use));
	mtsi_lock_release(&door->lock);
}

void mtsi_door_open(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	const size_t descriptors = mtsi_descriptor_limit();
	mtsi_lock_take(&door->lock);
	const size_t in_use = door->in_use;
	const size_t afford = affordable(descriptors, in_use);
	const size_t chosen = door->usual ? 0 : atomic_load(&door->max_clients);
	door->open = true;
	mtsi_door_arm_locked(server);
	mtsi_lock_release(&door->lock);
	if (chosen > afford) {
		mtsi_log(server, MTSI_LOG_LIMIT,
			"the limit of %zu open files suffices for %zu clients, not for %zu: raise it to %zu "
			"(RLIMIT_NOFILE, ulimit -n), or lower the number of clients",
			descriptors, afford, chosen, chosen + in_use + MTSI_RESERVED_DESCRIPTORS);
	}
}

void mtsi_door_shut(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	door->open = false;
	mtsi_door_arm_locked(server);
	mtsi_lock_release(&door->lock);
}

void mtsi_door_turn_away_held(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	struct mtsi_list held = {NULL, NULL, 0};
	struct mts_client *client;
	mtsi_lock_take(&door->lock);
	mtsi_list_join(&held, &door->held);
	mtsi_lock_release(&door->lock);
	while ((client = mtsi_list_take(&held)) != NULL) {
		mtsi_door_turn_away(client);
	}
}

size_t mtsi_door_room(struct mts_server *server, uint64_t *freed)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	mtsi_door_arm_locked(server);
	*freed = door->freed;
	const size_t room = wanted_locked(server);
	mtsi_lock_release(&door->lock);
	return room;
}

static enum mtsi_admission enter(struct mts_server *server, struct mts_client *client, bool waits)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	enum mtsi_admission admission = MTSI_LET_IN;
	mtsi_lock_take(&door->lock);
	if (room_locked(door) > 0) {
		door->clients++;
	} else if (door->open && waits) {
		mtsi_list_add(&door->held, client);
		admission = MTSI_HELD_BACK;
	} else {
		admission = MTSI_FULL;
	}
	mtsi_lock_release(&door->lock);
	return admission;
}

enum mtsi_admission mtsi_door_enter(struct mts_server *server, struct mts_client *client)
{
	const int overload = mtsi_base_floor(server)->options.overload;
	return enter(server, client, overload != MTS_OVERLOAD_REFUSE);
}

enum mtsi_admission mtsi_door_enter_or_evict(struct mts_server *server, struct mts_client *client)
{
	const int overload = mtsi_base_floor(server)->options.overload;
	return enter(server, client, overload == MTS_OVERLOAD_EVICT);
}

bool mtsi_door_take_back(struct mts_server *server, struct mts_client *client)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	const size_t all = door->clients + door->held.count;
	const size_t most = atomic_load(&door->max_clients);
	const bool nobody_goes = all > most && door->evicting < all - most;
	const bool back = nobody_goes && mtsi_list_remove(&door->held, client);
	mtsi_lock_release(&door->lock);
	return back;
}

bool mtsi_door_is_open(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	const bool open = door->open;
	mtsi_lock_release(&door->lock);
	return open;
}

void mtsi_door_turn_away(struct mts_client *client)
{
	mtsi_count_shared(client->server, MTS_STAT_REFUSED, 1);
	mtsi_address_book_leave(client);
	mtsi_door_close(client);
}

void mtsi_door_leave(struct mts_server *server, bool evicted)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	struct mtsi_list admitted = {NULL, NULL, 0};
	mtsi_lock_take(&door->lock);
	door->clients--;
	door->evicting -= evicted ? 1 : 0;
	admit_locked(door, &admitted);
	mtsi_door_arm_locked(server);
	const bool last = door->clients == 0;
	mtsi_lock_release(&door->lock);
	mtsi_crew_offer(server, &admitted);
	if (last && mtsi_stopping(server)) {
		mtsi_wake_keeper(server);
	}
}

bool mtsi_door_begin_eviction(struct mts_server *server)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	const size_t all = door->clients + door->held.count;
	const size_t most = atomic_load(&door->max_clients);
	/* In the grace of a stop nobody gives way: each may still have a request, and the held come in as they go. */
	const bool wanted = mtsi_base_floor(server)->options.overload == MTS_OVERLOAD_EVICT
		&& door->open && door->held.count > 0 && all > most && door->evicting < all - most;
	door->evicting += wanted ? 1 : 0;
	mtsi_lock_release(&door->lock);
	return wanted;
}

void mtsi_door_cancel_eviction(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	mtsi_door_floor(server)->door.evicting--;
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
}

void mtsi_door_close(struct mts_client *client)
{
	struct mts_server *server = client->server;
	mtsi_client_close(client);
	mtsi_door_freed(server);
}

void mtsi_door_freed(struct mts_server *server)
{
	mtsi_door_returned(server, 0);
}

void mtsi_door_returned(struct mts_server *server, uint64_t since)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	door->freed++;
	if (door->short_until != 0 && door->short_at >= since) {
		door->short_until = 0;
		mtsi_door_arm_locked(server);
	}
	mtsi_lock_release(&door->lock);
}

void mtsi_door_pause(struct mts_server *server, uint64_t now, uint64_t freed)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	mtsi_lock_take(&door->lock);
	/* If the listeners rest already, another thread has told of the same shortage. */
	if (door->freed == freed && door->short_until == 0) {
		door->short_for = door->short_for == 0 ? shortest_pause : door->short_for * 2;
		if (door->short_for > longest_pause) {
			door->short_for = longest_pause;
		}
		door->short_at = now;
		door->short_until = mtsi_clock_after(now, door->short_for);
		mtsi_door_arm_locked(server);
	}
	mtsi_lock_release(&door->lock);
	mtsi_wake_keeper(server);
}

void mtsi_door_well(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	mtsi_door_floor(server)->door.short_for = 0;
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
}

void mtsi_door_put_off(struct mts_server *server, struct mtsi_listener *listener, bool put_off)
{
	mtsi_lock_assert_held(&mtsi_door_floor(server)->listeners.lock);
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	listener->put_off = put_off;
	mtsi_listener_arm(server, listener, mtsi_door_floor(server)->door.armed);
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
}

uint64_t mtsi_door_resume(struct mts_server *server, uint64_t now)
{
	struct mtsi_door *door = &mtsi_door_floor(server)->door;
	struct mtsi_list admitted = {NULL, NULL, 0};
	mtsi_lock_take(&door->lock);
	admit_locked(door, &admitted);
	const bool over = door->short_until != 0 && door->short_until <= now;
	if (over) {
		door->short_until = 0;
	}
	/*
	 * Otherwise nothing has changed: also, the shutdown of a listener is reported while it is
	 * armed.
	 */
	if (over || admitted.count > 0) {
		mtsi_door_arm_locked(server);
	}
	const uint64_t due = door->short_until != 0 ? door->short_until : MTSI_NEVER;
	mtsi_lock_release(&door->lock);
	mtsi_crew_offer(server, &admitted);
	return due;
}

size_t mtsi_door_clients(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	const size_t clients = mtsi_door_floor(server)->door.clients;
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
	return clients;
}
