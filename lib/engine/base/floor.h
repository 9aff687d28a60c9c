/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_FLOOR_H
#define MTSI_ENGINE_BASE_FLOOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/base/counters.h"
#include "engine/base/log.h"
#include "engine/base/options.h"

struct mts_server;

/* How far a stop has gone. It only goes forward; GRACE may be left out. */
enum mtsi_stop_step {
	MTSI_STOP_NONE, /* nobody has asked for it */
	MTSI_STOP_GRACE, /* it was asked for, and clients have time for one more request */
	MTSI_STOP_CLOSES /* clients get no more requests than have come */
};

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

	/*
	 * One of enum mtsi_stop_step: the first step is made by anybody, also by signal handlers, the
	 * one from GRACE on by the keeper.
	 */
	_Atomic int stopping;
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
	return atomic_load(&mtsi_base_floor(server)->stopping) != MTSI_STOP_NONE;
}

/* Whether it has gone so far that no further request is waited for. Any thread. */
static inline bool mtsi_closing(struct mts_server *server)
{
	return atomic_load(&mtsi_base_floor(server)->stopping) == MTSI_STOP_CLOSES;
}

/* Whether it has not, but is to, soon. Any thread. */
static inline bool mtsi_in_grace(struct mts_server *server)
{
	return atomic_load(&mtsi_base_floor(server)->stopping) == MTSI_STOP_GRACE;
}

/* Makes the first step: true; false when that is done already. Any thread; async-signal-safe. */
static inline bool mtsi_begin_stop(struct mts_server *server)
{
	struct mtsi_base_floor *base = mtsi_base_floor(server);
	int before = MTSI_STOP_NONE;
	const int first = atomic_load(&base->options.drain) > 0 ? MTSI_STOP_GRACE : MTSI_STOP_CLOSES;
	return atomic_compare_exchange_strong(&base->stopping, &before, first);
}

/* Counts in the server's own set. Any thread. */
static inline void mtsi_count_shared(struct mts_server *server, int which, uint64_t step)
{
	atomic_fetch_add_explicit(
		&mtsi_base_floor(server)->counters.count[which], step, memory_order_relaxed);
}

#endif
