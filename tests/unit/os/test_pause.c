/* SPDX-License-Identifier: MIT
 *
 * A pause in place of a wait lasts, so that a loop around it does not spin; and many that pause at once
 * look no more often than one.
 */
#include "os/pause.h"

#include <stdatomic.h>

#include "../../api/support.h"
#include "os/clock.h"

enum { MANY = 16, LOOKS = 5 };

START_TEST(it_lasts)
{
	const uint64_t start = mtsi_clock_now();
	mtsi_pause_for(3 * MTSI_MILLISECOND);
	ck_assert_uint_ge(mtsi_clock_now() - start, 3 * MTSI_MILLISECOND);
	for (int i = 0; i < 10; i++) {
		mtsi_pause_instead();
	}
	ck_assert_uint_ge(mtsi_clock_now() - start, 23 * MTSI_MILLISECOND);
}
END_TEST

/* A wait that is shorter ends in time. The shortest of many tries: others may take the CPUs. */
START_TEST(it_ends_when_the_wait_would)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < 1000 && least >= 2 * MTSI_MILLISECOND; i++) {
		const uint64_t start = mtsi_clock_now();
		mtsi_pause_instead_for(0);
		const uint64_t took = mtsi_clock_now() - start;
		least = took < least ? took : least;
	}
	ck_assert_uint_lt(least, 2 * MTSI_MILLISECOND);
}
END_TEST

static _Atomic unsigned looks;
static _Atomic bool over;

static void *look_now_and_then(void *unused)
{
	while (!atomic_load(&over)) {
		mtsi_pause_instead();
		atomic_fetch_add(&looks, 1);
	}
	return unused;
}

START_TEST(many_cost_as_little_as_one)
{
	pthread_t threads[MANY];
	const uint64_t start = mtsi_clock_now();
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, look_now_and_then, NULL), 0);
	}
	wait_until(atomic_load(&looks) >= MANY * LOOKS);
	const uint64_t took = mtsi_clock_now() - start;
	/* One looks every 2 ms. The first look of each is sooner, while it pauses with few others. */
	ck_assert_uint_ge(took, (MANY * LOOKS - 2 * MANY) * 2 * MTSI_MILLISECOND / 2);
	atomic_store(&over, true);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("pause");
	tcase_add_test(cases, it_lasts);
	tcase_add_test(cases, it_ends_when_the_wait_would);
	tcase_add_test(cases, many_cost_as_little_as_one);
	return suite_run_once();
}
