/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_SUSPECT_H
#define MTSI_ENGINE_CREW_SUSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/observe.h"

struct mts_server;
struct mtsi_crew;
struct mtsi_member;
struct mtsi_watchdog;

enum { MTSI_SUSPECTS = 16 }; /* workers that one look asks about */

/* A worker that may be waiting for something. */
struct mtsi_suspect {
	struct mtsi_member *worker; /* not to be touched before it is found again in the same stint */
	uint64_t stint;
	struct mtsi_observed observed;
	uint64_t seen_cpu; /* as the look before found it in this stint; 0: it did not look */
	uint64_t cpu;
	bool waits;
	bool blind; /* whether it waits is a guess */
};

/* Finds suspects, as many as one look asks about; how many. */
size_t mtsi_suspects_find_locked(
	const struct mtsi_crew *crew, uint64_t now, struct mtsi_suspect *suspects);

/*
 * Finds out which of them wait, as far as can be told. True: this has taken a descriptor for a
 * moment. The keeper, with no lock held.
 */
bool mtsi_suspects_observe(
	struct mtsi_watchdog *watchdog, struct mtsi_suspect *suspects, size_t count, uint64_t now);

/* How many were found waiting: for certain, and by guess. */
struct mtsi_stalls {
	unsigned seen;
	unsigned guessed;
};

/*
 * Suspects that wait, and are still in the same stint, are counted on no more; how many. Under the
 * crew's lock.
 */
struct mtsi_stalls mtsi_suspects_convict_locked(
	struct mts_server *server, const struct mtsi_suspect *suspects, size_t count, uint64_t now);

#endif
