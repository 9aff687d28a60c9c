/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_FLOOR_H
#define MTSI_ENGINE_BASE_FLOOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/base/counters.h"
#include "engine/base/log.h"
#include "engine/base/options.h"

struct mts_server;

/*
 * What stands behind the handle is built of floors, as the folders of the engine are. Each floor
 * has a part of the server, which begins with that of the floor below, so every part has the
 * address of the whole (engine/run/server.h), and a function finds its own part from the handle at
 * no cost. A floor cannot touch parts whose header it does not include.
 *
 * Within a part each member belongs to the module of its name. Only that module touches what is in
 * it; others call its functions. Which thread may touch what, and under which lock, is said where
 * the member's type is defined.
 */
struct mtsi_base_floor {
	struct mtsi_options options;
	struct mtsi_counters counters; /* the server's own; see counters.h */
	struct mtsi_log log;

	int poll; /* the epoll instance; -1 before start; constant from then on */
	_Atomic int bell; /* wakes the thread that polls; likewise */
	_Atomic int wake; /* wakes the keeper; likewise */

	_Atomic bool stopping; /* set once, by anybody, also by signal handlers */
};

static inline struct mtsi_base_floor *mtsi_base_floor(struct mts_server *server)
{
	return (struct mtsi_base_floor *)server;
}

/* The thread model. Any thread, once the server runs. */
static inline bool mtsi_on_demand(struct mts_server *server)
{
	return atomic_load_explicit(&mtsi_base_floor(server)->options.model, memory_order_relaxed)
		== MTS_THREAD_ON_DEMAND;
}

/* Whether a stop has been asked for. Any thread. */
static inline bool mtsi_stopping(struct mts_server *server)
{
	return atomic_load(&mtsi_base_floor(server)->stopping);
}

/* Counts in the server's own set. Any thread. */
static inline void mtsi_count_shared(struct mts_server *server, int which, uint64_t step)
{
	atomic_fetch_add_explicit(
		&mtsi_base_floor(server)->counters.count[which], step, memory_order_relaxed);
}

#endif
