/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_ROSTER_H
#define MTSI_ENGINE_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mts_server;
struct mtsi_crew;
struct mtsi_seat;
struct mtsi_worker;

/* The threads of a crew (crew.h). "Locked" is: under the crew's lock. */

void mtsi_roster_init(struct mts_server *server);
void mtsi_roster_free(struct mtsi_crew *crew);

/*
 * Calls the worker that has rested shortest: the seat to be signalled once the lock is released;
 * NULL when none rests.
 */
struct mtsi_seat *mtsi_roster_call_locked(struct mtsi_crew *crew);

/*
 * Makes so many workers, which count already, as being on their way too. When one cannot be made the
 * keeper, who calls this, is woken to come again.
 */
void mtsi_roster_make(struct mts_server *server, size_t count);

/* A new worker is here; it leaves, and touches the server no more. */
void mtsi_roster_enlist_locked(struct mtsi_worker *worker);
void mtsi_roster_leave(struct mtsi_worker *worker);

/*
 * A new worker is still on its way, in the program's hook for new threads; it has come. Those that
 * stay in that hook for too long are given up by the watch: they are on their way no more.
 */
void mtsi_roster_hook_locked(struct mtsi_worker *worker, uint64_t now);
void mtsi_roster_come_locked(struct mtsi_worker *worker);
void mtsi_roster_give_up_hooks_locked(struct mtsi_crew *crew);

/* Rests until woken: true. False: it has rested long enough, or all are let go, and it may leave. */
bool mtsi_roster_rest_locked(struct mtsi_worker *worker);

/*
 * The run ends although some workers have not: they are hung. How many of them still are, those
 * included whose threads are in a destructor of the program's. None is made any more.
 */
void mtsi_roster_give_up(struct mts_server *server);

/*
 * After that: whether all have left by now, but not all clients, since a callback has ended its
 * thread, or an accept has come back late. Then workers may be made again. Who frees the server.
 */
bool mtsi_roster_take_up(struct mts_server *server);
size_t mtsi_roster_hung_locked(struct mts_server *server);

/* A stop has begun: those that rest leave, but one. */
void mtsi_roster_thin_out(struct mts_server *server);

/*
 * Lets all workers go, and waits until they have left, or `deadline`; false when some have not, or
 * clients are left for whom one has to be made.
 */
bool mtsi_roster_dismiss(struct mts_server *server, uint64_t deadline);

/*
 * Joins those that have left and ended; when to come again for the others, which are in a destructor
 * of the program's thread-specific data. The keeper, or, when that has ended, who frees the server.
 */
uint64_t mtsi_roster_join(struct mts_server *server, uint64_t now);

/* How many threads count: all that run, and those that have left and are not joined yet. */
size_t mtsi_roster_threads(struct mts_server *server);

#endif
