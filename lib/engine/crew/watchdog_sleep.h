/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_WATCHDOG_SLEEP_H
#define MTSI_ENGINE_CREW_WATCHDOG_SLEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "os/clock.h"

struct mts_server;
struct mtsi_watchdog;

#define MTSI_SHORTEST_PERIOD (200 * MTSI_MICROSECOND) /* between two looks */
#define MTSI_DENSE_GAP \
	(250 * MTSI_MICROSECOND) /* polls or stints that are no further apart are many */

/* When the watchdog sleeps, and what wakes it. All under the crew's lock. */

/*
 * A stint begins, or a poll is over and no other follows at once: if nobody watches, and nobody
 * polls, the alarm is set.
 */
void mtsi_watchdog_over_locked(struct mts_server *server);

/* A poll has found somebody. */
void mtsi_watchdog_found_locked(struct mts_server *server, uint64_t now);

/* A worker is about to poll: if nothing needs to be watched, the alarm is taken back. */
void mtsi_watchdog_quiet_locked(struct mts_server *server);

/* It wakes: looks are due again. */
void mtsi_watchdog_awake_locked(struct mtsi_watchdog *watchdog, uint64_t now);

/* Asleep, two may poll from now on, as long as requests come now and then: when to ask again. */
uint64_t mtsi_watchdog_doze_locked(struct mts_server *server, uint64_t now);

/* Whether that is still so, and when to ask again. After a lull the second one is sent away: `*ring`. */
uint64_t mtsi_watchdog_sleep_on_locked(struct mts_server *server, uint64_t now, bool *ring);

#endif
