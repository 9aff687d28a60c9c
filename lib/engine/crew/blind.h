/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_BLIND_H
#define MTSI_ENGINE_CREW_BLIND_H

#include <stdbool.h>
#include <stdint.h>

#include "os/observe.h"

struct mtsi_crew;
struct mtsi_member;

/* Guessing who waits, where the kernel does not tell. */
struct mtsi_blind {
	/* The keeper's: */
	uint64_t allowed; /* how much CPU time the process may have, in thousandths of one CPU */
	struct mtsi_usage earlier; /* what it had had by then; at 0: unknown yet */
	struct mtsi_usage later;

	/* Under the crew's lock: */
	unsigned credit; /* how many guesses may stand that have not proved right */
	unsigned standing; /* how many do */
	uint64_t distrusted_until; /* one was wrong: none before that */
	uint64_t checked; /* when they were last looked at */
};

/* The process may use so many CPUs, and no more than `quota` thousandths of one. */
void mtsi_blind_begin(struct mtsi_blind *blind, unsigned cpus, uint64_t quota);

/*
 * Whether there has lately been CPU time to be had that nobody took, as far as `usage` shows, which
 * is now.
 */
bool mtsi_blind_spare(struct mtsi_blind *blind, const struct mtsi_usage *usage);

/* Whether threads that have used so much in a span have left none. */
bool mtsi_blind_all_taken(const struct mtsi_blind *blind, uint64_t used, uint64_t span);

/* This worker seems to wait: whether that may be taken for true, and then it counts as a guess. */
bool mtsi_blind_guess_locked(struct mtsi_blind *blind, struct mtsi_member *worker, uint64_t now);

/* The stint ends of which that was a guess: it proves right or wrong. On the worker's thread. */
void mtsi_blind_end_locked(struct mtsi_blind *blind, struct mtsi_member *worker);

/* Looks at the guesses that stand, now and then: whether they have proved right or wrong. */
void mtsi_blind_check_locked(struct mtsi_blind *blind, struct mtsi_crew *crew, uint64_t now);

/* Forgets how good the guesses were. */
void mtsi_blind_forget_locked(struct mtsi_blind *blind);

#endif
