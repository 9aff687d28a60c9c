/* SPDX-License-Identifier: MIT
 *
 * What may end a client that waits for its reply, and what may not.
 */
#include "later.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What was sent to it arrives, and then the end; who completes the reply then finds nobody. */
START_TEST(it_takes_too_long)
{
	mts_server *server = later_server();
	/* Set before, or when it waits already. */
	const unsigned first = _i == 0 ? 20 : 0;
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LATER, first), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "before\nlater\nafter\n");
	peer_expect_text(peer, "before\n");
	if (_i == 1) {
		later_waits(0);
		ck_assert_int_eq(mts_server_send(server, later.tickets[0].id, "a part", 6), 0);
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LATER, 1), 0);
		peer_expect_text(peer, "a part");
	}
	peer_expect_end(peer);
	endings_expect(&later.endings, MTS_CLOSED_LATER_TIMEOUT, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 1);
	ck_assert_int_eq(later_complete(server, 0, NULL, MTS_KEEP), -ENOENT);
	later_end(server, peer);
}
END_TEST

/* The time between requests does not count, and it is not evicted: the idle one goes. */
START_TEST(it_is_not_idle)
{
	mts_server *server = later_server();
	if (_i == 0) {
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 20), 0);
	} else {
		ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
		ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_EVICT), 0);
	}
	server_start(server);
	const int peer = later_ask(server);
	const int idle = peer_connect(server, 0);
	int third = -1;
	if (_i == 1) {
		peer_ask(idle, "here\n");
		third = peer_connect(server, 0);
		peer_puts(third, "later\n");
		later_waits(1);
		ck_assert_int_eq(later_complete(server, 1, "come in\n", MTS_CLOSE), 0);
		peer_expect_text(third, "come in\n");
		peer_expect_end(third);
		close(third);
	}
	peer_expect_end(idle);
	close(idle);
	gate_wait(&later.endings.all, 1 + _i);
	ck_assert_int_eq(later.endings.reasons[_i == 0 ? MTS_CLOSED_IDLE : MTS_CLOSED_EVICTED], 1);
	ck_assert_int_eq(later_complete(server, 0, "reply\n", MTS_CLOSE), 0);
	peer_expect_text(peer, "reply\n");
	peer_expect_end(peer);
	gate_wait(&later.endings.all, 2 + _i);
	ck_assert_int_eq(later.endings.reasons[MTS_CLOSED_BY_HANDLER], 1 + _i);
	later_end(server, peer);
}
END_TEST

/* The reply is finished first, and can still be sent; after that nothing is. */
START_TEST(closed_by_its_id)
{
	mts_server *server = later_server();
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "later\nmore\n");
	later_waits(0);
	const uint64_t id = later.tickets[0].id;
	ck_assert_int_eq(mts_server_close(server, id), 0);
	ck_assert_int_eq(mts_server_close(server, id), -ENOENT);
	library_rests();
	ck_assert_int_eq(later_complete(server, 0, "reply\n", _i == 0 ? MTS_KEEP : MTS_CLOSE), 0);
	ck_assert_int_eq(mts_server_send(server, id, "late\n", 5), -ENOENT);
	peer_expect_text(peer, "reply\n");
	peer_expect_end(peer);
	endings_expect(&later.endings, MTS_CLOSED_BY_HANDLER, 1);
	later_end(server, peer);
}
END_TEST

static int waits_in_vain(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	(void)mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, 10);
	later.answers[0] = mts_client_next(client, &request, &size);
	return later_take(client) > 0 ? MTS_LATER : MTS_CLOSE;
}

/* A wait of its handler has lasted too long, but its reply is owed still. */
START_TEST(its_time_was_up_before)
{
	mts_server *server = later_server_of(waits_in_vain);
	server_start(server);
	const int peer = later_ask(server);
	ck_assert_int_eq((int)later.answers[0], -ETIMEDOUT);
	ck_assert_int_eq(later_complete(server, 0, "reply\n", _i == 0 ? MTS_KEEP : MTS_CLOSE), 0);
	peer_expect_text(peer, "reply\n");
	peer_expect_end(peer);
	endings_expect(&later.endings, MTS_CLOSED_IDLE, 1);
	later_end(server, peer);
}
END_TEST

/* By a reset, since its reply is missing, or a part of that; but not if it has all of it. */
START_TEST(kicked)
{
	mts_server *server = later_server();
	server_start(server);
	const int peer = later_ask(server);
	if (_i > 0) {
		ck_assert_int_eq(mts_server_send(server, later.tickets[0].id, "a part", 6), 0);
		peer_expect_text(peer, "a part");
	}
	if (_i == 2) {
		ck_assert_int_eq(later_complete(server, 0, NULL, MTS_KEEP), 0);
		library_rests();
	}
	ck_assert_int_eq(mts_server_kick(server, later.tickets[0].id), 0);
	ck_assert_int_eq(later_complete(server, 0, NULL, MTS_KEEP), -ENOENT);
	if (_i < 2) {
		ck_assert_uint_eq(peer_expect_torn(peer), 0);
	} else {
		peer_expect_end(peer);
	}
	endings_expect(&later.endings, MTS_CLOSED_KICKED, 1);
	later_end(server, peer);
}
END_TEST

/* A reset ends it; a peer that has just finished sending gets its reply. */
START_TEST(its_peer_goes)
{
	mts_server *server = later_server();
	server_start(server);
	const int peer = later_ask(server);
	if (_i == 0) {
		peer_reset(peer);
		endings_expect(&later.endings, MTS_CLOSED_BY_PEER, 1);
		ck_assert_int_eq(later_complete(server, 0, NULL, MTS_KEEP), -ENOENT);
		later_end(server, -1);
		return;
	}
	peer_finish(peer);
	library_rests();
	ck_assert_int_eq(gate_count(&later.endings.all), 0);
	ck_assert_int_eq(later_complete(server, 0, "reply\n", MTS_KEEP), 0);
	peer_expect_text(peer, "reply\n");
	peer_expect_end(peer);
	endings_expect(&later.endings, MTS_CLOSED_BY_PEER, 1);
	later_end(server, peer);
}
END_TEST

/* The peer of a Unix socket that closes it is gone for certain. */
START_TEST(its_unix_peer_goes)
{
	mts_server *server = server_on(UNIX, later_answer, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &later.endings), 0);
	server_start(server);
	close(later_ask(server));
	endings_expect(&later.endings, MTS_CLOSED_BY_PEER, 1);
	server_end(server);
}
END_TEST

/* A stop waits; what had come by then is served too, and the client ends as all others do. */
START_TEST(a_stop_waits_for_it)
{
	mts_server *server = later_server();
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, PATIENCE * 1000), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "later\nmore\n");
	later_waits(0);
	mts_server_stop(server);
	library_rests();
	ck_assert_int_eq(gate_count(&later.endings.all), 0);
	ck_assert_int_eq(later_complete(server, 0, "reply\n", MTS_KEEP), 0);
	peer_expect_text(peer, "reply\nmore\n");
	peer_expect_end(peer);
	ck_assert_int_eq(mts_server_join(server), 0);
	endings_expect(&later.endings, MTS_CLOSED_STOP, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	close(peer);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* At its deadline the client is reset, since a reply is missing; it does not hang. */
START_TEST(a_stop_cuts_it_off)
{
	mts_server *server = later_server();
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 20), 0);
	server_start(server);
	const int peer = later_ask(server);
	ck_assert_int_eq(mts_server_send(server, later.tickets[0].id, "a part", 6), 0);
	peer_expect_text(peer, "a part");
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_uint_eq(peer_expect_torn(peer), 0);
	endings_expect(&later.endings, MTS_CLOSED_STOP, 1);
	ck_assert_int_eq(later_complete(server, 0, NULL, MTS_KEEP), -ENOENT);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_HUNG), 0);
	close(peer);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* On demand: as long as too much of the reply waits, its client gets no further request. */
START_TEST(its_reply_is_not_read)
{
	static char bytes[1024 * 1024];
	mts_server *server = later_server();
	ck_assert_int_eq(mts_server_set_max_output(server, 1), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "later\nmore\n");
	later_waits(0);
	pattern_fill(bytes, sizeof(bytes), 0);
	const uint64_t id = later.tickets[0].id;
	ck_assert_int_eq(mts_server_send(server, id, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(later_complete(server, 0, NULL, MTS_KEEP), 0);
	library_rests();
	if (test_model == MTS_THREAD_ON_DEMAND) {
		ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 1);
	}
	peer_expect_pattern(peer, sizeof(bytes), 0);
	peer_expect_text(peer, "more\n");
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("later_end");
	tcase_add_checked_fixture(tests, later_setup, NULL);
	tcase_add_loop_test(tests, it_takes_too_long, 0, 2);
	tcase_add_loop_test(tests, it_is_not_idle, 0, 2);
	tcase_add_loop_test(tests, closed_by_its_id, 0, 2);
	tcase_add_loop_test(tests, kicked, 0, 3);
	tcase_add_loop_test(tests, its_peer_goes, 0, 2);
	tcase_add_loop_test(tests, its_time_was_up_before, 0, 2);
	tcase_add_test(tests, its_unix_peer_goes);
	tcase_add_test(tests, a_stop_waits_for_it);
	tcase_add_test(tests, a_stop_cuts_it_off);
	tcase_add_test(tests, its_reply_is_not_read);
	return suite_run();
}
