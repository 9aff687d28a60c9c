/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_SHORTAGE_H
#define MTSI_ENGINE_RUN_SHORTAGE_H

#include <stdint.h>

struct mts_server;

/*
 * Sees to it that clients that wait can go on, and that the limit holds; returns when to call it
 * again. The keeper.
 */
uint64_t mtsi_shortage_relieve(struct mts_server *server, uint64_t now);

#endif
