/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_RANKS_H
#define MTSI_ENGINE_BASE_RANKS_H

/*
 * The order of all locks, the one that is taken first to begin with: who holds some takes only such
 * as stand further down, so no two of one rank either, and no two clients' locks (os/lock.h).
 * doc/THREADING.md says what each guards.
 */
enum mtsi_rank {
	MTSI_RANK_LIFECYCLE = 1,
	MTSI_RANK_CHANGING = 2, /* of the limit by address */
	MTSI_RANK_LISTENERS = 3,
	MTSI_RANK_EVICTION = 4,
	MTSI_RANK_DOOR = 5,
	MTSI_RANK_CLIENTS = 6, /* the table of them */
	MTSI_RANK_CLIENT = 7,
	MTSI_RANK_ADDRESSES = 8,
	MTSI_RANK_LINGER = 9,
	MTSI_RANK_DEADLINES = 10,
	MTSI_RANK_MAILBOX = 11,
	MTSI_RANK_CREW = 12,
	MTSI_RANK_LOG = 13 /* the last: with any other held something may be said */
};

#endif
