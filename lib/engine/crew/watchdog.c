/* SPDX-License-Identifier: MIT
 *
 * The watchdog over workers that serve: which of them does not come back soon, and has to be
 * relieved?
 *
 * A worker that has polled serves what it has found, by itself. If its handler waits for something,
 * the other clients would wait too. So while any worker serves, the keeper looks at the workers
 * every 200 us (down to every 2 ms while all is well). A worker that has been in its stint for a
 * while, and waits for something, is counted on no more, and another one takes over. A worker that
 * computes is left alone, until a client has waited a whole period for it and there is a CPU to
 * spare. After some milliseconds one or two more are let in, so that short requests get their turn
 * beside long ones. So handlers that wait do not count, and handlers that compute do not lead to
 * ever more threads. Only when nobody gets on at all, since handlers compute for seconds or for
 * ever, one more is let in every 100 ms.
 *
 * That costs a client up to a period each time. So after a recent stall two workers serve or poll
 * side by side: when one of them waits, the other goes on. And when more than a quarter of the
 * handlers wait, the next worker is sent for before a handler is called (crew.c). How many handlers
 * wait is found out in two ways. Around one call in each period the kernel is asked whether the
 * thread has given up its CPU (getrusage(2)), which tells exactly, however short the wait was. And
 * stalls are counted, as long as there are few other calls to sample. Both belong to one time
 * awake: what was learned is forgotten when the watchdog falls asleep; and a call that began before
 * that, and is reported later, does not count.
 *
 * suspect.c finds out which workers wait; blind.c guesses where the kernel does not tell;
 * watchdog_sleep.c says when the watchdog sleeps, and what wakes it.
 */
#include "engine/crew/watchdog.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/wake.h"
#include "engine/crew/blind.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/hire.h"
#include "engine/crew/member.h"
#include "engine/crew/stint.h"
#include "engine/crew/suspect.h"
#include "engine/crew/watchdog_sleep.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/observe.h"
#include "os/quota.h"

enum {
	WHOLE = 1024, /* of a share */
	MOST_WAIT = WHOLE / 4,
	FEW_WAIT = WHOLE / 8,
	WEIGHT = 8, /* one sample in so many makes the share */
	SPARE_WORKERS = 2 /* that may compute beyond the number of CPUs */
};

static const uint64_t longest_period = 2 * MTSI_MILLISECOND;
static const uint64_t patience = 4 * MTSI_MILLISECOND; /* for handlers that compute */
static const uint64_t last_patience = 100 * MTSI_MILLISECOND; /* when nobody gets on at all */
static const uint64_t hook_patience = 100 * MTSI_MILLISECOND;
static const uint64_t recent = 50 * MTSI_MILLISECOND; /* stalls, and times of many requests */

/* Somebody waits, or may wait: the same client is still the first, or nobody has polled. */
static bool late_locked(const struct mtsi_crew *crew, const struct mtsi_watchdog *watchdog)
{
	if (crew->ready.count > 0 && crew->ready.first == watchdog->head) {
		return true;
	}
	return crew->pollers == 0 && crew->polls == watchdog->polls;
}

/* Nobody gets on at all, neither the clients in the line nor those in epoll. */
static bool stuck_locked(const struct mtsi_crew *crew, const struct mtsi_watchdog *watchdog)
{
	return late_locked(crew, watchdog)
		&& (crew->ready.count == 0 || crew->ready.first == watchdog->head);
}

/* How long the first of the ready list has waited. */
static uint64_t age_locked(const struct mtsi_crew *crew, uint64_t now)
{
	const struct mts_client *first = crew->ready.first;
	const uint32_t age = (uint32_t)(now / MTSI_MICROSECOND) - (first != NULL ? first->ready_at : 0);
	return first != NULL ? age * MTSI_MICROSECOND : 0;
}

/*
 * Whether one more worker is to be let in, beside those that compute: when somebody waits and there
 * is a CPU to spare; when somebody has waited for long, but only a few beyond the CPUs; and in the
 * end, one by one, whenever nobody gets on, since handlers may compute for ever.
 */
static bool one_more_locked(
	const struct mtsi_crew *crew, const struct mtsi_watchdog *watchdog, uint64_t now)
{
	const size_t computing = crew->active_count + crew->long_count;
	const uint64_t stuck_for = now - watchdog->stuck_since;
	const uint64_t age = age_locked(crew, now);
	if (computing < watchdog->cpus && late_locked(crew, watchdog)) {
		return true;
	}
	if (now - watchdog->let_in < patience) {
		return false;
	}
	if (computing < watchdog->cpus + SPARE_WORKERS) {
		return stuck_for >= patience || age >= patience;
	}
	return stuck_for >= last_patience && now - watchdog->let_in >= last_patience;
}

/* Lets one more worker in, by no longer counting on the one that has computed longest. */
static void let_in_locked(struct mtsi_crew *crew, struct mtsi_watchdog *watchdog, uint64_t now)
{
	struct mtsi_member *oldest = NULL;
	if (!stuck_locked(crew, watchdog)) {
		watchdog->stuck_since = now;
	}
	if (!one_more_locked(crew, watchdog, now)) {
		return;
	}
	for (struct mtsi_member *w = crew->active; w != NULL; w = w->next_active) {
		if (w->standing == MTSI_ACTIVE && (oldest == NULL || w->stint < oldest->stint)) {
			oldest = w;
		}
	}
	if (oldest != NULL) {
		mtsi_stint_stand_locked(oldest, MTSI_LONG);
		watchdog->let_in = now;
	}
}

static void learn_locked(struct mtsi_watchdog *watchdog, unsigned weight, bool waited)
{
	if (waited) {
		watchdog->share += (WHOLE - watchdog->share) / weight;
	} else {
		watchdog->share -= watchdog->share / weight;
	}
}

void mtsi_watchdog_sample(struct mtsi_watchdog *watchdog, struct mtsi_sample *sample)
{
	sample->waking = atomic_exchange(&watchdog->sample, 0);
	if (sample->waking != 0 && !mtsi_observe_waits(&sample->waits)) {
		sample->waking = 0;
	}
}

void mtsi_watchdog_end_sample(struct mts_server *server, const struct mtsi_sample *sample)
{
	uint64_t waits;
	if (mtsi_observe_waits(&waits)) {
		mtsi_watchdog_report(server, sample->waking, waits != sample->waits);
	}
}

void mtsi_watchdog_report(struct mts_server *server, unsigned waking, bool waited)
{
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	if (waking == watchdog->waking && !watchdog->asleep) {
		learn_locked(watchdog, WEIGHT, waited);
	}
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
}

/* How many may serve side by side: at least so many. */
static void set_width_locked(
	struct mtsi_crew *crew, struct mtsi_watchdog *watchdog, uint64_t now, size_t least)
{
	const struct mtsi_bounds bounds = {least, watchdog->cpus};
	const size_t before = watchdog->width.now;
	const bool full = crew->ready.count > 0 && crew->pollers == 0
		&& crew->active_count + crew->long_count >= crew->width;
	mtsi_width_look(&watchdog->width, now, crew->stints, &bounds, full);
	if (watchdog->width.now != before) {
		crew->surplus = before > watchdog->width.now ? before - watchdog->width.now : 0;
	}
	crew->width = crew->blocking || watchdog->width.now < least ? least : watchdog->width.now;
}

/*
 * Decides from the stalls and samples how many workers are to be counted on. A guess relieves a
 * worker that may wait, but nothing is learned from it. Else a few wrong guesses, made because
 * other processes take the CPUs, would have handlers that compute be taken for waiting from then
 * on.
 */
static void adapt_locked(struct mts_server *server, uint64_t now, struct mtsi_stalls stalls)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	const uint64_t others = crew->stints - watchdog->stints;
	for (unsigned i = 0; i < stalls.seen; i++) {
		learn_locked(watchdog, (unsigned)(WEIGHT * (1 + (others < WHOLE ? others : WHOLE))), true);
	}
	if (stalls.seen + stalls.guessed > 0) {
		watchdog->last_stall = now;
		mtsi_count_shared(server, MTS_STAT_STALLS, stalls.seen + stalls.guessed);
		mtsi_log(server, MTSI_LOG_RELIEVED,
			"relieves threads that wait in a callback: %u, and %u by guess", stalls.seen,
			stalls.guessed);
	}
	crew->blocking = watchdog->share > (crew->blocking ? FEW_WAIT : MOST_WAIT);
	const bool lately = now - watchdog->last_stall < recent;
	set_width_locked(crew, watchdog, now, lately && !crew->blocking ? 2 : 1);
	if (lately) {
		watchdog->period = MTSI_SHORTEST_PERIOD;
	} else if (watchdog->period < longest_period) {
		watchdog->period *= 2;
	}
	if (watchdog->period > longest_period) {
		watchdog->period = longest_period;
	}
}

/* Notes the time if since the last look there were more than a few requests. */
static void note_many_locked(
	const struct mtsi_crew *crew, struct mtsi_watchdog *watchdog, uint64_t now)
{
	if ((crew->stints - watchdog->stints) * MTSI_DENSE_GAP > now - watchdog->looked) {
		watchdog->last_many = now;
	}
}

/*
 * Whether there is nothing to look at, and requests are few. Looking does not help clients that
 * wait where no worker may be had. Where handlers wait, requests come in bursts: there they have to
 * be few for a while, so that what has been learned is not forgotten between two bursts.
 */
static bool may_sleep_locked(
	const struct mtsi_crew *crew, const struct mtsi_watchdog *watchdog, uint64_t now)
{
	const bool nobody_waits = crew->ready.count == 0 && crew->later.count == 0 && crew->jobs == 0;
	if (mtsi_crew_counts_on_anybody_locked(crew) || crew->waking > 0 || crew->asked) {
		return false;
	}
	if (!crew->stand_in && !(crew->pollers > 0 && nobody_waits)) {
		return false;
	}
	const bool learned = crew->blocking || now - watchdog->last_stall < recent;
	const uint64_t quiet_for = now - watchdog->last_many;
	return learned ? quiet_for >= recent : quiet_for > 0;
}

/* Whether it is time for a look: because the alarm has rung, or because the period is over. */
static bool time_to_look_locked(struct mtsi_watchdog *watchdog, uint64_t now, bool rang)
{
	if (watchdog->asleep && rang) {
		mtsi_watchdog_awake_locked(watchdog, now);
		return true;
	}
	return !watchdog->asleep && watchdog->next <= now;
}

static void remember_locked(
	struct mtsi_watchdog *watchdog, const struct mtsi_crew *crew, uint64_t now)
{
	watchdog->looked = now;
	watchdog->stints = crew->stints;
	watchdog->polls = crew->polls;
	watchdog->head = crew->ready.first;
	watchdog->next = now + watchdog->period;
}

/* It falls asleep, and what it has learned is forgotten. */
static void forget_locked(struct mtsi_crew *crew, struct mtsi_watchdog *watchdog)
{
	watchdog->share = 0;
	mtsi_blind_forget_locked(&watchdog->blind);
	watchdog->waking += watchdog->waking < UINT_MAX ? 1 : 2; /* never 0 */
	crew->blocking = false;
	mtsi_width_forget(&watchdog->width);
	crew->width = 1;
	crew->surplus = 0;
}

uint64_t mtsi_watchdog_look(struct mts_server *server, uint64_t now, bool *returned)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_watchdog *watchdog = &mtsi_crew_floor(server)->watchdog;
	struct mtsi_suspect suspects[MTSI_SUSPECTS];
	*returned = false;
	const bool rang = mtsi_alarm_rang(mtsi_crew_floor(server)->alarm);
	mtsi_lock_take(&crew->lock);
	if (!time_to_look_locked(watchdog, now, rang)) {
		bool ring = false;
		const uint64_t due = watchdog->asleep ? mtsi_watchdog_sleep_on_locked(server, now, &ring)
											  : watchdog->next;
		mtsi_lock_release(&crew->lock);
		if (ring) {
			mtsi_wake_poller(server);
		}
		return due;
	}
	const size_t count = mtsi_suspects_find_locked(crew, now, suspects);
	if (count > 0) {
		mtsi_lock_release(&crew->lock);
		*returned = mtsi_suspects_observe(watchdog, suspects, count, now);
		mtsi_lock_take(&crew->lock);
	}
	const struct mtsi_stalls stalls = mtsi_suspects_convict_locked(server, suspects, count, now);
	mtsi_blind_check_locked(&watchdog->blind, crew, now);
	let_in_locked(crew, watchdog, now);
	if (crew->hooking > 0 && now - crew->hooking_since >= hook_patience) {
		mtsi_hire_give_up_hooks_locked(crew);
	}
	adapt_locked(server, now, stalls);
	note_many_locked(crew, watchdog, now);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	watchdog->asleep = may_sleep_locked(crew, watchdog, now);
	if (watchdog->asleep) {
		forget_locked(crew, watchdog);
	}
	const unsigned sample = watchdog->asleep ? 0 : watchdog->waking;
	remember_locked(watchdog, crew, now);
	uint64_t due = watchdog->next;
	if (watchdog->asleep) {
		/* Where clients wait since no worker may be had, a second poller must not become needed. */
		due = crew->ready.count + crew->jobs == 0 ? mtsi_watchdog_doze_locked(server, now)
												  : MTSI_NEVER;
	}
	mtsi_lock_release(&crew->lock);
	atomic_store_explicit(&watchdog->sample, sample, memory_order_relaxed);
	mtsi_crew_send(server, relief);
	return due;
}

void mtsi_watchdog_init(struct mtsi_watchdog *watchdog)
{
	memset(watchdog, 0, sizeof(*watchdog));
	watchdog->period = MTSI_SHORTEST_PERIOD;
	watchdog->waking = 1;
	mtsi_width_forget(&watchdog->width);
}

void mtsi_watchdog_begin(struct mtsi_watchdog *watchdog)
{
	watchdog->cpus = mtsi_observe_cpus();
	mtsi_blind_begin(&watchdog->blind, watchdog->cpus, mtsi_quota());
}
