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

/* The threads of a crew (crew.h). "Locked" means: under the crew's lock. */

/* A worker leaves, and touches the server no more. */
void mtsi_threads_leave(struct mtsi_member *worker);

/* The run ends although some workers have not: they hang. No thread is made any more. */
void mtsi_threads_give_up(struct mts_server *server);

/*
 * After mtsi_threads_give_up(): whether all workers have left by now, but clients are left, since a
 * callback has ended its thread, or an accept has come back late. If so, workers may be made again.
 * By the thread that frees the server.
 */
bool mtsi_threads_take_up(struct mts_server *server);

/*
 * After mtsi_threads_give_up(): how many threads still hang, including those that are in a
 * destructor of the program. Without that call: 0.
 */
size_t mtsi_threads_hung_locked(struct mts_server *server);

/*
 * Lets all workers go, and waits until they and the stand-in have left, until `deadline` at the
 * latest. False when some workers have not, or clients are left for whom one has to be made.
 */
bool mtsi_threads_dismiss(struct mts_server *server, uint64_t deadline);

/*
 * Joins workers that have left and ended; returns when to come again for the others, which are in a
 * destructor of the program's thread-specific data. The keeper, or, when that has ended, the thread
 * that frees the server.
 */
uint64_t mtsi_threads_join(struct mts_server *server, uint64_t now);

/* How many threads count: those that run, and those that have left and are not joined yet. */
size_t mtsi_threads_count(struct mts_server *server);

#endif
