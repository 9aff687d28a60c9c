/* SPDX-License-Identifier: MIT
 *
 * A reply that comes later than its handler returns: who may ask for that, what its client gets
 * meanwhile, and how it is completed.
 */
#include "later.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

START_TEST(answered_later)
{
	mts_server *server = later_server();
	server_start(server);
	const int peer = later_ask(server);
	const struct later_ticket owed = later.tickets[0];
	ck_assert_int_gt(owed.ticket, 0);
	ck_assert_int_eq(mts_server_complete(server, owed.id, owed.ticket, MTS_LATER), -EINVAL);
	ck_assert_int_eq(mts_server_complete(server, owed.id, owed.ticket, 3), -EINVAL);
	ck_assert_int_eq(mts_server_complete(server, owed.id, owed.ticket + 1, MTS_KEEP), -ESTALE);
	ck_assert_int_eq(mts_server_complete(server, owed.id, 0, MTS_KEEP), -ESTALE);
	ck_assert_int_eq(mts_server_complete(server, owed.id + 1, owed.ticket, MTS_KEEP), -ENOENT);
	ck_assert_int_eq(later_complete(server, 0, "reply\n", MTS_KEEP), 0);
	ck_assert_int_eq(mts_server_complete(server, owed.id, owed.ticket, MTS_KEEP), -ESTALE);
	peer_expect_text(peer, "reply\n");
	peer_ask(peer, "still served\n");
	peer_puts(peer, "later\n");
	later_waits(1);
	ck_assert_int_ne(later.tickets[1].ticket, owed.ticket);
	ck_assert_int_eq(mts_server_complete(server, owed.id, owed.ticket, MTS_KEEP), -ESTALE);
	ck_assert_int_eq(later_complete(server, 1, "another\n", MTS_KEEP), 0);
	peer_expect_text(peer, "another\n");
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&later.endings, MTS_CLOSED_BY_PEER, 1);
	ck_assert_int_eq(mts_server_complete(server, owed.id, owed.ticket, MTS_KEEP), -ENOENT);
	later_end(server, peer);
}
END_TEST

/* Neither what came with the request, nor what comes while it waits; then all of it, in its order. */
START_TEST(no_request_meanwhile)
{
	mts_server *server = later_server();
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "before\n");
	peer_puts(peer, "later\nwith it\nand ha");
	later_waits(0);
	peer_puts(peer, "lf of one\n");
	library_rests();
	peer_puts(peer, "later\nlast\n");
	library_rests();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 2);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 0);
	ck_assert_int_eq(later_complete(server, 0, "one\n", MTS_KEEP), 0);
	peer_expect_text(peer, "one\nwith it\nand half of one\n");
	later_waits(1);
	ck_assert_int_eq(later_complete(server, 1, "two\n", MTS_KEEP), 0);
	peer_expect_text(peer, "two\nlast\n");
	later_end(server, peer);
}
END_TEST

static const struct {
	int verdict;
	int reason; /* MTS_CLOSED_BY_PEER: it stays, until its peer goes */
} verdicts[] = {{MTS_KEEP, MTS_CLOSED_BY_PEER}, {MTS_CLOSE, MTS_CLOSED_BY_HANDLER},
	{-EIO, MTS_CLOSED_ERROR}, {-EPIPE, MTS_CLOSED_ERROR}, {INT_MIN, MTS_CLOSED_ERROR}};
enum { VERDICTS = sizeof(verdicts) / sizeof(verdicts[0]) };

/* The reply is there, and what follows is as a handler's return. */
static void expect_verdict(int peer, int which)
{
	peer_expect_text(peer, "reply\n");
	if (verdicts[which].verdict == MTS_KEEP) {
		peer_expect_text(peer, "next\n");
		peer_finish(peer);
	}
	peer_expect_gone(peer);
	endings_expect(&later.endings, verdicts[which].reason, 1);
}

START_TEST(each_verdict)
{
	mts_server *server = later_server();
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "later\n");
	later_waits(0);
	if (verdicts[_i].verdict == MTS_KEEP) {
		peer_puts(peer, "next\n");
	}
	ck_assert_int_eq(later_complete(server, 0, "reply\n", verdicts[_i].verdict), 0);
	expect_verdict(peer, _i);
	ck_assert_int_eq(later_complete(server, 0, NULL, MTS_KEEP), -ENOENT);
	later_end(server, peer);
}
END_TEST

static int complete_first(mts_client *client, const void *request, size_t size, void *user)
{
	mts_server *server = mts_client_server(client);
	const uint64_t id = mts_client_id(client);
	if (strcmp(request, "later") != 0) {
		return later_answer(client, request, size, user);
	}
	const int64_t ticket = mts_client_defer(client);
	(void)mts_server_send(server, id, "reply\n", 6);
	later.answers[0] = mts_server_complete(server, id, ticket, (int)later.answers[3]);
	later.answers[1] = mts_server_complete(server, id, ticket, MTS_CLOSE);
	later.answers[2] = mts_client_defer(client);
	return MTS_LATER;
}

/* Completed by the handler itself, so in any case before that returns. */
START_TEST(completed_before_the_return)
{
	mts_server *server = later_server_of(complete_first);
	later.answers[3] = verdicts[_i].verdict;
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, verdicts[_i].verdict == MTS_KEEP ? "later\nnext\n" : "later\n");
	expect_verdict(peer, _i);
	ck_assert_int_eq(later.answers[0], 0);
	ck_assert_int_eq(later.answers[1], -ESTALE);
	ck_assert_int_eq(later.answers[2], -EALREADY);
	later_end(server, peer);
}
END_TEST

static int change_mind(mts_client *client, const void *request, size_t size, void *user)
{
	if (strcmp(request, "later") != 0) {
		return later_answer(client, request, size, user);
	}
	(void)later_take(client);
	gate_wait(&later.leave, 1);
	mts_client_puts(client, "at once\n");
	return (int)later.answers[3];
}

/* What the handler returns holds, whether the reply was completed before or not. */
START_TEST(any_other_return_voids_the_ticket)
{
	const int verdict = verdicts[_i / 2].verdict;
	mts_server *server = later_server_of(change_mind);
	later.answers[3] = verdict;
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "later\n");
	gate_wait(&later.asked, 1);
	if (_i % 2 == 1) {
		ck_assert_int_eq(later_complete(server, 0, NULL, verdict == MTS_KEEP), 0);
	}
	gate_add(&later.leave);
	if (verdict == MTS_KEEP) {
		peer_expect_text(peer, "at once\n");
		peer_ask(peer, "still served\n");
		ck_assert_int_eq(later_complete(server, 0, NULL, MTS_CLOSE), -ESTALE);
		peer_ask(peer, "and on\n");
		peer_finish(peer);
	}
	gate_wait(&later.endings.all, 1);
	endings_expect(&later.endings, verdicts[_i / 2].reason, 1);
	later_end(server, peer);
}
END_TEST

static int without_ticket(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return MTS_LATER;
}

START_TEST(later_without_a_ticket)
{
	mts_server *server = later_server_of(without_ticket);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "later\n");
	peer_expect_gone(peer);
	endings_expect(&later.endings, MTS_CLOSED_ERROR, 1);
	later_end(server, peer);
}
END_TEST

static int defer_in_open(mts_client *client, void *user)
{
	(void)user;
	later.answers[0] = mts_client_defer(client);
	return 0;
}

static void defer_in_close(mts_client *client, int reason, void *user)
{
	(void)user;
	later.answers[1] = mts_client_defer(client);
	later.answers[2] = reason;
	gate_add(&later.leave);
}

START_TEST(not_in_hooks)
{
	mts_server *server = later_server();
	ck_assert_int_eq(mts_server_on_open(server, defer_in_open, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, defer_in_close, NULL), 0);
	server_start(server);
	const int peer = later_ask(server);
	ck_assert_int_eq(later_complete(server, 0, "reply\n", MTS_CLOSE), 0);
	peer_expect_text(peer, "reply\n");
	peer_expect_end(peer);
	gate_wait(&later.leave, 1);
	ck_assert_int_eq(later.answers[0], -EINVAL);
	ck_assert_int_eq(later.answers[1], -EINVAL);
	ck_assert_int_eq(later.answers[2], MTS_CLOSED_BY_HANDLER);
	close(peer);
	server_end(server);
}
END_TEST

static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	if (strcmp(request, "later") != 0) {
		return later_answer(client, request, size, user);
	}
	(void)later_take(client);
	mts_client_puts(client, "what?\n");
	later.answers[0] = mts_client_next(client, &request, &size);
	mts_client_printf(client, "%s, soon\n", (const char *)request);
	return MTS_LATER;
}

/* The handler goes on until it returns; completed meanwhile or not. What it has written is sent. */
START_TEST(the_handler_goes_on)
{
	mts_server *server = later_server_of(converse);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "later\n");
	peer_expect_text(peer, "what?\n");
	if (_i == 1) {
		ck_assert_int_eq(later_complete(server, 0, "reply\n", MTS_KEEP), 0);
		peer_puts(peer, "this\nnext\n");
		peer_expect_text(peer, "reply\nthis, soon\nnext\n");
	} else {
		peer_puts(peer, "this\nnext\n");
		peer_expect_text(peer, "this, soon\n");
		library_rests();
		ck_assert_int_eq(later_complete(server, 0, "reply\n", MTS_KEEP), 0);
		peer_expect_text(peer, "reply\nnext\n");
	}
	later_end(server, peer);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("later");
	tcase_add_checked_fixture(tests, later_setup, NULL);
	tcase_add_test(tests, answered_later);
	tcase_add_test(tests, no_request_meanwhile);
	tcase_add_loop_test(tests, each_verdict, 0, VERDICTS);
	tcase_add_loop_test(tests, completed_before_the_return, 0, VERDICTS);
	tcase_add_loop_test(tests, any_other_return_voids_the_ticket, 0, 2 * VERDICTS);
	tcase_add_test(tests, later_without_a_ticket);
	tcase_add_test(tests, not_in_hooks);
	tcase_add_loop_test(tests, the_handler_goes_on, 0, 2);
	return suite_run();
}
