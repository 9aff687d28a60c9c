/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_BLIND_H
#define MTSI_ENGINE_CREW_BLIND_H

#include <stdbool.h>
#include <stdint.h>

#include "os/observe.h"

struct mtsi_crew;
struct mtsi_member;

/* Guessing which threads wait, where the kernel does not tell. */
struct mtsi_blind {
	/* The keeper's: */
	uint64_t allowed; /* how much CPU time the process may have, in thousandths of one CPU */
	struct mtsi_usage earlier; /* what the process had used by then; at 0: unknown yet */
	struct mtsi_usage later;

	/* Under the crew's lock: */
	unsigned credit; /* how many guesses may stand unproved */
	unsigned standing; /* how many do stand */
	uint64_t distrusted_until; /* a guess was wrong: no new one before that */
	uint64_t checked; /* when the guesses were last looked at */
};

/* The process may use so many CPUs, and no more than `quota` thousandths of one. */
void mtsi_blind_begin(struct mtsi_blind *blind, unsigned cpus, uint64_t quota);

/*
 * Whether there has lately been CPU time to be had that nobody took. `usage` is what the process
 * has used until now.
 */
bool mtsi_blind_spare(struct mtsi_blind *blind, const struct mtsi_usage *usage);

/* Whether threads that have used `used` of CPU time in a span have left none for others. */
bool mtsi_blind_all_taken(const struct mtsi_blind *blind, uint64_t used, uint64_t span);

/*
 * This worker seems to wait: whether that may be believed. If so, it counts as a guess from then
 * on.
 */
bool mtsi_blind_guess_locked(struct mtsi_blind *blind, struct mtsi_member *worker, uint64_t now);

/*
 * A stint ends for which there was such a guess: the guess proves right or wrong. On the worker's
 * thread.
 */
void mtsi_blind_end_locked(struct mtsi_blind *blind, struct mtsi_member *worker);

/* Now and then, looks whether the guesses that stand have proved right or wrong. */
void mtsi_blind_check_locked(struct mtsi_blind *blind, struct mtsi_crew *crew, uint64_t now);

/* Forgets how good the guesses were. */
void mtsi_blind_forget_locked(struct mtsi_blind *blind);

#endif
