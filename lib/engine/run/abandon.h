/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_ABANDON_H
#define MTSI_ENGINE_RUN_ABANDON_H

struct mts_server;

/*
 * In a process that has only a copy of another process's server: closes all of the copy's
 * descriptors.
 */
void mtsi_abandon(struct mts_server *server);

/* Closes only those descriptors that a start has opened; after that the copy can be started. */
void mtsi_abandon_descriptors(struct mts_server *server);

#endif
