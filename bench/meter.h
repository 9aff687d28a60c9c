/* What a server's process costs, by the kernel's accounting; meter.c says how it is read. */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct meter_task {
	int tid;
	uint64_t switches;
};

/* The slow reading: its walk over the threads takes milliseconds when there are many. */
struct meter_tasks {
	struct meter_task *tasks; /* ascending by tid; meter_free */
	size_t count;
	uint64_t created; /* tasks that the whole machine ever made */
};

struct meter_memory {
	uint64_t rss_kib; /* VmRSS and RssAnon, which older kernels only approximate */
	uint64_t anon_kib;
	uint64_t exact_rss_kib; /* by a walk over the pages; 0 where the kernel does not tell */
	uint64_t exact_anon_kib;
	uint64_t threads;
};

/* User and system time of all threads, also those that have ended, in ns.  -1: it is gone. */
int meter_cpu(pid_t pid, uint64_t *nanoseconds);

/* The two separately, in clock ticks, too coarse for anything but their proportion. */
int meter_ticks(pid_t pid, uint64_t *user, uint64_t *system);

int meter_tasks(pid_t pid, struct meter_tasks *tasks);
void meter_free(struct meter_tasks *tasks);
int meter_memory(pid_t pid, struct meter_memory *memory);

/* The context switches from one reading to the other.  -1: not known, since threads came and went
 * in between and the kernel forgets theirs; requests is how many were served meanwhile. */
int64_t meter_switches(
	const struct meter_tasks *before, const struct meter_tasks *after, uint64_t requests);

#endif
