/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_H
#define MTSI_ENGINE_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/lock.h"
#include "wire/address.h"

struct mts_client;
struct mts_server;
struct mtsi_worker;

/* Where a worker rests. Seats outlive workers, and are used again. */
struct mtsi_seat {
	struct mts_server *server; /* constant */
	struct mtsi_signal signal;
	struct mtsi_seat *next; /* among the free ones; the crew's lock */
};

/* The threads that serve, and the clients that wait for one. */
struct mtsi_crew {
	struct mtsi_lock lock; /* guards the rest */
	struct mts_client *ready; /* clients that want a thread, in order of arrival */
	struct mts_client **ready_end;
	size_t ready_count;
	size_t waiting; /* of these, the first ones, for whom no worker could be had when asked */
	struct mtsi_worker *workers; /* all that run */
	struct mtsi_worker *idle; /* those that rest, the latest first */
	struct mtsi_seat *seats; /* those that no worker has */
	struct mtsi_seat first_seat; /* so that one worker can be had when memory is short */
	size_t threads; /* workers that run, begin or end */
	size_t enlisted; /* of these, those that have begun */
	size_t threads_peak; /* the most that were enlisted at once */
	size_t leaving_now; /* of these, those that have decided to end */
	size_t waking; /* workers on their way to the ready list: woken, or being made */
	uint64_t short_until; /* a thread could not be made: when to try again; 0: all is well */
	bool dismissed; /* no more clients will come: whoever finds none leaves */
	struct mtsi_signal gone; /* the last worker has left */
	pthread_t last; /* the one that left last; it has joined the one before it */
	bool somebody_left;
};

void mtsi_crew_init(struct mts_server *server);
void mtsi_crew_free(struct mts_server *server);

/* Gives it `count` clients, linked by next. The one who accepts. */
void mtsi_crew_offer(struct mts_server *server, struct mts_client *first, size_t count);

/* Tries again to make the threads that could not be made; when to come again. The keeper. */
uint64_t mtsi_crew_retry(struct mts_server *server, uint64_t now);

/* Takes a client out of the ready list again; NULL when it is empty. */
struct mts_client *mtsi_crew_take(struct mts_server *server);

/* Lets all workers go, and waits for that until `deadline`; false when some still run. */
bool mtsi_crew_dismiss(struct mts_server *server, uint64_t deadline);

/*
 * Joins those that have left, once all have: false when one still runs at `deadline`, in a
 * destructor of the program's thread-specific data.
 */
bool mtsi_crew_join(struct mts_server *server, uint64_t deadline);

/* A client that is being served, and when its last bytes came. */
struct mtsi_served {
	uint64_t id;
	struct mtsi_peer peer;
	uint64_t since;
};

/* All of them as things stand, at most `room`; how many there are. */
size_t mtsi_crew_served(struct mts_server *server, struct mtsi_served *list, size_t room);

#endif
