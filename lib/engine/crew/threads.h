/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_THREADS_H
#define MTSI_ENGINE_CREW_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mts_server;
struct mtsi_crew;
struct mtsi_seat;
struct mtsi_member;

/* The threads of a crew (crew.h). "Locked" is: under the crew's lock. */

/* A worker leaves, and touches the server no more. */
void mtsi_threads_leave(struct mtsi_member *worker);

/*
 * The run ends although some workers have not: they are hung. How many of them still are, those
 * included whose threads are in a destructor of the program's. None is made any more.
 */
void mtsi_threads_give_up(struct mts_server *server);

/*
 * After mtsi_threads_give_up(): whether all have left by now, but not all clients, since a callback
 * has ended its thread, or an accept has come back late. Then workers may be made again. Who frees
 * the server.
 */
bool mtsi_threads_take_up(struct mts_server *server);

/* After mtsi_threads_give_up(): how many threads hang still. Others have none. */
size_t mtsi_threads_hung_locked(struct mts_server *server);

/*
 * Lets all workers go, and waits until they have left, or `deadline`; false when some have not, or
 * clients are left for whom one has to be made.
 */
bool mtsi_threads_dismiss(struct mts_server *server, uint64_t deadline);

/*
 * Joins those that have left and ended; when to come again for the others, which are in a destructor
 * of the program's thread-specific data. The keeper, or, when that has ended, who frees the server.
 */
uint64_t mtsi_threads_join(struct mts_server *server, uint64_t now);

/* How many threads count: all that run, and those that have left and are not joined yet. */
size_t mtsi_threads_count(struct mts_server *server);

#endif
