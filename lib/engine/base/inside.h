/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_INSIDE_H
#define MTSI_ENGINE_BASE_INSIDE_H

#include <stdbool.h>

struct mts_server;

/*
 * From now on the calling thread works for this server, and may run its callbacks. The first call
 * that such a thread makes.
 */
void mtsi_inside_enter(const struct mts_server *server);

/* Whether the calling thread works for this server, and so may be in one of its callbacks. */
bool mtsi_inside(const struct mts_server *server);

#endif
