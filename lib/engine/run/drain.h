/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_DRAIN_H
#define MTSI_ENGINE_RUN_DRAIN_H

struct mts_server;

/* Ends the service after a stop, on the keeper: 0, or -EBUSY when callbacks still run. */
int mtsi_drain(struct mts_server *server);

/* Closes clients that wait for a thread and were never opened. The keeper, or who frees the server. */
void mtsi_drain_unopened(struct mts_server *server);

#endif
