/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_POLLER_H
#define MTSI_ENGINE_POLLER_H

#include <stdint.h>

struct mts_server;
struct mtsi_line;
struct mtsi_worker;

/* The tag of the bell, which wakes who polls; those of listeners and clients are higher. */
enum { MTSI_BELL_TAG = 0 };

/*
 * Polls once: waits for events until `deadline` at the latest, and does what they ask for. Clients
 * that are to have a turn, new ones too, are claimed and put into `found`. One thread at a time:
 * the stand-in, or the worker that has taken that role under the crew's lock; `worker` is NULL for the
 * stand-in.
 */
void mtsi_poller_poll(struct mts_server *server, struct mtsi_worker *worker, uint64_t deadline,
	struct mtsi_line *found);

/* Ends the wait of whoever polls. Any thread; async-signal-safe. */
void mtsi_poller_ring(const struct mts_server *server);

#endif
