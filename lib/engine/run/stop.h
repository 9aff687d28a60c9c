/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_STOP_H
#define MTSI_ENGINE_RUN_STOP_H

struct mts_server;

/* Ends the service after a stop, on the keeper: 0, or -EBUSY when callbacks still run. */
int mtsi_stop(struct mts_server *server);

/*
 * Closes clients that wait for a thread and were never opened. The keeper, or the thread that frees
 * the server.
 */
void mtsi_stop_unopened(struct mts_server *server);

#endif
