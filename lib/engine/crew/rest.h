/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_REST_H
#define MTSI_ENGINE_CREW_REST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mts_server;
struct mtsi_crew;
struct mtsi_member;
struct mtsi_seat;

/* Rest: what a worker does when there is nothing to do. "Locked" means: under the crew's lock. */

/*
 * Rests. True: it was called. False: it has rested long enough, or all are let go, and it may
 * leave.
 */
bool mtsi_rest_locked(struct mtsi_member *worker);

/*
 * Calls the worker that went to rest last: returns its seat, to be signalled once the lock is
 * released; NULL when none rests.
 */
struct mtsi_seat *mtsi_rest_call_locked(struct mtsi_crew *crew);

/* Has all workers at rest, and threads for jobs, look whether they may leave. */
void mtsi_rest_disturb_locked(struct mtsi_crew *crew);

/* A stop has begun: the workers at rest leave, except one. */
void mtsi_rest_thin_out(struct mts_server *server);

/* Whether one worker has to leave at once, since there are more than the limit of threads allows. */
bool mtsi_rest_one_is_over_locked(const struct mtsi_crew *crew);

#endif
