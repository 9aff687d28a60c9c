/* SPDX-License-Identifier: MIT
 *
 * Clients by their ids, from other threads and from callbacks: messages arrive whole and in order, those
 * that cannot are refused at once and hold up nobody, and who is kicked is gone.
 *
 * Callbacks run on threads of the library, so they only note what they are told; the test's own thread
 * judges it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { MIB = 1024 * 1024, CLIENTS = 20, KICKERS = 8 };

static struct gate opened;
static struct gate entered;
static struct gate leave;
static struct endings endings;
static _Atomic uint64_t ids[CLIENTS]; /* of clients, in the order in which they have opened */
static _Atomic int answers[8]; /* what callbacks were told */

static void setup(void)
{
	opened = (struct gate)GATE;
	entered = (struct gate)GATE;
	leave = (struct gate)GATE;
	endings = (struct endings){.all = GATE};
}

static int note_id(mts_client *client, void *user)
{
	(void)user;
	small_buffers(mts_client_fd(client));
	ids[gate_count(&opened)] = mts_client_id(client);
	gate_add(&opened);
	return 0;
}

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	mts_client_write(client, request, size);
	mts_client_puts(client, "\n");
	return MTS_KEEP;
}

static mts_server *lines_server(mts_handler handler, void *user)
{
	mts_server *server = server_new(handler, user);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, note_id, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

/* One more client, which is open. */
static int join(mts_server *server)
{
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "here\n");
	peer_expect_text(peer, "here\n");
	return peer;
}

static int wait_for_leave(mts_client *client, const void *request, size_t size, void *user)
{
	gate_add(&entered);
	gate_wait(&leave, gate_count(&entered));
	return echo(client, request, size, user);
}

/* The line says what to do. */
static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	if (strcmp(line, "wait") == 0) {
		return wait_for_leave(client, request, size, user);
	}
	return strcmp(line, "bye") == 0 ? MTS_CLOSE : echo(client, request, size, user);
}

/* To one that is parked, and to one whose handler runs; the order is that of the calls. */
START_TEST(in_order)
{
	char text[32];
	mts_server *server = lines_server(obey, NULL);
	server_start(server);
	const int idle = join(server);
	const int busy = join(server);
	peer_puts(busy, "wait\n");
	gate_wait(&entered, 1);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "message %d\n", i);
		ck_assert_int_eq(mts_server_send(server, ids[0], text, strlen(text)), 0);
		ck_assert_int_eq(mts_server_send(server, ids[1], text, strlen(text)), 0);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "message %d\n", i);
		peer_expect_text(idle, text);
		peer_expect_text(busy, text);
	}
	gate_add(&leave);
	peer_expect_text(busy, "wait\n");
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_UNSENT), 0);
	close(idle);
	close(busy);
	server_end(server);
}
END_TEST

static void want_nobody(mts_server *server, uint64_t id)
{
	ck_assert_int_eq(mts_server_send(server, id, "x", 1), -ENOENT);
	ck_assert_int_eq(mts_server_send(server, id, NULL, 0), -ENOENT);
	ck_assert_int_eq(mts_server_kick(server, id), -ENOENT);
	ck_assert_int_eq(mts_server_broadcast(server, "x", 1), 0);
}

START_TEST(before_and_after)
{
	mts_server *server = lines_server(echo, NULL);
	want_nobody(server, 1);
	want_nobody(server, (UINT64_C(1) << 24) + 1);
	server_start(server);
	want_nobody(server, (UINT64_C(1) << 24) + 1);
	const int peer = join(server);
	ck_assert_int_eq(mts_server_broadcast(server, "x", 1), 1);
	peer_expect_text(peer, "x");
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	want_nobody(server, ids[0]);
	const int other = join(server);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	want_nobody(server, ids[1]);
	close(other);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static int open_slowly(mts_client *client, void *user)
{
	(void)note_id(client, user);
	answers[0] = mts_server_send(mts_client_server(client), mts_client_id(client), "x", 1);
	gate_add(&entered);
	gate_wait(&leave, 1);
	answers[1] = mts_client_puts(client, "welcome");
	answers[2] = mts_client_gone(client);
	return 0;
}

/* Whom the open hook has not let in yet hears nothing, but can be thrown out. */
START_TEST(while_it_opens)
{
	mts_server *server = lines_server(echo, NULL);
	ck_assert_int_eq(mts_server_on_open(server, open_slowly, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	gate_wait(&entered, 1);
	ck_assert_int_eq(answers[0], -ENOENT);
	ck_assert_int_eq(mts_server_send(server, ids[0], "secret", 6), -ENOENT);
	ck_assert_int_eq(mts_server_broadcast(server, "secret", 6), 0);
	if (_i == 1) {
		ck_assert_int_eq(mts_server_kick(server, ids[0]), 0);
	}
	gate_add(&leave);
	if (_i == 1) {
		peer_expect_gone(peer);
		endings_expect(&endings, MTS_CLOSED_KICKED, 1);
		ck_assert_int_eq(answers[1], -EPIPE);
		ck_assert_int_eq(answers[2], MTS_GONE_KICKED);
	} else {
		peer_expect_text(peer, "welcome");
		ck_assert_int_eq(mts_server_send(server, ids[0], "news", 4), 0);
		peer_expect_text(peer, "news");
	}
	close(peer);
	server_end(server);
}
END_TEST

static void try_once_more(mts_client *client, int reason, void *user)
{
	mts_server *server = mts_client_server(client);
	answers[0] = mts_server_send(server, mts_client_id(client), "x", 1);
	answers[1] = mts_server_kick(server, mts_client_id(client));
	answers[2] = mts_server_broadcast(server, "somebody has left\n", 18);
	endings_note(client, reason, user);
}

/* The close hook is too late for its own client, and the place to tell the others. */
START_TEST(in_the_close_hook)
{
	mts_server *server = lines_server(obey, NULL);
	ck_assert_int_eq(mts_server_on_close(server, try_once_more, &endings), 0);
	server_start(server);
	const int other = join(server);
	const int peer = join(server);
	peer_puts(peer, "bye\n");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_HANDLER, 1);
	peer_expect_text(other, "somebody has left\n");
	ck_assert_int_eq(answers[0], -ENOENT);
	ck_assert_int_eq(answers[1], -ENOENT);
	ck_assert_int_eq(answers[2], 1);
	close(peer);
	close(other);
	server_end(server);
}
END_TEST

static int talk_to_itself(mts_client *client, const void *request, size_t size, void *user)
{
	mts_server *server = mts_client_server(client);
	(void)request;
	(void)size;
	(void)user;
	mts_client_puts(client, "written first\n");
	answers[0] = mts_server_send(server, mts_client_id(client), "sent second\n", 12);
	mts_client_puts(client, "written third\n");
	mts_client_flush(client);
	answers[1] = mts_server_broadcast(server, "sent fourth\n", 12);
	gate_add(&leave);
	return MTS_KEEP;
}

/* Inside its own handler: before what has gathered, and after what was flushed. */
START_TEST(to_itself)
{
	mts_server *server = lines_server(talk_to_itself, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "sent second\nwritten first\nwritten third\nsent fourth\n");
	gate_wait(&leave, 1);
	ck_assert_int_eq(answers[0], 0);
	ck_assert_int_eq(answers[1], 1);
	close(peer);
	server_end(server);
}
END_TEST

/* Sends pieces of the pattern until not one byte more is taken: how much was. */
static uint64_t send_until_refused(mts_server *server, uint64_t id)
{
	static char bytes[10000];
	uint64_t done = 0;
	size_t step = sizeof(bytes);
	while (step > 0) {
		pattern_fill(bytes, step, done);
		const int result = mts_server_send(server, id, bytes, step);
		ck_assert(result == 0 || result == -ENOBUFS);
		done += result == 0 ? step : 0;
		step = result == 0 ? step : step / 10;
		ck_assert_uint_lt(done, 100 * MIB);
	}
	return done;
}

/*
 * One peer never reads: it costs the others nothing, and loses nothing that was taken. (Its kernel may
 * find room for a little more.)
 */
START_TEST(one_who_does_not_read)
{
	enum { ROUNDS = 1000 };
	static const char news[] = "news for the others";
	mts_server *server = lines_server(echo, NULL);
	server_start(server);
	const int deaf = join(server);
	const int other = join(server);
	const uint64_t taken = send_until_refused(server, ids[0]);
	ck_assert_uint_ge(taken, 256 * 1024);
	const uint64_t refused = mts_server_stat(server, MTS_STAT_UNSENT);
	int more = 0;
	for (int i = 0; i < ROUNDS; i++) {
		const int reached = mts_server_broadcast(server, news, strlen(news));
		ck_assert(reached == 1 || reached == 2);
		more += reached - 1;
		peer_expect_text(other, news);
	}
	ck_assert_int_lt(more, ROUNDS);
	ck_assert_uint_eq(
		mts_server_stat(server, MTS_STAT_UNSENT) - refused, (uint64_t)(ROUNDS - more));
	peer_puts(other, "still served\n");
	peer_expect_text(other, "still served\n");
	peer_expect_pattern(deaf, taken, 0);
	for (int i = 0; i < more; i++) {
		peer_expect_text(deaf, news);
	}
	ck_assert_int_eq(mts_server_send(server, ids[0], "welcome back\n", 13), 0);
	peer_expect_text(deaf, "welcome back\n");
	close(deaf);
	close(other);
	server_end(server);
}
END_TEST

/* It is given more than the limit at once, and then asks: it is answered once it has read. */
START_TEST(served_again_after_a_large_message)
{
	static char bytes[4 * MIB];
	mts_server *server = lines_server(echo, NULL);
	server_start(server);
	const int peer = join(server);
	pattern_fill(bytes, sizeof(bytes), 0);
	ck_assert_int_eq(mts_server_send(server, ids[0], bytes, sizeof(bytes)), 0);
	for (int i = 0; i < 100; i++) {
		peer_puts(peer, "question\n");
	}
	peer_expect_pattern(peer, sizeof(bytes), 0);
	for (int i = 0; i < 100; i++) {
		peer_expect_text(peer, "question\n");
	}
	close(peer);
	server_end(server);
}
END_TEST

static int pour(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[4 * MIB];
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(bytes, sizeof(bytes), 0);
	gate_add(&entered);
	answers[0] = mts_client_write(client, bytes, sizeof(bytes));
	answers[1] = mts_client_gone(client);
	gate_add(&leave);
	return MTS_KEEP;
}

/* A handler's write that waits for its peer is not torn apart: whoever sends meanwhile is refused. */
START_TEST(while_a_write_waits)
{
	mts_server *server = lines_server(pour, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "go\n");
	gate_wait(&entered, 1);
	wait_until(mts_server_send(server, ids[0], NULL, 0) != 0);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(mts_server_send(server, ids[0], "torn", 4), -ENOBUFS);
		peer_expect_pattern(peer, 10000, (uint64_t)i * 10000);
	}
	peer_expect_pattern(peer, 3 * MIB - 1000000, 1000000);
	peer_expect_pattern(peer, MIB, 3 * MIB);
	gate_wait(&leave, 1);
	ck_assert_int_eq(mts_server_send(server, ids[0], "whole", 5), 0);
	peer_expect_text(peer, "whole");
	close(peer);
	server_end(server);
}
END_TEST

static int wait_in_next(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&entered);
	answers[0] = mts_client_next(client, &request, &size);
	answers[1] = mts_client_gone(client);
	gate_add(&leave);
	return MTS_KEEP;
}

static int wait_in_read(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	do {
		answers[0] = (int)mts_client_read(client, &byte, 1);
	} while (answers[0] > 0);
	answers[1] = mts_client_gone(client);
	gate_add(&leave);
	return MTS_CLOSE;
}

static int wait_for_the_kick(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	while (mts_client_gone(client) == 0) {
		poll(NULL, 0, 1);
	}
	answers[0] = mts_client_puts(client, "x");
	answers[1] = mts_client_gone(client);
	gate_add(&leave);
	return -EPIPE;
}

static int kick_itself(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	mts_client_puts(client, "dropped");
	(void)mts_server_kick(mts_client_server(client), mts_client_id(client));
	answers[0] = mts_client_flush(client);
	answers[1] = mts_client_gone(client);
	gate_add(&leave);
	return MTS_CLOSE;
}

static const mts_handler blocked[] = {
	wait_in_next, wait_in_read, pour, wait_for_the_kick, kick_itself};
enum { BLOCKED = sizeof(blocked) / sizeof(blocked[0]) };

/* Whatever its handler waits in, it wakes up and is told; whatever that returns, it was the kick. */
START_TEST(kicked_in_its_handler)
{
	mts_server *server = lines_server(blocked[_i], NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nhalf of another");
	gate_wait(&entered, 1);
	(void)mts_server_kick(server, ids[0]);
	gate_wait(&leave, 1);
	peer_expect_gone(peer);
	endings_expect(&endings, MTS_CLOSED_KICKED, 1);
	ck_assert_int_eq(answers[0], -EPIPE);
	ck_assert_int_eq(answers[1], MTS_GONE_KICKED);
	ck_assert_int_eq(mts_server_kick(server, ids[0]), -ENOENT);
	close(peer);
	server_end(server);
}
END_TEST

static int pour_and_close(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[200000];
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(bytes, sizeof(bytes), 0);
	for (int i = 0; i < 10; i++) {
		mts_client_write(client, bytes, sizeof(bytes));
		gate_add(&entered);
	}
	return MTS_CLOSE;
}

/* Parked: idle; with a message waiting, for a peer that does not read. */
START_TEST(kicked_while_parked)
{
	mts_server *server = lines_server(echo, NULL);
	server_start(server);
	const int other = join(server);
	const int peer = join(server);
	if (_i == 1) {
		(void)send_until_refused(server, ids[1]);
	}
	ck_assert_int_eq(mts_server_kick(server, ids[1]), 0);
	ck_assert_int_eq(mts_server_kick(server, ids[1]), -ENOENT);
	peer_expect_gone(peer);
	endings_expect(&endings, MTS_CLOSED_KICKED, 1);
	peer_puts(other, "still served\n");
	peer_expect_text(other, "still served\n");
	close(peer);
	close(other);
	server_end(server);
}
END_TEST

/*
 * It has been told to close, but its peer does not read what it has been sent: nobody can send to it
 * any more, or it would never end; kicking it is what ends it.
 */
START_TEST(kicked_while_it_ends)
{
	mts_server *server = lines_server(pour_and_close, NULL);
	ck_assert_int_eq(mts_server_set_max_output(server, 3 * MIB), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "go\n");
	gate_wait(&entered, 10);
	wait_until(mts_server_send(server, ids[0], NULL, 0) == -ENOENT);
	ck_assert_int_eq(gate_count(&endings.all), 0);
	ck_assert_int_eq(mts_server_broadcast(server, "x", 1), 0);
	ck_assert_int_eq(mts_server_kick(server, ids[0]), 0);
	endings_expect(&endings, MTS_CLOSED_KICKED, 1);
	peer_expect_gone(peer);
	close(peer);
	server_end(server);
}
END_TEST

static _Atomic int successes;

struct kicker {
	mts_server *server;
	pthread_t thread;
};

static void *kick_all(void *argument)
{
	const struct kicker *kicker = argument;
	for (int i = 0; i < CLIENTS; i++) {
		successes += mts_server_kick(kicker->server, ids[i]) == 0 ? 1 : 0;
	}
	return NULL;
}

/* Many kick the same ones: each of these is kicked by one. */
START_TEST(kicked_by_many)
{
	struct kicker kickers[KICKERS];
	int peers[CLIENTS];
	mts_server *server = lines_server(echo, NULL);
	server_start(server);
	for (int i = 0; i < CLIENTS; i++) {
		peers[i] = join(server);
	}
	for (int i = 0; i < KICKERS; i++) {
		kickers[i].server = server;
		ck_assert_int_eq(pthread_create(&kickers[i].thread, NULL, kick_all, &kickers[i]), 0);
	}
	for (int i = 0; i < KICKERS; i++) {
		ck_assert_int_eq(pthread_join(kickers[i].thread, NULL), 0);
	}
	endings_expect(&endings, MTS_CLOSED_KICKED, CLIENTS);
	ck_assert_int_eq(successes, CLIENTS);
	for (int i = 0; i < CLIENTS; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

static mts_server *elsewhere;
static struct gate logged;

static void log_to_client(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	if (strstr(message, "the handler returned") != NULL) {
		answers[0] = mts_server_send(elsewhere, ids[0], "from the log\n", 13);
		gate_add(&logged);
	}
}

static void thread_to_client(void *user)
{
	(void)user;
	answers[1] = mts_server_send(elsewhere, ids[0], "from a thread\n", 14);
}

static int kick_and_fail(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	answers[2] = mts_server_kick(elsewhere, ids[1]);
	return -EINVAL;
}

/* From every callback of another server. */
START_TEST(from_another_server)
{
	mts_server *server = lines_server(echo, NULL);
	mts_server *other = server_new(kick_and_fail, NULL);
	logged = (struct gate)GATE;
	elsewhere = server;
	ck_assert_int_eq(mts_server_on_log(other, log_to_client, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_on_thread(other, thread_to_client, NULL, NULL), 0);
	server_start(server);
	const int first = join(server);
	const int second = join(server);
	server_start(other);
	const int peer = peer_connect(other, 0);
	peer_puts(peer, "go");
	peer_expect_gone(peer);
	peer_expect_gone(second);
	gate_wait(&logged, 1);
	endings_expect(&endings, MTS_CLOSED_KICKED, 1);
	close(peer);
	server_end(other);
	ck_assert_int_eq(answers[0] | answers[1] | answers[2], 0);
	peer_finish(first);
	char text[256] = "";
	size_t size = 0;
	ssize_t count;
	while ((count = read(first, text + size, sizeof(text) - 1 - size)) > 0) {
		size += (size_t)count;
	}
	ck_assert_ptr_nonnull(strstr(text, "from the log\n"));
	ck_assert_ptr_nonnull(strstr(text, "from a thread\n"));
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Stopped while clients that were kicked have not had their last turn: each ends once all the same. */
START_TEST(kicked_and_stopped)
{
	for (int round = 0; round < 20; round++) {
		setup();
		int peers[CLIENTS];
		mts_server *server = lines_server(echo, NULL);
		server_start(server);
		for (int i = 0; i < CLIENTS; i++) {
			peers[i] = join(server);
		}
		if (round % 2 == 0) {
			mts_server_stop(server);
		}
		int kicked = 0;
		for (int i = 0; i < CLIENTS; i++) {
			kicked += mts_server_kick(server, ids[i]) == 0 ? 1 : 0;
		}
		server_end(server);
		ck_assert_int_eq(gate_count(&endings.all), CLIENTS);
		ck_assert_int_eq(endings.reasons[MTS_CLOSED_KICKED], kicked);
		for (int i = 0; i < CLIENTS; i++) {
			close(peers[i]);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reach");
	TCase *cases = tcase_create("reach");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, in_order);
	tcase_add_test(cases, before_and_after);
	tcase_add_loop_test(cases, while_it_opens, 0, 2);
	tcase_add_test(cases, in_the_close_hook);
	tcase_add_test(cases, to_itself);
	tcase_add_test(cases, one_who_does_not_read);
	tcase_add_test(cases, served_again_after_a_large_message);
	tcase_add_test(cases, while_a_write_waits);
	tcase_add_loop_test(cases, kicked_in_its_handler, 0, BLOCKED);
	tcase_add_loop_test(cases, kicked_while_parked, 0, 2);
	tcase_add_test(cases, kicked_while_it_ends);
	tcase_add_test(cases, kicked_by_many);
	tcase_add_test(cases, from_another_server);
	tcase_add_test(cases, kicked_and_stopped);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
