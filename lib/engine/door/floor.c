/* SPDX-License-Identifier: MIT
 *
 * This floor's part of a server is made and freed as a whole; its listeners by themselves, since their
 * descriptors are closed before anything else is freed.
 */
#include "engine/door/floor.h"

void mtsi_door_floor_init(struct mts_server *server)
{
	struct mtsi_door_floor *floor = mtsi_door_floor(server);
	mtsi_listeners_init(&floor->listeners);
	mtsi_door_init(&floor->door);
	mtsi_access_init(&floor->access);
	mtsi_address_book_init(&floor->addresses);
	mtsi_eviction_init(&floor->eviction);
	mtsi_linger_init(&floor->linger);
}

void mtsi_door_floor_free(struct mts_server *server)
{
	struct mtsi_door_floor *floor = mtsi_door_floor(server);
	mtsi_door_free(&floor->door);
	mtsi_access_free(&floor->access);
	mtsi_address_book_free(&floor->addresses);
	mtsi_eviction_free(&floor->eviction);
	mtsi_linger_free(&floor->linger);
}
