/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_ACCEPT_H
#define MTSI_ENGINE_ACCEPT_H

#include <stdint.h>

struct mts_server;

/* Takes what waits at the listener with that tag, a bounded batch, and offers it to the crew. */
void mtsi_accept(struct mts_server *server, uint64_t tag);

#endif
