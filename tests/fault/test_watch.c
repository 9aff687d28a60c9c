/* SPDX-License-Identifier: MIT
 *
 * epoll_ctl has no memory: for output that waits, for a socket that lingers. Nothing but that one step
 * may suffer. (What becomes of a client that is to be parked is looked at in test_parking.c.)
 *
 * Only what is added can fail. On demand a client that has been parked once is watched already; so where
 * its output or its lingering is to be added, accept is deferred: its first turn finds its request.
 */
#include "scene.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/base/wake.h"
#include "engine/run/keeper.h"
#include "engine/run/server.h"
#include "os/clock.h"

static const int errors[] = {ENOMEM, ENOSPC};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]), LARGE = 200000 };

/* Output that cannot be left to epoll is sent by its writer, who waits; nobody else does. */
START_TEST(for_queued_output)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_defer_accept(scene.server, 60), 0);
	scene_start(&scene);
	fault_watch_only(EPOLLOUT);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, FAULT_FOREVER);
	const int slow = peer_connect(scene.server, 0);
	peer_puts(slow, "200000\n");
	fault_wait_hits(FAULT_EPOLL_CTL, 1);
	const int other = peer_connect(scene.server, 0);
	peer_puts(other, "10\n");
	peer_expect_pattern(other, 10, 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_BUSY), 1);
	peer_expect_pattern(slow, LARGE, 0);
	peer_puts(slow, "100\n");
	peer_expect_pattern(slow, 100, 0);
	close(slow);
	close(other);
	scene_end(&scene);
}
END_TEST

/* One failure in the middle, where a part is queued already and the watch is only to change. */
START_TEST(for_queued_output_once)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_defer_accept(scene.server, 60), 0);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	fault_watch_only(EPOLLOUT);
	for (uint32_t skip = 0; skip < 4; skip++) {
		fault_fail(FAULT_EPOLL_CTL, errors[_i], skip, 1);
		peer_puts(peer, "200000\n");
		peer_expect_pattern(peer, LARGE, 0);
	}
	close(peer);
	scene_end(&scene);
}
END_TEST

/* A socket that lingers unwatched is closed when it is due. */
START_TEST(for_a_lingerer)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	ck_assert_int_eq(mts_server_set_defer_accept(scene.server, 60), 0);
	scene_start(&scene);
	fault_watch_only(EPOLLIN | EPOLLRDHUP);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, FAULT_FOREVER);
	const int peer = scene_linger(&scene);
	fault_wait_hits(FAULT_EPOLL_CTL, 1);
	fault_clock_ahead(10 * MTSI_SECOND);
	mtsi_wake_keeper(scene.server);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 1);
	peer_expect_gone(peer);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* The same, and stopped meanwhile. */
START_TEST(for_a_lingerer_at_the_stop)
{
	struct scene scene;
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	ck_assert_int_eq(mts_server_set_defer_accept(scene.server, 60), 0);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, 50), 0);
	scene_start(&scene);
	fault_watch_only(EPOLLIN | EPOLLRDHUP);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, FAULT_FOREVER);
	const int peer = scene_linger(&scene);
	scene_stop_late(&scene, 50);
	scene_end(&scene);
	peer_expect_gone(peer);
	close(peer);
}
END_TEST

/* Until the listeners are disarmed, since there is no room. */
static void wait_until_listeners_rest(mts_server *server)
{
	bool armed = true;
	while (armed) {
		mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
		armed = mtsi_door_floor(server)->door.armed;
		mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
	}
}

/*
 * Listeners rest and are watched again without anything that could fail: where there was room for them
 * at the start there always is.
 */
START_TEST(for_listeners_when_there_is_room_again)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	ck_assert_int_eq(mts_server_listen(scene.server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_set_max_clients(scene.server, 1), 0);
	scene_start(&scene);
	const int first = scene_visit(&scene);
	fault_watch_only(EPOLLIN);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, FAULT_FOREVER);
	const int second = peer_connect(scene.server, 0);
	const int third = peer_connect(scene.server, 1);
	wait_until_listeners_rest(scene.server);
	close(first);
	peer_puts(second, "in at last\n");
	peer_puts(third, "me too\n");
	peer_finish(second);
	peer_finish(third);
	peer_expect_text(second, "in at last\n");
	peer_expect_text(third, "me too\n");
	close(second);
	close(third);
	scene_end(&scene);
}
END_TEST

START_TEST(for_listeners_after_a_pause)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	fault_watch_only(EPOLLIN);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, FAULT_FOREVER);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int peer = scene_visit(&scene);
	close(peer);
	scene_end(&scene);
}
END_TEST

START_TEST(for_listeners_when_the_limit_is_raised)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	ck_assert_int_eq(mts_server_set_max_clients(scene.server, 1), 0);
	scene_start(&scene);
	const int first = scene_visit(&scene);
	const int second = peer_connect(scene.server, 0);
	wait_until_listeners_rest(scene.server);
	fault_watch_only(EPOLLIN);
	fault_fail(FAULT_EPOLL_CTL, errors[_i], 0, FAULT_FOREVER);
	fault_inside(true);
	ck_assert_int_eq(mts_server_set_max_clients(scene.server, 2), 0);
	fault_inside(false);
	scene_ask(second, "in at last");
	close(first);
	close(second);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("watch");
	tcase_add_loop_test(cases, for_queued_output, 0, ERRORS);
	tcase_add_loop_test(cases, for_queued_output_once, 0, ERRORS);
	tcase_add_loop_test(cases, for_a_lingerer, 0, ERRORS);
	tcase_add_loop_test(cases, for_a_lingerer_at_the_stop, 0, ERRORS);
	tcase_add_loop_test(cases, for_listeners_when_there_is_room_again, 0, ERRORS);
	tcase_add_loop_test(cases, for_listeners_after_a_pause, 0, ERRORS);
	tcase_add_loop_test(cases, for_listeners_when_the_limit_is_raised, 0, ERRORS);
	return suite_run();
}
