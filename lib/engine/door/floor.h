/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_FLOOR_H
#define MTSI_ENGINE_DOOR_FLOOR_H

#include "engine/crew/floor.h"
#include "engine/door/access.h"
#include "engine/door/address_book.h"
#include "engine/door/door.h"
#include "engine/door/eviction.h"
#include "engine/door/linger.h"
#include "engine/door/listener.h"
#include "engine/door/refusal.h"

struct mts_server;

/* This floor's part of a server: see engine/base/floor.h. */
struct mtsi_door_floor {
	struct mtsi_crew_floor below;
	struct mtsi_listeners listeners;
	struct mtsi_door door;
	struct mtsi_access access;
	struct mtsi_refusal refusal;
	struct mtsi_address_book addresses;
	struct mtsi_eviction eviction;
	struct mtsi_linger linger;
};

static inline struct mtsi_door_floor *mtsi_door_floor(struct mts_server *server)
{
	return (struct mtsi_door_floor *)server;
}

/* Makes it, when all of it is 0; and frees it, but for the listeners (mtsi_listeners_free()). */
void mtsi_door_floor_init(struct mts_server *server);
void mtsi_door_floor_free(struct mts_server *server);

#endif
