/* SPDX-License-Identifier: MIT
 *
 * The clock jumps far ahead, as after a suspended machine, at every moment in which something waits for
 * it; and deadlines are near zero and as far as they can be. Nothing spins, nothing overflows.
 */
#include "scene.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "engine/base/wake.h"
#include "engine/run/keeper.h"
#include "engine/run/server.h"
#include "os/clock.h"

static const uint64_t jumps[] = {
	MTSI_SECOND,
	3600 * MTSI_SECOND,
	UINT64_C(100) * 365 * 86400 * MTSI_SECOND,
	UINT64_C(280) * 365 * 86400 * MTSI_SECOND,
};

enum { JUMPS = sizeof(jumps) / sizeof(jumps[0]), PEEKS = 20 };

/* An idle keeper sleeps: each of its wake-ups is one that the test has ordered. */
static void want_no_spin(struct scene *scene)
{
	fault_clear(FAULT_PPOLL);
	for (int i = 0; i < PEEKS; i++) {
		mtsi_wake_keeper(scene->server);
		fault_wait_count(FAULT_PPOLL, (uint32_t)i + 1);
	}
	ck_assert_uint_le(fault_count(FAULT_PPOLL), PEEKS + 3);
}

START_TEST(while_idle)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	const int first = scene_visit(&scene);
	wait_until(mtsi_deadline_idle_since(mtsi_clients_find(scene.server, MTSI_FIRST_ID)) != 0);
	fault_clock_ahead(jumps[_i]);
	want_no_spin(&scene);
	if (jumps[_i] < 60 * MTSI_SECOND) {
		scene_ask(first, "good morning");
	} else {
		peer_expect_end(first); /* it was idle for too long */
		gate_wait(&scene.reasons[MTS_CLOSED_IDLE], 1);
	}
	const int second = scene_visit(&scene);
	close(first);
	close(second);
	scene_end(&scene);
}
END_TEST

/* Everything that waits for the clock is due at once, once. */
START_TEST(while_clients_linger)
{
	struct scene scene;
	int peers[4];
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	scene_start(&scene);
	for (int i = 0; i < 4; i++) {
		peers[i] = scene_linger(&scene);
	}
	fault_clock_ahead(2 * MTSI_SECOND + jumps[_i]);
	mtsi_wake_keeper(scene.server);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 4);
	want_no_spin(&scene);
	for (int i = 0; i < 4; i++) {
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

START_TEST(while_accept_rests)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	fault_clock_stop(true);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int peer = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_ACCEPT, 1);
	fault_clock_ahead(jumps[_i]);
	mtsi_wake_keeper(scene.server);
	/* The keeper may have read the clock before the jump, and slept again. */
	fault_clock_stop(false);
	scene_ask(peer, "in after all");
	want_no_spin(&scene);
	close(peer);
	scene_end(&scene);
}
END_TEST

START_TEST(while_threads_are_short)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	fault_fail(FAULT_THREAD, EAGAIN, 0, 1);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_THREAD, 1);
	fault_clock_ahead(jumps[_i]);
	scene_ask(peer, "served after all");
	want_no_spin(&scene);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* The deadline passes by a jump, with a client in its handler: cut off, reported, and freed later. */
START_TEST(while_it_stops)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "hold\n");
	gate_wait(&scene.entered, 1);
	mts_server_stop(scene.server);
	gate_wait(&scene.logs[MTS_LOG_INFO], 2); /* it has begun to stop */
	fault_clock_ahead(5 * MTSI_SECOND + jumps[_i]);
	mtsi_wake_keeper(scene.server);
	ck_assert_int_eq(mts_server_join(scene.server), -EBUSY);
	gate_wait(&scene.logs[MTS_LOG_ERR], 1);
	ck_assert_int_eq(mts_server_destroy(scene.server), -EBUSY);
	gate_add(&scene.release);
	gate_wait(&scene.closed, 1);
	while (mts_server_destroy(scene.server) == -EBUSY) {
	}
	ck_assert_int_eq(gate_count(&scene.logs[MTS_LOG_ERR]), 1);
	close(peer);
}
END_TEST

/* The same numbers as a stop timeout: a client that does not end is cut off when it is due. */
START_TEST(stop_timeouts_near_zero)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, (unsigned)_i), 0);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "100000000\n");
	peer_expect_pattern(peer, 1, 0);
	server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
	scene_stop_late(&scene, (unsigned)_i);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_CUT_OFF), 1);
	ck_assert_int_eq(mts_server_destroy(scene.server), 0);
	ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_STOP]), 1);
	close(peer);
}
END_TEST

static const unsigned long_timeouts[] = {0, UINT_MAX, UINT_MAX - 1, INT_MAX, 1u << 31};
enum { LONG_TIMEOUTS = sizeof(long_timeouts) / sizeof(long_timeouts[0]) };

/* So long a stop waits for its client, does not spin meanwhile, and ends with it. */
START_TEST(stop_timeouts_without_end)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, long_timeouts[_i]), 0);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "hold\n");
	gate_wait(&scene.entered, 1);
	if (test_model == MTS_THREAD_ON_DEMAND) {
		/* Until then its handler is looked at. */
		server_wait_stat(scene.server, MTS_STAT_STALLS, 1);
	}
	mts_server_stop(scene.server);
	want_no_spin(&scene);
	fault_clock_ahead(3600 * MTSI_SECOND);
	want_no_spin(&scene);
	gate_add(&scene.release);
	peer_expect_text(peer, "hold\n");
	ck_assert_int_eq(mts_server_join(scene.server), 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_CUT_OFF), 0);
	close(peer);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("time");
	tcase_add_loop_test(cases, while_idle, 0, JUMPS);
	tcase_add_loop_test(cases, while_clients_linger, 0, JUMPS);
	tcase_add_loop_test(cases, while_accept_rests, 0, JUMPS);
	tcase_add_loop_test(cases, while_threads_are_short, 0, JUMPS);
	tcase_add_loop_test(cases, while_it_stops, 0, JUMPS);
	tcase_add_loop_test(cases, stop_timeouts_near_zero, 1, 4);
	tcase_add_loop_test(cases, stop_timeouts_without_end, 0, LONG_TIMEOUTS);
	return suite_run();
}
