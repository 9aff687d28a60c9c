/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_INSIDE_H
#define MTSI_ENGINE_BASE_INSIDE_H

#include <stdbool.h>

struct mts_server;

/* The calling thread works for this server from now on, and may run its callbacks. Its first call. */
void mtsi_inside_enter(const struct mts_server *server);

/* Whether the calling thread does: so whether this is, or may be, a callback of that server's. */
bool mtsi_inside(const struct mts_server *server);

#endif
