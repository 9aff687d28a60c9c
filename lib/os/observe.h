/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_OBSERVE_H
#define MTSI_OS_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What it takes to look at a thread of this process from another one. */
struct mtsi_observed {
	int id; /* the kernel's number of the thread */
	clockid_t clock; /* of its CPU time */
};

/* The calling thread. */
void mtsi_observe_self(struct mtsi_observed *observed);

/* The CPU time that it has used; 0 when it has ended. */
uint64_t mtsi_observe_cpu(const struct mtsi_observed *observed);

/* Whether it runs or would like to, or waits for something; or this system does not tell. */
enum mtsi_state { MTSI_STATE_RUNS, MTSI_STATE_WAITS, MTSI_STATE_UNKNOWN };
enum mtsi_state mtsi_observe_state(const struct mtsi_observed *observed);

/* How often the calling thread has given up its CPU by itself, to wait for something. */
uint64_t mtsi_observe_waits(void);

/* How many CPUs this process may use. */
unsigned mtsi_observe_cpus(void);

#endif
