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

/* The threads that serve, and the clients that wait for one. */
struct mtsi_crew {
	void *(*body)(void *seat); /* of a worker's thread; constant */
	struct mtsi_lock lock; /* guards the rest */
	struct mtsi_list
		ready; /* clients that want a thread, in order of arrival; owned by this line */
	struct mtsi_list later; /* likewise, once epoll has been asked who else wants one */
	size_t waiting; /* of the ready, the first ones, for whom no worker could be had when asked */

	size_t pollers; /* how many poll, or are about to */
	bool rung; /* the bell has been rung for one of them */
	bool stand_in; /* no worker polls or can be had for it, and the stand-in knows that */
	uint64_t polls; /* how often somebody has begun to poll */
	uint64_t stints; /* how many have begun */

	struct mtsi_member *workers; /* all that run */
	struct mtsi_member *idle; /* those that rest, the latest first */
	struct mtsi_member *active; /* those active or long, about in the order of their stints */
	struct mtsi_member *last_active;
	size_t active_count;
	size_t long_count;
	size_t in_stint; /* active, long and away */
	size_t width; /* how many may be active or poll, 1 or 2: see watchdog.c */
	bool blocking; /* handlers mostly wait for something: nobody in a stint is counted on */

	struct mtsi_seat *seats; /* those that no worker has */
	struct mtsi_seat first_seat; /* so that one worker can be had when memory is short */
	struct mtsi_seat *left; /* of workers that have left, whose threads are still to be joined */
	size_t left_count;
	size_t threads; /* workers that run, begin, or have left and are not joined yet */
	size_t enlisted; /* of these, those that have begun */
	size_t threads_peak; /* the most that were enlisted at once */
	size_t leaving_now; /* of these, those that have decided to end */
	size_t waking; /* workers on their way to the ready list: woken, or being made */
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

/* `body` is what the thread of a worker does, with its seat. */
void mtsi_crew_init(struct mts_server *server, void *(*body)(void *seat));
void mtsi_crew_free(struct mts_server *server);

/* Takes up work: with threads on demand somebody has to poll. The keeper. */
void mtsi_crew_start(struct mts_server *server);

/* Puts clients that the caller owns at the end of the ready list; theirs is empty then. */
void mtsi_crew_append_locked(struct mtsi_crew *crew, struct mtsi_list *clients, uint64_t now);

/*
 * Gives it clients that the caller owns; the line is empty then. Threads of the library; a worker
 * does so outside of polls only.
 */
void mtsi_crew_offer(struct mts_server *server, struct mtsi_list *clients);

/* Whether no worker polls, and none can be had for it. The stand-in (stand_in.c), who polls then. */
bool mtsi_crew_lacks_poller_locked(struct mts_server *server);

/* Takes out of the ready list those that were never opened, and puts them into `found`. */
void mtsi_crew_take_unopened(struct mts_server *server, struct mtsi_list *found);

/*
 * Whether nothing but the want of a CPU can keep those from leaving that are left: none has a client,
 * or is in a hook of the program's. The keeper, once they are dismissed.
 */
bool mtsi_crew_lacks_cpu(struct mts_server *server);

/* A client that is being served, and when its last bytes or its turn came. */
struct mtsi_served {
	uint64_t id;
	struct mtsi_peer peer;
	uint64_t since;
};

/* All of them as things stand, at most `room`; how many there are. */
size_t mtsi_crew_served(struct mts_server *server, struct mtsi_served *list, size_t room);

/*
 * The rest is for workers and for the watchdog. A relief is what is still to be done for
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

/*
 * Sees to it that somebody is on the way if that is needed, as far as it can be. What is returned
 * is for mtsi_crew_send().
 */
struct mtsi_relief mtsi_crew_relieve_locked(struct mts_server *server);

/* Does what is still to be done for that. With no lock held. */
void mtsi_crew_send(struct mts_server *server, struct mtsi_relief relief);

/* How many workers more are to be on the way. */
size_t mtsi_crew_needed_locked(struct mts_server *server);

/* How many workers could be made, by the limit and by what has failed lately. */
size_t mtsi_crew_could_make_locked(struct mts_server *server);

/* How many workers have not left. */
static inline size_t mtsi_crew_present_locked(const struct mtsi_crew *crew)
{
	return crew->threads - crew->left_count;
}

/* Whether all have left, and nobody is there for whom one would have to be made; who waits is told. */
static inline bool mtsi_crew_all_gone_locked(const struct mtsi_crew *crew)
{
	return mtsi_crew_present_locked(crew) == 0 && crew->ready.count == 0 && crew->later.count == 0;
}
void mtsi_crew_tell_if_gone_locked(struct mtsi_crew *crew);

/* Whether anybody is in a stint and not known to wait: whom the watchdog is for. */
static inline bool mtsi_crew_counts_on_anybody_locked(const struct mtsi_crew *crew)
{
	return crew->active_count + crew->long_count > 0;
}

#endif
