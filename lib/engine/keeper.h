/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_KEEPER_H
#define MTSI_ENGINE_KEEPER_H

#include <stdint.h>

struct mts_server;

/* The keeper's whole life: serves until stopped; what run returns. */
int mtsi_keeper(struct mts_server *server);

/* One go: waits for events until `deadline` at the latest, and does all that is to be done now. */
void mtsi_keeper_tick(struct mts_server *server, uint64_t deadline);

/* Wakes the keeper, which looks at everything again. Any thread; async-signal-safe. */
void mtsi_keeper_wake(const struct mts_server *server);

#endif
