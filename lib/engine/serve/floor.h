/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_FLOOR_H
#define MTSI_ENGINE_SERVE_FLOOR_H

#include "engine/door/floor.h"
#include "engine/serve/mailbox.h"

struct mts_server;

/* This floor's part of a server: see engine/base/floor.h. */
struct mtsi_serve_floor {
	struct mtsi_door_floor below;
	struct mtsi_mailbox mailbox;
};

static inline struct mtsi_serve_floor *mtsi_serve_floor(struct mts_server *server)
{
	return (struct mtsi_serve_floor *)server;
}

#endif
