/* SPDX-License-Identifier: MIT
 *
 * The record is kept under a mutex of its own, and judged by the test's thread at the end: hooks only note
 * what they see.
 *
 * While a stop is timed there is a pacer on each CPU: a thread that wants to run every millisecond, and
 * adds up by how much it was late. What it was denied, the server's threads there were denied as well.
 * That shows a machine that stands still. One that is shared lets who has just slept go first, so the
 * pacers notice nothing while the keeper, which has a thousand clients to cut off, gets a part of a CPU
 * only. For how long it was ready and not let is in the scheduler's own account of it: schedstat, which
 * the kernel's Documentation/scheduler/sched-stats.rst describes.
 */
#include "watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static void note_fault(struct watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	watch->faults++;
	pthread_mutex_unlock(&watch->mutex);
}

int watch_open(mts_client *client, void *user)
{
	struct watch *watch = user;
	pthread_mutex_lock(&watch->mutex);
	struct watch_entry *entry = &watch->entries[watch->seen++ % WATCH_CLIENTS];
	entry->id = mts_client_id(client);
	entry->closes = 0;
	pthread_mutex_unlock(&watch->mutex);
	mts_client_set_data(client, entry);
	gate_add(&watch->opened);
	return 0;
}

void watch_close(mts_client *client, int reason, void *user)
{
	struct watch *watch = user;
	struct watch_entry *entry = mts_client_data(client);
	if (entry == NULL || reason < 0 || reason >= WATCH_REASONS) {
		note_fault(watch);
	} else {
		pthread_mutex_lock(&watch->mutex);
		watch->faults += entry->id != mts_client_id(client) || entry->closes++ != 0;
		watch->reasons[reason]++;
		pthread_mutex_unlock(&watch->mutex);
	}
	gate_add(&watch->closed);
}

static void note_log(int level, const char *message, void *user)
{
	struct watch *watch = user;
	if (level == MTS_LOG_INFO && strncmp(message, "stopping", 8) == 0) {
		gate_add(&watch->stopping);
	}
}

void watch_install(struct watch *watch, mts_server *server)
{
	memset(watch, 0, sizeof(*watch));
	watch->opened = (struct gate)GATE;
	watch->closed = (struct gate)GATE;
	watch->stopping = (struct gate)GATE;
	pthread_mutex_init(&watch->mutex, NULL);
	ck_assert_int_eq(mts_server_on_open(server, watch_open, watch), 0);
	ck_assert_int_eq(mts_server_on_close(server, watch_close, watch), 0);
	ck_assert_int_eq(mts_server_on_log(server, note_log, MTS_LOG_INFO, watch), 0);
}

mts_server *watch_server(struct watch *watch, mts_handler handler, unsigned timeout, int family)
{
	char address[64] = "127.0.0.1:0";
	if (family == 1) {
		snprintf(address, sizeof(address), "unix:@mts-watch-%d", (int)getpid());
	}
	mts_server *server = server_create(handler, NULL);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(mts_server_listen(server, address), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, timeout), 0);
	watch_install(watch, server);
	return server;
}

void watch_expect_some(struct watch *watch, int reason, int count)
{
	const int opened = gate_count(&watch->opened);
	const int closed = gate_count(&watch->closed);
	ck_assert_msg(opened == closed, "%d were opened, %d closed", opened, closed);
	pthread_mutex_lock(&watch->mutex);
	const int had = watch->reasons[reason];
	const int faults = watch->faults;
	pthread_mutex_unlock(&watch->mutex);
	ck_assert_msg(had == count, "%d of %d were closed for \"%s\", not %d", had, closed,
		mts_closed_name(reason), count);
	ck_assert_int_eq(faults, 0);
}

void watch_expect(struct watch *watch, int reason, int count)
{
	ck_assert_int_eq(gate_count(&watch->opened), count);
	watch_expect_some(watch, reason, count);
}

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

enum { PACERS = 16, KEEPERS = 8 };

struct pacer {
	pthread_t thread;
	int cpu;
	_Atomic bool over;
	_Atomic uint64_t late; /* microseconds */
};

static void *pace(void *argument)
{
	struct pacer *pacer = argument;
	cpu_set_t own;
	CPU_ZERO(&own);
	CPU_SET((size_t)pacer->cpu, &own);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(own), &own);
	while (!atomic_load(&pacer->over)) {
		const uint64_t before = now_us();
		poll(NULL, 0, 1);
		const uint64_t took = now_us() - before;
		atomic_fetch_add(&pacer->late, took > 2000 ? took - 2000 : 0);
	}
	return NULL;
}

/* The scheduler's account of the keepers, which is gone when they are, so it is read all the time. */
struct accounts {
	pthread_t thread;
	int files[KEEPERS];
	int count;
	uint64_t waited[KEEPERS]; /* nanoseconds, as last read */
	uint64_t deadline; /* of the stop, as now_us() tells */
	uint64_t before; /* what they had waited by then */
	_Atomic bool over;
};

static void read_accounts(struct accounts *accounts)
{
	for (int i = 0; i < accounts->count; i++) {
		char text[80];
		const ssize_t size = pread(accounts->files[i], text, sizeof(text) - 1, 0);
		if (size > 0) {
			text[size] = '\0';
			(void)sscanf(text, "%*s %" SCNu64, &accounts->waited[i]);
		}
	}
}

static uint64_t waited_in_all(const struct accounts *accounts)
{
	uint64_t sum = 0;
	for (int i = 0; i < accounts->count; i++) {
		sum += accounts->waited[i];
	}
	return sum;
}

static void *keep_accounts(void *argument)
{
	struct accounts *accounts = argument;
	while (!atomic_load(&accounts->over)) {
		const bool early = now_us() < accounts->deadline;
		read_accounts(accounts);
		if (early) {
			accounts->before = waited_in_all(accounts);
		}
		poll(NULL, 0, 1);
	}
	return NULL;
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

static void open_accounts(struct accounts *accounts, uint64_t deadline)
{
	DIR *tasks = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(tasks);
	memset(accounts, 0, sizeof(*accounts));
	accounts->deadline = deadline;
	for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
		const int task = openat(dirfd(tasks), entry->d_name, O_DIRECTORY | O_CLOEXEC);
		if (task >= 0 && accounts->count < KEEPERS && is_keeper(task)) {
			const int file = openat(task, "schedstat", O_RDONLY | O_CLOEXEC);
			if (file >= 0) { /* a kernel may have none */
				accounts->files[accounts->count++] = file;
			}
		}
		if (task >= 0) {
			close(task);
		}
	}
	(void)closedir(tasks);
	ck_assert_int_eq(pthread_create(&accounts->thread, NULL, keep_accounts, accounts), 0);
}

/* How long keepers were ready to run after the deadline, and not let, in microseconds. */
static uint64_t close_accounts(struct accounts *accounts)
{
	atomic_store(&accounts->over, true);
	ck_assert_int_eq(pthread_join(accounts->thread, NULL), 0);
	for (int i = 0; i < accounts->count; i++) {
		close(accounts->files[i]);
	}
	return (waited_in_all(accounts) - accounts->before) / 1000;
}

/* One for each CPU that this process may use; how many. */
static int start_pacers(struct pacer *pacers)
{
	cpu_set_t all;
	int count = 0;
	CPU_ZERO(&all);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE && count < PACERS; cpu++) {
		if (CPU_ISSET((size_t)cpu, &all)) {
			struct pacer *pacer = &pacers[count++];
			pacer->cpu = cpu;
			atomic_init(&pacer->over, false);
			atomic_init(&pacer->late, 0);
			ck_assert_int_eq(pthread_create(&pacer->thread, NULL, pace, pacer), 0);
		}
	}
	return count;
}

/* How late they were, all together, in microseconds. */
static uint64_t end_pacers(struct pacer *pacers, int count)
{
	uint64_t late = 0;
	for (int i = 0; i < count; i++) {
		atomic_store(&pacers[i].over, true);
		ck_assert_int_eq(pthread_join(pacers[i].thread, NULL), 0);
		late += atomic_load(&pacers[i].late);
	}
	return late;
}

uint64_t watch_stop(mts_server *server, unsigned timeout, int result)
{
	struct pacer pacers[PACERS];
	struct accounts accounts;
	open_accounts(&accounts, now_us() + timeout * UINT64_C(1000));
	const int count = start_pacers(pacers);
	const uint64_t start = now_us();
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), result);
	const uint64_t took = now_us() - start;
	const uint64_t late = end_pacers(pacers, count) + close_accounts(&accounts);
	ck_assert_msg(took <= (timeout + 100) * UINT64_C(1000) + late,
		"it took %llu us to stop, with %u ms allowed (the machine was %llu us late)",
		(unsigned long long)took, timeout, (unsigned long long)late);
	return took / 1000;
}

void watch_stop_well(mts_server *server, unsigned timeout)
{
	const uint64_t took = watch_stop(server, timeout, 0);
	ck_assert_msg(took < timeout, "it took %llu ms", (unsigned long long)took);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
}

void watch_stop_by_cut(mts_server *server, unsigned timeout, unsigned count)
{
	const uint64_t took = watch_stop(server, timeout, 0);
	ck_assert_msg(took >= timeout, "it took %llu ms", (unsigned long long)took);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), count);
}

void watch_destroy(mts_server *server)
{
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

void wait_threads(int count)
{
	const uint64_t start = now_ms();
	while (count_threads() != count) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "there are %d threads instead of %d",
			count_threads(), count);
		poll(NULL, 0, 1);
	}
}

static void *tell_number(void *number)
{
	*(pid_t *)number = gettid();
	return NULL;
}

int settled_threads(void)
{
	pthread_t thread;
	pid_t number = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, tell_number, &number), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	const uint64_t start = now_ms();
	while (tgkill(getpid(), number, 0) == 0) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "a thread does not go");
		poll(NULL, 0, 1);
	}
	return count_threads();
}

void wait_unread(int fd, int count)
{
	const uint64_t start = now_ms();
	int unread = 0;
	while (ioctl(fd, FIONREAD, &unread) == 0 && unread < count) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "%d of %d bytes came", unread, count);
		poll(NULL, 0, 1);
	}
	ck_assert_int_eq(unread, count);
}
