/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_KEEPER_H
#define MTSI_ENGINE_RUN_KEEPER_H

#include <stdint.h>

struct mts_server;

/* The keeper's work until a stop is asked for; the stop itself is in stop.c. */
void mtsi_keeper(struct mts_server *server);

/* One go: waits for events until `deadline` at the latest, and does all that is to be done now. */
void mtsi_keeper_tick(struct mts_server *server, uint64_t deadline);

/* The watchdog's part of that alone: returns when the next look is due. On demand. */
uint64_t mtsi_keeper_watch(struct mts_server *server, uint64_t now);

#endif
