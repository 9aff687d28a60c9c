/* SPDX-License-Identifier: MIT
 *
 * Timeouts on the real clock: never early, at most some milliseconds late, and no thread wakes up for
 * those that are not due.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { TIMEOUT = 60, LATE = 10, TRIES = 20, CROWD = 300 }; /* milliseconds; clients */

static struct endings endings;

static mts_server *server_with(int which, unsigned timeout)
{
	endings = (struct endings){.all = GATE};
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, 4), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, which, timeout), 0);
	server_start(server);
	return server;
}

/* How many milliseconds it takes until the server ends a client that has sent this. */
static uint64_t time_one(mts_server *server, const char *sent)
{
	const int peer = peer_connect(server, 0);
	const uint64_t start = now_ms();
	peer_puts(peer, sent);
	if (strlen(sent) == 4) {
		peer_expect_text(peer, sent);
	}
	peer_expect_end(peer);
	const uint64_t passed = now_ms() - start;
	close(peer);
	return passed;
}

/* A busy machine is late with everything; so the best of some tries is looked at. */
static void want_punctual(int which, const char *sent, int reason)
{
	mts_server *server = server_with(which, TIMEOUT);
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < TRIES && best >= TIMEOUT + LATE; i++) {
		const uint64_t passed = time_one(server, sent);
		ck_assert_uint_ge(passed + 1, TIMEOUT); /* both ends of it are cut to whole ones */
		best = passed < best ? passed : best;
		endings_expect(&endings, reason, i + 1);
	}
	ck_assert_uint_lt(best, TIMEOUT + LATE);
	server_end(server);
}

START_TEST(idle_is_punctual)
{
	want_punctual(MTS_TIMEOUT_IDLE, "ping", MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(request_is_punctual)
{
	want_punctual(MTS_TIMEOUT_REQUEST, "pi", MTS_CLOSED_REQUEST_TIMEOUT);
}
END_TEST

/* All of a crowd end, each once, while others that keep talking stay. */
START_TEST(a_crowd)
{
	mts_server *server = server_with(MTS_TIMEOUT_IDLE, 0);
	static int peers[CROWD];
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(server, 0);
	}
	const int talker = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_ACCEPTED, CROWD + 1);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 2000), 0);
	while (mts_server_stat(server, MTS_STAT_OPEN) > 1) {
		peer_ask(talker, "here");
	}
	endings_expect(&endings, MTS_CLOSED_IDLE, CROWD);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), CROWD);
	for (int i = 0; i < CROWD; i++) {
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	close(talker);
	server_end(server);
}
END_TEST

/* Timeouts come and go while clients do. */
START_TEST(changes_under_load)
{
	mts_server *server = server_with(MTS_TIMEOUT_IDLE, 1);
	int served = 0;
	for (unsigned i = 0; i < 300; i++) {
		char reply[4];
		const int peer = peer_connect(server, 0);
		(void)send(peer, "ping", 4, MSG_NOSIGNAL);
		served += recv(peer, reply, sizeof(reply), MSG_WAITALL) == sizeof(reply) ? 1 : 0;
		ck_assert_int_eq(
			mts_server_set_timeout(server, (int)(i % 5), i % 3 == 0 ? 0 : 1 + i % 7), 0);
		close(peer);
	}
	ck_assert_int_gt(served, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("timeouts");
	tcase_add_test(cases, idle_is_punctual);
	tcase_add_test(cases, request_is_punctual);
	tcase_add_test(cases, a_crowd);
	tcase_add_test(cases, changes_under_load);
	return suite_run();
}
