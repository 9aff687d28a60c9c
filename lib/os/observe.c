/* SPDX-License-Identifier: MIT
 *
 * Looking at threads: do they compute, or do they wait for something?
 *
 * A thread's CPU clock (pthread_getcpuclockid(3)) tells how much it has computed, but one that is
 * ready to run and gets no CPU looks the same there as one that waits. The kernel tells the two
 * apart in /proc/self/task/N/syscall (proc(5)), which says "running" for the first. The file is
 * opened anew each time, since a descriptor kept for each thread would take a thousand of them from
 * the program. Where there is no such file, or no descriptor left, the caller has to do with the
 * clock.
 */
#include "os/observe.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/must.h"

void mtsi_observe_self(struct mtsi_observed *observed)
{
	observed->id = (int)syscall(SYS_gettid);
	mtsi_must(pthread_getcpuclockid(pthread_self(), &observed->clock) == 0);
}

uint64_t mtsi_observe_cpu(const struct mtsi_observed *observed)
{
	struct timespec used;
	if (clock_gettime(observed->clock, &used) != 0) {
		return 0;
	}
	return (uint64_t)used.tv_sec * MTSI_SECOND + (uint64_t)used.tv_nsec;
}

enum mtsi_state mtsi_observe_state(const struct mtsi_observed *observed)
{
	static const char running[] = "running";
	char path[64];
	char text[sizeof(running) - 1];
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", observed->id);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return MTSI_STATE_UNKNOWN;
	}
	const ssize_t size = read(fd, text, sizeof(text));
	(void)close(fd);
	if (size <= 0) {
		return MTSI_STATE_UNKNOWN;
	}
	const bool runs = size == (ssize_t)sizeof(text) && memcmp(text, running, sizeof(text)) == 0;
	return runs ? MTSI_STATE_RUNS : MTSI_STATE_WAITS;
}

uint64_t mtsi_observe_waits(void)
{
	struct rusage usage;
	mtsi_must(getrusage(RUSAGE_THREAD, &usage) == 0);
	return (uint64_t)usage.ru_nvcsw;
}

unsigned mtsi_observe_cpus(void)
{
	cpu_set_t allowed;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
		return (unsigned)CPU_COUNT(&allowed);
	}
	/* There are more than the set holds. */
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (unsigned)online : 1;
}
