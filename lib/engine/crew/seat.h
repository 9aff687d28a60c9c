/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_SEAT_H
#define MTSI_ENGINE_CREW_SEAT_H

#include <stdbool.h>

#include "os/lock.h"
#include "os/thread_end.h"

struct mts_server;
struct mtsi_crew;

/* Where a worker rests. Seats outlive workers, and are used again once their thread has ended. */
struct mtsi_seat {
	struct mts_server *server; /* constant */
	struct mtsi_signal signal;
	bool for_jobs; /* what its thread is made for; set by the keeper before it makes that */
	struct mtsi_thread_end end; /* set by a worker that leaves, for the thread that joins it */
	struct mtsi_seat *next; /* in the list of free seats, or of `left` ones; the crew's lock */
};

/*
 * Prepares a seat. The first one is a part of the crew, so that one worker can be had when memory
 * is short.
 */
void mtsi_seat_init(struct mtsi_seat *seat, struct mts_server *server);

/* Frees the seats that no worker has; at that time all of them. */
void mtsi_seat_free_all(struct mtsi_crew *crew);

/* A seat for a worker that is to be made; NULL: memory is short. */
struct mtsi_seat *mtsi_seat_take(struct mts_server *server);

/* Gives a seat back, once its thread has ended, or could not be made. Under the crew's lock. */
void mtsi_seat_give_locked(struct mtsi_crew *crew, struct mtsi_seat *seat);

#endif
