/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_JOBS_H
#define MTSI_ENGINE_CREW_JOBS_H

#include <stdbool.h>
#include <stddef.h>

struct mts_server;
struct mtsi_crew;
struct mtsi_member;

/*
 * Jobs: the program's tasks that are due, as the crew sees them. They are only counted here; which
 * task a worker gets is decided when it comes for it (engine/run/tasks.c). "Locked" means: under the
 * crew's lock.
 */

/* Gives the crew so many more jobs. The keeper; it makes threads for them later in the same go. */
void mtsi_jobs_offer(struct mts_server *server, size_t count);

/* A stop has begun: no job is started any more. */
void mtsi_jobs_drop(struct mts_server *server);

/*
 * Takes a job, and begins a stint for it; false when there is none, or when others come first. A
 * worker, which then runs it, and ends the stint by mtsi_jobs_done_locked().
 */
bool mtsi_jobs_take_locked(struct mtsi_member *worker);
void mtsi_jobs_begin_locked(struct mtsi_member *worker); /* that stint alone */
void mtsi_jobs_done_locked(struct mtsi_member *worker);

/*
 * Whether jobs wait for threads of their own, since all that may be had run tasks: the first time; then
 * the caller reports it, with no lock held.
 */
bool mtsi_jobs_at_limit_locked(struct mts_server *server);
void mtsi_jobs_report_limit(struct mts_server *server);

/* With a thread per client, how many threads are to be made for jobs. The keeper. */
size_t mtsi_jobs_threads_needed_locked(struct mts_server *server);

/*
 * With a thread per client, a thread for jobs waits until there is one; false when it has waited for
 * long, or all are let go, so that it is to leave.
 */
bool mtsi_jobs_wait_locked(struct mtsi_member *worker);

#endif
