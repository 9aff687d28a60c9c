/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_WATCHDOG_H
#define MTSI_ENGINE_CREW_WATCHDOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/crew/blind.h"
#include "engine/crew/width.h"

struct mts_server;

/*
 * The watchdog over workers that serve, with threads on demand. The crew's lock guards all of it,
 * except:
 */
struct mtsi_watchdog {
	_Atomic unsigned sample; /* not 0: the next handler is to be looked at, whether it waits. Any
								thread */
	unsigned waking; /* the number of the present time awake, or of the next one; never 0 */
	bool asleep; /* nobody looks; if nobody polls either, the alarm is set for a stint */
	bool armed; /* the alarm is set, or has rung and nobody has looked yet */
	uint64_t next; /* when to look next; while not asleep */
	uint64_t period;
	uint64_t last_poll; /* when a poll has last found somebody */
	bool dense; /* the poll before that one was not long before */

	/* As the last look found things. */
	uint64_t looked; /* when the last look was */
	uint64_t stints;
	uint64_t polls;
	const void *head; /* the first of the ready list */
	uint64_t stuck_since; /* since when nobody gets on; while somebody does, the time of the look */
	uint64_t let_in; /* when one more was last let in to compute */
	uint64_t last_many; /* when requests were last found not to be few */
	uint64_t last_stall; /* when a handler was last found waiting */
	unsigned share; /* the share of handlers that wait for something, in 1,024ths */
	unsigned cpus; /* how many the process may use */

	struct mtsi_width width;
	struct mtsi_blind blind; /* a part of it is the keeper's, without the lock */
};

void mtsi_watchdog_init(struct mtsi_watchdog *watchdog);

/* The server starts; finds out how many CPUs it may use. The keeper, before there is any worker. */
void mtsi_watchdog_begin(struct mtsi_watchdog *watchdog);

/*
 * Looks, if it is time to; returns when the next look is due, or MTSI_NEVER. `*returned`: it has
 * taken a descriptor for a moment and given it back; accept may have wanted one just then. The
 * keeper.
 */
uint64_t mtsi_watchdog_look(struct mts_server *server, uint64_t now, bool *returned);

/* A call of the handler that the watchdog wants to know of: has it waited for something? */
struct mtsi_sample {
	unsigned waking; /* in which time awake it began; 0: it is no sample */
	uint64_t waits; /* how often its thread had waited before */
};

/* Whether it wants to know of the next one. Any thread. */
static inline bool mtsi_watchdog_samples(const struct mtsi_watchdog *watchdog)
{
	return atomic_load_explicit(&watchdog->sample, memory_order_relaxed) != 0;
}

/* Before the call, on its thread. */
void mtsi_watchdog_sample(struct mtsi_watchdog *watchdog, struct mtsi_sample *sample);

/*
 * After it, if it is a sample. A call that began before the watchdog last fell asleep counts no
 * more.
 */
void mtsi_watchdog_end_sample(struct mts_server *server, const struct mtsi_sample *sample);

/* Takes note of what a sample says. */
void mtsi_watchdog_report(struct mts_server *server, unsigned waking, bool waited);

#endif
