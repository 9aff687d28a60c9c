/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_CREW_H
#define MTSI_ENGINE_CREW_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/client/list.h"
#include "engine/crew/seat.h"
#include "os/lock.h"
#include "wire/address.h"

struct mts_server;
struct mtsi_member;

/*
 * How the crew sees a worker. A stint is the service of a client's turn, the program's hook for new
 * threads, or an accept that may sleep. A worker in a stint is counted on to come back soon, unless
 * it is known to wait for something or to compute for long.
 */
enum mtsi_standing {
	MTSI_FREE, /* in no stint: it polls, rests, comes or goes */
	MTSI_ACTIVE, /* in a stint, and counted on to come back soon */
	MTSI_LONG, /* in a stint that computes for long */
	MTSI_AWAY /* in a stint that waits for something, or can be expected to */
};

/* The threads that serve, and the clients that wait for one. */
struct mtsi_crew {
	void *(*body)(void *seat); /* of a worker's thread; constant */
	struct mtsi_lock lock; /* guards the rest */
	struct mtsi_list
		ready; /* clients that want a thread, in order of arrival; owned by this line */
	struct mtsi_list later; /* clients that want a further turn, after the next poll; owned by it */
	size_t waiting; /* so many, the first of the ready, came when no worker could be had */
	size_t jobs; /* so many jobs want a thread; see jobs.h */

	size_t pollers; /* how many poll, or are about to */
	bool rung; /* the bell has been rung for one that polls */
	bool stand_in; /* no worker polls or can be had to poll, and the stand-in knows that */
	uint64_t polls; /* how often somebody has begun to poll */
	uint64_t stints; /* how many stints have begun */

	struct mtsi_member *workers; /* all that run */
	struct mtsi_member *idle; /* those that rest, the latest first */
	struct mtsi_member *active; /* those active or long, roughly in the order of their stints */
	struct mtsi_member *last_active;
	size_t active_count;
	size_t long_count;
	size_t in_stint; /* active, long and away */
	size_t width; /* how many may be active or poll: see watchdog.c and width.c */
	size_t surplus; /* so many of the active ones rest when they can: it has become narrower */
	bool blocking; /* handlers mostly wait for something: nobody in a stint is counted on */

	struct mtsi_seat *seats; /* seats that no worker has */
	struct mtsi_seat first_seat; /* so that one worker can be had when memory is short */
	struct mtsi_seat *left; /* of workers that have left, whose threads are still to be joined */
	size_t left_count;
	size_t threads; /* workers that run, begin, or have left and are not joined yet */
	size_t enlisted; /* of these, workers that have begun */
	size_t threads_peak; /* the most that were ever enlisted at once */
	size_t leaving_now; /* of these, workers that have decided to end */
	size_t waking; /* workers on their way to the ready list: woken, or being made */
	bool asked; /* the keeper has been asked to make workers, and is about to look */
	size_t hooking; /* of these, workers in the program's hook for new threads */
	uint64_t hooking_since; /* when the first of these has entered it */
	size_t job_threads; /* of `threads`: those for jobs alone, until they leave; see jobs.c */
	size_t job_threads_busy; /* of these, with a job, or in the program's hook */
	size_t job_threads_left; /* those that have decided to leave, and are not joined yet */
	size_t job_threads_at_work; /* of the busy ones: those with a job */
	bool told_jobs; /* the log has been told that jobs wait, since no more threads may be had */
	struct mtsi_signal jobs_come; /* for these: a job has come, or all are to leave */
	size_t given_up; /* workers that have been in that hook for too long: no longer on their way */
	uint64_t short_until; /* a thread could not be made: when to try again; 0: all is well */
	size_t over; /* so many are to leave when they can: the limit of threads was lowered */
	bool told_limit; /* the log has been told that the limit of threads is reached */
	bool dismissed; /* no more clients will come: a worker that finds none leaves */
	bool hung; /* the run has ended with some still at work: no thread is made or joined any more */
	struct mtsi_signal gone; /* the last worker has left, or a stand-in */
	uint64_t join_at; /* when the keeper tries again to join workers that have left */
	uint64_t join_pause; /* how long it waits between two tries; 0: a worker has left since */
};

/* `body` is what the thread of a worker does, with its seat. */
void mtsi_crew_init(struct mts_server *server, void *(*body)(void *seat));
void mtsi_crew_free(struct mts_server *server);

/* Takes up work: with threads on demand somebody has to poll. The keeper. */
void mtsi_crew_start(struct mts_server *server);

/* Live: sets the limit of threads, 0 for none. Any thread. */
void mtsi_crew_set_max_threads(struct mts_server *server, unsigned threads);

/* Moves clients that the caller owns to the end of the ready list; `clients` is empty then. */
void mtsi_crew_append_locked(struct mtsi_crew *crew, struct mtsi_list *clients, uint64_t now);

/*
 * Gives the crew clients that the caller owns; `clients` is empty then. Threads of the library, but
 * a worker not while it polls.
 */
void mtsi_crew_offer(struct mts_server *server, struct mtsi_list *clients);

/*
 * Whether no worker polls, and none can be had to poll. The stand-in (stand_in.c), which polls
 * then.
 */
bool mtsi_crew_lacks_poller_locked(struct mts_server *server);

/*
 * Takes the clients of which no callback knows yet out of the ready list, and puts them into `found`. They
 * may have received a part of their PROXY header.
 */
void mtsi_crew_take_unopened(struct mts_server *server, struct mtsi_list *found);

/*
 * Whether the workers that are left can be kept from leaving by nothing but the want of a CPU: none
 * has a client, or is in a hook of the program. The keeper, once they are dismissed.
 */
bool mtsi_crew_lacks_cpu(struct mts_server *server);

/* A client that is being served, and when its last bytes or its turn came. */
struct mtsi_served {
	uint64_t id;
	uint64_t since;
};

/* Lists the clients that are being served at this moment, at most `room`; how many there are. */
size_t mtsi_crew_served(struct mts_server *server, struct mtsi_served *list, size_t room);

/*
 * The rest is for workers and for the watchdog. A relief is what remains to be done for the crew
 * once the lock is released.
 */
struct mtsi_relief {
	struct mtsi_seat *wake; /* wake the worker on this seat; NULL: none */
	bool ask; /* have the keeper make workers */
	bool ring; /* ring the bell */
	bool stand_in; /* tell the stand-in that nobody polls */
	size_t waiting; /* so many more clients have to wait, since no worker may be had */
	bool at_limit; /* and for the first time that is because of the limit of threads */
};

/*
 * Sees to it that a worker is on the way if one is needed, as far as one can be had. The result is
 * for mtsi_crew_send().
 */
struct mtsi_relief mtsi_crew_relieve_locked(struct mts_server *server);

/*
 * Whether there is nothing to see to, as mostly: nobody polls, and as many as may be are counted on.
 */
static inline bool mtsi_crew_is_relieved_locked(const struct mtsi_crew *crew)
{
	return crew->pollers == 0 && crew->active_count >= crew->width;
}

/* Does what remains to be done for that. With no lock held. */
void mtsi_crew_send(struct mts_server *server, struct mtsi_relief relief);

/* How many more workers are to be sent for. */
size_t mtsi_crew_needed_locked(struct mts_server *server);

/* How many workers could be made, given the limit, and whether making one has failed lately. */
size_t mtsi_crew_could_make_locked(struct mts_server *server);

/* How many workers have not left. */
static inline size_t mtsi_crew_present_locked(const struct mtsi_crew *crew)
{
	return crew->threads - crew->left_count;
}

/* How many of these serve clients, and have not decided to leave. */
static inline size_t mtsi_crew_for_clients_locked(const struct mtsi_crew *crew)
{
	return mtsi_crew_present_locked(crew) - crew->job_threads - crew->leaving_now;
}

/* How much on demand wants a worker: clients that are ready, and jobs. */
size_t mtsi_crew_wanting_locked(struct mts_server *server);

/* Whether all have left, and no client is there for whom a worker would have to be made. */
static inline bool mtsi_crew_all_gone_locked(const struct mtsi_crew *crew)
{
	return mtsi_crew_present_locked(crew) == 0 && crew->ready.count == 0 && crew->later.count == 0;
}
void mtsi_crew_tell_if_gone_locked(struct mtsi_crew *crew);

/* Whether any worker is in a stint and not known to wait: then the watchdog has to look. */
static inline bool mtsi_crew_counts_on_anybody_locked(const struct mtsi_crew *crew)
{
	return crew->active_count + crew->long_count > 0;
}

#endif
