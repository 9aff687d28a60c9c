/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_WORKER_H
#define MTSI_ENGINE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/input.h"
#include "engine/output.h"
#include "engine/stats.h"
#include "os/lock.h"

struct mts_client;
struct mts_server;

/*
 * The buffers of a thread, lent to the client that it serves: an idle client owns none. Input lies at
 * the front, replies gather right behind it, so that short requests and replies share a page with the
 * rest of the worker.
 */
enum {
	MTSI_SCRATCH_INPUT = 16 * 1024,
	MTSI_SCRATCH = MTSI_SCRATCH_INPUT + 1 + 16 * 1024,
	MTSI_ADDRESS_SPACE = 64 /* enough for any address that is not a path */
};

/*
 * A thread that serves clients, in pages of its own. Members without a remark are the thread's own.
 */
struct mtsi_worker {
	struct mts_server *server;

	/* The crew's: under its lock. */
	struct mtsi_worker *next; /* in the list of all workers */
	struct mtsi_worker *previous;
	struct mtsi_worker *next_idle; /* in the stack of idle ones */
	struct mtsi_worker *previous_idle;
	bool woken; /* taken from the stack of idle ones, to look for work */
	struct mts_client
		*client; /* written by this thread under the lock, so it may read it without */
	struct mtsi_signal wake;

	_Atomic uint64_t since; /* when its client's last bytes came; others read it */
	struct mtsi_stats stats;

	/* About the client that is being served. */
	struct mtsi_input input;
	struct mtsi_stage_area stage;
	int failed; /* 0, or the error that ended the client's input: it gets no further request */
	bool last_turn; /* the server is stopping: only what had arrived by then is read */
	size_t last_left; /* how much of that is left in the socket */
	char peer[MTSI_ADDRESS_SPACE];
	char local[MTSI_ADDRESS_SPACE];
	char scratch[MTSI_SCRATCH];
};

#endif
