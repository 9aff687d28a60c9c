/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_POLLER_H
#define MTSI_ENGINE_RUN_POLLER_H

#include <stdint.h>

struct mts_server;
struct mtsi_list;
struct mtsi_member;

/*
 * The tag of the bell, which wakes the thread that polls; the tags of listeners and clients are
 * higher.
 */
enum { MTSI_BELL_TAG = 0 };

/*
 * Polls once: waits for events until `deadline` at the latest, and does what they ask for. Clients
 * that are to have a turn, new ones too, are claimed and put into `found`. By a worker that has
 * taken this role under the crew's lock; or by the stand-in, for which `worker` is NULL.
 */
void mtsi_poller_poll(struct mts_server *server, struct mtsi_member *worker, uint64_t deadline,
	struct mtsi_list *found);

#endif
