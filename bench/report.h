/* The figures of one run and the line that they make. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "clients.h"
#include "meter.h"

struct reading {
	uint64_t time;
	uint64_t server_cpu;
	uint64_t own_cpu;
	uint64_t requests;
	uint64_t echoed; /* bytes of the firehose */
	uint64_t user;
	uint64_t system;
};

struct figures {
	struct reading begin;
	struct reading end;
	struct meter_memory memory;
	int64_t switches; /* -1: not known */
	uint64_t switch_requests; /* served while those were counted */
	uint64_t all_requests; /* from the first connection to the last reply */
	struct results results;
	int firehose; /* there was one */
	uint64_t server_errors;
};

/* Prints all of it as name=value; "na" is a figure that cannot be had.  Returns how many errors
 * there were. */
uint64_t report(const struct load *load, const struct figures *figures);

/* The same without the latencies, for who has them from elsewhere and prints them in between. */
void report_begin(const struct load *load, const struct figures *figures);
uint64_t report_end(const struct load *load, const struct figures *figures);

#endif
