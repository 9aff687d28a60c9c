/* SPDX-License-Identifier: MIT
 *
 * Suspects: workers that have been in their stint for a while, and may be waiting for something.
 * They are found under the crew's lock, and looked at without it, since that costs microseconds for
 * each. By then they may have gone on, or be gone. So what was found out holds for one stint, and
 * is used only if the worker is found again in that stint.
 */
#include "engine/crew/suspect.h"

#include "engine/crew/blind.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/member.h"
#include "engine/crew/stint.h"
#include "os/clock.h"
#include "os/observe.h"

static const uint64_t suspicious = 50 * MTSI_MICROSECOND; /* the age of a stint */
static const uint64_t unpunctual = 8 * MTSI_MILLISECOND; /* between looks: the keeper got no CPU */

size_t mtsi_suspects_find_locked(
	const struct mtsi_crew *crew, uint64_t now, struct mtsi_suspect *suspects)
{
	size_t count = 0;
	for (struct mtsi_member *w = crew->active; w != NULL && count < MTSI_SUSPECTS;
		 w = w->next_active) {
		if (atomic_load_explicit(&w->since, memory_order_relaxed) + suspicious > now) {
			continue;
		}
		struct mtsi_suspect *suspect = &suspects[count++];
		suspect->worker = w;
		suspect->stint = w->stint;
		suspect->observed = w->observed;
		suspect->seen_cpu = w->seen_stint == w->stint ? w->seen_cpu : 0;
	}
	return count;
}

/*
 * Guesses which suspects of unknown state wait: those that have used hardly any CPU time since the
 * look before, if there was CPU time to be had.
 */
static void guess(
	struct mtsi_watchdog *watchdog, struct mtsi_suspect *suspects, size_t count, uint64_t elapsed)
{
	struct mtsi_usage usage;
	uint64_t used = 0;
	for (size_t i = 0; i < count; i++) {
		const struct mtsi_suspect *suspect = &suspects[i];
		used += suspect->seen_cpu != 0 ? suspect->cpu - suspect->seen_cpu : 0;
	}
	const bool spare = mtsi_observe_process(&usage) && mtsi_blind_spare(&watchdog->blind, &usage)
		&& !mtsi_blind_all_taken(&watchdog->blind, used, elapsed) && elapsed < unpunctual;
	for (size_t i = 0; i < count; i++) {
		if (suspects[i].blind) {
			suspects[i].waits = spare && suspects[i].seen_cpu != 0;
		}
	}
}

/*
 * Finds out which suspects wait; with the lock released, since that costs microseconds for each. A
 * suspect that has computed for a quarter of the time since the look before is not asked about.
 */
bool mtsi_suspects_observe(
	struct mtsi_watchdog *watchdog, struct mtsi_suspect *suspects, size_t count, uint64_t now)
{
	const uint64_t elapsed = now - watchdog->looked;
	bool asked = false;
	bool blind = false;
	for (size_t i = 0; i < count; i++) {
		struct mtsi_suspect *suspect = &suspects[i];
		suspect->cpu = mtsi_observe_cpu(&suspect->observed);
		suspect->blind = false;
		suspect->waits = false;
		if (suspect->seen_cpu != 0 && (suspect->cpu - suspect->seen_cpu) * 4 > elapsed) {
			continue;
		}
		const enum mtsi_state state = mtsi_observe_state(&suspect->observed);
		suspect->waits = state == MTSI_STATE_WAITS;
		suspect->blind = state == MTSI_STATE_UNKNOWN;
		blind = blind || suspect->blind;
		asked = true;
	}
	if (blind) {
		guess(watchdog, suspects, count, elapsed);
	}
	return asked;
}

/* The suspect that is this worker, still in the same stint; NULL: there is none. */
static const struct mtsi_suspect *find(
	const struct mtsi_suspect *suspects, size_t count, const struct mtsi_member *worker)
{
	for (size_t i = 0; i < count; i++) {
		if (suspects[i].worker == worker && suspects[i].stint == worker->stint) {
			return &suspects[i];
		}
	}
	return NULL;
}

/*
 * Suspects that wait, and are still in the same stint, are counted on no more; how many. If there
 * may be more suspects than one look asks about, those that were asked about go to the end of the
 * list.
 */
struct mtsi_stalls mtsi_suspects_convict_locked(
	struct mts_server *server, const struct mtsi_suspect *suspects, size_t count, uint64_t now)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_blind *blind = &mtsi_crew_floor(server)->watchdog.blind;
	const struct mtsi_member *last = crew->last_active;
	struct mtsi_stalls stalls = {0, 0};
	struct mtsi_member *next;
	for (struct mtsi_member *w = count > 0 ? crew->active : NULL; w != NULL; w = next) {
		const struct mtsi_suspect *suspect = find(suspects, count, w);
		next = w != last ? w->next_active : NULL;
		if (suspect != NULL) {
			const enum mtsi_standing standing = w->standing;
			w->seen_stint = w->stint;
			w->seen_cpu = suspect->cpu;
			const bool waits = suspect->waits
				&& (!suspect->blind || mtsi_blind_guess_locked(blind, w, now));
			if (waits || count == MTSI_SUSPECTS) {
				mtsi_stint_stand_locked(w, MTSI_AWAY);
			}
			if (waits) {
				stalls.guessed += suspect->blind ? 1 : 0;
				stalls.seen += suspect->blind ? 0 : 1;
			} else if (count == MTSI_SUSPECTS) {
				mtsi_stint_stand_locked(w, standing);
			}
		}
	}
	return stalls;
}
