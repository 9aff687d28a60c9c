/* SPDX-License-Identifier: MIT
 *
 * The record is kept under a mutex of its own, and judged by the test's thread at the end: hooks only note
 * what they see.
 */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lateness.h"

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
	mts_server *server = server_on(family, handler, NULL);
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

uint64_t watch_stop(mts_server *server, unsigned timeout, int result)
{
	lateness_begin(timeout);
	const uint64_t start = now_us();
	mts_server_stop(server);
	if (result == 0) {
		server_join(server);
	} else {
		ck_assert_int_eq(mts_server_join(server), result);
	}
	const uint64_t took = now_us() - start;
	const uint64_t late = lateness_end();
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

void watch_destroy_at_last(mts_server *server)
{
	int result;
	wait_until((result = mts_server_destroy(server)) != -EBUSY);
	ck_assert_int_eq(result, 0);
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

static int threads_before;
static int descriptors_before;

void remember_what_there_is(void)
{
	threads_before = settled_threads();
	descriptors_before = count_descriptors();
}

void expect_nothing_left(void)
{
	wait_threads(threads_before);
	ck_assert_int_eq(count_descriptors(), descriptors_before);
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
