/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_H
#define MTSI_ENGINE_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/line.h"
#include "os/lock.h"
#include "wire/address.h"

struct mts_server;
struct mtsi_worker;

/*
 * How the crew sees a worker. One that is in a stint, which is the service of a client's turn, the
 * program's hook for new threads or an accept that may sleep, is counted on to come back soon, unless
 * it is known to wait for something or to compute for long.
 */
enum mtsi_standing {
	MTSI_FREE, /* in no stint: it polls, rests, comes or goes */
	MTSI_ACTIVE, /* in a stint, and counted on */
	MTSI_LONG, /* in a stint that computes for long */
	MTSI_AWAY /* in a stint that waits for something, or can be expected to */
};

/* Where a worker rests. Seats outlive workers, and are used again once their thread has ended. */
struct mtsi_seat {
	struct mts_server *server; /* constant */
	struct mtsi_signal signal;
	pthread_t thread; /* set by a worker that leaves, for who joins it */
	struct mtsi_seat *next; /* among the free ones, or those that are left; the crew's lock */
};

/* The threads that serve, and the clients that wait for one. */
struct mtsi_crew {
	struct mtsi_lock lock; /* guards the rest */
	struct mtsi_line
		ready; /* clients that want a thread, in order of arrival; owned by this line */
	struct mtsi_line later; /* likewise, once epoll has been asked who else wants one */
	size_t waiting; /* of the ready, the first ones, for whom no worker could be had when asked */

	size_t pollers; /* how many poll, or are about to */
	bool rung; /* the bell has been rung for one of them */
	bool stand_in; /* no worker polls or can be had for it, and the stand-in knows that */
	uint64_t polls; /* how often somebody has begun to poll */
	uint64_t stints; /* how many have begun */

	struct mtsi_worker *workers; /* all that run */
	struct mtsi_worker *idle; /* those that rest, the latest first */
	struct mtsi_worker *active; /* those active or long, about in the order of their stints */
	struct mtsi_worker *last_active;
	size_t active_count;
	size_t long_count;
	size_t in_stint; /* active, long and away */
	size_t width; /* how many may be active or poll, 1 or 2: see watch.c */
	bool blocking; /* handlers mostly wait for something: nobody in a stint is counted on */

	struct mtsi_seat *seats; /* those that no worker has */
	struct mtsi_seat first_seat; /* so that one worker can be had when memory is short */
	struct mtsi_seat *left; /* of workers that have left, whose threads are still to be joined */
	size_t left_count;
	size_t threads; /* workers that run, begin, or have left and are not joined yet */
	size_t enlisted; /* of these, those that have begun */
	size_t threads_peak; /* the most that were enlisted at once */
	size_t leaving_now; /* of these, those that have decided to end */
	size_t waking; /* workers on their way to the ready line: woken, or being made */
	bool asked; /* the keeper has been asked to make workers, and is about to look */
	size_t hooking; /* of these, those in the program's hook for new threads */
	uint64_t hooking_since; /* when the first of them has begun it */
	size_t given_up; /* workers that have been in that hook for too long: nobody waits for them */
	uint64_t short_until; /* a thread could not be made: when to try again; 0: all is well */
	bool told_limit; /* the log has been told that the limit of threads is reached */
	bool dismissed; /* no more clients will come: whoever finds none leaves */
	bool hung; /* the run has ended although some were still at work: nobody makes or joins any */
	struct mtsi_signal gone; /* the last worker has left */
	uint64_t join_at; /* when the keeper tries again to join those that have left */
	uint64_t join_pause; /* how long it has waited for that; 0: somebody has left meanwhile */
};

void mtsi_crew_init(struct mts_server *server);
void mtsi_crew_free(struct mts_server *server);

/* Takes up work: with threads on demand somebody has to poll. The keeper. */
void mtsi_crew_begin(struct mts_server *server);

/* Puts clients that the caller owns at the end of the ready line; theirs is empty then. */
void mtsi_crew_append_locked(struct mtsi_crew *crew, struct mtsi_line *clients, uint64_t now);

/*
 * Gives it clients that the caller owns; the line is empty then. Threads of the library; a worker
 * does so outside of polls only.
 */
void mtsi_crew_offer(struct mts_server *server, struct mtsi_line *clients);

/*
 * Makes the workers that are needed, if it has been asked to, or could not make some a while ago; when
 * to come again. The keeper: no other thread makes any.
 */
uint64_t mtsi_crew_staff(struct mts_server *server, uint64_t now);

/* Whether no worker polls, and none can be had for it. The stand-in (stand_in.c), who polls then. */
bool mtsi_crew_lacks_poller_locked(struct mts_server *server);

/* Polls once for them, without waiting. The stand-in. */
void mtsi_crew_stand_in(struct mts_server *server);

/* Takes out of the ready line those that were never opened, and puts them into `found`. */
void mtsi_crew_take_unopened(struct mts_server *server, struct mtsi_line *found);

/* A client that is being served, and when its last bytes or its turn came. */
struct mtsi_served {
	uint64_t id;
	struct mtsi_peer peer;
	uint64_t since;
};

/* All of them as things stand, at most `room`; how many there are. */
size_t mtsi_crew_served(struct mts_server *server, struct mtsi_served *list, size_t room);

/*
 * The rest is for workers and for the watch over them. A relief is what is still to be done for
 * them once the lock is released.
 */
struct mtsi_relief {
	struct mtsi_seat *wake; /* wake the worker on this seat; NULL: none */
	bool ask; /* have the keeper make workers */
	bool ring; /* ring the bell */
	bool stand_in; /* tell the stand-in that nobody polls */
	size_t waiting; /* so many clients more have to wait, since no worker may be had */
	bool at_limit; /* and that is so for the first time because of the limit of threads */
};

/* Sees to it that somebody is on the way if that is needed, as far as it can be. */
struct mtsi_relief mtsi_crew_relieve_locked(struct mts_server *server);
void mtsi_crew_send(struct mts_server *server, struct mtsi_relief relief);

/*
 * A worker begins a stint, with a client or none; ends it; or comes to be seen in another way while
 * in it.
 */
void mtsi_crew_begin_locked(struct mtsi_worker *worker, struct mts_client *client);
void mtsi_crew_end_locked(struct mtsi_worker *worker);
void mtsi_crew_stand_locked(struct mtsi_worker *worker, enum mtsi_standing standing);

/*
 * This worker, which polls, is about to make a call that may sleep, against all likelihood: it is in a
 * stint until it returns, so that it is watched, and others poll if it does not come back soon.
 */
void mtsi_crew_leave_poll(struct mtsi_worker *worker);
void mtsi_crew_return_to_poll(struct mtsi_worker *worker);

/*
 * This worker is about to wait in a call of the library, inside a callback: somebody else takes
 * over at once. It is not counted on again before its next stint: a callback that converses waits
 * again and again, and many of them, counted on in between, would keep others from being sent for.
 */
void mtsi_crew_step_aside(struct mtsi_worker *worker);

#endif
