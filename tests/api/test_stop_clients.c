/* SPDX-License-Identifier: MIT
 *
 * What a stop does to clients, in whatever state it meets them: idle, half way through a request, in a
 * handler, with requests waiting, in a conversation, or still without a thread. Each gets what it was
 * promised, and its close hook once, with the right reason. Every test runs over TCP and over a Unix
 * socket, which differ in what their ends mean. Output that waits is in test_stop_output.c.
 *
 * Requests are lines. What a handler does is said in the line; one that waits does so until the stop has
 * begun, which the log tells, so that no test depends on time.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

enum { LONG = 20000, SHORT = 50 }; /* a stop timeout that is not reached, and one that is */

static struct watch watch;
static struct gate waiting; /* handlers that have begun to wait */
static struct gate lost; /* those whose peer has gone meanwhile */
static struct gate cut; /* those that the stop has cut off */
static _Atomic int served; /* the descriptor of the latest client that waits */
static _Atomic int answer; /* what the call under test has returned */
static _Atomic int gone; /* what mts_client_gone() said during the stop */
static mts_server *server;

static void wait_for_stop(mts_client *client)
{
	atomic_store(&served, mts_client_fd(client));
	gate_add(&waiting);
	gate_wait(&watch.stopping, 1);
}

static int converse(mts_client *client)
{
	const void *request = "";
	size_t size = 1;
	gate_add(&waiting);
	atomic_store(&answer, mts_client_next(client, &request, &size));
	if (mts_client_next(client, &request, &size) != atomic_load(&answer)) {
		atomic_store(&answer, 1000); /* it does not change its mind */
	}
	mts_client_puts(client, "bye\n");
	return MTS_KEEP;
}

static int read_on(mts_client *client)
{
	char bytes[16];
	gate_add(&waiting);
	atomic_store(&answer, (int)mts_client_read(client, bytes, sizeof(bytes)));
	mts_client_puts(client, "bye\n");
	return MTS_KEEP;
}

/* Writes until that fails, since the peer has gone or the stop cuts it off; waits for such a cut. */
static void pour(mts_client *client)
{
	static const char much[100000];
	gate_add(&waiting);
	while (mts_client_write(client, much, sizeof(much)) == 0) {
	}
	gate_add(mts_client_gone(client) == MTS_GONE_STOP ? &cut : &lost);
	gate_wait(&cut, 1);
}

static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	(void)size;
	(void)user;
	if (strcmp(line, "next") == 0) {
		return converse(client);
	}
	if (strcmp(line, "read") == 0) {
		return read_on(client);
	}
	if (strcmp(line, "pour") == 0) {
		pour(client);
	}
	if (strncmp(line, "wait", 4) == 0) {
		wait_for_stop(client);
		atomic_store(&gone, mts_client_gone(client));
	}
	mts_client_printf(client, "%s\n", line);
	return strcmp(line, "wait and close") == 0 ? MTS_CLOSE : MTS_KEEP;
}

static void prepare(int family)
{
	waiting = lost = cut = (struct gate)GATE;
	atomic_store(&answer, 0);
	atomic_store(&gone, 0);
	server = watch_server(&watch, handler, LONG, family);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
}

static int connect_with(const char *text)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, text);
	return peer;
}

START_TEST(idle)
{
	prepare(_i);
	server_start(server);
	const int silent = connect_with("");
	const int quiet = connect_with("hello\n");
	peer_expect_text(quiet, "hello\n");
	gate_wait(&watch.opened, 2);
	watch_stop_well(server, LONG);
	peer_expect_end(silent);
	peer_expect_end(quiet);
	close(silent);
	close(quiet);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 2);
}
END_TEST

START_TEST(half_a_request)
{
	prepare(_i);
	server_start(server);
	const int peer = connect_with("whole\nhalf");
	peer_expect_text(peer, "whole\n");
	watch_stop_well(server, LONG);
	peer_expect_end(peer);
	close(peer);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 1);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* Its reply still arrives, and the client ends afterwards. */
START_TEST(in_a_handler)
{
	prepare(_i);
	server_start(server);
	const int peer = connect_with("wait\n");
	gate_wait(&waiting, 1);
	watch_stop_well(server, LONG);
	peer_expect_text(peer, "wait\n");
	peer_expect_end(peer);
	close(peer);
	ck_assert_int_eq(atomic_load(&gone), MTS_GONE_STOP);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

START_TEST(in_a_handler_that_closes)
{
	prepare(_i);
	server_start(server);
	const int peer = connect_with("wait and close\nnever served\n");
	gate_wait(&waiting, 1);
	watch_stop_well(server, LONG);
	peer_expect_text(peer, "wait and close\n");
	peer_expect_end(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_BY_HANDLER, 1);
}
END_TEST

/* All that came with the request in progress, and is whole. */
START_TEST(pipelined)
{
	prepare(_i);
	server_start(server);
	const int peer = connect_with("wait\none\ntwo\nthree\nhalf");
	gate_wait(&waiting, 1);
	watch_stop_well(server, LONG);
	peer_expect_text(peer, "wait\none\ntwo\nthree\n");
	peer_expect_end(peer);
	close(peer);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 4);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/*
 * Past the deadline no more of that is served, nor of a client that was lost before: that is the first,
 * so it is also the first that the stop looks at.
 */
START_TEST(cut_off_with_requests_left)
{
	prepare(_i);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, SHORT), 0);
	server_start(server);
	const int first = connect_with("pour\none\ntwo\n");
	gate_wait(&waiting, 1);
	const int second = connect_with("pour\none\ntwo\n");
	gate_wait(&waiting, 2);
	peer_reset(first);
	gate_wait(&lost, 1);
	watch_stop_by_cut(server, SHORT, 1);
	close(second);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 2);
	watch_destroy(server);
	watch_expect_some(&watch, MTS_CLOSED_STOP, 1);
	watch_expect_some(&watch, MTS_CLOSED_BY_PEER, 1);
}
END_TEST

/* The same, still unread in the socket when the stop begins: more than one receive takes. */
START_TEST(received_but_unread)
{
	enum { LINES = 3000 };
	char text[LINES * 10 + 10];
	prepare(_i);
	server_start(server);
	const int peer = connect_with("wait\n");
	gate_wait(&waiting, 1);
	for (int i = 0; i < LINES; i++) {
		snprintf(text + 10 * i, 20, "line %04d\n", i);
	}
	peer_send(peer, text, LINES * 10);
	peer_puts(peer, "half");
	wait_unread(atomic_load(&served), LINES * 10 + 4);
	watch_stop_well(server, LONG);
	peer_expect_text(peer, "wait\n");
	peer_expect(peer, text, LINES * 10);
	peer_expect_end(peer);
	close(peer);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 1 + LINES);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* Those who still wait for the only thread get it for one last turn each. */
START_TEST(waiting_for_a_thread)
{
	prepare(_i);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	const int first = connect_with("wait\n");
	gate_wait(&waiting, 1);
	const int second = connect_with("second\nhalf");
	const int third = connect_with("half");
	server_wait_stat(server, MTS_STAT_THREAD_WAITS, 2);
	watch_stop_well(server, LONG);
	peer_expect_text(first, "wait\n");
	peer_expect_end(first);
	peer_expect_text(second, "second\n");
	peer_expect_end(second);
	peer_expect_end(third);
	close(first);
	close(second);
	close(third);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 3);
}
END_TEST

static void wait_inside(const char *line)
{
	const int peer = connect_with(line);
	gate_wait(&waiting, 1);
	watch_stop_well(server, LONG);
	peer_expect_text(peer, "bye\n");
	peer_expect_end(peer);
	close(peer);
	ck_assert_int_eq(atomic_load(&answer), -ECANCELED);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}

/* A conversation is told, and may say good-bye. */
START_TEST(waits_for_next)
{
	prepare(_i);
	server_start(server);
	wait_inside("next\nhalf");
}
END_TEST

/* A read belongs to the request in progress, so it goes on until the deadline (test_stop_reading). */
START_TEST(waits_in_read)
{
	prepare(_i);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, SHORT), 0);
	server_start(server);
	const int peer = connect_with("read\n");
	gate_wait(&waiting, 1);
	watch_stop_by_cut(server, SHORT, 1);
	peer_expect_gone(peer);
	close(peer);
	ck_assert_int_eq(atomic_load(&answer), -EPIPE);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

static int open_and_converse(mts_client *client, void *user)
{
	(void)watch_open(client, user);
	return converse(client) == MTS_KEEP ? 0 : -1;
}

START_TEST(waits_for_next_in_open)
{
	prepare(_i);
	ck_assert_int_eq(mts_server_on_open(server, open_and_converse, &watch), 0);
	server_start(server);
	wait_inside("half");
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stop, clients");
	tcase_add_loop_test(cases, idle, 0, 2);
	tcase_add_loop_test(cases, half_a_request, 0, 2);
	tcase_add_loop_test(cases, in_a_handler, 0, 2);
	tcase_add_loop_test(cases, in_a_handler_that_closes, 0, 2);
	tcase_add_loop_test(cases, pipelined, 0, 2);
	tcase_add_loop_test(cases, cut_off_with_requests_left, 0, 2);
	tcase_add_loop_test(cases, received_but_unread, 0, 2);
	tcase_add_loop_test(cases, waiting_for_a_thread, 0, 2);
	tcase_add_loop_test(cases, waits_for_next, 0, 2);
	tcase_add_loop_test(cases, waits_in_read, 0, 2);
	tcase_add_loop_test(cases, waits_for_next_in_open, 0, 2);
	return suite_run();
}
