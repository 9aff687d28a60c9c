/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_LIFECYCLE_H
#define MTSI_ENGINE_RUN_LIFECYCLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <mtserver/handler.h>
#include <mtserver/server.h>

#include "os/lock.h"

/* A server's life goes forward only: NEW -> RUNNING -> ENDED. */
enum mtsi_lifecycle_state { MTSI_LIFECYCLE_NEW, MTSI_LIFECYCLE_RUNNING, MTSI_LIFECYCLE_ENDED };

struct mtsi_lifecycle {
	struct mtsi_lock lock; /* guards the rest; state is also read without it */
	_Atomic int state; /* one of enum mtsi_lifecycle_state */
	_Atomic unsigned stoppers; /* threads and signal handlers in mtsi_lifecycle_stop(); no lock */
	int result; /* what run and join return, once ENDED */
	unsigned waiters; /* threads in mtsi_lifecycle_join() */
	struct mtsi_signal changed; /* state has changed, or waiters has become 0 */
	pthread_t keeper;
	bool keeper_runs; /* the keeper's thread has not been joined */
};

/* A new server; NULL when memory is short. */
struct mts_server *mtsi_lifecycle_new(mts_handler handler, void *user);

/*
 * Makes the thread for the log, if there is a hook, and the keeper, which does the rest: 0; or a
 * negative errno value, and in `*why` what did not work. With `wait` it then waits for the end, and
 * returns the result of the run.
 */
int mtsi_lifecycle_start(struct mts_server *server, bool wait, const char **why);

/* Waits for the end; the result of the run. */
int mtsi_lifecycle_join(struct mts_server *server);

/* Asks for the end. Async-signal-safe. */
void mtsi_lifecycle_stop(struct mts_server *server);

/* Stops, waits for the end, frees; -EBUSY when callbacks still run, and then nothing is freed. */
int mtsi_lifecycle_destroy(struct mts_server *server);

#endif
