/* SPDX-License-Identifier: MIT
 *
 * Locks exclude, signals wake, waits end no earlier than they should; and debug builds end the process
 * where a lock is used wrongly.
 */
#include "os/lock.h"

#include <signal.h>

#include "../../api/support.h"
#include "os/clock.h"

enum { THREADS = 4, ROUNDS = 20000 };

static struct mtsi_lock lock; /* of rank 2 of three */
static struct mtsi_lock outer;
static struct mtsi_lock inner;
static struct mtsi_signal changed;
static int number; /* under the lock */
static int waiting; /* under the lock */

static void setup(void)
{
	mtsi_lock_init(&outer, 1);
	mtsi_lock_init(&lock, 2);
	mtsi_lock_init(&inner, 3);
	mtsi_signal_init(&changed);
	number = 0;
	waiting = 0;
}

static void teardown(void)
{
	mtsi_signal_destroy(&changed);
	mtsi_lock_destroy(&inner);
	mtsi_lock_destroy(&lock);
	mtsi_lock_destroy(&outer);
}

static void *add(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		mtsi_lock_take(&lock);
		mtsi_lock_assert_held(&lock);
		number++;
		mtsi_lock_release(&lock);
	}
	return unused;
}

static void start(pthread_t *threads, void *(*body)(void *))
{
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, body, NULL), 0);
	}
}

static void join(pthread_t *threads)
{
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
}

START_TEST(it_excludes)
{
	pthread_t threads[THREADS];
	start(threads, add);
	join(threads);
	ck_assert_int_eq(number, THREADS * ROUNDS);
}
END_TEST

/* Takes one of what there is. */
static void *take_one(void *unused)
{
	mtsi_lock_take(&lock);
	waiting++;
	while (number == 0) {
		(void)mtsi_signal_wait(&changed, &lock, MTSI_NEVER);
	}
	number--;
	waiting--;
	mtsi_lock_release(&lock);
	return unused;
}

static void wait_for_waiting(int count)
{
	for (bool reached = false; !reached;) {
		mtsi_lock_take(&lock);
		reached = waiting == count;
		mtsi_lock_release(&lock);
	}
}

/* One at a time, then the others together. */
START_TEST(signals_wake)
{
	pthread_t threads[THREADS];
	start(threads, take_one);
	wait_for_waiting(THREADS);
	mtsi_lock_take(&lock);
	number = 1;
	mtsi_signal_one(&changed);
	mtsi_lock_release(&lock);
	wait_for_waiting(THREADS - 1);
	mtsi_lock_take(&lock);
	number = THREADS - 1;
	mtsi_signal_all(&changed);
	mtsi_lock_release(&lock);
	join(threads);
	ck_assert_int_eq(number, 0);
}
END_TEST

/* Only the deadline ends these; waking for no reason is allowed, and is not the end. */
START_TEST(waits_are_never_too_short)
{
	static const uint64_t spans[] = {0, 1, 1000, MTSI_MILLISECOND, 20 * MTSI_MILLISECOND};
	mtsi_lock_take(&lock);
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		const uint64_t deadline = mtsi_clock_after(mtsi_clock_now(), spans[i]);
		while (mtsi_signal_wait(&changed, &lock, deadline)) {
		}
		ck_assert_uint_ge(mtsi_clock_now(), deadline);
	}
	while (mtsi_signal_wait(&changed, &lock, 0)) {
	}
	mtsi_lock_release(&lock);
}
END_TEST

static void *give_late(void *unused)
{
	wait_for_waiting(1);
	mtsi_lock_take(&lock);
	number = 1;
	mtsi_signal_all(&changed);
	mtsi_lock_release(&lock);
	return unused;
}

/* Deadlines so far off that they must not be taken for past ones. */
START_TEST(far_deadlines)
{
	static const uint64_t deadlines[] = {
		MTSI_NEVER, MTSI_NEVER - 1, MTSI_NEVER / 2, UINT64_C(1) << 62};
	for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
		pthread_t giver;
		number = 0;
		waiting = 0;
		ck_assert_int_eq(pthread_create(&giver, NULL, give_late, NULL), 0);
		mtsi_lock_take(&lock);
		waiting = 1;
		while (number == 0) {
			ck_assert(mtsi_signal_wait(&changed, &lock, deadlines[i]));
		}
		mtsi_lock_release(&lock);
		ck_assert_int_eq(pthread_join(giver, NULL), 0);
	}
}
END_TEST

/* Taken in the order of their ranks, and released in any, also around a wait. */
START_TEST(in_order)
{
	struct mtsi_lock *const all[] = {&outer, &lock, &inner};
	static const int orders[][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		for (int k = 0; k < 3; k++) {
			mtsi_lock_take(all[k]);
		}
		for (int k = 0; k < 3; k++) {
			mtsi_lock_assert_held(all[orders[i][k]]);
			mtsi_lock_release(all[orders[i][k]]);
		}
		mtsi_lock_take(&outer);
		mtsi_lock_take(&lock);
		(void)mtsi_signal_wait(&changed, &lock, 0);
		mtsi_lock_release(&outer);
		mtsi_lock_take(&inner);
		mtsi_lock_release(&lock);
		mtsi_lock_release(&inner);
	}
}
END_TEST

START_TEST(held_when_it_is_not)
{
	mtsi_lock_assert_held(&lock);
}
END_TEST

START_TEST(taken_twice)
{
	mtsi_lock_take(&lock);
	mtsi_lock_take(&lock);
}
END_TEST

START_TEST(released_unheld)
{
	mtsi_lock_release(&lock);
}
END_TEST

START_TEST(taken_in_the_wrong_order)
{
	mtsi_lock_take(&inner);
	mtsi_lock_take(&lock);
}
END_TEST

/* What was released between them makes it no better. */
START_TEST(taken_below_one_that_is_left)
{
	mtsi_lock_take(&outer);
	mtsi_lock_take(&inner);
	mtsi_lock_release(&outer);
	mtsi_lock_take(&lock);
}
END_TEST

START_TEST(taken_beside_its_equal)
{
	struct mtsi_lock equal;
	mtsi_lock_init(&equal, 2);
	mtsi_lock_take(&lock);
	mtsi_lock_take(&equal);
}
END_TEST

START_TEST(waits_below_another)
{
	mtsi_lock_take(&lock);
	mtsi_lock_take(&inner);
	(void)mtsi_signal_wait(&changed, &lock, 0);
}
END_TEST

static void add_wrong_use(TCase *cases)
{
#ifdef MTSI_DEBUG
	/* Also those in which nobody would ever wait in vain. */
	tcase_add_test_raise_signal(cases, taken_in_the_wrong_order, SIGABRT);
	tcase_add_test_raise_signal(cases, taken_below_one_that_is_left, SIGABRT);
	tcase_add_test_raise_signal(cases, taken_beside_its_equal, SIGABRT);
	tcase_add_test_raise_signal(cases, waits_below_another, SIGABRT);
	tcase_add_test_raise_signal(cases, held_when_it_is_not, SIGABRT);
	tcase_add_test_raise_signal(cases, taken_twice, SIGABRT);
	/* The thread sanitizer would report these itself, before the library can. */
#ifndef __SANITIZE_THREAD__
	tcase_add_test_raise_signal(cases, released_unheld, SIGABRT);
#else
	(void)released_unheld;
#endif
#else
	tcase_add_test(cases, held_when_it_is_not);
	(void)taken_in_the_wrong_order;
	(void)taken_below_one_that_is_left;
	(void)taken_beside_its_equal;
	(void)waits_below_another;
	(void)taken_twice;
	(void)released_unheld;
#endif
}

int main(void)
{
	TCase *cases = suite_begin("lock");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, it_excludes);
	tcase_add_test(cases, signals_wake);
	tcase_add_test(cases, waits_are_never_too_short);
	tcase_add_test(cases, far_deadlines);
	tcase_add_test(cases, in_order);
	add_wrong_use(cases);
	return suite_run_once();
}
