/* SPDX-License-Identifier: MIT
 *
 * The grace after a stop. Clients are served as before, and each ends after its next request, but not in
 * the middle of sending one. No test depends on time but those of the end of the grace: the others have
 * one that never ends, so a client that is not closed is seen, and so is a stop that waits for it.
 *
 * Requests are lines. What a handler does is said in the line.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

enum { GRACE = 1000000, LONG = 20000, SHORT = 50 };

static struct watch watch;
static struct gate grace; /* it has begun for all clients */
static struct gate waiting; /* handlers that have begun to wait */
static struct gate release; /* lets those go on that wait for it */
static _Atomic int answer; /* what the latest call under test has returned */
static _Atomic int gone; /* what mts_client_gone() said to the latest handler */
static _Atomic uint64_t id; /* of the latest client */
static _Atomic int64_t ticket; /* of its deferred reply */
static mts_server *server;

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_INFO && strncmp(message, "clients have up to ", 19) == 0) {
		gate_add(&grace);
	}
}

/* Takes requests until there is none. */
static int converse(mts_client *client)
{
	const void *request;
	size_t size;
	int result;
	gate_add(&waiting);
	while ((result = mts_client_next(client, &request, &size)) == 1) {
		mts_client_printf(client, "<%.*s>\n", (int)size, (const char *)request);
	}
	atomic_store(&answer, result);
	mts_client_puts(client, "bye\n");
	return MTS_KEEP;
}

static int read_on(mts_client *client)
{
	char bytes[5];
	gate_add(&waiting);
	atomic_store(&answer, (int)mts_client_read_exact(client, bytes, sizeof(bytes)));
	mts_client_puts(client, "read\n");
	return MTS_KEEP;
}

static int reply_later(mts_client *client)
{
	atomic_store(&ticket, mts_client_defer(client));
	gate_add(&waiting);
	return MTS_LATER;
}

static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	(void)user;
	atomic_store(&id, mts_client_id(client));
	if (strcmp(line, "next") == 0) {
		return converse(client);
	}
	if (strcmp(line, "read") == 0) {
		return read_on(client);
	}
	if (strcmp(line, "later") == 0) {
		return reply_later(client);
	}
	if (strcmp(line, "wait") == 0 || strcmp(line, "hold") == 0) {
		gate_add(&waiting);
		gate_wait(*line == 'w' ? &grace : &release, 1);
	}
	atomic_store(&gone, mts_client_gone(client));
	mts_client_write(client, line, size);
	mts_client_puts(client, "\n");
	return MTS_KEEP;
}

static void prepare(int family, unsigned milliseconds)
{
	grace = waiting = release = (struct gate)GATE;
	atomic_store(&answer, 0);
	atomic_store(&gone, 0);
	server = watch_server(&watch, handler, LONG, family);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_INFO, NULL), 0);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_drain(server, milliseconds), 0);
}

static void begin(int family)
{
	prepare(family, GRACE);
	server_start(server);
}

static int connect_with(const char *text)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, text);
	return peer;
}

/* A client that has been served. */
static int connect_and_ask(void)
{
	const int peer = connect_with("hello\n");
	peer_expect_text(peer, "hello\n");
	return peer;
}

static void stop(void)
{
	mts_server_stop(server);
	gate_wait(&grace, 1);
}

/* It gets that, and then the end. */
static void expect_last(int peer, const char *text)
{
	peer_expect_text(peer, text);
	peer_expect_end(peer);
	close(peer);
}

/* All are gone, for the usual reason, and nobody had to be cut off. */
static void finish(int clients)
{
	server_join(server);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, clients);
}

START_TEST(one_more_request)
{
	begin(_i);
	const int silent = connect_with("");
	const int quiet = connect_and_ask();
	gate_wait(&watch.opened, 2);
	stop();
	peer_puts(quiet, "once more\n");
	expect_last(quiet, "once more\n");
	ck_assert_int_eq(atomic_load(&gone), MTS_GONE_STOP);
	peer_puts(silent, "at last\n");
	expect_last(silent, "at last\n");
	finish(2);
}
END_TEST

/* On demand it may have been parked long ago; with its reply still in the queue as well. */
START_TEST(all_that_comes_together)
{
	begin(_i);
	const int peer = connect_and_ask();
	library_rests();
	stop();
	peer_puts(peer, "one\ntwo\nthree\n");
	expect_last(peer, "one\ntwo\nthree\n");
	finish(1);
}
END_TEST

/* The beginning of the next one has come with it, or has come before the stop. */
START_TEST(in_the_middle_of_sending)
{
	begin(_i);
	const int first = connect_and_ask();
	const int second = connect_with("half");
	gate_wait(&watch.opened, 2);
	library_rests();
	stop();
	peer_puts(first, "whole\nhalf");
	peer_expect_text(first, "whole\n");
	library_rests();
	peer_puts(first, " of it\n");
	expect_last(first, "half of it\n");
	peer_puts(second, " of");
	library_rests();
	peer_puts(second, " it\n");
	expect_last(second, "half of it\n");
	finish(2);
}
END_TEST

/* Its handler has not known, when it began, that there would be no further one. */
START_TEST(a_request_in_progress_is_not_the_last)
{
	begin(_i);
	const int peer = connect_with("wait\n");
	gate_wait(&waiting, 1);
	stop();
	peer_expect_text(peer, "wait\n");
	ck_assert_int_eq(atomic_load(&gone), MTS_GONE_STOP);
	library_rests();
	peer_puts(peer, "again\n");
	expect_last(peer, "again\n");
	finish(1);
}
END_TEST

/* A conversation gets one more request, whether it waits for it already or not. */
START_TEST(a_conversation)
{
	begin(_i % FAMILIES);
	const bool waits = _i < FAMILIES;
	const int peer = waits ? connect_with("next\n") : connect_and_ask();
	if (waits) {
		gate_wait(&waiting, 1);
	}
	stop();
	peer_puts(peer, waits ? "a\n" : "next\n");
	expect_last(peer, waits ? "<a>\nbye\n" : "bye\n");
	ck_assert_int_eq(atomic_load(&answer), -ECANCELED);
	finish(1);
}
END_TEST

static int open_and_converse(mts_client *client, void *user)
{
	(void)watch_open(client, user);
	return converse(client) == MTS_KEEP ? 0 : -1;
}

START_TEST(a_conversation_in_the_open_hook)
{
	prepare(_i, GRACE);
	ck_assert_int_eq(mts_server_on_open(server, open_and_converse, &watch), 0);
	server_start(server);
	const int peer = connect_with("");
	gate_wait(&waiting, 1);
	stop();
	peer_puts(peer, "a\n");
	expect_last(peer, "<a>\nbye\n");
	ck_assert_int_eq(atomic_load(&answer), -ECANCELED);
	finish(1);
}
END_TEST

/* What belongs to a request is no further request. */
START_TEST(what_belongs_to_a_request)
{
	begin(_i);
	const int peer = connect_with("read\n");
	gate_wait(&waiting, 1);
	stop();
	peer_puts(peer, "12");
	library_rests();
	peer_puts(peer, "345");
	peer_expect_text(peer, "read\n");
	ck_assert_int_eq(atomic_load(&answer), 5);
	library_rests();
	peer_puts(peer, "read\n12345");
	expect_last(peer, "read\n");
	finish(1);
}
END_TEST

static void complete(const char *text)
{
	ck_assert_int_eq(mts_server_send(server, atomic_load(&id), text, strlen(text)), 0);
	ck_assert_int_eq(
		mts_server_complete(server, atomic_load(&id), atomic_load(&ticket), MTS_KEEP), 0);
}

START_TEST(replies_that_come_later)
{
	begin(_i);
	const int peer = connect_with("later\n");
	gate_wait(&waiting, 1);
	stop();
	library_rests();
	complete("first\n");
	peer_expect_text(peer, "first\n");
	peer_puts(peer, "later\n");
	gate_wait(&waiting, 2);
	library_rests();
	complete("second\n");
	expect_last(peer, "second\n");
	finish(1);
}
END_TEST

/* Who waits for a thread, and was not even opened, has time for a request like all others. */
START_TEST(who_waits_for_a_thread)
{
	prepare(_i, GRACE);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	const int first = connect_with("hold\n");
	gate_wait(&waiting, 1);
	const int second = connect_with("");
	server_wait_stat(server, MTS_STAT_THREAD_WAITS, 1);
	stop();
	gate_add(&release);
	peer_expect_text(first, "hold\n");
	close(first);
	peer_puts(second, "second\n");
	expect_last(second, "second\n");
	server_join(server);
	watch_destroy(server);
	watch_expect_some(&watch, MTS_CLOSED_STOP, 1);
	watch_expect_some(&watch, MTS_CLOSED_BY_PEER, 1);
}
END_TEST

/* The stop does not wait for the rest of the grace. */
START_TEST(all_have_gone)
{
	enum { CLIENTS = 5 };
	int peers[CLIENTS];
	begin(TCP);
	for (int i = 0; i < _i; i++) {
		peers[i] = connect_and_ask();
	}
	stop();
	for (int i = 0; i < _i; i++) {
		close(peers[i]);
	}
	server_join(server);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_BY_PEER, _i);
}
END_TEST

START_TEST(asked_for_before_run)
{
	prepare(TCP, GRACE);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_run(server), 0);
	watch_destroy(server);
}
END_TEST

/* Asking again, or another grace, comes too late; what is new is refused; by id all works. */
START_TEST(calls_meanwhile)
{
	int ends[2];
	begin(TCP);
	const int closed = connect_and_ask();
	const uint64_t first = atomic_load(&id);
	const int kicked = connect_and_ask();
	const uint64_t second = atomic_load(&id);
	const int peer = connect_and_ask();
	stop();
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_set_drain(server, 0), 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_suspend(server), -ECANCELED);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), -ECANCELED);
	close(ends[0]);
	close(ends[1]);
	const int late = peer_socket();
	ck_assert(!peer_try_connect(late, server));
	close(late);
	ck_assert_int_eq(mts_server_send(server, first, "bye\n", 4), 0);
	ck_assert_int_eq(mts_server_close(server, first), 0);
	expect_last(closed, "bye\n");
	ck_assert_int_eq(mts_server_kick(server, second), 0);
	peer_expect_gone(kicked);
	close(kicked);
	library_rests();
	peer_puts(peer, "still here\n");
	expect_last(peer, "still here\n");
	server_join(server);
	watch_destroy(server);
	watch_expect_some(&watch, MTS_CLOSED_BY_HANDLER, 1);
	watch_expect_some(&watch, MTS_CLOSED_KICKED, 1);
	watch_expect_some(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* At its end the idle ones are closed, and what is half here is dropped. */
START_TEST(the_grace_ends)
{
	prepare(_i, SHORT);
	server_start(server);
	const int silent = connect_with("");
	const int quiet = connect_and_ask();
	const int half = connect_with("whole\nhalf");
	peer_expect_text(half, "whole\n");
	gate_wait(&watch.opened, 3);
	const uint64_t begun = now_ms();
	mts_server_stop(server);
	server_join(server);
	ck_assert_uint_ge(now_ms() - begun, SHORT);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	peer_expect_end(silent);
	peer_expect_end(quiet);
	peer_expect_end(half);
	close(silent);
	close(quiet);
	close(half);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 3);
}
END_TEST

/* The time that a stop has begins then: a handler that waits is cut off after both. */
START_TEST(the_stop_has_its_time_after_it)
{
	prepare(TCP, SHORT);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, SHORT), 0);
	server_start(server);
	const int peer = connect_with("read\n");
	gate_wait(&waiting, 1);
	watch_stop_by_cut(server, 2 * SHORT, 1);
	peer_expect_gone(peer);
	close(peer);
	ck_assert_int_eq(atomic_load(&answer), -EPIPE);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* A conversation that waits is told when the grace ends. */
START_TEST(a_conversation_when_it_ends)
{
	prepare(_i, SHORT);
	server_start(server);
	const int peer = connect_with("next\nhalf");
	gate_wait(&waiting, 1);
	mts_server_stop(server);
	expect_last(peer, "bye\n");
	ck_assert_int_eq(atomic_load(&answer), -ECANCELED);
	finish(1);
}
END_TEST

static int tell(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	mts_client_puts(client, mts_client_gone(client) == MTS_GONE_STOP ? "last\n" : "more\n");
	return MTS_KEEP;
}

static struct gate answers;

/* Asks again until it is told that this was the last one. */
static void *ask_until_the_last(void *unused)
{
	char said[5];
	(void)unused;
	const int peer = peer_connect(server, 0);
	do {
		peer_puts(peer, "and now?\n");
		ck_assert_int_eq(recv(peer, said, sizeof(said), MSG_WAITALL), sizeof(said));
		gate_add(&answers);
	} while (memcmp(said, "more\n", sizeof(said)) == 0);
	ck_assert_int_eq(memcmp(said, "last\n", sizeof(said)), 0);
	close(peer);
	return NULL;
}

/* Who asks, having heard of no end, is answered, however the stop comes in between. */
START_TEST(nobody_is_left_without_an_answer)
{
	enum { ASKERS = 20 };
	pthread_t threads[ASKERS];
	answers = grace = (struct gate)GATE;
	server = watch_server(&watch, tell, LONG, _i);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_drain(server, GRACE), 0);
	server_start(server);
	for (int i = 0; i < ASKERS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_until_the_last, NULL), 0);
	}
	gate_wait(&watch.opened, ASKERS);
	gate_wait(&answers, 10 * ASKERS);
	mts_server_stop(server);
	for (int i = 0; i < ASKERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	server_join(server);
	watch_destroy(server);
	ck_assert_int_eq(gate_count(&watch.opened), ASKERS);
	ck_assert_int_eq(gate_count(&watch.closed), ASKERS);
}
END_TEST

static void note_task(mts_server *unused, void *user)
{
	(void)unused;
	gate_add(user);
}

/* Tasks end at the beginning of the stop, not of what follows. */
START_TEST(no_tasks)
{
	struct gate ticks = GATE;
	begin(TCP);
	const int peer = connect_and_ask();
	ck_assert_int_gt(mts_server_every(server, 1, note_task, &ticks), 0);
	gate_wait(&ticks, 3);
	stop();
	library_rests();
	const int before = gate_count(&ticks);
	ck_assert_int_eq(mts_server_every(server, 1, note_task, &ticks), -ECANCELED);
	library_rests();
	peer_puts(peer, "bye\n");
	expect_last(peer, "bye\n");
	finish(1);
	ck_assert_int_eq(gate_count(&ticks), before);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("the grace after a stop");
	tcase_add_loop_test(cases, one_more_request, 0, FAMILIES);
	tcase_add_loop_test(cases, all_that_comes_together, 0, FAMILIES);
	tcase_add_loop_test(cases, in_the_middle_of_sending, 0, FAMILIES);
	tcase_add_loop_test(cases, a_request_in_progress_is_not_the_last, 0, FAMILIES);
	tcase_add_loop_test(cases, a_conversation, 0, 2 * FAMILIES);
	tcase_add_loop_test(cases, a_conversation_in_the_open_hook, 0, FAMILIES);
	tcase_add_loop_test(cases, what_belongs_to_a_request, 0, FAMILIES);
	tcase_add_loop_test(cases, replies_that_come_later, 0, FAMILIES);
	tcase_add_loop_test(cases, who_waits_for_a_thread, 0, FAMILIES);
	tcase_add_loop_test(cases, all_have_gone, 0, 6);
	tcase_add_test(cases, asked_for_before_run);
	tcase_add_test(cases, calls_meanwhile);
	tcase_add_loop_test(cases, the_grace_ends, 0, FAMILIES);
	tcase_add_test(cases, the_stop_has_its_time_after_it);
	tcase_add_loop_test(cases, a_conversation_when_it_ends, 0, FAMILIES);
	tcase_add_loop_test(cases, nobody_is_left_without_an_answer, 0, FAMILIES);
	tcase_add_test(cases, no_tasks);
	return suite_run();
}
