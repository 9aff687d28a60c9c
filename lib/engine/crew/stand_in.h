/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_STAND_IN_H
#define MTSI_ENGINE_CREW_STAND_IN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/lock.h"

struct mts_server;
struct mtsi_list;
struct mtsi_member;

/* The type of mtsi_poller_poll() (engine/run/poller.h), which is handed down. */
typedef void mtsi_poll_once(struct mts_server *server, struct mtsi_member *worker,
	uint64_t deadline, struct mtsi_list *found);

/*
 * The thread that polls where no worker does; and those that were, and have been replaced, since they
 * sleep in an accept. The crew's lock guards all of it, but:
 */
struct mtsi_stand_in {
	mtsi_poll_once *poll; /* constant */
	struct mtsi_signal called; /* it is needed, or over; on the crew's lock */
	bool over; /* all are to leave */
	unsigned present; /* threads that have not left */
	unsigned current; /* which of them it is: the others leave when they come back */
	bool lacking; /* it could not be made yet */
	uint64_t stints; /* how many calls that may sleep have begun */
	bool away; /* it is in the last of these */
	bool watched; /* the keeper looks whether it comes back */
	uint64_t look_at; /* when next; */
	uint64_t seen; /* which of the calls was the last at the last look */
	pthread_t *threads; /* not joined; who starts the server, then the keeper, then who frees it */
	size_t count;
};

void mtsi_stand_in_init(struct mtsi_stand_in *stand_in, mtsi_poll_once *poll);
void mtsi_stand_in_free(struct mtsi_stand_in *stand_in);

/* Makes the thread: 0 or a negative errno value. Who starts the server. */
int mtsi_stand_in_start(struct mts_server *server);

/* No worker polls, or can be had for it. Threads of the library. */
void mtsi_stand_in_call(struct mtsi_stand_in *stand_in);

/*
 * It is about to make a call that may sleep, against all likelihood: which one that is. If it does
 * not come back soon another one polls. The stand-in.
 */
uint64_t mtsi_stand_in_leave_poll(struct mts_server *server);

/* It has come back from that call. The stand-in. */
void mtsi_stand_in_return_to_poll(struct mts_server *server, uint64_t stint);

/* Has another one made if it sleeps; when to look again. The keeper. */
uint64_t mtsi_stand_in_look(struct mts_server *server, uint64_t now);

/*
 * Lets it go. Who starts the server, when that fails; the keeper; or, when that has ended, who
 * frees the server.
 */
void mtsi_stand_in_dismiss(struct mts_server *server);

/* Waits for its end until `deadline`: false when it has not ended by then. The same. */
bool mtsi_stand_in_join(struct mts_server *server, uint64_t deadline);

/* Whether it has left, so that whatever it has found is handed on. */
bool mtsi_stand_in_has_left(struct mts_server *server);

/* Whether it is about to leave, and needs nothing but a CPU. */
bool mtsi_stand_in_is_leaving(struct mts_server *server);

/* Whether it is in a call that does not return, although it was let go. Under the crew's lock. */
bool mtsi_stand_in_hangs_locked(struct mts_server *server);

#endif
