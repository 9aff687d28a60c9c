/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_FLOOR_H
#define MTSI_ENGINE_CREW_FLOOR_H

#include "engine/client/floor.h"
#include "engine/crew/crew.h"
#include "engine/crew/member.h"
#include "engine/crew/stand_in.h"
#include "engine/crew/watchdog.h"

struct mts_server;

/* This floor's part of a server: see engine/base/floor.h. */
struct mtsi_crew_floor {
	struct mtsi_client_floor below;
	struct mtsi_crew crew;
	struct mtsi_watchdog watchdog;
	struct mtsi_stand_in stand_in;
	int alarm; /* wakes the keeper after a while; -1 before start; constant from then on */
};

static inline struct mtsi_crew_floor *mtsi_crew_floor(struct mts_server *server)
{
	return (struct mtsi_crew_floor *)server;
}

#endif
