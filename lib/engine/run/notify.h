/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_NOTIFY_H
#define MTSI_ENGINE_RUN_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct mts_server;
struct mtsi_notify;

/*
 * The program wants the service manager to be told how the server does; or not. The environment says
 * where and how often: it is read here, and nowhere else. 0, also when no manager wants to be told;
 * -ENOMEM; or another error, with a clause in `*why`, and nothing has changed. The configuring thread.
 */
int mtsi_notify_set(struct mts_server *server, bool on, const char **why);

/* It serves now; it stops. Said at the next look. The keeper. */
void mtsi_notify_serves(struct mts_server *server);
void mtsi_notify_stops(struct mts_server *server);

/* Says what is to be said; returns when to look again. The keeper. */
uint64_t mtsi_notify_look(struct mts_server *server, uint64_t now);

void mtsi_notify_free(struct mts_server *server);

/* Closes the descriptor that a copy of the server in another process has. */
void mtsi_notify_abandon(struct mts_server *server);

#endif
