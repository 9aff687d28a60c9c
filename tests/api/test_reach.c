/* SPDX-License-Identifier: MIT
 *
 * Clients by their ids, from other threads and from callbacks: messages arrive whole and in order, and
 * those that cannot are refused at once and hold up nobody.
 */
#include "reach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int wait_for_leave(mts_client *client, const void *request, size_t size, void *user)
{
	gate_add(&reach.entered);
	gate_wait(&reach.leave, gate_count(&reach.entered));
	return reach_echo(client, request, size, user);
}

/* The line says what to do. */
static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	if (strcmp(line, "wait") == 0) {
		return wait_for_leave(client, request, size, user);
	}
	return strcmp(line, "bye") == 0 ? MTS_CLOSE : reach_echo(client, request, size, user);
}

/* To one that is parked, and to one whose handler runs; the order is that of the calls. */
START_TEST(in_order)
{
	char text[32];
	mts_server *server = reach_server(obey, NULL);
	server_start(server);
	const int idle = reach_join(server);
	const int busy = reach_join(server);
	peer_puts(busy, "wait\n");
	gate_wait(&reach.entered, 1);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "message %d\n", i);
		ck_assert_int_eq(mts_server_send(server, reach.ids[0], text, strlen(text)), 0);
		ck_assert_int_eq(mts_server_send(server, reach.ids[1], text, strlen(text)), 0);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "message %d\n", i);
		peer_expect_text(idle, text);
		peer_expect_text(busy, text);
	}
	gate_add(&reach.leave);
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
	mts_server *server = reach_server(reach_echo, NULL);
	want_nobody(server, 1);
	want_nobody(server, (UINT64_C(1) << 24) + 1);
	server_start(server);
	want_nobody(server, (UINT64_C(1) << 24) + 1);
	const int peer = reach_join(server);
	ck_assert_int_eq(mts_server_broadcast(server, "x", 1), 1);
	peer_expect_text(peer, "x");
	close(peer);
	endings_expect(&reach.endings, MTS_CLOSED_BY_PEER, 1);
	want_nobody(server, reach.ids[0]);
	const int other = reach_join(server);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	want_nobody(server, reach.ids[1]);
	close(other);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static int open_slowly(mts_client *client, void *user)
{
	(void)reach_open(client, user);
	reach.answers[0] = mts_server_send(mts_client_server(client), mts_client_id(client), "x", 1);
	gate_add(&reach.entered);
	gate_wait(&reach.leave, 1);
	reach.answers[1] = mts_client_puts(client, "welcome");
	reach.answers[2] = mts_client_gone(client);
	return 0;
}

/* Whom the open hook has not let in yet hears nothing, but can be thrown out. */
START_TEST(while_it_opens)
{
	mts_server *server = reach_server(reach_echo, NULL);
	ck_assert_int_eq(mts_server_on_open(server, open_slowly, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	gate_wait(&reach.entered, 1);
	ck_assert_int_eq(reach.answers[0], -ENOENT);
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], "secret", 6), -ENOENT);
	ck_assert_int_eq(mts_server_broadcast(server, "secret", 6), 0);
	if (_i == 1) {
		ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
	}
	gate_add(&reach.leave);
	if (_i == 1) {
		peer_expect_gone(peer);
		endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
		ck_assert_int_eq(reach.answers[1], -EPIPE);
		ck_assert_int_eq(reach.answers[2], MTS_GONE_KICKED);
	} else {
		peer_expect_text(peer, "welcome");
		ck_assert_int_eq(mts_server_send(server, reach.ids[0], "news", 4), 0);
		peer_expect_text(peer, "news");
	}
	close(peer);
	server_end(server);
}
END_TEST

static void try_once_more(mts_client *client, int reason, void *user)
{
	mts_server *server = mts_client_server(client);
	reach.answers[0] = mts_server_send(server, mts_client_id(client), "x", 1);
	reach.answers[1] = mts_server_kick(server, mts_client_id(client));
	reach.answers[2] = mts_server_broadcast(server, "somebody has left\n", 18);
	endings_note(client, reason, user);
}

/* The close hook is too late for its own client, and the place to tell the others. */
START_TEST(in_the_close_hook)
{
	mts_server *server = reach_server(obey, NULL);
	ck_assert_int_eq(mts_server_on_close(server, try_once_more, &reach.endings), 0);
	server_start(server);
	const int other = reach_join(server);
	const int peer = reach_join(server);
	peer_puts(peer, "bye\n");
	peer_expect_end(peer);
	endings_expect(&reach.endings, MTS_CLOSED_BY_HANDLER, 1);
	peer_expect_text(other, "somebody has left\n");
	ck_assert_int_eq(reach.answers[0], -ENOENT);
	ck_assert_int_eq(reach.answers[1], -ENOENT);
	ck_assert_int_eq(reach.answers[2], 1);
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
	reach.answers[0] = mts_server_send(server, mts_client_id(client), "sent second\n", 12);
	mts_client_puts(client, "written third\n");
	mts_client_flush(client);
	reach.answers[1] = mts_server_broadcast(server, "sent fourth\n", 12);
	gate_add(&reach.leave);
	return MTS_KEEP;
}

/* Inside its own handler: before what has gathered, and after what was flushed. */
START_TEST(to_itself)
{
	mts_server *server = reach_server(talk_to_itself, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "sent second\nwritten first\nwritten third\nsent fourth\n");
	gate_wait(&reach.leave, 1);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], 1);
	close(peer);
	server_end(server);
}
END_TEST

/*
 * One peer never reads: it costs the others nothing, and loses nothing that was taken. (Its kernel may
 * find room for some more, but not for a megabyte.)
 */
START_TEST(one_who_does_not_read)
{
	enum { ROUNDS = 1000 };
	static char news[1024];
	pattern_fill(news, sizeof(news), 0);
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	const int deaf = reach_join(server);
	const int other = reach_join(server);
	const uint64_t taken = reach_until_refused(server, reach.ids[0]);
	ck_assert_uint_ge(taken, 256 * 1024);
	const uint64_t refused = mts_server_stat(server, MTS_STAT_UNSENT);
	int more = 0;
	for (int i = 0; i < ROUNDS; i++) {
		const int reached = mts_server_broadcast(server, news, sizeof(news));
		ck_assert(reached == 1 || reached == 2);
		more += reached - 1;
		peer_expect(other, news, sizeof(news));
	}
	ck_assert_int_lt(more, ROUNDS);
	ck_assert_uint_eq(
		mts_server_stat(server, MTS_STAT_UNSENT) - refused, (uint64_t)(ROUNDS - more));
	peer_ask(other, "still served\n");
	peer_expect_pattern(deaf, taken, 0);
	for (int i = 0; i < more; i++) {
		peer_expect(deaf, news, sizeof(news));
	}
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], "welcome back\n", 13), 0);
	peer_expect_text(deaf, "welcome back\n");
	close(deaf);
	close(other);
	server_end(server);
}
END_TEST

/* It is given more than the limit at once, and then asks: it is answered once it has read. */
START_TEST(served_again_after_a_large_message)
{
	static char bytes[4 * REACH_MIB];
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	const int peer = reach_join(server);
	pattern_fill(bytes, sizeof(bytes), 0);
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], bytes, sizeof(bytes)), 0);
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

/* A handler's write that waits for its peer is not torn apart: whoever sends meanwhile is refused. */
START_TEST(while_a_write_waits)
{
	mts_server *server = reach_server(reach_pour, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 1);
	wait_until(mts_server_send(server, reach.ids[0], NULL, 0) != 0);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(mts_server_send(server, reach.ids[0], "torn", 4), -ENOBUFS);
		peer_expect_pattern(peer, 10000, (uint64_t)i * 10000);
	}
	peer_expect_pattern(peer, 3 * REACH_MIB - 1000000, 1000000);
	peer_expect_pattern(peer, REACH_MIB, 3 * REACH_MIB);
	gate_wait(&reach.leave, 1);
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], "whole", 5), 0);
	peer_expect_text(peer, "whole");
	close(peer);
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
		reach.answers[0] = mts_server_send(elsewhere, reach.ids[0], "from the log\n", 13);
		gate_add(&logged);
	}
}

static void thread_to_client(void *user)
{
	(void)user;
	reach.answers[1] = mts_server_send(elsewhere, reach.ids[0], "from a thread\n", 14);
}

static int kick_and_fail(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	reach.answers[2] = mts_server_kick(elsewhere, reach.ids[1]);
	return -EINVAL;
}

/* From every callback of another server. */
START_TEST(from_another_server)
{
	mts_server *server = reach_server(reach_echo, NULL);
	mts_server *other = server_new(kick_and_fail, NULL);
	logged = (struct gate)GATE;
	elsewhere = server;
	ck_assert_int_eq(mts_server_on_log(other, log_to_client, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_on_thread(other, thread_to_client, NULL, NULL), 0);
	server_start(server);
	const int first = reach_join(server);
	const int second = reach_join(server);
	server_start(other);
	const int peer = peer_connect(other, 0);
	peer_puts(peer, "go");
	peer_expect_gone(peer);
	peer_expect_gone(second);
	gate_wait(&logged, 1);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	close(peer);
	server_end(other);
	ck_assert_int_eq(reach.answers[0] | reach.answers[1] | reach.answers[2], 0);
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

int main(void)
{
	TCase *cases = suite_begin("reach");
	tcase_add_checked_fixture(cases, reach_setup, NULL);
	tcase_add_test(cases, in_order);
	tcase_add_test(cases, before_and_after);
	tcase_add_loop_test(cases, while_it_opens, 0, 2);
	tcase_add_test(cases, in_the_close_hook);
	tcase_add_test(cases, to_itself);
	tcase_add_test(cases, one_who_does_not_read);
	tcase_add_test(cases, served_again_after_a_large_message);
	tcase_add_test(cases, while_a_write_waits);
	tcase_add_test(cases, from_another_server);
	return suite_run();
}
