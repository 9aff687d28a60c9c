/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BLIND_H
#define MTSI_ENGINE_BLIND_H

#include <stdbool.h>
#include <stdint.h>

#include "os/observe.h"

/* What is known of the CPU time that this process gets; all of it the keeper's. */
struct mtsi_blind {
	uint64_t allowed; /* how much it may have, in thousandths of one CPU */
	struct mtsi_usage earlier; /* what it had had by then; at 0: unknown yet */
	struct mtsi_usage later;
};

/* It may use so many CPUs, and no more than `quota` thousandths of one. */
void mtsi_blind_begin(struct mtsi_blind *blind, unsigned cpus, uint64_t quota);

/*
 * Whether there has lately been CPU time to be had that nobody took, as far as `usage` shows, which
 * is now.
 */
bool mtsi_blind_spare(struct mtsi_blind *blind, const struct mtsi_usage *usage);

/* Whether threads that have used so much in a span have not left any. */
bool mtsi_blind_all_taken(const struct mtsi_blind *blind, uint64_t used, uint64_t span);

#endif
