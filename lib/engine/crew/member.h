/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CREW_MEMBER_H
#define MTSI_ENGINE_CREW_MEMBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/counters.h"
#include "engine/crew/crew.h"
#include "os/observe.h"

struct mts_client;
struct mts_server;

/*
 * A thread that serves clients, as the crew sees it: the first member of a worker
 * (engine/serve/worker.h). It is in the crew's list from when it enters that to when it leaves it.
 * Members without a remark are the thread's own.
 */
struct mtsi_member {
	struct mts_server *server; /* constant */

	/* The crew's: under its lock. */
	struct mtsi_member *next; /* in the list of all */
	struct mtsi_member *previous;
	struct mtsi_member *next_idle; /* in the stack of idle ones */
	struct mtsi_member *previous_idle;
	struct mtsi_member *next_active; /* in the list of active ones */
	struct mtsi_member *previous_active;
	bool hooked; /* on its way, in the program's hook for new threads */
	bool given_up; /* still in that hook, and no longer on its way */
	bool woken; /* taken from the stack of idle ones, to look for work */
	enum mtsi_standing standing;
	uint64_t stint; /* the number of its present or latest stint; unique in a crew */
	uint64_t seen_stint; /* the watchdog's: the stint in which it last looked at this worker, */
	uint64_t seen_cpu; /* and the CPU time that the worker had used by then */
	uint64_t
		guessed_at; /* since when it is guessed to wait in this stint, unproved; 0: it is not */
	struct mts_client *client; /* written by this thread under the lock; it may read it without */
	struct mtsi_seat *seat; /* where it rests */
	struct mtsi_observed observed; /* constant */
	bool for_jobs; /* constant: it serves no clients; see jobs.c */

	uint64_t now; /* the time, as it was when the last turn, poll or rest ended */
	_Atomic uint64_t since; /* when its client's last bytes or its turn came; any thread reads it */
	struct mtsi_counters counters;
	bool had_job; /* its latest stint was a job, so others come first */
	bool stood_aside; /* it has waited in a call of the library since this was last cleared */
};

#endif
