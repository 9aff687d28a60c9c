/* SPDX-License-Identifier: MIT
 *
 * Who comes in. The listeners are watched as long as there is room and nothing is short; otherwise
 * they rest, and the kernel's queue holds the others. Resting costs nothing: level-triggered epoll
 * says again what it has to say as soon as they are watched again.
 *
 * Every event that can change the answer (a client comes or goes, the limit changes, a descriptor
 * becomes free, a pause ends) looks at all of it again under the one lock, and arms or disarms the
 * listeners under it. So there is no moment between "full" and "resting" in which a leaving client
 * could be missed.
 *
 * When accept runs short of descriptors or memory the listeners rest for 10 ms, then 20, up to a
 * second, and wake early when a client of ours closes: accept neither spins nor gives up.
 */
#include "engine/door.h"

#include "engine/keeper.h"
#include "engine/server.h"
#include "os/bind.h"
#include "os/clock.h"

enum {
	USUAL_CLIENTS = 10000,
	RESERVED_DESCRIPTORS = 32 /* for listeners, epoll and what the program has open */
};

static const uint64_t shortest_pause = 10 * MTSI_MILLISECOND;
static const uint64_t longest_pause = MTSI_SECOND;

void mtsi_door_init(struct mtsi_door *door)
{
	mtsi_lock_init(&door->lock);
	door->clients = 0;
	door->armed = false;
	door->open = false;
	door->short_until = 0;
	door->freed = 0;
	door->short_for = 0;
	atomic_init(&door->max_clients, 0);
}

void mtsi_door_free(struct mtsi_door *door)
{
	mtsi_lock_destroy(&door->lock);
}

static bool has_room(const struct mtsi_door *door)
{
	return door->clients < atomic_load(&door->max_clients);
}

/* Arms or disarms the listeners, as things stand. */
static void look_locked(struct mts_server *server)
{
	struct mtsi_door *door = &server->door;
	mtsi_lock_assert_held(&door->lock);
	const bool wanted = door->open && has_room(door) && door->short_until == 0;
	if (wanted != door->armed) {
		mtsi_listeners_arm(server, wanted);
		door->armed = wanted;
	}
}

void mtsi_door_set_max_clients(struct mts_server *server, size_t clients)
{
	mtsi_lock_take(&server->door.lock);
	atomic_store(&server->door.max_clients, clients);
	look_locked(server);
	mtsi_lock_release(&server->door.lock);
}

size_t mtsi_door_max_clients(const struct mts_server *server)
{
	return atomic_load_explicit(&server->door.max_clients, memory_order_relaxed);
}

static size_t default_clients(void)
{
	const size_t descriptors = mtsi_descriptor_limit();
	if (descriptors <= RESERVED_DESCRIPTORS) {
		return 1;
	}
	const size_t left = descriptors - RESERVED_DESCRIPTORS;
	return left < USUAL_CLIENTS ? left : USUAL_CLIENTS;
}

void mtsi_door_open(struct mts_server *server)
{
	struct mtsi_door *door = &server->door;
	mtsi_lock_take(&door->lock);
	if (atomic_load(&door->max_clients) == 0) {
		atomic_store(&door->max_clients, default_clients());
	}
	door->open = true;
	look_locked(server);
	mtsi_lock_release(&door->lock);
}

void mtsi_door_shut(struct mts_server *server)
{
	mtsi_lock_take(&server->door.lock);
	server->door.open = false;
	look_locked(server);
	mtsi_lock_release(&server->door.lock);
}

size_t mtsi_door_room(struct mts_server *server, uint64_t *freed)
{
	struct mtsi_door *door = &server->door;
	mtsi_lock_take(&door->lock);
	look_locked(server);
	*freed = door->freed;
	const size_t room = has_room(door) ? atomic_load(&door->max_clients) - door->clients : 0;
	mtsi_lock_release(&door->lock);
	return room;
}

void mtsi_door_enter(struct mts_server *server)
{
	mtsi_lock_take(&server->door.lock);
	server->door.clients++;
	mtsi_lock_release(&server->door.lock);
}

void mtsi_door_leave(struct mts_server *server)
{
	struct mtsi_door *door = &server->door;
	mtsi_lock_take(&door->lock);
	door->clients--;
	look_locked(server);
	const bool last = door->clients == 0;
	mtsi_lock_release(&door->lock);
	if (last && mtsi_stopping(server)) {
		mtsi_keeper_wake(server);
	}
}

void mtsi_door_freed(struct mts_server *server)
{
	struct mtsi_door *door = &server->door;
	mtsi_lock_take(&door->lock);
	door->freed++;
	if (door->short_until != 0) {
		door->short_until = 0;
		look_locked(server);
	}
	mtsi_lock_release(&door->lock);
}

void mtsi_door_pause(struct mts_server *server, uint64_t now, uint64_t freed)
{
	struct mtsi_door *door = &server->door;
	mtsi_lock_take(&door->lock);
	if (door->freed == freed) {
		door->short_for = door->short_for == 0 ? shortest_pause : door->short_for * 2;
		if (door->short_for > longest_pause) {
			door->short_for = longest_pause;
		}
		door->short_until = mtsi_clock_after(now, door->short_for);
		look_locked(server);
	}
	mtsi_lock_release(&door->lock);
	mtsi_keeper_wake(server);
}

void mtsi_door_well(struct mts_server *server)
{
	mtsi_lock_take(&server->door.lock);
	server->door.short_for = 0;
	mtsi_lock_release(&server->door.lock);
}

uint64_t mtsi_door_resume(struct mts_server *server, uint64_t now)
{
	struct mtsi_door *door = &server->door;
	mtsi_lock_take(&door->lock);
	if (door->short_until != 0 && door->short_until <= now) {
		door->short_until = 0;
		look_locked(server);
	}
	const uint64_t due = door->short_until != 0 ? door->short_until : MTSI_NEVER;
	mtsi_lock_release(&door->lock);
	return due;
}

size_t mtsi_door_clients(struct mts_server *server)
{
	mtsi_lock_take(&server->door.lock);
	const size_t clients = server->door.clients;
	mtsi_lock_release(&server->door.lock);
	return clients;
}
