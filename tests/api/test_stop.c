/* SPDX-License-Identifier: MIT
 *
 * Asking a server to stop: who may ask, when and how often, and what the stop timeout means. What becomes
 * of clients in each state is in test_stop_clients.c, callbacks that do not return in test_stop_hung.c;
 * asking from callbacks is in test_life_inside.c, asking before run in test_life.c.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "watch.h"

static struct watch watch;
static struct gate busy;
static struct gate go;

static void reset(void)
{
	busy = (struct gate)GATE;
	go = (struct gate)GATE;
}

static int wait_and_echo(mts_client *client, const void *request, size_t size, void *user)
{
	gate_add(&busy);
	gate_wait(&go, 1);
	return answer_echo(client, request, size, user);
}

static mts_server *watched_server(mts_handler handler, unsigned timeout)
{
	return watch_server(&watch, handler, timeout, 0);
}

static int connect_and_talk(const mts_server *server)
{
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	return peer;
}

/* Returns at once, and again when there is nothing left to stop. */
START_TEST(from_another_thread)
{
	mts_server *server = watched_server(answer_echo, 5000);
	server_start(server);
	const int peer = connect_and_talk(server);
	const uint64_t took = watch_stop(server, 5000, 0);
	ck_assert_uint_lt(took, 5000);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	peer_expect_end(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

static void *stop_it(void *server)
{
	gate_wait(&go, 1);
	mts_server_stop(server);
	mts_server_stop(server);
	return NULL;
}

START_TEST(from_many_threads)
{
	enum { STOPPERS = 8 };
	pthread_t stoppers[STOPPERS];
	mts_server *server = watched_server(answer_echo, 5000);
	for (int i = 0; i < STOPPERS; i++) {
		ck_assert_int_eq(pthread_create(&stoppers[i], NULL, stop_it, server), 0);
	}
	server_start(server);
	const int peer = connect_and_talk(server);
	gate_add(&go);
	ck_assert_int_eq(mts_server_join(server), 0);
	for (int i = 0; i < STOPPERS; i++) {
		ck_assert_int_eq(pthread_join(stoppers[i], NULL), 0);
	}
	ck_assert_int_eq(gate_count(&watch.stopping), 1);
	peer_expect_end(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

static mts_server *_Atomic signalled;
static _Atomic int signals_handled;
static _Atomic int errno_changed;

static void stop_on_signal(int number)
{
	const int before = errno;
	(void)number;
	for (int value = 1; value < 200; value++) {
		errno = value;
		mts_server_stop(atomic_load(&signalled));
		if (errno != value) {
			atomic_store(&errno_changed, 1);
		}
	}
	atomic_fetch_add(&signals_handled, 1);
	errno = before;
}

/* Kills the thread that is in run, once that serves. */
static void *send_signal(void *main_thread)
{
	const int peer = connect_and_talk(atomic_load(&signalled));
	ck_assert_int_eq(pthread_kill(*(pthread_t *)main_thread, SIGUSR1), 0);
	peer_expect_end(peer);
	close(peer);
	return NULL;
}

/* On the very thread that waits in run. */
START_TEST(from_a_signal_handler)
{
	pthread_t thread;
	pthread_t self = pthread_self();
	const struct sigaction action = {.sa_handler = stop_on_signal};
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	mts_server *server = watched_server(answer_echo, 5000);
	atomic_store(&signalled, server);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_signal, &self), 0);
	ck_assert_int_eq(mts_server_run(server), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(atomic_load(&signals_handled), 1);
	ck_assert_int_eq(atomic_load(&errno_changed), 0);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* A signal that comes before run is not lost either. */
START_TEST(from_a_signal_handler_before_run)
{
	const struct sigaction action = {.sa_handler = stop_on_signal};
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	mts_server *server = watched_server(answer_echo, 5000);
	atomic_store(&signalled, server);
	ck_assert_int_eq(raise(SIGUSR1), 0);
	ck_assert_int_eq(atomic_load(&errno_changed), 0);
	ck_assert_int_eq(mts_server_run(server), 0);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 0);
}
END_TEST

/* Nobody comes in any more; whoever is in the kernel's queue is turned away. */
START_TEST(no_new_clients)
{
	mts_server *server = watched_server(wait_and_echo, 5000);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hello");
	gate_wait(&busy, 1);
	const int late = peer_connect(server, 0);
	mts_server_stop(server);
	gate_wait(&watch.stopping, 1);
	peer_expect_gone(late);
	ck_assert_int_eq(gate_count(&go), 0);
	gate_add(&go);
	ck_assert_int_eq(mts_server_join(server), 0);
	peer_expect_text(peer, "hello");
	peer_expect_end(peer);
	close(late);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* 0 is no deadline at all: it takes as long as the handler does. */
START_TEST(timeout_of_zero)
{
	mts_server *server = watched_server(wait_and_echo, 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hello");
	gate_wait(&busy, 1);
	mts_server_stop(server);
	gate_wait(&watch.stopping, 1);
	struct pollfd idle = {.fd = peer, .events = POLLIN};
	ck_assert_int_eq(poll(&idle, 1, 300), 0); /* nothing is cut meanwhile */
	gate_add(&go);
	ck_assert_int_eq(mts_server_join(server), 0);
	peer_expect_text(peer, "hello");
	peer_expect_end(peer);
	close(peer);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* Whatever the timeout, a server without work stops at once. */
static const unsigned timeouts[] = {0, 1, 2, 10, INT_MAX, UINT_MAX};

START_TEST(idle_with_any_timeout)
{
	mts_server *server = watched_server(answer_echo, timeouts[_i]);
	server_start(server);
	const int peer = connect_and_talk(server);
	watch_stop(server, 0, 0);
	peer_expect_end(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* It may be set while the server runs, but the deadline of a stop that has begun stays. */
START_TEST(timeout_set_meanwhile)
{
	mts_server *server = watched_server(wait_and_echo, 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hello");
	gate_wait(&busy, 1);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 200), 0);
	const uint64_t start = now_ms();
	mts_server_stop(server);
	gate_wait(&watch.stopping, 1);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 100000), 0);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	ck_assert_uint_lt(now_ms() - start, 100000);
	gate_add(&go);
	gate_wait(&watch.closed, 1);
	while (mts_server_destroy(server) == -EBUSY) {
		poll(NULL, 0, 1);
	}
	peer_expect_gone(peer);
	close(peer);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* Hundreds of clients go as one. */
START_TEST(crowd)
{
	enum { CROWD = 400 };
	int peers[CROWD];
	mts_server *server = watched_server(answer_echo, 5000);
	server_start(server);
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(server, 0);
		if (i % 2 == 0) {
			peer_ask(peers[i], "hello");
		}
	}
	gate_wait(&watch.opened, CROWD);
	ck_assert_uint_lt(watch_stop(server, 5000, 0), 5000);
	for (int i = 0; i < CROWD; i++) {
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), CROWD);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CLOSED), CROWD);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, CROWD);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stop");
	tcase_add_checked_fixture(cases, reset, NULL);
	tcase_add_test(cases, from_another_thread);
	tcase_add_test(cases, from_many_threads);
	tcase_add_test(cases, from_a_signal_handler);
	tcase_add_test(cases, from_a_signal_handler_before_run);
	tcase_add_test(cases, no_new_clients);
	tcase_add_test(cases, timeout_of_zero);
	tcase_add_loop_test(
		cases, idle_with_any_timeout, 0, (int)(sizeof(timeouts) / sizeof(timeouts[0])));
	tcase_add_test(cases, timeout_set_meanwhile);
	tcase_add_test(cases, crowd);
	return suite_run();
}
