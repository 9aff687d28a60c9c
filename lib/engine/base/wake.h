/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_WAKE_H
#define MTSI_ENGINE_BASE_WAKE_H

struct mts_server;

/* Wakes the keeper, which looks at everything again. Any thread; async-signal-safe. */
void mtsi_wake_keeper(struct mts_server *server);

/* Ends the wait of a thread that polls, by the bell. Any thread; async-signal-safe. */
void mtsi_wake_poller(struct mts_server *server);

#endif
