/* SPDX-License-Identifier: MIT
 *
 * Two measures, added up.
 *
 * On each CPU there is a pacer: a thread that wants to run every millisecond, and adds up by how
 * much it was late. That shows a machine that stands still for a while.
 *
 * A shared machine lets a thread go first that has just slept. So the pacers may notice nothing,
 * while the keeper, which has a thousand clients to cut off, gets only a part of a CPU. The
 * scheduler's own account says for how long the keeper was ready and could not run: schedstat,
 * described in the kernel's Documentation/scheduler/sched-stats.rst. It is gone when the keeper is,
 * so a pacer reads it all the time.
 *
 * A sanitizer, or valgrind, makes all that a thread does several times as long, and lets a thousand
 * that end wait for each other. There the time that all threads have computed since the deadline is
 * added. It is next to nothing where a stop only waits for what does not come.
 */
#include "lateness.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PACERS = 16, KEEPERS = 8 };

struct pacer {
	pthread_t thread;
	int cpu;
	bool reads; /* this one also reads the accounts */
	uint64_t late; /* microseconds */
};

struct account {
	int file;
	uint64_t waited; /* nanoseconds, as last read */
};

static struct pacer pacers[PACERS];
static int pacers_count;
static struct account accounts[KEEPERS];
static int accounts_count;
static uint64_t deadline; /* of the stop, as now_us() tells */
static uint64_t waited_by_then; /* nanoseconds, all keepers together */
static uint64_t computed_by_then; /* milliseconds, all threads together */
static _Atomic bool over;

static uint64_t waited_in_all(void)
{
	uint64_t sum = 0;
	for (int i = 0; i < accounts_count; i++) {
		sum += accounts[i].waited;
	}
	return sum;
}

static void read_accounts(void)
{
	const bool early = now_us() < deadline;
	for (int i = 0; i < accounts_count; i++) {
		char text[80];
		const ssize_t size = pread(accounts[i].file, text, sizeof(text) - 1, 0);
		if (size > 0) {
			text[size] = '\0';
			(void)sscanf(text, "%*s %" SCNu64, &accounts[i].waited);
		}
	}
	if (early) {
		waited_by_then = waited_in_all();
		computed_by_then = cpu_ms();
	}
}

static void *pace(void *argument)
{
	struct pacer *pacer = argument;
	cpu_set_t own;
	CPU_ZERO(&own);
	CPU_SET((size_t)pacer->cpu, &own);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
	while (!atomic_load(&over)) {
		const uint64_t before = now_us();
		poll(NULL, 0, 1);
		const uint64_t took = now_us() - before;
		pacer->late += took > 2000 ? took - 2000 : 0;
		if (pacer->reads) {
			read_accounts();
		}
	}
	return NULL;
}

/* One for each CPU that this process may use. */
static void start_pacers(void)
{
	cpu_set_t all;
	CPU_ZERO(&all);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	pacers_count = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && pacers_count < PACERS; cpu++) {
		if (CPU_ISSET((size_t)cpu, &all)) {
			struct pacer *pacer = &pacers[pacers_count];
			*pacer = (struct pacer){.cpu = cpu, .reads = pacers_count == 0};
			ck_assert_int_eq(pthread_create(&pacer->thread, NULL, pace, pacer), 0);
			pacers_count++;
		}
	}
}

static bool is_keeper(int task)
{
	char name[16] = "";
	const int comm = openat(task, "comm", O_RDONLY | O_CLOEXEC);
	if (comm >= 0) {
		(void)!read(comm, name, sizeof(name) - 1);
		close(comm);
	}
	return strcmp(name, "mts-keeper\n") == 0;
}

static void open_accounts(void)
{
	DIR *tasks = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(tasks);
	accounts_count = 0;
	for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
		const int task = openat(dirfd(tasks), entry->d_name, O_DIRECTORY | O_CLOEXEC);
		if (task >= 0 && accounts_count < KEEPERS && is_keeper(task)) {
			const int file = openat(task, "schedstat", O_RDONLY | O_CLOEXEC);
			if (file >= 0) { /* a kernel may not have the file */
				accounts[accounts_count++] = (struct account){.file = file};
			}
		}
		if (task >= 0) {
			close(task);
		}
	}
	(void)closedir(tasks);
}

void lateness_begin(unsigned timeout)
{
	atomic_store(&over, false);
	open_accounts();
	read_accounts();
	waited_by_then = waited_in_all();
	computed_by_then = cpu_ms();
	deadline = now_us() + timeout * UINT64_C(1000);
	start_pacers();
}

uint64_t lateness_end(void)
{
	uint64_t late = 0;
	atomic_store(&over, true);
	for (int i = 0; i < pacers_count; i++) {
		ck_assert_int_eq(pthread_join(pacers[i].thread, NULL), 0);
		late += pacers[i].late;
	}
	for (int i = 0; i < accounts_count; i++) {
		close(accounts[i].file);
	}
	late += (waited_in_all() - waited_by_then) / 1000;
	/* Three waits follow each other, for clients, for threads and for the log: each may be so late. */
	late *= 3;
	return is_slowed() ? late + (cpu_ms() - computed_by_then) * 1000 : late;
}
