/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_WORKER_H
#define MTSI_ENGINE_SERVE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/client/memory.h"
#include "engine/crew/member.h"
#include "engine/serve/input.h"
#include "engine/serve/output.h"

struct mts_client;
struct mts_server;
struct mtsi_task;

/*
 * The buffers of a thread, lent to the client that it serves: an idle client owns none. Short
 * requests and replies share the small one, which lies in a page that the thread's stack has
 * touched anyway; a thread takes the large one when it first needs it, and keeps it. How much input
 * fits is said in engine/client/memory.h.
 */
enum {
	MTSI_SMALL = MTSI_SMALL_INPUT + 512, /* input at the front, replies gather right behind it */
	MTSI_LARGE_REPLIES = 16 * 1024,
	MTSI_LARGE = MTSI_LARGE_INPUT + 1 + MTSI_LARGE_REPLIES, /* input, its NUL, replies */
	MTSI_ADDRESS_SPACE = 64 /* enough for any address but a path */
};

/*
 * A thread that serves clients. This lies on that thread's own stack, and is there from when it
 * enters the crew's list to when it leaves it. Members without a remark are the thread's own.
 */
struct mtsi_worker {
	struct mtsi_member member; /* first: what the crew sees of it */

	/* About the client that is being served. */
	struct mtsi_input input;
	struct mtsi_replies replies;
	/* Zero when the client gets this worker, like size and mark of the replies, down to `handled`: */
	size_t corked; /* bytes of last replies: the kernel may hold them until the socket closes */
	int failed; /* 0, or the error that ended the client's input: it gets no further request */
	bool told; /* a call has told a callback of that error */
	bool tells; /* the hook for faults runs: see fault.c */
	bool queued; /* some of what was sent still waits in the queue */
	bool seizes; /* it goes on sending after each push: see mtsi_output_seize() */
	bool late; /* a wait for input has lasted too long. As in a stop: */
	bool last_turn; /* only what had arrived by then is read, see `last_left` */
	bool deferred; /* the handler has a ticket for a reply that comes later */
	bool overrun; /* the deadline of its handler has passed */
	bool has_peer; /* the texts of the addresses are there, below */
	bool has_local;
	unsigned handled; /* requests, in this turn */
	size_t received; /* bytes, in this turn */
	size_t last_left; /* how many bytes of those for the last turn are left in the socket */
	size_t before; /* before the hook for faults, how much had gathered, */
	size_t mark_before; /* and where what a failed handler has written began; */
	bool spilled; /* that has gone out, with calls of the hook that have failed */
	bool looks_at_once; /* for the first request of a client; see opening.c, as for the next two */
	unsigned eager_for;
	unsigned opens;
	uint64_t handler_since; /* the handler has run, with a deadline, since then; else 0 */
	bool closing; /* the close hook has begun. By then it is settled how the client ends: */
	bool closes_at_once; /* it does not linger, */
	bool ends_in_order; /* but its peer is told the end of the stream, */
	bool discards; /* and what the peer has sent is thrown away before the close; */
	bool drained; /* it ends because of a stop */
	bool has_job; /* it has taken a job (engine/crew/jobs.h), */
	struct mtsi_task *task; /* and runs this task of the program; NULL: not yet, or no more */
	bool leaving; /* it has decided to end */
	bool left; /* it is no worker any more */
	char peer[MTSI_ADDRESS_SPACE];
	char local[MTSI_ADDRESS_SPACE];
	char *large; /* NULL until it is needed */
	char small[MTSI_SMALL];
};

/* Sees to it that the worker has its large buffer; false when memory is short. */
bool mtsi_worker_large(struct mtsi_worker *worker);

/* Gives it back. At the worker's end. */
void mtsi_worker_free(struct mtsi_worker *worker);

#endif
