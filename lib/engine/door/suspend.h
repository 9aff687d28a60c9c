/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_SUSPEND_H
#define MTSI_ENGINE_DOOR_SUSPEND_H

#include <stdbool.h>

struct mts_server;

/*
 * From now on nobody is accepted, until this is called without `suspended`: 0, and no thread is about to
 * accept, unless one has been sleeping in that for a second; or -ECANCELED from the stop on. Any thread.
 */
int mtsi_suspend(struct mts_server *server, bool suspended);

/* Tells the log about a server that starts suspended. The keeper, once the door is open. */
void mtsi_suspend_announce(struct mts_server *server);

#endif
