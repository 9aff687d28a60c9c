/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_FAULT_H
#define MTSI_ENGINE_SERVE_FAULT_H

#include <stdbool.h>

struct mtsi_worker;

/*
 * The worker's client is about to end for this reason, one of enum mts_closed. Calls the program's
 * hook, if there is one and the peer can still be told; once for each client. True when the hook has
 * written something: then all that waits is to be sent, and the client to end in order. By the
 * worker, before mtsi_ending(), with no lock held.
 */
bool mtsi_fault(struct mtsi_worker *worker, int reason);

/* Whether this is inside the hook, and it has written nothing so far. */
bool mtsi_fault_is_silent(const struct mtsi_worker *worker);

/* It was silent, and a call that was to write has failed: so it still is. */
void mtsi_fault_stays_silent(struct mtsi_worker *worker);

/* The hook has ended its thread: what it has written is to be dropped, as a handler's. */
void mtsi_fault_abandon(struct mtsi_worker *worker);

#endif
