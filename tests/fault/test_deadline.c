/* SPDX-License-Identifier: MIT
 *
 * Deadlines of clients that are waited for, on a clock that the test moves: none passes early, none is
 * missed, each ends what it is for and nothing else, and the close hook is told the true reason.
 */
#include "moment.h"

#include <unistd.h>

#include "engine/base/wake.h"
#include "engine/run/keeper.h"
#include "engine/run/server.h"
#include "os/clock.h"

enum { IDLE = 60, REQUEST = 30 }; /* the defaults, in seconds */

START_TEST(idle)
{
	moment_begin(scene_echo);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	moment_pass(moment_since() + IDLE * MTSI_SECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_IDLE);
}
END_TEST

/* One that never says anything. */
START_TEST(idle_from_the_start)
{
	moment_begin(scene_echo);
	const int peer = peer_connect(scene.server, 0);
	gate_wait(&scene.opened, 1);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	moment_pass(moment_since() + IDLE * MTSI_SECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(each_request_begins_anew)
{
	moment_begin(scene_echo);
	const int peer = scene_visit(&scene);
	for (int i = 0; i < 5; i++) {
		moment_waits_for(MTSI_WAIT_IDLE);
		moment_stop(true);
		const uint64_t last = moment_since();
		moment_go_to(last + IDLE * MTSI_SECOND - 1);
		scene_ask(peer, "still here");
		moment_stop(false);
		wait_until(moment_since() != last);
	}
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	peer_finish(peer);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* It has come in time; that nobody has looked is not the peer's fault. More in test_deadline_pause. */
START_TEST(a_request_that_is_here_is_served)
{
	moment_begin(scene_echo);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	fault_clock_ahead(2 * IDLE * MTSI_SECOND); /* and the keeper sleeps on */
	scene_ask(peer, "in time");
	mtsi_wake_keeper(scene.server);
	scene_ask(peer, "in time");
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	peer_finish(peer);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* However often a byte comes, the whole must come in time. */
START_TEST(a_request_that_drips)
{
	moment_begin(scene_echo);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	peer_puts(peer, "a");
	moment_waits_for(MTSI_WAIT_REQUEST);
	moment_stop(true);
	const uint64_t first = moment_since();
	for (unsigned i = 1; i < REQUEST; i++) {
		peer_puts(peer, "b");
		moment_go_to(first + i * MTSI_SECOND);
	}
	ck_assert_uint_eq(moment_since(), first);
	moment_pass(first + REQUEST * MTSI_SECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_REQUEST_TIMEOUT);
}
END_TEST

/* A large one, whose bytes never pause for long enough to be parked. */
START_TEST(a_request_in_time_stays)
{
	moment_begin(scene_echo);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "a");
	moment_waits_for(MTSI_WAIT_REQUEST);
	moment_stop(true);
	moment_go_to(moment_since() + REQUEST * MTSI_SECOND - 1);
	peer_puts(peer, "b\n");
	peer_expect_text(peer, "ab\n");
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	peer_finish(peer);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

START_TEST(shortened_while_it_waits)
{
	moment_begin(scene_echo);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	const uint64_t begun = moment_since();
	moment_go_to(begun + 10 * MTSI_SECOND);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 20000), 0);
	moment_pass(begun + 20 * MTSI_SECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(shortened_to_what_has_passed)
{
	moment_begin(scene_echo);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	fault_clock_ahead(10 * MTSI_SECOND);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 5000), 0);
	peer_expect_end(peer); /* nobody has to wake the keeper */
	moment_end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(lengthened_and_ended)
{
	moment_begin(scene_echo);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	const uint64_t begun = moment_since();
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 0), 0);
	moment_go_to(begun + 10000 * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 20000000), 0);
	moment_pass(begun + 20000 * MTSI_SECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(lingering)
{
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	scene_start(&scene);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_LINGER, 0), 0);
	moment_stop(true);
	const int peer = scene_linger(&scene);
	moment_go_to(moment_now() + 3600 * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 1);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_LINGER, 3601000), 0);
	moment_pass(moment_now() + MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
	moment_end(peer, MTS_CLOSED_BY_HANDLER);
}
END_TEST

/* Many clients, each with a beginning of its own: each ends at its own time. */
START_TEST(one_after_the_other)
{
	enum { MANY = 50 };
	int peers[MANY];
	moment_begin(scene_echo);
	for (int i = 0; i < MANY; i++) {
		peers[i] = scene_visit(&scene);
		fault_clock_ahead(MTSI_SECOND);
	}
	for (int i = 0; i < MANY; i++) {
		fault_clock_ahead((i == 0 ? IDLE - MANY + 1 : 1) * MTSI_SECOND);
		mtsi_wake_keeper(scene.server);
		peer_expect_end(peers[i]);
		ck_assert_int_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS) >= (uint64_t)i + 1, true);
		close(peers[i]);
	}
	server_wait_stat(scene.server, MTS_STAT_OPEN, 0);
	ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_IDLE]), MANY);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("deadline");
	tcase_add_test(cases, idle);
	tcase_add_test(cases, idle_from_the_start);
	tcase_add_test(cases, each_request_begins_anew);
	tcase_add_test(cases, a_request_that_is_here_is_served);
	tcase_add_test(cases, a_request_that_drips);
	tcase_add_test(cases, a_request_in_time_stays);
	tcase_add_test(cases, shortened_while_it_waits);
	tcase_add_test(cases, shortened_to_what_has_passed);
	tcase_add_test(cases, lengthened_and_ended);
	tcase_add_test(cases, lingering);
	tcase_add_test(cases, one_after_the_other);
	return suite_run();
}
