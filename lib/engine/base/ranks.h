/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_RANKS_H
#define MTSI_ENGINE_BASE_RANKS_H

/*
 * The order of all locks, from the one that is taken first. A thread that holds some locks takes
 * only locks that stand further down; so it never takes two of one rank, nor two clients' locks
 * (os/lock.h). doc/THREADING.md says what each guards.
 */
enum mtsi_rank {
	MTSI_RANK_LIFECYCLE = 1,
	MTSI_RANK_CHANGING = 2, /* the limit by address is being changed */
	MTSI_RANK_LISTENERS = 3,
	MTSI_RANK_EVICTION = 4,
	MTSI_RANK_DOOR = 5,
	MTSI_RANK_CLIENTS = 6, /* the table of clients */
	MTSI_RANK_CLIENT = 7,
	MTSI_RANK_ADDRESSES = 8,
	MTSI_RANK_ACCESS = 9,
	MTSI_RANK_LINGER = 10,
	MTSI_RANK_DEADLINES = 11,
	MTSI_RANK_MAILBOX = 12,
	MTSI_RANK_TASKS = 13,
	MTSI_RANK_CREW = 14,
	MTSI_RANK_LOG = 15 /* the last: something may be said with any other lock held */
};

#endif
