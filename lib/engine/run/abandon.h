/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_ABANDON_H
#define MTSI_ENGINE_RUN_ABANDON_H

struct mts_server;

/* Closes all descriptors that this process has got with its copy of a server that is another's. */
void mtsi_abandon(struct mts_server *server);

/* The same for those that a start has opened; the copy can be started then. */
void mtsi_abandon_descriptors(struct mts_server *server);

#endif
