/*
 * Reading what a server's process costs, from outside.
 *
 * The figure that matters is the process's CPU clock (clock_getcpuclockid): nanoseconds of user
 * and system time of all its threads, also of those that have ended, read in one system call
 * right before and right after the measured window.  The kernel's tick counters in /proc would
 * be good for 10 ms at best; they only serve to split that figure in user and system.
 *
 * Context switches exist per living thread alone: what a thread did is forgotten when it ends, so
 * for servers that make a thread for each client the sum over living threads is far too small.
 * That is noticed, by a thread of the first reading that is missing in the second, or by more
 * threads made on the machine than the readings explain, and then no figure is given.
 *
 * VmRSS was a sum of per-thread estimates until Linux 6.2, off by up to 256 KiB a thread, which
 * with 1,000 threads is everything.  So smaps_rollup, which counts pages, is read beside it.
 */
#include "meter.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FEW_REQUESTS 1000

int meter_cpu(pid_t pid, uint64_t *nanoseconds)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) {
		return -1;
	}
	*nanoseconds = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
	return 0;
}

int meter_ticks(pid_t pid, uint64_t *user, uint64_t *system)
{
	char path[64];
	char line[1024];
	char *fields;
	unsigned long long utime, stime;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file) {
		return -1;
	}
	fields = fgets(line, sizeof(line), file);
	fclose(file);
	/* The name, in parentheses, may hold anything, so count from its end. */
	fields = fields ? strrchr(line, ')') : NULL;
	if (!fields
		|| sscanf(
			   fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &utime, &stime)
			!= 2) {
		return -1;
	}
	*user = utime;
	*system = stime;
	return 0;
}

/* Adds up the numbers behind the given line names of a /proc file.  How many lines there were. */
static int sum_fields(const char *path, const char *const *names, uint64_t *sums, size_t count)
{
	char line[256];
	int found = 0;
	FILE *file = fopen(path, "re");

	if (!file) {
		return 0;
	}
	while (fgets(line, sizeof(line), file)) {
		size_t i;

		for (i = 0; i < count; i++) {
			size_t length = strlen(names[i]);

			if (strncmp(line, names[i], length) == 0) {
				sums[i] += strtoull(line + length, NULL, 10);
				found++;
			}
		}
	}
	fclose(file);
	return found;
}

static int task_switches(pid_t pid, const char *tid, uint64_t *switches)
{
	static const char *const names[] = {"voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"};
	uint64_t sums[2] = {0, 0};
	char path[320];

	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, tid);
	if (sum_fields(path, names, sums, 2) != 2) {
		return -1;
	}
	*switches = sums[0] + sums[1];
	return 0;
}

static int by_tid(const void *left, const void *right)
{
	int a = ((const struct meter_task *)left)->tid;
	int b = ((const struct meter_task *)right)->tid;

	return (a > b) - (a < b);
}

static int append(struct meter_tasks *tasks, size_t *room, struct meter_task task)
{
	if (tasks->count == *room) {
		size_t larger = *room ? *room * 2 : 64;
		struct meter_task *grown = realloc(tasks->tasks, larger * sizeof(*grown));

		if (!grown) {
			return -1;
		}
		tasks->tasks = grown;
		*room = larger;
	}
	tasks->tasks[tasks->count++] = task;
	return 0;
}

int meter_tasks(pid_t pid, struct meter_tasks *tasks)
{
	static const char *const made[] = {"processes "};
	struct dirent *entry;
	size_t room = 0;
	char path[64];
	DIR *folder;

	memset(tasks, 0, sizeof(*tasks));
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	folder = opendir(path);
	if (!folder) {
		return -1;
	}
	while ((entry = readdir(folder)) != NULL) {
		struct meter_task task = {.tid = atoi(entry->d_name)};

		/* A thread that ends between the two calls is simply not there. */
		if (task.tid == 0 || task_switches(pid, entry->d_name, &task.switches) != 0) {
			continue;
		}
		if (append(tasks, &room, task) != 0) {
			break;
		}
	}
	closedir(folder);
	qsort(tasks->tasks, tasks->count, sizeof(*tasks->tasks), by_tid);
	return sum_fields("/proc/stat", made, &tasks->created, 1) == 1 && !entry ? 0 : -1;
}

void meter_free(struct meter_tasks *tasks)
{
	free(tasks->tasks);
	memset(tasks, 0, sizeof(*tasks));
}

int64_t meter_switches(
	const struct meter_tasks *before, const struct meter_tasks *after, uint64_t requests)
{
	uint64_t created = after->created - before->created;
	uint64_t fresh = 0;
	int64_t sum = 0;
	size_t i;
	size_t old = 0;

	for (i = 0; i < after->count; i++) {
		const struct meter_task *task = &after->tasks[i];

		sum += (int64_t)task->switches;
		if (old < before->count && before->tasks[old].tid == task->tid) {
			sum -= (int64_t)before->tasks[old++].switches;
		} else {
			fresh++;
		}
	}
	if (old < before->count) {
		return -1;
	}
	/* Others on the machine make processes too; only one in ten requests is a pattern, and
	 * without requests there is nothing to compare with.  With few, the others' would drown it:
	 * there, that the threads are the same in both readings has to do. */
	if (requests > 0 && created > fresh + requests / 10 + 100
		&& (requests >= FEW_REQUESTS || fresh > 0)) {
		return -1;
	}
	return sum;
}

int meter_memory(pid_t pid, struct meter_memory *memory)
{
	static const char *const coarse[] = {"VmRSS:", "RssAnon:", "Threads:"};
	static const char *const exact[] = {"Rss:", "Anonymous:"};
	uint64_t sums[3] = {0, 0, 0};
	uint64_t pages[2] = {0, 0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (sum_fields(path, coarse, sums, 3) != 3) {
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	sum_fields(path, exact, pages, 2);
	memory->rss_kib = sums[0];
	memory->anon_kib = sums[1];
	memory->threads = sums[2];
	memory->exact_rss_kib = pages[0];
	memory->exact_anon_kib = pages[1];
	return 0;
}
