/* SPDX-License-Identifier: MIT
 *
 * The callbacks beside the handler: when they come, how often, with what.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

/* Does what the line says. */
static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	(void)user;
	if (strcmp(request, "close") == 0) {
		return MTS_CLOSE;
	}
	if (strcmp(request, "fail") == 0) {
		return -EIO;
	}
	if (strcmp(request, "wait") == 0) {
		gate_add(&entered);
		gate_wait(&leave, 1);
	}
	return mts_client_printf(client, "%s!", (const char *)request) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static mts_server *obeying_server(void)
{
	mts_server *server = server_new(obey, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 10), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

struct counter {
	_Atomic int next;
};

static int refuse_every_other(mts_client *client, void *user)
{
	struct counter *counter = user;
	const int number = counter->next++;
	ck_assert_int_eq(mts_client_printf(client, "number %d\n", number), 0);
	return number % 2 == 0 ? 0 : -number;
}

START_TEST(a_refused_client_gets_what_was_written)
{
	struct counter counter = {0};
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_on_open(server, refuse_every_other, &counter), 0);
	server_start(server);
	for (int i = 0; i < 20; i++) {
		char text[32];
		const int peer = peer_connect(server, 0);
		peer_puts(peer, "hello\n");
		(void)snprintf(text, sizeof(text), "number %d\n", i);
		peer_expect_text(peer, text);
		if (i % 2 == 0) {
			peer_expect_text(peer, "hello!");
			peer_finish(peer);
		}
		peer_expect_end(peer);
		close(peer);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 10);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), 10);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 10);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CLOSED), 10);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), 10);
}
END_TEST

static int refuse_after_talk(mts_client *client, void *user)
{
	const void *request;
	size_t size;
	(void)user;
	ck_assert_int_eq(mts_client_next(client, &request, &size), 1);
	ck_assert_int_eq(mts_client_printf(client, "no, %s", (const char *)request), 0);
	return 1;
}

START_TEST(a_refusal_may_follow_a_talk)
{
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_on_open(server, refuse_after_talk, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "Bob\nand more that nobody reads\n");
	peer_expect_text(peer, "no, Bob");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), 0);
}
END_TEST

/* What a peer does, and why its client must end. */
static const struct {
	const char *text;
	int reason;
	int finish;
} ends[] = {
	{"", MTS_CLOSED_BY_PEER, 1},
	{"a\n", MTS_CLOSED_BY_PEER, 1},
	{"a\nb", MTS_CLOSED_BY_PEER, 1},
	{"a\nclose\n", MTS_CLOSED_BY_HANDLER, 0},
	{"close\nclose\n", MTS_CLOSED_BY_HANDLER, 0},
	{"close\n", MTS_CLOSED_BY_HANDLER, 1},
	{"a\nfail\n", MTS_CLOSED_ERROR, 0},
	{"a\n12345678901\n", MTS_CLOSED_TOO_LARGE, 0},
	{"a\n123456789012345", MTS_CLOSED_TOO_LARGE, 1},
};

START_TEST(every_client_is_closed_once_with_its_reason)
{
	mts_server *server = obeying_server();
	server_start(server);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		stage_setup();
		const int peer = peer_connect(server, 0);
		peer_puts(peer, ends[i].text);
		if (ends[i].finish) {
			(void)shutdown(peer, SHUT_WR); /* the server may have closed already */
		}
		peer_expect_gone(peer);
		endings_expect(&endings, ends[i].reason, 1);
		close(peer);
	}
	stage_setup();
	peer_reset(peer_connect(server, 0));
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	stage_setup();
	const int busy = peer_connect(server, 0);
	const int idle = peer_connect(server, 0);
	peer_puts(busy, "wait\n");
	gate_wait(&entered, 1);
	server_wait_stat(server, MTS_STAT_OPEN, 2);
	mts_server_stop(server);
	gate_add(&leave);
	server_end(server);
	endings_expect(&endings, MTS_CLOSED_STOP, 2);
	close(busy);
	close(idle);
}
END_TEST

START_TEST(a_cut_request_breaks_the_protocol)
{
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_frame_fixed(server, 5), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "close1"); /* not closed: the request is "close" with a NUL, and it is */
	peer_expect_gone(peer);
	endings_expect(&endings, MTS_CLOSED_BY_HANDLER, 1);
	close(peer);
	stage_setup();
	const int another = peer_connect(server, 0);
	peer_puts(another, "12345678");
	peer_finish(another);
	peer_expect_text(another, "12345!");
	peer_expect_end(another);
	endings_expect(&endings, MTS_CLOSED_PROTOCOL, 1);
	close(another);
	server_end(server);
}
END_TEST

START_TEST(the_deadline_of_a_stop_cuts_with_its_own_reason)
{
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 50), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "wait\n");
	gate_wait(&entered, 1);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	ck_assert_int_eq(gate_count(&endings.all), 0); /* it comes when the handler returns */
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 1);
	gate_add(&leave);
	endings_expect(&endings, MTS_CLOSED_STOP, 1);
	while (mts_server_destroy(server) == -EBUSY) {
		poll(NULL, 0, 1);
	}
	close(peer);
}
END_TEST

/* Threads: what begins ends, on the same thread, and callbacks run in between. */
static _Thread_local int began;
static struct {
	_Atomic int begun;
	_Atomic int done;
} threads;

static void thread_begins(void *user)
{
	ck_assert_ptr_eq(user, &threads);
	ck_assert_int_eq(began, 0);
	began = 1;
	threads.begun++;
}

static void thread_ends(void *user)
{
	ck_assert_ptr_eq(user, &threads);
	ck_assert_int_eq(began, 1);
	began = 2;
	threads.done++;
}

static int open_on_thread(mts_client *client, void *user)
{
	(void)client;
	(void)user;
	ck_assert_int_eq(began, 1);
	return 0;
}

static int handle_on_thread(mts_client *client, const void *request, size_t size, void *user)
{
	ck_assert_int_eq(began, 1);
	return obey(client, request, size, user);
}

static void close_on_thread(mts_client *client, int reason, void *user)
{
	ck_assert_int_eq(began, 1);
	endings_note(client, reason, user);
}

START_TEST(thread_hooks_pair_up)
{
	enum { PEERS = 10 };
	int peers[PEERS];
	mts_server *server = server_new(handle_on_thread, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_on_thread, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, close_on_thread, &endings), 0);
	ck_assert_int_eq(mts_server_on_thread(server, thread_begins, thread_ends, &threads), 0);
	server_start(server);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "wait\n");
	}
	gate_wait(&entered, PEERS);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_int_eq(threads.begun, PEERS);
		ck_assert_int_eq(threads.done, 0);
	}
	server_expect_threads(server, MTS_STAT_THREADS_PEAK, PEERS);
	gate_add(&leave);
	for (int i = 0; i < PEERS; i++) {
		peer_expect_text(peers[i], "wait!");
		close(peers[i]);
	}
	server_end(server);
	ck_assert_int_ge(threads.begun, PEERS);
	ck_assert_int_eq(threads.done, threads.begun);
	ck_assert_int_eq(gate_count(&endings.all), PEERS);
}
END_TEST

START_TEST(no_hooks_at_all)
{
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_on_open(server, NULL, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, NULL, NULL), 0);
	ck_assert_int_eq(mts_server_on_thread(server, NULL, NULL, NULL), 0);
	ck_assert_int_eq(mts_server_on_log(server, NULL, MTS_LOG_DEBUG, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "a\nfail\n");
	peer_expect_text(peer, "a!");
	peer_expect_gone(peer);
	server_wait_stat(server, MTS_STAT_CLOSED, 1);
	close(peer);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), 0);
}
END_TEST

START_TEST(half_of_the_thread_hooks)
{
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_on_thread(server, thread_begins, NULL, &threads), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "close\n");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
	ck_assert_int_ge(threads.begun, 1);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_int_eq(threads.begun, 1);
	}
}
END_TEST

START_TEST(reasons_have_names)
{
	int count = 0;
	while (mts_closed_name(count) != NULL) {
		ck_assert_str_ne(mts_closed_name(count), "");
		for (int i = 0; i < count; i++) {
			ck_assert_str_ne(mts_closed_name(i), mts_closed_name(count));
		}
		count++;
	}
	ck_assert_int_eq(count, MTS_CLOSED_LATER_TIMEOUT + 1);
	ck_assert_str_eq(mts_closed_name(MTS_CLOSED_BY_PEER), "by peer");
	ck_assert_ptr_null(mts_closed_name(-1));
	ck_assert_ptr_null(mts_closed_name(1000));
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("hooks");
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_test(tcase, a_refused_client_gets_what_was_written);
	tcase_add_test(tcase, a_refusal_may_follow_a_talk);
	tcase_add_test(tcase, every_client_is_closed_once_with_its_reason);
	tcase_add_test(tcase, a_cut_request_breaks_the_protocol);
	tcase_add_test(tcase, the_deadline_of_a_stop_cuts_with_its_own_reason);
	tcase_add_test(tcase, thread_hooks_pair_up);
	tcase_add_test(tcase, no_hooks_at_all);
	tcase_add_test(tcase, half_of_the_thread_hooks);
	tcase_add_test(tcase, reasons_have_names);
	return suite_run();
}
