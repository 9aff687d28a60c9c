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

/* Inside the hook: whether it has written something so far. */
bool mtsi_fault_wrote(const struct mtsi_worker *worker);

/* The hook has ended its thread: what it has written is to be dropped, as a handler's. */
void mtsi_fault_abandon(struct mtsi_worker *worker);

#endif
