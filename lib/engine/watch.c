/* SPDX-License-Identifier: MIT
 *
 * The watch over workers that serve: who is not coming back soon, and has to be relieved?
 *
 * Whoever has polled serves what it has found, by itself. If its handler waits for something, the
 * others would wait with it. So while anybody serves, the keeper looks at the workers every 200 us
 * (down to every 2 ms while all is well). One that has been in its stint for a while and waits for
 * something is counted on no more, and another one takes over. One that computes is left alone,
 * until somebody has waited a whole period for it and there is a CPU to spare; after some
 * milliseconds one or two more are let in, so that short requests get their turn beside long ones.
 * So handlers that wait never count, and handlers that compute do not breed threads; only when
 * nobody gets on at all, since handlers compute for seconds or for ever, one more is let in every
 * 100 ms.
 *
 * That costs a client up to a period each time. So a recent stall has two workers serve or poll
 * side by side: when one of them waits, the other goes on. And when more than a quarter of the
 * handlers wait, the next worker is sent for before a handler is called (crew.c). How many do is
 * found by asking the kernel, around one call in each period, whether the thread has given up its
 * CPU (getrusage(2)), which tells exactly, however short the wait was; and by the stalls, as long
 * as there are few other calls to sample. Both belong to one time awake: what is learned is
 * forgotten when the watch falls asleep, and what is told afterwards of calls that began before
 * does not count.
 *
 * suspect.c finds out who waits; blind.c guesses where the kernel does not tell.
 *
 * An idle server must not be looked at, and a request now and then should not cost a second thread
 * that wakes up. So when requests are few the watch sleeps, and two workers poll: epoll wakes one
 * of them for each event, and while that one serves the other goes on polling, whatever the handler
 * does. After a second without requests one is enough, and the other may leave. Only when nobody is
 * left to poll, since both serve or there is but one, an alarm is set; when the stint is over
 * before it rings, it is taken back. All is done under the crew's lock, and so is falling asleep,
 * which looks again whether anybody serves:
 *
 *     asleep, somebody in a stint that is counted on, and nobody polls   =>   the alarm is set
 *
 * When requests come close upon each other setting the alarm each time would cost more than looking
 * now and then, so it is left to ring, and the watch stays awake. A second one that polls would
 * then be woken whenever the first one is busy, for what that one could do sooner; so one polls.
 */
#include "engine/watch.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "engine/keeper.h"
#include "engine/poller.h"
#include "engine/roster.h"
#include "engine/server.h"
#include "engine/suspect.h"
#include "engine/worker.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/observe.h"
#include "os/quota.h"

enum {
	WHOLE = 1024, /* of a share */
	MOST_WAIT = WHOLE / 4,
	FEW_WAIT = WHOLE / 8,
	WEIGHT = 8, /* one sample in so many makes the share */
	SPARE_WORKERS = 2 /* that may compute beyond the number of CPUs */
};

static const uint64_t shortest_period = 200 * MTSI_MICROSECOND;
static const uint64_t longest_period = 2 * MTSI_MILLISECOND;
static const uint64_t dense_gap = 250 * MTSI_MICROSECOND; /* between polls */
static const uint64_t patience = 4 * MTSI_MILLISECOND; /* with handlers that compute */
static const uint64_t last_patience = 100 * MTSI_MILLISECOND; /* when nobody gets on at all */
static const uint64_t hook_patience = 100 * MTSI_MILLISECOND;
static const uint64_t recent = 50 * MTSI_MILLISECOND; /* stalls, and times of many requests */
static const uint64_t lull = MTSI_SECOND; /* without requests, after which one is enough to poll */

/* Whether anybody is in a stint and not known to wait: whom the watch is for. */
static bool anybody_counted_on(const struct mtsi_crew *crew)
{
	return crew->active_count + crew->long_count > 0;
}

static void awake_locked(struct mtsi_watch *watch, uint64_t now)
{
	watch->asleep = false;
	watch->armed = false;
	watch->period = shortest_period;
	watch->next = now + shortest_period;
	watch->stuck_since = now;
	watch->head = NULL;
}

void mtsi_watch_over_locked(struct mts_server *server)
{
	struct mtsi_watch *watch = &server->watch;
	const bool needed = anybody_counted_on(&server->crew) || server->crew.hooking > 0;
	if (needed && server->crew.pollers == 0 && watch->asleep && !watch->armed) {
		watch->armed = mtsi_alarm_set(server->alarm, shortest_period);
		if (!watch->armed) { /* a sandbox denies it: then the watch does not sleep */
			awake_locked(watch, mtsi_clock_now());
			mtsi_keeper_wake(server);
		}
	}
}

/* From now on two may poll, as long as requests come now and then. */
static uint64_t doze_locked(struct mts_server *server, uint64_t now)
{
	struct mtsi_watch *watch = &server->watch;
	server->crew.width = 2;
	watch->polls = server->crew.polls;
	watch->next = now + lull;
	return watch->next;
}

/* Asleep: whether that is still so, and when to ask again. After a lull the second one is sent away. */
static uint64_t sleep_on_locked(struct mts_server *server, uint64_t now, bool *ring)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_watch *watch = &server->watch;
	if (crew->width == 1) {
		return MTSI_NEVER;
	}
	if (now < watch->next) {
		return watch->next;
	}
	if (crew->polls != watch->polls) {
		return doze_locked(server, now);
	}
	crew->width = 1;
	*ring = crew->pollers > 1;
	return MTSI_NEVER;
}

void mtsi_watch_found_locked(struct mts_server *server, uint64_t now)
{
	struct mtsi_watch *watch = &server->watch;
	const uint64_t gap = now > watch->last_poll ? now - watch->last_poll : 0;
	watch->dense = gap < dense_gap;
	watch->last_poll = now;
	if (watch->asleep && server->crew.width == 1 && gap < lull) {
		doze_locked(server, now);
		mtsi_keeper_wake(server);
	}
}

void mtsi_watch_quiet_locked(struct mts_server *server)
{
	struct mtsi_watch *watch = &server->watch;
	if (watch->armed && !watch->dense && !anybody_counted_on(&server->crew)) {
		watch->armed = !mtsi_alarm_set(server->alarm, 0); /* else it rings, once and in vain */
	}
}

/* Somebody waits, or may: the same client is still the first, or nobody has polled. */
static bool late_locked(const struct mtsi_crew *crew, const struct mtsi_watch *watch)
{
	if (crew->ready.count > 0 && crew->ready.first == watch->head) {
		return true;
	}
	return crew->pollers == 0 && crew->polls == watch->polls;
}

/* Nobody gets on at all: neither those in the line nor those in epoll. */
static bool stuck_locked(const struct mtsi_crew *crew, const struct mtsi_watch *watch)
{
	return late_locked(crew, watch) && (crew->ready.count == 0 || crew->ready.first == watch->head);
}

/* How long the first of the ready line has waited. */
static uint64_t age_locked(const struct mtsi_crew *crew, uint64_t now)
{
	const struct mts_client *first = crew->ready.first;
	const uint32_t age = (uint32_t)(now / MTSI_MICROSECOND) - (first != NULL ? first->ready_at : 0);
	return first != NULL ? age * MTSI_MICROSECOND : 0;
}

/*
 * Whether one more is to compute, beside those that do: when somebody waits and there is a CPU to
 * spare; when somebody has waited for long, but only a few beyond the CPUs; and in the end, one by
 * one, whenever nobody gets on, since handlers may compute for ever.
 */
static bool one_more_locked(
	const struct mtsi_crew *crew, const struct mtsi_watch *watch, uint64_t now)
{
	const size_t computing = crew->active_count + crew->long_count;
	const uint64_t stuck_for = now - watch->stuck_since;
	const uint64_t age = age_locked(crew, now);
	if (computing < watch->cpus && late_locked(crew, watch)) {
		return true;
	}
	if (now - watch->let_in < patience) {
		return false;
	}
	if (computing < watch->cpus + SPARE_WORKERS) {
		return stuck_for >= patience || age >= patience;
	}
	return stuck_for >= last_patience && now - watch->let_in >= last_patience;
}

/* Lets one more in, by counting no more on the one that has computed longest. */
static void let_in_locked(struct mtsi_crew *crew, struct mtsi_watch *watch, uint64_t now)
{
	struct mtsi_worker *oldest = NULL;
	if (!stuck_locked(crew, watch)) {
		watch->stuck_since = now;
	}
	if (!one_more_locked(crew, watch, now)) {
		return;
	}
	for (struct mtsi_worker *w = crew->active; w != NULL; w = w->next_active) {
		if (w->standing == MTSI_ACTIVE && (oldest == NULL || w->stint < oldest->stint)) {
			oldest = w;
		}
	}
	if (oldest != NULL) {
		mtsi_crew_stand_locked(oldest, MTSI_LONG);
		watch->let_in = now;
	}
}

static void learn_locked(struct mtsi_watch *watch, unsigned weight, bool waited)
{
	if (waited) {
		watch->share += (WHOLE - watch->share) / weight;
	} else {
		watch->share -= watch->share / weight;
	}
}

void mtsi_watch_begin_sample(struct mtsi_watch *watch, struct mtsi_sample *sample)
{
	sample->waking = atomic_exchange(&watch->sample, 0);
	if (sample->waking != 0 && !mtsi_observe_waits(&sample->waits)) {
		sample->waking = 0;
	}
}

void mtsi_watch_end_sample(struct mts_server *server, const struct mtsi_sample *sample)
{
	uint64_t waits;
	if (mtsi_observe_waits(&waits)) {
		mtsi_watch_report(server, sample->waking, waits != sample->waits);
	}
}

void mtsi_watch_report(struct mts_server *server, unsigned waking, bool waited)
{
	struct mtsi_watch *watch = &server->watch;
	mtsi_lock_take(&server->crew.lock);
	if (waking == watch->waking && !watch->asleep) {
		learn_locked(watch, WEIGHT, waited);
	}
	mtsi_lock_release(&server->crew.lock);
}

/*
 * What follows from the stalls and samples for the workers that are to be counted on. A guess
 * relieves those who may wait, but is not learned from: a few that are wrong, because others take
 * the CPUs, would have handlers that compute be taken for waiting from then on.
 */
static void adapt_locked(struct mts_server *server, uint64_t now, struct mtsi_stalls stalls)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_watch *watch = &server->watch;
	const uint64_t others = crew->stints - watch->stints;
	for (unsigned i = 0; i < stalls.seen; i++) {
		learn_locked(watch, (unsigned)(WEIGHT * (1 + (others < WHOLE ? others : WHOLE))), true);
	}
	if (stalls.seen + stalls.guessed > 0) {
		watch->last_stall = now;
		mtsi_count_shared(&server->stats, MTS_STAT_STALLS, stalls.seen + stalls.guessed);
	}
	crew->blocking = watch->share > (crew->blocking ? FEW_WAIT : MOST_WAIT);
	const bool lately = now - watch->last_stall < recent;
	crew->width = lately && !crew->blocking ? 2 : 1;
	if (lately) {
		watch->period = shortest_period;
	} else if (watch->period < longest_period) {
		watch->period *= 2;
	}
	if (watch->period > longest_period) {
		watch->period = longest_period;
	}
}

/* Since the last look there were more requests than few. */
static void note_many_locked(const struct mtsi_crew *crew, struct mtsi_watch *watch, uint64_t now)
{
	if ((crew->stints - watch->stints) * dense_gap > now - watch->looked) {
		watch->last_many = now;
	}
}

/*
 * Whether there is nothing to look at, and requests are few. Clients that wait where no worker may
 * be had are not helped by looking. Where handlers wait, requests come in bursts: there they have
 * to be few for a while, so that what has been learned is not forgotten in between.
 */
static bool may_sleep_locked(
	const struct mtsi_crew *crew, const struct mtsi_watch *watch, uint64_t now)
{
	const bool nobody_waits = crew->ready.count == 0 && crew->later.count == 0;
	if (anybody_counted_on(crew) || crew->waking > 0 || crew->asked) {
		return false;
	}
	if (!crew->stand_in && !(crew->pollers > 0 && nobody_waits)) {
		return false;
	}
	const bool learned = crew->blocking || now - watch->last_stall < recent;
	const uint64_t quiet_for = now - watch->last_many;
	return learned ? quiet_for >= recent : quiet_for > 0;
}

/* Whether it is time for a look: since the alarm has rung, or the period is over. */
static bool time_to_look_locked(struct mtsi_watch *watch, uint64_t now, bool rang)
{
	if (watch->asleep && rang) {
		awake_locked(watch, now);
		return true;
	}
	return !watch->asleep && watch->next <= now;
}

static void remember_locked(struct mtsi_watch *watch, const struct mtsi_crew *crew, uint64_t now)
{
	watch->looked = now;
	watch->stints = crew->stints;
	watch->polls = crew->polls;
	watch->head = crew->ready.first;
	watch->next = now + watch->period;
}

uint64_t mtsi_watch_look(struct mts_server *server, uint64_t now)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_watch *watch = &server->watch;
	struct mtsi_suspect suspects[MTSI_SUSPECTS];
	const bool rang = mtsi_alarm_rang(server->alarm);
	mtsi_lock_take(&crew->lock);
	if (!time_to_look_locked(watch, now, rang)) {
		bool ring = false;
		const uint64_t due = watch->asleep ? sleep_on_locked(server, now, &ring) : watch->next;
		mtsi_lock_release(&crew->lock);
		if (ring) {
			mtsi_poller_ring(server);
		}
		return due;
	}
	const size_t count = mtsi_suspects_find_locked(crew, now, suspects);
	if (count > 0) {
		mtsi_lock_release(&crew->lock);
		mtsi_suspects_observe(server, suspects, count, now);
		mtsi_lock_take(&crew->lock);
	}
	const struct mtsi_stalls stalls = mtsi_suspects_convict_locked(server, suspects, count, now);
	mtsi_blind_check_locked(&watch->blind, crew, now);
	let_in_locked(crew, watch, now);
	if (crew->hooking > 0 && now - crew->hooking_since >= hook_patience) {
		mtsi_roster_give_up_hooks_locked(crew);
	}
	adapt_locked(server, now, stalls);
	note_many_locked(crew, watch, now);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	watch->asleep = may_sleep_locked(crew, watch, now);
	if (watch->asleep) {
		watch->share = 0;
		mtsi_blind_forget_locked(&watch->blind);
		watch->waking += watch->waking < UINT_MAX ? 1 : 2; /* never 0 */
		crew->blocking = false;
		crew->width = 1;
	}
	const unsigned sample = watch->asleep ? 0 : watch->waking;
	remember_locked(watch, crew, now);
	uint64_t due = watch->next;
	if (watch->asleep) {
		/* Where clients wait, since no worker may be had, it must not become one more that is needed. */
		due = crew->ready.count == 0 ? doze_locked(server, now) : MTSI_NEVER;
	}
	mtsi_lock_release(&crew->lock);
	atomic_store_explicit(&watch->sample, sample, memory_order_relaxed);
	mtsi_crew_send(server, relief);
	return due;
}

void mtsi_watch_init(struct mtsi_watch *watch)
{
	memset(watch, 0, sizeof(*watch));
	watch->period = shortest_period;
	watch->waking = 1;
}

void mtsi_watch_begin(struct mtsi_watch *watch)
{
	watch->cpus = mtsi_observe_cpus();
	mtsi_blind_begin(&watch->blind, watch->cpus, mtsi_quota());
}
