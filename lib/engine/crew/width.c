/* SPDX-License-Identifier: MIT
 *
 * How wide a crew is where handlers compute: how many workers may serve side by side.
 *
 * One is right while it can do all there is to do, and when a second one could only take a CPU from
 * those who send the requests. When clients wait behind handlers that compute, and a CPU is free,
 * two do twice as much. Which of these it is cannot be told from inside, so it is tried. Time is cut
 * into windows. One in which it was full, that is, at most looks all who may serve were at work and
 * somebody waited, is followed by one with a worker more. If that one brings enough throughput,
 * counted in stints, the worker stays, and the next may be tried; else it is taken back, and not
 * tried again for a while.
 *
 * In the same way it is tried whether one less would do: if the throughput stays, and nobody waits
 * who did not before. A trial that comes off is followed by one in the same direction, a trial in
 * vain by one in the other.
 *
 * It cannot oscillate. A step up must gain a quarter of what one more worker would at best, and a
 * step down may lose no more than half of that. So under a steady load no step is right in both
 * directions, and a trial in vain doubles the pause before the next, up to two seconds: windows with
 * the wrong width become fewer and fewer, and in the end are one in two hundred. One trial that comes
 * off makes the pause short again, since the load has changed then.
 */
#include "engine/crew/width.h"

#include "os/clock.h"

enum {
	FEWEST = 64, /* stints for each worker in a window: fewer say too little */
	GAIN = 4 /* a step up has to bring one part in so many of what it could */
};

static const uint64_t shortest_window = 10 * MTSI_MILLISECOND;
static const uint64_t longest_window = 100 * MTSI_MILLISECOND;
static const uint64_t shortest_pause = 100 * MTSI_MILLISECOND;
static const uint64_t longest_pause = 2 * MTSI_SECOND;

void mtsi_width_forget(struct mtsi_width *width)
{
	*width = (struct mtsi_width){.now = 1, .pause = shortest_pause};
}

/* Whether `many` workers do so much more than one less did that it is worth `parts` parts of one. */
static bool gains(uint64_t rate, uint64_t before, size_t many, unsigned parts)
{
	return rate > before && (rate - before) * parts * (many - 1) >= before;
}

static void begin_window(struct mtsi_width *width, uint64_t now, uint64_t stints)
{
	width->since = now;
	width->stints = stints;
	width->looks = 0;
	width->full = 0;
}

static void end_trial(struct mtsi_width *width, uint64_t now, bool in_vain)
{
	const bool narrower = width->trial == MTSI_TRIAL_NARROWER;
	if (in_vain) {
		width->now += narrower ? 1 : (size_t)-1;
		width->next = now + width->pause;
		width->pause = width->pause < longest_pause / 2 ? width->pause * 2 : longest_pause;
	} else {
		width->pause = shortest_pause;
	}
	width->narrower_next = narrower != in_vain;
	width->trial = MTSI_TRIAL_NONE;
}

static void begin_trial(
	struct mtsi_width *width, const struct mtsi_bounds *bounds, uint64_t rate, bool full)
{
	const size_t present = width->now > bounds->least ? width->now : bounds->least;
	const bool can_widen = full && present < bounds->most;
	if (width->now > 1 && (width->narrower_next || !can_widen)) {
		width->trial = MTSI_TRIAL_NARROWER;
		width->now--;
	} else if (can_widen) {
		width->trial = MTSI_TRIAL_WIDER;
		width->now = present + 1;
	}
	width->rate = rate;
	width->was_full = full;
}

void mtsi_width_look(struct mtsi_width *width, uint64_t now, uint64_t stints,
	const struct mtsi_bounds *bounds, bool full)
{
	const uint64_t elapsed = now - width->since;
	const uint64_t done = stints - width->stints;
	if (width->since == 0) {
		begin_window(width, now, stints);
		return;
	}
	width->looks++;
	width->full += full ? 1 : 0;
	if (elapsed < shortest_window || (done < FEWEST * width->now && elapsed < longest_window)) {
		return;
	}
	const uint64_t rate = done * MTSI_SECOND / elapsed;
	const bool mostly = width->full * 4 >= width->looks * 3;
	if (width->trial == MTSI_TRIAL_WIDER) {
		end_trial(width, now, !gains(rate, width->rate, width->now, GAIN));
	} else if (width->trial == MTSI_TRIAL_NARROWER) {
		end_trial(width, now,
			gains(width->rate, rate, width->now + 1, 2 * GAIN) || (mostly && !width->was_full));
	} else if (now >= width->next) {
		begin_trial(width, bounds, rate, mostly);
	}
	begin_window(width, now, stints);
}
