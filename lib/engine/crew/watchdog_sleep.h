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
	(250 * MTSI_MICROSECOND) /* polls or stints that are no further apart count as many */

/* When the watchdog sleeps, and what wakes it. All under the crew's lock. */

/*
 * A stint begins, or a poll is over and no other follows at once: sets the alarm if nobody looks
 * and nobody polls.
 */
void mtsi_watchdog_over_locked(struct mts_server *server);

/* A poll has found somebody. */
void mtsi_watchdog_found_locked(struct mts_server *server, uint64_t now);

/* A worker is about to poll: takes the alarm back if nothing needs to be watched. */
void mtsi_watchdog_quiet_locked(struct mts_server *server);

/* The watchdog wakes: looks are due again. */
void mtsi_watchdog_awake_locked(struct mtsi_watchdog *watchdog, uint64_t now);

/* It sleeps. From now on two may poll, as long as requests come now and then; when to ask again. */
uint64_t mtsi_watchdog_doze_locked(struct mts_server *server, uint64_t now);

/*
 * Whether two may still poll; returns when to ask again. After a lull only one may: rings the bell
 * for the other (`*ring`).
 */
uint64_t mtsi_watchdog_sleep_on_locked(struct mts_server *server, uint64_t now, bool *ring);

#endif
