/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVER_H
#define MTSI_ENGINE_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include <mtserver/server.h>

#include "engine/address_book.h"
#include "engine/clients.h"
#include "engine/crew.h"
#include "engine/deadline.h"
#include "engine/door.h"
#include "engine/eviction.h"
#include "engine/life.h"
#include "engine/linger.h"
#include "engine/listener.h"
#include "engine/log.h"
#include "engine/memory.h"
#include "engine/options.h"
#include "engine/post.h"
#include "engine/stand_in.h"
#include "engine/stats.h"
#include "engine/watch.h"

enum { MTSI_ERROR = 640 };

/*
 * What stands behind the handle: the parts of the machine side by side. Each part belongs to the
 * module of its name, which alone touches its members; the others go through that module's
 * functions. Who may touch what, and under which lock, is said where the part is defined.
 */
struct mts_server {
	struct mtsi_options options;
	struct mtsi_listeners listeners;
	struct mtsi_clients clients;
	struct mtsi_crew crew;
	struct mtsi_watch watch;
	struct mtsi_stand_in stand_in;
	struct mtsi_door door;
	struct mtsi_address_book addresses;
	struct mtsi_eviction eviction;
	struct mtsi_deadlines deadlines;
	struct mtsi_memory memory;
	struct mtsi_linger linger;
	struct mtsi_post post;
	struct mtsi_life life;
	struct mtsi_stats stats;
	struct mtsi_log log;

	int poll; /* the epoll instance; -1 before start; constant from then on */
	_Atomic int bell; /* wakes who polls; likewise */
	_Atomic int wake; /* wakes the keeper; likewise */
	int alarm; /* wakes the keeper after a while; likewise */

	_Atomic bool stopping; /* set once, by anybody, also by signal handlers */

	char error[MTSI_ERROR]; /* the sentence of the last failure; written under life's lock */
};

/* The thread model. Any thread, once the server runs. */
static inline bool mtsi_on_demand(const struct mts_server *server)
{
	return atomic_load_explicit(&server->options.model, memory_order_relaxed)
		== MTS_THREAD_ON_DEMAND;
}

/* Whether a stop has been asked for. Any thread. */
static inline bool mtsi_stopping(const struct mts_server *server)
{
	return atomic_load(&server->stopping);
}

#endif
