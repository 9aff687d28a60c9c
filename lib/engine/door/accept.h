/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_ACCEPT_H
#define MTSI_ENGINE_DOOR_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

struct mts_server;
struct mtsi_list;
struct mtsi_member;

/*
 * Takes what waits at the listener with that tag, a bounded batch, and puts the new clients, owned
 * by the caller, into `found`. A listener that has been shut down is buried instead. By the thread
 * that polls, with no lock held; `worker` is that thread's worker, or NULL. At a socket that others
 * have too, accept may sleep, in spite of all that is done against it.
 */
void mtsi_accept(struct mts_server *server, struct mtsi_member *worker, uint64_t tag,
	bool shut_down, struct mtsi_list *found);

#endif
