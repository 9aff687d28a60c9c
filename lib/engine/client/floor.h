/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_FLOOR_H
#define MTSI_ENGINE_CLIENT_FLOOR_H

#include "engine/base/floor.h"
#include "engine/client/clients.h"
#include "engine/client/deadline.h"
#include "engine/client/memory.h"

struct mts_server;

/* This floor's part of a server: see engine/base/floor.h. */
struct mtsi_client_floor {
	struct mtsi_base_floor below;
	struct mtsi_clients clients;
	struct mtsi_deadlines deadlines;
	struct mtsi_memory memory;
};

static inline struct mtsi_client_floor *mtsi_client_floor(struct mts_server *server)
{
	return (struct mtsi_client_floor *)server;
}

#endif
