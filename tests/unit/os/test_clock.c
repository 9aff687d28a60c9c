/* SPDX-License-Identifier: MIT
 *
 * The clock goes forward, at the pace of the system's monotonic one, and sums of it never wrap around.
 */
#include "os/clock.h"

#include <time.h>

#include "../../api/support.h"

START_TEST(it_is_the_monotonic_clock)
{
	struct timespec now;
	uint64_t before = mtsi_clock_now();
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
		const uint64_t middle = (uint64_t)now.tv_sec * MTSI_SECOND + (uint64_t)now.tv_nsec;
		const uint64_t after = mtsi_clock_now();
		ck_assert(before <= middle && middle <= after);
		before = after;
	}
}
END_TEST

static const struct {
	uint64_t from;
	uint64_t span;
	uint64_t sum;
} sums[] = {
	{0, 0, 0},
	{1, 2, 3},
	{MTSI_SECOND, MTSI_MILLISECOND, UINT64_C(1001000000)},
	{MTSI_NEVER, 0, MTSI_NEVER},
	{MTSI_NEVER, 1, MTSI_NEVER},
	{0, MTSI_NEVER, MTSI_NEVER},
	{1, MTSI_NEVER, MTSI_NEVER},
	{MTSI_NEVER - 1, 1, MTSI_NEVER},
	{MTSI_NEVER - 1, 2, MTSI_NEVER},
	{MTSI_NEVER - 2, 1, MTSI_NEVER - 1},
	{MTSI_NEVER, MTSI_NEVER, MTSI_NEVER},
};

START_TEST(sums_end_at_never)
{
	ck_assert_uint_eq(mtsi_clock_after(sums[_i].from, sums[_i].span), sums[_i].sum);
	ck_assert_uint_eq(mtsi_clock_after(sums[_i].span, sums[_i].from), sums[_i].sum);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("clock");
	tcase_add_test(cases, it_is_the_monotonic_clock);
	tcase_add_loop_test(cases, sums_end_at_never, 0, sizeof(sums) / sizeof(sums[0]));
	return suite_run_once();
}
