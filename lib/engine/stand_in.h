/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_STAND_IN_H
#define MTSI_ENGINE_STAND_IN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/lock.h"

struct mts_server;

/* The thread that polls where no worker does. */
struct mtsi_stand_in {
	struct mtsi_signal called; /* it is needed, or over; on the crew's lock */
	bool over; /* that lock: it is to leave, */
	bool left; /* and it has */
	pthread_t thread; /* who starts the server, then who joins it, like the next */
	bool runs; /* it has not been joined */
};

void mtsi_stand_in_init(struct mtsi_stand_in *stand_in);
void mtsi_stand_in_free(struct mtsi_stand_in *stand_in);

/* Makes the thread: 0 or a negative errno value. Who starts the server. */
int mtsi_stand_in_start(struct mts_server *server);

/* No worker polls, or can be had for it. Threads of the library. */
void mtsi_stand_in_call(struct mtsi_stand_in *stand_in);

/*
 * Lets it go; waits for its end until `deadline`: false when it has not ended by then. Who starts the
 * server, when that fails; the keeper; or, when that has ended, who frees the server.
 */
void mtsi_stand_in_dismiss(struct mts_server *server);
bool mtsi_stand_in_join(struct mts_server *server, uint64_t deadline);

/* Whether it is in a call that does not return, although it was let go. Under the crew's lock. */
bool mtsi_stand_in_hangs_locked(const struct mts_server *server);

#endif
