/* SPDX-License-Identifier: MIT
 *
 * Destructors of thread-specific data (pthread_key_create(3)), which C++ programs have without knowing.
 * They run when a worker of the library has done all it had to do, so nothing but its thread's end is
 * still missing; a stop waits for that, but no longer than for anything else that is the program's.
 *
 * A destructor here says that it has come, and ends when it is told to. The first requests meet in their
 * handlers, so that each is on a thread of its own, in either model. With a thread per client nothing but
 * the stop makes a worker end, since each has a client that stays; on demand one that has rested may end
 * before, and then hangs there already.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

enum { TIMEOUT = 200, LONG_TIMEOUT = 30000, PEERS = 3 };

static struct watch watch;
static struct gate handling = GATE;
static _Atomic int handlers; /* that meet */
static struct gate entered = GATE; /* destructors */
static struct gate go = GATE; /* they may end */
static struct gate ended = GATE;
static pthread_key_t key;

/* What the log said at level ERR; written before it is counted. */
static char report[256];
static struct gate reports = GATE;

static void destructor(void *value)
{
	(void)value;
	gate_add(&entered);
	gate_wait(&go, 1);
	gate_add(&ended);
}

static void remember(void)
{
	ck_assert_int_eq(pthread_key_create(&key, destructor), 0);
	remember_what_there_is();
}

static void nothing_left(void)
{
	expect_nothing_left();
	ck_assert_int_eq(pthread_key_delete(key), 0);
}

/* Gives its thread something to destroy. */
static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	ck_assert_int_eq(pthread_setspecific(key, &key), 0);
	gate_add(&handling);
	gate_wait(&handling, atomic_load(&handlers));
	mts_client_write(client, request, size);
	return MTS_KEEP;
}

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	if (level <= MTS_LOG_ERR) {
		snprintf(report, sizeof(report), "%s", message);
		gate_add(&reports);
	}
}

static mts_server *new_server(unsigned timeout)
{
	mts_server *server = watch_server(&watch, handler, timeout, 0);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_DEBUG, NULL), 0);
	return server;
}

/* Clients whose threads all have something to destroy. */
static void connect_all(const mts_server *server, int *peers, int count)
{
	atomic_store(&handlers, count);
	for (int i = 0; i < count; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "hello");
	}
	for (int i = 0; i < count; i++) {
		peer_expect_text(peers[i], "hello");
	}
}

/* All but the ends of the threads has come to its own end, and the log says what is missing. */
static void expect_report(const int *peers, int count)
{
	gate_wait(&reports, 1);
	ck_assert_int_eq(gate_count(&reports), 1);
	ck_assert_msg(strstr(report, "destructor") != NULL, "%s", report);
	watch_expect(&watch, MTS_CLOSED_STOP, count);
	for (int i = 0; i < count; i++) {
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
}

/* One thread, and several: each of them is told of. */
START_TEST(hung_destructor)
{
	const int count = _i == 0 ? 1 : PEERS;
	int peers[PEERS];
	mts_server *server = new_server(TIMEOUT);
	server_start(server);
	connect_all(server, peers, count);
	watch_stop(server, TIMEOUT, -EBUSY);
	gate_wait(&entered, count);
	server_wait_stat(server, MTS_STAT_HUNG, (uint64_t)count);
	expect_report(peers, count);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	ck_assert_int_eq(gate_count(&ended), 0);
	gate_add(&go);
	watch_destroy_at_last(server);
	ck_assert_int_eq(gate_count(&ended), count);
	ck_assert_int_eq(gate_count(&reports), 1);
}
END_TEST

struct runner {
	pthread_t thread;
	mts_server *server;
	int result;
};

static void *run(void *argument)
{
	struct runner *runner = argument;
	runner->result = mts_server_run(runner->server);
	return NULL;
}

/* run gives up when join does, on which the stop is timed. */
START_TEST(hung_destructor_of_run)
{
	int peer;
	struct runner runner = {.server = new_server(TIMEOUT)};
	ck_assert_int_eq(pthread_create(&runner.thread, NULL, run, &runner), 0);
	connect_all(runner.server, &peer, 1);
	watch_stop(runner.server, TIMEOUT, -EBUSY);
	ck_assert_int_eq(pthread_join(runner.thread, NULL), 0);
	ck_assert_int_eq(runner.result, -EBUSY);
	expect_report(&peer, 1);
	ck_assert_int_eq(gate_count(&ended), 0);
	gate_add(&go);
	watch_destroy_at_last(runner.server);
	ck_assert_int_eq(gate_count(&ended), 1);
}
END_TEST

/* Nobody stops it but destroy, which has the same deadline. */
START_TEST(destroy_alone)
{
	int peer;
	mts_server *server = new_server(TIMEOUT);
	server_start(server);
	connect_all(server, &peer, 1);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	expect_report(&peer, 1);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	gate_add(&go);
	watch_destroy_at_last(server);
	ck_assert_int_eq(gate_count(&ended), 1);
}
END_TEST

static void *release(void *nothing)
{
	gate_wait(&entered, 1);
	ck_assert_int_eq(gate_count(&ended), 0);
	gate_add(&go);
	return nothing;
}

/* Before the deadline a destructor is waited for, and no cause for complaint. */
START_TEST(slow_destructor)
{
	int peers[PEERS];
	pthread_t releaser;
	mts_server *server = new_server(LONG_TIMEOUT);
	server_start(server);
	connect_all(server, peers, PEERS);
	ck_assert_int_eq(pthread_create(&releaser, NULL, release, NULL), 0);
	watch_stop_well(server, LONG_TIMEOUT);
	ck_assert_int_eq(gate_count(&ended), PEERS);
	ck_assert_int_eq(gate_count(&reports), 0);
	watch_destroy(server);
	ck_assert_int_eq(pthread_join(releaser, NULL), 0);
	watch_expect(&watch, MTS_CLOSED_STOP, PEERS);
	for (int i = 0; i < PEERS; i++) {
		close(peers[i]);
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stop, destructors");
	tcase_add_checked_fixture(cases, remember, nothing_left);
	tcase_add_loop_test(cases, hung_destructor, 0, 2);
	tcase_add_test(cases, hung_destructor_of_run);
	tcase_add_test(cases, destroy_alone);
	tcase_add_test(cases, slow_destructor);
	return suite_run();
}
