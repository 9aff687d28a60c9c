/* SPDX-License-Identifier: MIT
 *
 * Tasks on a clock that the test moves, to the nanosecond; with memory and threads that cannot be had; and
 * with nothing to do.
 */
#include "scene.h"

#include <errno.h>
#include <limits.h>

#include "engine/base/wake.h"
#include "engine/crew/floor.h"
#include "os/clock.h"

static const uint64_t period = 100 * MTSI_MILLISECOND;

static struct scene scene;
static struct gate runs;
static struct gate go;

static void setup(void)
{
	runs = go = (struct gate)GATE;
}

static void count_run(mts_server *server, void *user)
{
	(void)server;
	gate_add(user);
}

static void wait_in_task(mts_server *server, void *user)
{
	(void)server;
	gate_add(user);
	scene_wait(&go, 1);
}

/* On the library's clock, as from a callback. */
static int64_t every(unsigned ms, mts_task task, void *user)
{
	fault_inside(true);
	const int64_t id = mts_server_every(scene.server, ms, task, user);
	fault_inside(false);
	return id;
}

static int64_t after(unsigned ms, mts_task task, void *user)
{
	fault_inside(true);
	const int64_t id = mts_server_after(scene.server, ms, task, user);
	fault_inside(false);
	return id;
}

/* Has the keeper look twice: what was due before has been offered then. */
static void look(void)
{
	for (int i = 0; i < 2; i++) {
		fault_clear(FAULT_PPOLL);
		mtsi_wake_keeper(scene.server);
		fault_wait_count(FAULT_PPOLL, 1);
	}
}

/* What was offered has been run: a further task, which is due at once, has been too. */
static void pass(void)
{
	struct gate passed = GATE;
	ck_assert_int_gt(after(0, count_run, &passed), 0);
	gate_wait(&passed, 1);
}

static void go_ahead(uint64_t span)
{
	fault_clock_ahead(span);
	look();
}

static void begin(void)
{
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	look(); /* the keeper is there: time counts */
	fault_clock_stop(true);
}

static void end(void)
{
	fault_clock_stop(false);
	scene_end(&scene);
}

/* Not a nanosecond too soon, and then at once. */
START_TEST(exactly_on_time)
{
	begin();
	ck_assert_int_gt(every(100, count_run, &runs), 0);
	for (int i = 1; i <= 5; i++) {
		go_ahead(period - 1);
		pass();
		ck_assert_int_eq(gate_count(&runs), i - 1);
		go_ahead(1);
		gate_wait(&runs, i);
	}
	pass();
	ck_assert_int_eq(gate_count(&runs), 5);
	end();
}
END_TEST

static const uint64_t jumps[] = {
	5 * period + period / 2,
	MTSI_SECOND * 3600 + period / 2,
	UINT64_C(100) * 365 * 86400 * MTSI_SECOND + period / 2,
};

/* The process was stopped: one call, and then on the old beat. */
START_TEST(after_a_pause)
{
	begin();
	ck_assert_int_gt(every(100, count_run, &runs), 0);
	go_ahead(jumps[_i]);
	gate_wait(&runs, 1);
	pass();
	ck_assert_int_eq(gate_count(&runs), 1);
	go_ahead(period / 2 - 1);
	pass();
	ck_assert_int_eq(gate_count(&runs), 1);
	go_ahead(1);
	gate_wait(&runs, 2);
	pass();
	ck_assert_int_eq(gate_count(&runs), 2);
	end();
}
END_TEST

/* It runs across its next times, which are one. */
START_TEST(it_takes_long)
{
	begin();
	ck_assert_int_gt(every(100, wait_in_task, &runs), 0);
	go_ahead(period);
	gate_wait(&runs, 1);
	go_ahead(3 * period + period / 2);
	gate_add(&go);
	gate_wait(&runs, 2);
	pass();
	ck_assert_int_eq(gate_count(&runs), 2);
	go_ahead(period / 2 - 1);
	pass();
	ck_assert_int_eq(gate_count(&runs), 2);
	go_ahead(1);
	gate_wait(&runs, 3);
	end();
}
END_TEST

START_TEST(the_longest_time)
{
	begin();
	ck_assert_int_gt(every(UINT_MAX, count_run, &runs), 0);
	ck_assert_int_gt(after(UINT_MAX, count_run, &runs), 0);
	go_ahead(UINT_MAX * MTSI_MILLISECOND - 1);
	pass();
	ck_assert_int_eq(gate_count(&runs), 0);
	go_ahead(1);
	gate_wait(&runs, 2);
	go_ahead(UINT_MAX * MTSI_MILLISECOND);
	gate_wait(&runs, 3);
	end();
}
END_TEST

/* Memory is short: nothing has changed, and later it works. */
START_TEST(no_memory)
{
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	for (uint32_t skip = 0; skip < 2; skip++) {
		fault_fail(FAULT_MEMORY, ENOMEM, skip, 1);
		const int64_t task = every(1, count_run, &runs);
		ck_assert_int_eq(task, -ENOMEM);
		fault_clear(FAULT_MEMORY);
	}
	const int64_t task = every(1, count_run, &runs);
	ck_assert_int_gt(task, 0);
	gate_wait(&runs, 3);
	scene_end(&scene);
}
END_TEST

/* No thread can be made for it: it waits, without a spin, and runs once one can. */
START_TEST(no_thread)
{
	scene_make(&scene, scene_echo);
	fault_fail(FAULT_THREAD, EAGAIN, 0, 3); /* those that the keeper makes */
	scene_start(&scene);
	fault_clear(FAULT_PPOLL);
	ck_assert_int_gt(after(0, count_run, &runs), 0);
	gate_wait(&runs, 1);
	ck_assert_uint_eq(fault_hits(FAULT_THREAD), 3);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_uint_le(fault_count(FAULT_PPOLL), 30);
	}
	scene_end(&scene);
}
END_TEST

/* Waits until nobody will wake up unless something happens. */
static void wait_for_rest(void)
{
	const uint64_t begun = now_ms();
	unsigned long switches;
	bool wakes;
	do {
		wait_on(begun, "all sleep for long");
		library_rests();
		switches = library_threads().switches;
		wakes = fault_short_sleeps() > 0;
		/* Nobody has run in between, so what was looked at belongs together. */
	} while (wakes || library_threads().switches != switches);
}

/* Tasks whose time is far, was cancelled or is over: nobody wakes up for them. */
START_TEST(while_idle)
{
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	ck_assert_int_gt(after(1, count_run, &runs), 0);
	ck_assert_int_gt(every(3600000, count_run, &runs), 0);
	const int64_t task = every(3600000, count_run, &runs);
	ck_assert_int_eq(mts_server_cancel(scene.server, task), 0);
	gate_wait(&runs, 1);
	wait_for_rest(); /* on demand two workers poll for a second, and per client one rests so long */
	ck_assert_int_eq(gate_count(&runs), 1);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("tasks");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, exactly_on_time);
	tcase_add_loop_test(tcase, after_a_pause, 0, sizeof(jumps) / sizeof(jumps[0]));
	tcase_add_test(tcase, it_takes_long);
	tcase_add_test(tcase, the_longest_time);
	tcase_add_test(tcase, no_memory);
	tcase_add_test(tcase, no_thread);
	tcase_add_test(tcase, while_idle);
	return suite_run();
}
