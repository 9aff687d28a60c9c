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
 * The thread that polls where no worker does; and earlier ones, which have been replaced because
 * they sleep in an accept. The crew's lock guards all of it, except:
 */
struct mtsi_stand_in {
	mtsi_poll_once *poll; /* constant */
	struct mtsi_signal called; /* it is needed, or over; on the crew's lock */
	bool over; /* all are to leave */
	unsigned present; /* threads that have not left */
	unsigned current; /* the number of the present one: others leave when they come back */
	bool lacking; /* the thread could not be made yet */
	uint64_t stints; /* how many calls that may sleep have begun */
	bool away; /* it is in the latest of these */
	bool watched; /* the keeper looks whether it comes back */
	uint64_t look_at; /* when the keeper looks next; */
	uint64_t seen; /* the latest of the calls at the last look */
	pthread_t *threads; /* not joined; starter of the server, then the keeper, then who frees it */
	size_t count;
};

void mtsi_stand_in_init(struct mtsi_stand_in *stand_in, mtsi_poll_once *poll);
void mtsi_stand_in_free(struct mtsi_stand_in *stand_in);

/* Makes the thread: 0 or a negative errno value. The thread that starts the server. */
int mtsi_stand_in_start(struct mts_server *server);

/* No worker polls, or can be had to poll, so the stand-in has to. Threads of the library. */
void mtsi_stand_in_call(struct mtsi_stand_in *stand_in);

/*
 * The stand-in is about to make a call that may sleep, though that is very unlikely; returns the
 * call's number. If it does not come back soon, another stand-in polls. The stand-in.
 */
uint64_t mtsi_stand_in_leave_poll(struct mts_server *server);

/* The stand-in has come back from that call. The stand-in. */
void mtsi_stand_in_return_to_poll(struct mts_server *server, uint64_t stint);

/* Makes another stand-in if this one sleeps; returns when to look again. The keeper. */
uint64_t mtsi_stand_in_look(struct mts_server *server, uint64_t now);

/*
 * Lets the stand-in go. By the thread that starts the server, when that fails; the keeper; or, when
 * the keeper has ended, the thread that frees the server.
 */
void mtsi_stand_in_dismiss(struct mts_server *server);

/* Waits until the stand-in has ended; false when it has not by `deadline`. By the same threads. */
bool mtsi_stand_in_join(struct mts_server *server, uint64_t deadline);

/* Whether the stand-in has left, so that all it has found is handed on. */
bool mtsi_stand_in_has_left(struct mts_server *server);

/* Whether the stand-in is about to leave, and needs nothing but a CPU. */
bool mtsi_stand_in_is_leaving(struct mts_server *server);

/*
 * Whether the stand-in was let go, and has not left: its call does not return. Under the crew's
 * lock.
 */
bool mtsi_stand_in_hangs_locked(struct mts_server *server);

#endif
