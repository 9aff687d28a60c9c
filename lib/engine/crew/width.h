/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_WIDTH_H
#define MTSI_ENGINE_CREW_WIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a window tries, to find out what it does to the throughput. */
enum mtsi_trial { MTSI_TRIAL_NONE, MTSI_TRIAL_WIDER, MTSI_TRIAL_NARROWER };

/* How many workers may serve side by side where handlers compute. Under the crew's lock. */
struct mtsi_width {
	size_t now; /* so many; 1 at first */
	enum mtsi_trial trial; /* in the present window */
	uint64_t pause; /* from a trial in vain to the next one */
	uint64_t next; /* when another may begin */
	bool narrower_next; /* if there is a choice */

	/* The present window. */
	uint64_t since; /* 0: there is none yet */
	uint64_t stints; /* that had begun by then */
	unsigned looks;
	unsigned full; /* of these looks, those that found it full */

	/* The window before the trial. */
	uint64_t rate; /* stints a second */
	bool was_full;
};

/* Nothing is known, as at the start and after a sleep. */
void mtsi_width_forget(struct mtsi_width *width);

/* At least and at most so many are to serve side by side, whatever the width. */
struct mtsi_bounds {
	size_t least;
	size_t most;
};

/*
 * A look: so many stints have begun by now, and it is `full` if all who may are at work and somebody
 * waits.
 */
void mtsi_width_look(struct mtsi_width *width, uint64_t now, uint64_t stints,
	const struct mtsi_bounds *bounds, bool full);

#endif
