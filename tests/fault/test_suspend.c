/* SPDX-License-Identifier: MIT
 *
 * What suspending promises: when it has returned no call of accept is made any more, whoever was about to
 * make one; and those who wait wake nobody.
 */
#include "scene.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/door/floor.h"

static struct scene scene;
static _Atomic bool over;

static void *visit_again_and_again(void *unused)
{
	(void)unused;
	while (!over) {
		close(scene_visit(&scene));
	}
	return NULL;
}

static void expect_nobody_accepted(void)
{
	const uint32_t before = fault_count(FAULT_ACCEPT);
	library_rests();
	ck_assert_uint_eq(fault_count(FAULT_ACCEPT), before);
}

/* Others connect without end, so there is always somebody to accept. */
START_TEST(nobody_is_accepted_after_it)
{
	enum { THREADS = 3, TIMES = 20 };
	pthread_t threads[THREADS];
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	over = false;
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, visit_again_and_again, NULL), 0);
	}
	for (uint32_t i = 0; i < TIMES; i++) {
		fault_clear(FAULT_ACCEPT);
		fault_wait_count(FAULT_ACCEPT, i % 4 + 1);
		ck_assert_int_eq(mts_server_suspend(scene.server), 0);
		expect_nobody_accepted();
		ck_assert_int_eq(mts_server_resume(scene.server), 0);
	}
	over = true;
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	scene_end(&scene);
}
END_TEST

static struct gate accepting;
static struct gate go_on;
static _Atomic bool returned;

static void hold_accept(void)
{
	gate_add(&accepting);
	scene_wait(&go_on, 1);
}

static void *suspend(void *unused)
{
	(void)unused;
	fault_inside(true);
	ck_assert_int_eq(mts_server_suspend(scene.server), 0);
	fault_inside(false);
	returned = true;
	return NULL;
}

/*
 * A thread that is in accept is waited for, and that connection is served; the next one is not taken. The
 * clock stands still meanwhile, so it may take as long as it likes.
 */
START_TEST(who_accepts_is_waited_for)
{
	pthread_t thread;
	accepting = go_on = (struct gate)GATE;
	returned = false;
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	fault_hook(FAULT_ACCEPT, hold_accept);
	fault_fail(FAULT_ACCEPT, FAULT_NOTHING, 0, 1);
	const int first = peer_connect(scene.server, 0);
	gate_wait(&accepting, 1);
	const int second = peer_connect(scene.server, 0);
	fault_clock_stop(true);
	ck_assert_int_eq(pthread_create(&thread, NULL, suspend, NULL), 0);
	wait_until(mtsi_door_is_suspended(&mtsi_door_floor(scene.server)->door));
	for (int i = 0; i < 1000; i++) {
		ck_assert(!returned);
		sched_yield();
	}
	gate_add(&go_on);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	fault_clock_stop(false);
	ck_assert_uint_eq(fault_count(FAULT_ACCEPT), 1);
	scene_ask(first, "in time");
	expect_nobody_accepted();
	ck_assert_uint_eq(fault_count(FAULT_ACCEPT), 1);
	ck_assert_int_eq(mts_server_resume(scene.server), 0);
	scene_ask(second, "later");
	close(first);
	close(second);
	scene_end(&scene);
}
END_TEST

static struct gate stolen;
static int victim;

/* Somebody else makes the socket blocking, and takes the connection, after the server has looked. */
static void steal(void)
{
	(void)fcntl(victim, F_SETFL, 0);
	close(accept(victim, NULL, NULL));
	gate_add(&stolen);
}

/* One that sleeps in accept is not waited for beyond a second; whom it gets is served, and no other. */
START_TEST(who_sleeps_in_accept_is_not)
{
	stolen = (struct gate)GATE;
	scene_make(&scene, scene_echo);
	const int shared = listening_socket(AF_INET, 100);
	victim = dup(shared);
	ck_assert_int_eq(mts_server_listen_fd(scene.server, shared), 0);
	scene_start(&scene);
	fault_hook(FAULT_ACCEPT, steal);
	fault_fail(FAULT_ACCEPT, FAULT_NOTHING, 0, 1);
	const int gone = peer_connect(scene.server, 1);
	gate_wait(&stolen, 1);
	ck_assert_int_eq(mts_server_suspend(scene.server), 0);
	const int first = peer_connect(scene.server, 1);
	scene_ask(first, "served");
	const int second = peer_connect(scene.server, 1);
	expect_nobody_accepted();
	ck_assert_int_eq(mts_server_resume(scene.server), 0);
	scene_ask(second, "later");
	close(gone);
	close(first);
	close(second);
	scene_end(&scene);
	close(victim);
}
END_TEST

START_TEST(who_waits_wakes_nobody)
{
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	const int inside = scene_visit(&scene);
	ck_assert_int_eq(mts_server_suspend(scene.server), 0);
	library_rests();
	fault_clear(FAULT_EPOLL_WAIT);
	fault_clear(FAULT_PPOLL);
	int peers[10];
	for (int i = 0; i < 10; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "hello\n");
	}
	library_rests();
	ck_assert_uint_le(fault_count(FAULT_EPOLL_WAIT), 1);
	ck_assert_uint_le(fault_count(FAULT_PPOLL), 1);
	ck_assert_int_eq(mts_server_resume(scene.server), 0);
	for (int i = 0; i < 10; i++) {
		peer_expect_text(peers[i], "hello\n");
		close(peers[i]);
	}
	close(inside);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("suspend and resume, accept");
	tcase_add_test(tests, nobody_is_accepted_after_it);
	tcase_add_test(tests, who_accepts_is_waited_for);
	tcase_add_test(tests, who_sleeps_in_accept_is_not);
	tcase_add_test(tests, who_waits_wakes_nobody);
	return suite_run();
}
