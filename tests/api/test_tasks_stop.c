/* SPDX-License-Identifier: MIT
 *
 * Tasks and the stop: one that runs is waited for until the deadline, then it is named and given up; none is
 * started any more.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support.h"

enum { TIMEOUT = 200 };

static struct gate inside;
static struct gate go;
static struct gate done;
static struct gate runs;
static struct gate reports;
static char report[256];

static void setup(void)
{
	inside = go = done = runs = reports = (struct gate)GATE;
}

static void wait_in_task(mts_server *server, void *user)
{
	(void)server;
	(void)user;
	gate_add(&inside);
	gate_wait(&go, 1);
	gate_add(&done);
}

static void count_run(mts_server *server, void *user)
{
	(void)server;
	gate_add(user);
}

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	if (level <= MTS_LOG_ERR && gate_count(&reports) == 0) {
		(void)snprintf(report, sizeof(report), "%s", message);
		gate_add(&reports);
	}
}

static mts_server *busy_server(unsigned timeout)
{
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, timeout), 0);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_ERR, NULL), 0);
	server_start(server);
	return server;
}

static void *stop_and_let_go(void *server)
{
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_after(server, 0, count_run, &runs), -ECANCELED);
	gate_add(&go);
	return NULL;
}

/* It is waited for, and what was due meanwhile is not started. */
START_TEST(it_is_waited_for)
{
	pthread_t thread;
	mts_server *server = busy_server(0);
	ck_assert_int_gt(mts_server_every(server, 1, wait_in_task, NULL), 0);
	gate_wait(&inside, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, stop_and_let_go, server), 0);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(gate_count(&done), 1);
	ck_assert_int_eq(gate_count(&inside), 1);
	ck_assert_int_eq(gate_count(&runs), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

START_TEST(it_hangs)
{
	char expected[64];
	mts_server *server = busy_server(TIMEOUT);
	const int64_t task = mts_server_every(server, 1, wait_in_task, NULL);
	ck_assert_int_gt(task, 0);
	gate_wait(&inside, 1);
	const uint64_t before = now_ms();
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	ck_assert_uint_ge(now_ms() - before, TIMEOUT);
	gate_wait(&reports, 1);
	(void)snprintf(
		expected, sizeof(expected), "task %lld: a callback still runs, since ", (long long)task);
	ck_assert_msg(strncmp(report, expected, strlen(expected)) == 0, "%s", report);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_HUNG), 1);
	ck_assert_int_eq(mts_server_cancel(server, task), -EINPROGRESS);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	gate_add(&go);
	gate_wait(&done, 1);
	wait_until(mts_server_destroy(server) == 0);
	ck_assert_int_eq(gate_count(&inside), 1);
}
END_TEST

/* Many are due when the stop comes, and only some of them run: the others never do. */
START_TEST(those_that_wait_for_a_thread)
{
	enum { MANY = 100 };
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_max_threads(server, 2), 0);
	server_start(server);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_gt(mts_server_every(server, 1, wait_in_task, NULL), 0);
	}
	gate_wait(&inside, 2);
	mts_server_stop(server);
	gate_add(&go);
	ck_assert_int_eq(mts_server_join(server), 0);
	const int count = gate_count(&inside);
	ck_assert_int_lt(count, MANY);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(gate_count(&inside), count);
	ck_assert_int_eq(gate_count(&done), count);
}
END_TEST

/* With nothing but tasks that wait for their time, a stop is as quick as ever. */
START_TEST(those_that_wait_for_their_time)
{
	mts_server *server = busy_server(0);
	ck_assert_int_gt(mts_server_every(server, 3600000, count_run, &runs), 0);
	ck_assert_int_gt(mts_server_after(server, 1, count_run, &runs), 0);
	gate_wait(&runs, 1);
	server_end(server);
	ck_assert_int_eq(gate_count(&runs), 1);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("tasks_stop");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, it_is_waited_for);
	tcase_add_test(tcase, it_hangs);
	tcase_add_test(tcase, those_that_wait_for_a_thread);
	tcase_add_test(tcase, those_that_wait_for_their_time);
	return suite_run();
}
