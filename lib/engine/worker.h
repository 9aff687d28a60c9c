/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_WORKER_H
#define MTSI_ENGINE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/crew.h"
#include "engine/input.h"
#include "engine/output.h"
#include "engine/stats.h"
#include "os/lock.h"
#include "os/observe.h"

struct mts_client;
struct mts_server;

/*
 * The buffers of a thread, lent to the client that it serves: an idle client owns none. Short
 * requests and replies share the small one, which lies in a page that the thread's stack has
 * touched anyway; a thread takes the large one when it first needs it, and keeps it.
 */
enum {
	MTSI_SMALL_INPUT = 1024,
	MTSI_SMALL = MTSI_SMALL_INPUT + 512, /* input at the front, replies gather right behind it */
	MTSI_LARGE_INPUT = 16 * 1024,
	MTSI_LARGE_STAGE = 16 * 1024,
	MTSI_LARGE = MTSI_LARGE_INPUT + 1 + MTSI_LARGE_STAGE, /* input, its NUL, replies */
	MTSI_ADDRESS_SPACE = 64 /* enough for any address but a path */
};

/*
 * A thread that serves clients. It lies on that thread's own stack, from where it enters the crew's
 * list to where it leaves it. Members without a remark are the thread's own.
 */
struct mtsi_worker {
	struct mts_server *server;

	/* The crew's: under its lock. */
	struct mtsi_worker *next; /* in the list of all workers */
	struct mtsi_worker *previous;
	struct mtsi_worker *next_idle; /* in the stack of idle ones */
	struct mtsi_worker *previous_idle;
	struct mtsi_worker *next_active; /* in the list of active ones */
	struct mtsi_worker *previous_active;
	bool hooked; /* on its way, in the program's hook for new threads */
	bool given_up; /* in that hook still, and not waited for any more */
	bool woken; /* taken from the stack of idle ones, to look for work */
	enum mtsi_standing standing;
	uint64_t stint; /* the number of its present or latest stint; never the same twice in a crew */
	uint64_t seen_stint; /* the watch's: the stint in which it has last looked at this worker, */
	uint64_t seen_cpu; /* and the CPU time that it had used by then */
	uint64_t
		guessed_at; /* when it was guessed to wait in this stint, unproved as yet; 0: it is not */
	struct mts_client
		*client; /* written by this thread under the lock, so it may read it without */
	struct mtsi_seat *seat; /* where it rests */
	struct mtsi_observed observed; /* constant */

	uint64_t now; /* the time, as it was when the last turn, poll or rest ended */
	_Atomic uint64_t since; /* when its client's last bytes or its turn came; others read it */
	struct mtsi_stats stats;

	/* About the client that is being served. */
	struct mtsi_input input;
	struct mtsi_stage_area stage;
	size_t received; /* bytes, in this turn */
	unsigned handled; /* requests, in this turn */
	bool queued; /* not all that was sent has gone out at once */
	bool seizes; /* it goes on sending after what it pushes: see mtsi_output_seize() */
	size_t corked; /* the last replies: what the kernel may hold until the socket closes */
	unsigned luck; /* see eager() in turn.c */
	unsigned opens;
	uint64_t handler_since; /* the handler runs, with a deadline, since then; else 0 */
	bool overrun; /* that deadline has passed */
	bool closing; /* the close hook has begun; how its client ends has been settled by then: */
	bool closes_at_once; /* it does not linger, */
	bool ends_in_order; /* but its peer is told the end of the stream, */
	bool discards; /* and what it has sent is thrown away before it is closed; */
	bool drained; /* it ends because of a stop */
	bool leaving; /* it has decided to end */
	bool left; /* it is no worker any more */
	bool stood_aside; /* it has waited in a call of the library since this was cleared */
	int failed; /* 0, or the error that ended the client's input: it gets no further request */
	bool late; /* a wait for input has lasted too long, like a stop: */
	bool last_turn; /* only what had arrived by then is read */
	size_t last_left; /* how much of that is left in the socket */
	char peer[MTSI_ADDRESS_SPACE];
	char local[MTSI_ADDRESS_SPACE];
	char *large; /* NULL until it is needed */
	char small[MTSI_SMALL];
};

/* Makes the thread of a worker, which has this seat from then on: 0 or a negative errno value. */
int mtsi_worker_start(struct mtsi_seat *seat);

/* Sees to it that the worker has its large buffer; false when memory is short. */
bool mtsi_worker_large(struct mtsi_worker *worker);

#endif
