/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_OBSERVE_H
#define MTSI_OS_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What is needed to look at a thread of this process from another one. */
struct mtsi_observed {
	int id; /* the kernel's number of the thread */
	bool clocked; /* it has a clock of its CPU time, the next member */
	clockid_t clock;
};

/* Fills it in for the calling thread. */
void mtsi_observe_self(struct mtsi_observed *observed);

/* The CPU time that the thread has used; 0 when it has ended, or the system does not tell. */
uint64_t mtsi_observe_cpu(const struct mtsi_observed *observed);

/* Whether the thread runs or would like to, or waits for something; or the system does not tell. */
enum mtsi_state { MTSI_STATE_RUNS, MTSI_STATE_WAITS, MTSI_STATE_UNKNOWN };
enum mtsi_state mtsi_observe_state(const struct mtsi_observed *observed);

/*
 * How often the calling thread has given up its CPU by itself, to wait for something; false when
 * the system does not tell.
 */
bool mtsi_observe_waits(uint64_t *waits);

/* How much CPU time this process has used until now; false when the system does not tell. */
struct mtsi_usage {
	uint64_t at; /* the time of this */
	uint64_t
		cpu; /* nanoseconds of CPU time; the latest tick of each running thread may be missing */
};
bool mtsi_observe_process(struct mtsi_usage *usage);

/* How many CPUs this process may use. */
unsigned mtsi_observe_cpus(void);

#endif
