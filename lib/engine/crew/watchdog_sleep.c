/* SPDX-License-Identifier: MIT
 *
 * When the watchdog sleeps (watchdog.c).
 *
 * An idle server must not be looked at, and a request now and then should not cost the wake-up of a
 * second thread. So when requests are few the watchdog sleeps, and two workers poll: epoll wakes
 * one of them for each event, and while that one serves, the other goes on polling, whatever the
 * handler does. After a second without requests one poller is enough, and the other may leave. An
 * alarm is set only when nobody is left to poll, because both workers serve, or there is but one.
 * If the stint is over before the alarm rings, it is taken back. All of this is done under the
 * crew's lock, and so is falling asleep, which looks again whether anybody serves:
 *
 *     asleep, somebody in a stint that is counted on, and nobody polls   =>   the alarm is set
 *
 * When requests come close upon each other, setting the alarm each time would cost more than
 * looking now and then. So then the alarm is left to ring, and the watchdog stays awake. In that
 * case only one worker polls: a second one would be woken whenever the first one is busy, for what
 * the first one could do sooner.
 */
#include "engine/crew/watchdog_sleep.h"

#include "engine/base/wake.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "os/alarm.h"
#include "os/clock.h"

static const uint64_t lull = MTSI_SECOND; /* after so long without requests one poller is enough */

void mtsi_watchdog_awake_locked(struct mtsi_watchdog *watchdog, uint64_t now)
{
	watchdog->asleep = false;
	watchdog->armed = false;
	watchdog->period = MTSI_SHORTEST_PERIOD;
	watchdog->next = now + MTSI_SHORTEST_PERIOD;
	watchdog->stuck_since = now;
	watchdog->head = NULL;
}

void mtsi_watchdog_over_locked(struct mts_server *server)
{
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	const bool needed = mtsi_crew_counts_on_anybody_locked(&mtsi_crew_floor(server)->crew)
		|| mtsi_crew_floor(server)->crew.hooking > 0;
	if (needed && mtsi_crew_floor(server)->crew.pollers == 0 && watchdog->asleep
		&& !watchdog->armed) {
		watchdog->armed = mtsi_alarm_set(mtsi_crew_floor(server)->alarm, MTSI_SHORTEST_PERIOD);
		if (!watchdog->armed) { /* a sandbox denies it: then the watchdog does not sleep */
			mtsi_watchdog_awake_locked(watchdog, mtsi_clock_now());
			mtsi_wake_keeper(server);
		}
	}
}

uint64_t mtsi_watchdog_doze_locked(struct mts_server *server, uint64_t now)
{
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	mtsi_crew_floor(server)->crew.width = 2;
	watchdog->polls = mtsi_crew_floor(server)->crew.polls;
	watchdog->next = now + lull;
	return watchdog->next;
}

uint64_t mtsi_watchdog_sleep_on_locked(struct mts_server *server, uint64_t now, bool *ring)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	if (crew->width == 1) {
		return MTSI_NEVER;
	}
	if (now < watchdog->next) {
		return watchdog->next;
	}
	if (crew->polls != watchdog->polls) {
		return mtsi_watchdog_doze_locked(server, now);
	}
	crew->width = 1;
	*ring = crew->pollers > 1;
	return MTSI_NEVER;
}

void mtsi_watchdog_found_locked(struct mts_server *server, uint64_t now)
{
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	const uint64_t gap = now > watchdog->last_poll ? now - watchdog->last_poll : 0;
	watchdog->dense = gap < MTSI_DENSE_GAP;
	watchdog->last_poll = now;
	if (watchdog->asleep && mtsi_crew_floor(server)->crew.width == 1 && gap < lull) {
		mtsi_watchdog_doze_locked(server, now);
		mtsi_wake_keeper(server);
	}
}

void mtsi_watchdog_quiet_locked(struct mts_server *server)
{
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	if (watchdog->armed && !watchdog->dense
		&& !mtsi_crew_counts_on_anybody_locked(&mtsi_crew_floor(server)->crew)) {
		watchdog->armed = !mtsi_alarm_set(
			mtsi_crew_floor(server)->alarm, 0); /* if not, it rings, once and in vain */
	}
}
