/* SPDX-License-Identifier: MIT
 *
 * Looking at threads: do they compute, or do they wait for something?
 *
 * A thread's CPU clock (pthread_getcpuclockid(3)) tells how much it has computed. But there a
 * thread that is ready to run and gets no CPU looks the same as one that waits. The kernel tells
 * the two apart in /proc/self/task/N/syscall (proc(5)), which says "running" for the first. A
 * process that has changed its user, or may not be dumped, cannot read that file; but it can read
 * the file stat beside it, which says the same at a higher cost. These files are opened anew each
 * time: a descriptor kept for each thread could take a thousand of them from the program. Where
 * there are no such files, or no descriptor is left, the caller has only clocks to go by: the
 * thread's, and that of the whole process.
 *
 * Nothing here can be relied on: a sandbox may deny each of these system calls. What is not known
 * is reported as unknown.
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

void mtsi_observe_self(struct mtsi_observed *observed)
{
	observed->id = (int)syscall(SYS_gettid);
	observed->clocked = pthread_getcpuclockid(pthread_self(), &observed->clock) == 0;
}

uint64_t mtsi_observe_cpu(const struct mtsi_observed *observed)
{
	struct timespec used;
	if (!observed->clocked || clock_gettime(observed->clock, &used) != 0) {
		return 0;
	}
	return (uint64_t)used.tv_sec * MTSI_SECOND + (uint64_t)used.tv_nsec;
}

/*
 * Reads the beginning of one of the kernel's files about the thread, as text; false: it cannot be
 * read.
 */
static bool read_about(
	const struct mtsi_observed *observed, const char *what, char *text, size_t room)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/%s", observed->id, what);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	const ssize_t size = read(fd, text, room - 1);
	(void)close(fd);
	text[size > 0 ? size : 0] = '\0';
	return size > 0;
}

/* What the file stat says: after the name, which may contain anything, R for running. */
static enum mtsi_state state_in(const char *stat)
{
	const char *name_ends = strrchr(stat, ')');
	if (name_ends == NULL || name_ends[1] != ' ' || name_ends[2] == '\0') {
		return MTSI_STATE_UNKNOWN;
	}
	return name_ends[2] == 'R' ? MTSI_STATE_RUNS : MTSI_STATE_WAITS;
}

enum mtsi_state mtsi_observe_state(const struct mtsi_observed *observed)
{
	static const char running[] = "running";
	char text[128];
	if (read_about(observed, "syscall", text, sizeof(running))) {
		return strcmp(text, running) == 0 ? MTSI_STATE_RUNS : MTSI_STATE_WAITS;
	}
	return read_about(observed, "stat", text, sizeof(text)) ? state_in(text) : MTSI_STATE_UNKNOWN;
}

bool mtsi_observe_waits(uint64_t *waits)
{
	struct rusage usage;
	if (getrusage(RUSAGE_THREAD, &usage) != 0) {
		return false;
	}
	*waits = (uint64_t)usage.ru_nvcsw;
	return true;
}

bool mtsi_observe_process(struct mtsi_usage *usage)
{
	struct timespec used;
	usage->at = mtsi_clock_now();
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) {
		return false;
	}
	usage->cpu = (uint64_t)used.tv_sec * MTSI_SECOND + (uint64_t)used.tv_nsec;
	return true;
}

unsigned mtsi_observe_cpus(void)
{
	cpu_set_t allowed;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
		return (unsigned)CPU_COUNT(&allowed);
	}
	/* There are more CPUs than the set holds. */
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (unsigned)online : 1;
}
