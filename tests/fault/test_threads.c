/* SPDX-License-Identifier: MIT
 *
 * pthread_create fails: once, for a while, for ever. Clients wait, are served by the threads there are,
 * or as soon as one can be made; it is counted, and logged at a bounded rate.
 */
#include "scene.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "engine/run/server.h"

static const int errors[] = {EAGAIN, ENOMEM, EPERM};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]), MANY = 8 };

/* Tried again until it works, and no client is forgotten. */
START_TEST(for_a_while)
{
	struct scene scene;
	int peers[MANY];
	scene_make(&scene, scene_echo);
	fault_fail(FAULT_THREAD, errors[_i / 3], 0, (uint32_t)_i % 3 + 1);
	scene_start(&scene);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "patience\n");
	}
	for (int i = 0; i < MANY; i++) {
		peer_expect_text(peers[i], "patience\n");
	}
	ck_assert_uint_eq(fault_hits(FAULT_THREAD), (uint32_t)_i % 3 + 1);
	if (test_model == MTS_THREAD_PER_CLIENT) { /* on demand nobody waits who comes late */
		ck_assert_uint_ge(mts_server_stat(scene.server, MTS_STAT_THREAD_WAITS), 1);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS), MANY);
	}
	gate_wait(&scene.logs[MTS_LOG_WARNING], 1);
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

/* Ten attempts at least 100 ms apart, however many wait; the log says it once a second. */
START_TEST(attempts_are_paced)
{
	struct scene scene;
	int peers[MANY];
	scene_make(&scene, scene_echo);
	fault_clear(FAULT_PPOLL);
	fault_fail(FAULT_THREAD, EAGAIN, 0, FAULT_FOREVER);
	const uint64_t start = now_ms();
	scene_start(&scene);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(scene.server, 0);
	}
	fault_wait_hits(FAULT_THREAD, 11);
	const uint64_t took = now_ms() - start;
	ck_assert_uint_ge(took, 1000);
	ck_assert_uint_le(fault_count(FAULT_PPOLL), 2 * fault_hits(FAULT_THREAD) + 2 * MANY + 4);
	gate_wait(&scene.logs[MTS_LOG_WARNING], 1);
	ck_assert_int_le(gate_count(&scene.logs[MTS_LOG_WARNING]), (int)(took / 1000) + 2);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS), 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS_PEAK), 0);
	fault_clear(FAULT_THREAD);
	for (int i = 0; i < MANY; i++) {
		scene_ask(peers[i], "at last");
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

/*
 * With the clock stopped nobody tries again: whoever waits gets the threads that become free. Not on
 * demand: there the clock is also how a handler is found out that waits.
 */
START_TEST(threads_there_are_serve_them)
{
	if (test_model == MTS_THREAD_ON_DEMAND) {
		return;
	}
	struct scene scene;
	int peers[MANY];
	scene_make(&scene, scene_echo_once);
	scene_start(&scene);
	peers[0] = peer_connect(scene.server, 0);
	server_wait_stat(scene.server, MTS_STAT_OPEN, 1);
	fault_clock_stop(true);
	fault_fail(FAULT_THREAD, errors[_i], 0, FAULT_FOREVER);
	for (int i = 1; i < MANY; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "in line\n");
	}
	server_wait_stat(scene.server, MTS_STAT_THREAD_WAITS, MANY - 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS), 1);
	peer_puts(peers[0], "in line\n");
	for (int i = 0; i < MANY; i++) {
		peer_expect_text(peers[i], "in line\n");
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	ck_assert_uint_eq(fault_hits(FAULT_THREAD), 1);
	fault_clock_stop(false);
	scene_end(&scene);
}
END_TEST

/* No thread at all, and a stop: those who wait were never opened, and are turned away at the end. */
START_TEST(none_at_all)
{
	struct scene scene;
	int peers[MANY];
	scene_make(&scene, scene_echo);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, 50), 0);
	fault_fail(FAULT_THREAD, errors[_i], 0, FAULT_FOREVER);
	scene_start(&scene);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "hello\n");
	}
	while (mtsi_door_clients(scene.server) < MANY) {
		fault_wait_count(FAULT_THREAD, fault_count(FAULT_THREAD) + 1);
	}
	scene_stop_late(&scene, 50);
	ck_assert_int_eq(gate_count(&scene.opened), 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_REFUSED), MANY);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_ACCEPTED), 0);
	for (int i = 0; i < MANY; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

static struct scene *stage;

/* Waits until the crew has a worker that rests, or a client that waits. */
static void wait_for_crew(bool rests, bool waits)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(stage->server)->crew;
	bool seen = false;
	while (!seen) {
		mtsi_lock_take(&crew->lock);
		seen = (rests && crew->idle != NULL) || (waits && crew->ready.count > 0);
		mtsi_lock_release(&crew->lock);
	}
}

/* A thread can be made again after the stop has begun: then they get their last turn. */
START_TEST(in_time_for_the_stop)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	fault_fail(FAULT_THREAD, EAGAIN, 0, FAULT_FOREVER);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "hello\n");
	fault_wait_hits(FAULT_THREAD, 1);
	stage = &scene;
	wait_for_crew(false, true);
	mts_server_stop(scene.server);
	fault_wait_hits(FAULT_THREAD, 3);
	fault_clear(FAULT_THREAD);
	peer_expect_text(peer, "hello\n");
	peer_expect_gone(peer);
	close(peer);
	scene_end(&scene);
	ck_assert_int_eq(gate_count(&scene.opened), 1);
}
END_TEST

static struct gate both_here = GATE;

static void wait_for_both(void)
{
	scene_wait(&both_here, 1);
}

/*
 * While a worker makes a thread in vain, another one ends its client, serves the one that the thread was
 * for, and rests; and then somebody comes, who sees that a thread is on its way.
 */
static void come_meanwhile(void)
{
	gate_add(&stage->release);
	gate_add(&stage->release);
	wait_for_crew(true, false);
	peer_puts(peer_connect(stage->server, 0), "last\n");
	wait_for_crew(false, true);
}

/* So the one who rests must be woken for it: with the clock stopped nobody tries again. As above. */
START_TEST(a_resting_thread_is_not_forgotten)
{
	if (test_model == MTS_THREAD_ON_DEMAND) {
		return;
	}
	struct scene scene;
	stage = &scene;
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	scene_start(&scene);
	const int first = peer_connect(scene.server, 0);
	peer_puts(first, "first\n");
	gate_wait(&scene.entered, 1);
	fault_clock_stop(true);
	fault_hook(FAULT_ACCEPT, wait_for_both);
	fault_fail(FAULT_ACCEPT, EINTR, 0, 1);
	fault_hook(FAULT_THREAD, come_meanwhile);
	fault_fail(FAULT_THREAD, EAGAIN, 1, FAULT_FOREVER);
	const int second = peer_connect(scene.server, 0);
	const int third = peer_connect(scene.server, 0);
	peer_puts(second, "second\n");
	peer_puts(third, "third\n");
	gate_add(&both_here);
	fault_wait_hits(FAULT_THREAD, 1);
	fault_hook(FAULT_THREAD, NULL);
	gate_wait(&scene.entered, 4);
	gate_add(&scene.release);
	gate_add(&scene.release);
	gate_wait(&scene.closed, 4);
	fault_clock_stop(false);
	scene_end(&scene);
}
END_TEST

enum { CROWD = 20 };
static pthread_key_t key;
static struct gate ending; /* destructors that have begun */
static struct gate let_end; /* so many of them may end */

static void destructor(void *value)
{
	(void)value;
	scene_wait(&let_end, gate_add(&ending));
}

/* All meet, so that each has a thread of its own. */
static int leave_something(mts_client *client, const void *request, size_t size, void *user)
{
	struct scene *scene = user;
	ck_assert_int_eq(pthread_setspecific(key, &key), 0);
	gate_add(&scene->entered);
	scene_wait(&scene->entered, CROWD);
	return scene_echo(client, request, size, user);
}

/* How many have left, and are still to be joined. */
static size_t left(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const size_t count = mtsi_crew_floor(server)->crew.left_count;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return count;
}

/*
 * Each ends 30 ms after the one before it, by the library's clock: all together that takes longer than the
 * stop allows for callbacks, but as long as they do, nobody hangs.
 */
START_TEST(they_end_one_by_one)
{
	struct scene scene;
	int peers[CROWD];
	ending = (struct gate)GATE;
	let_end = (struct gate)GATE;
	ck_assert_int_eq(pthread_key_create(&key, destructor), 0);
	scene_make(&scene, leave_something);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, 50), 0);
	scene_start(&scene);
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "meet\n");
	}
	for (int i = 0; i < CROWD; i++) {
		peer_expect_text(peers[i], "meet\n");
	}
	fault_clock_stop(true);
	mts_server_stop(scene.server);
	gate_wait(&ending, CROWD);
	wait_until(left(scene.server) == CROWD);
	for (size_t i = 1; i <= CROWD; i++) {
		fault_clock_ahead(30 * MTSI_MILLISECOND);
		gate_add(&let_end);
		wait_until(left(scene.server) == CROWD - i);
	}
	ck_assert_int_eq(mts_server_join(scene.server), 0);
	fault_clock_stop(false);
	ck_assert_int_eq(mts_server_destroy(scene.server), 0);
	ck_assert_int_eq(pthread_key_delete(key), 0);
	for (int i = 0; i < CROWD; i++) {
		close(peers[i]);
	}
}
END_TEST

enum { LIMIT = 4 };
static _Atomic int hanging; /* destructors that are still to hang: the first one does */
static struct gate hangs;
static struct gate let_hung_end;
static struct gate meeting;
static _Atomic int meet; /* how many are to meet */

static void hang_once(void *value)
{
	(void)value;
	if (atomic_exchange(&hanging, 0) != 0) {
		gate_add(&hangs);
		scene_wait(&let_hung_end, 1);
	}
}

static int meet_and_close(mts_client *client, const void *request, size_t size, void *user)
{
	ck_assert_int_eq(pthread_setspecific(key, &key), 0);
	gate_add(&meeting);
	scene_wait(&meeting, atomic_load(&meet));
	return scene_echo_once(client, request, size, user);
}

/* So many handlers run at once, each on a thread of its own. */
static void have_them_meet(struct scene *scene, int count)
{
	int peers[LIMIT];
	meeting = (struct gate)GATE;
	atomic_store(&meet, count);
	for (int i = 0; i < count; i++) {
		peers[i] = peer_connect(scene->server, 0);
		peer_puts(peers[i], "meet\n");
	}
	for (int i = 0; i < count; i++) {
		peer_expect_text(peers[i], "meet\n");
		close(peers[i]);
	}
}

/* Those that rest leave, but for the one that stays, and the one that hangs. */
static void let_them_rest(struct scene *scene, uint64_t rest)
{
	const uint64_t begun = now_ms();
	while (mts_server_stat(scene->server, MTS_STAT_THREADS) != rest) {
		ck_assert_uint_lt(now_ms() - begun, PATIENCE * 1000);
		fault_clock_ahead(1100 * MTSI_MILLISECOND);
		poll(NULL, 0, 1);
	}
}

/*
 * A destructor that hangs is one thread for good, which counts; the others come and go beside it. When it
 * has ended after all, its place is free again.
 */
START_TEST(one_that_hangs_holds_up_no_other)
{
	struct scene scene;
	hangs = (struct gate)GATE;
	let_hung_end = (struct gate)GATE;
	hanging = 1;
	ck_assert_int_eq(pthread_key_create(&key, hang_once), 0);
	scene_make(&scene, meet_and_close);
	ck_assert_int_eq(mts_server_set_max_threads(scene.server, LIMIT), 0);
	scene_start(&scene);
	have_them_meet(&scene, LIMIT);
	for (int i = 0; i < 3; i++) {
		let_them_rest(&scene, 2);
		gate_wait(&hangs, 1);
		have_them_meet(&scene, LIMIT - 1);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS), LIMIT);
	}
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_THREADS_PEAK), LIMIT);
	gate_add(&let_hung_end);
	let_them_rest(&scene, 1);
	have_them_meet(&scene, LIMIT);
	scene_end(&scene);
	ck_assert_int_eq(pthread_key_delete(key), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("threads");
	tcase_add_loop_test(cases, for_a_while, 0, 3 * ERRORS);
	tcase_add_test(cases, attempts_are_paced);
	tcase_add_loop_test(cases, threads_there_are_serve_them, 0, ERRORS);
	tcase_add_loop_test(cases, none_at_all, 0, ERRORS);
	tcase_add_test(cases, in_time_for_the_stop);
	tcase_add_test(cases, a_resting_thread_is_not_forgotten);
	tcase_add_test(cases, they_end_one_by_one);
	tcase_add_test(cases, one_that_hangs_holds_up_no_other);
	return suite_run();
}
