/* SPDX-License-Identifier: MIT
 *
 * The width of a crew, on made-up machines: what so many workers would get done there is a formula.
 */
#include "engine/crew/width.h"

#include "../../api/support.h"
#include "os/clock.h"

#define WITHOUT_END 1e18

enum { LOOK = 2 /* milliseconds between two looks */ };

/* A machine, and the load on it. */
struct machine {
	size_t cpus;
	double free; /* of these, those that nobody else uses */
	double each; /* stints a second that one worker gets done */
	double wanted; /* stints a second that are asked for */
	double noise; /* by how much a window may differ from what is right, as a share */
};

static struct mtsi_width width;
static uint64_t now;
static double stints;
static unsigned long looks;
static unsigned long wide; /* of the looks, those with more than one worker */
static unsigned changes;
static uint64_t random_state;

static void setup(void)
{
	mtsi_width_forget(&width);
	now = 1000 * MTSI_SECOND;
	stints = 0;
	random_state = 42;
}

/* From -1 to 1, the same in each run. */
static double chance(void)
{
	random_state = random_state * 6364136223846793005U + 1442695040888963407U;
	return (double)(random_state >> 33) / (double)(UINT64_C(1) << 30) - 1;
}

static double least(double a, double b)
{
	return a < b ? a : b;
}

static double done_by(const struct machine *machine, size_t workers)
{
	const double can = machine->each * least((double)workers, machine->free);
	return least(can, machine->wanted);
}

/* Lets so many milliseconds pass. */
static void pass(const struct machine *machine, unsigned long milliseconds)
{
	const struct mtsi_bounds bounds = {1, machine->cpus};
	looks = 0;
	wide = 0;
	changes = 0;
	for (unsigned long ms = 0; ms < milliseconds; ms += LOOK) {
		const size_t before = width.now;
		const double done = done_by(machine, before);
		now += LOOK * MTSI_MILLISECOND;
		stints += done * LOOK / 1000 * (1 + machine->noise * chance());
		mtsi_width_look(&width, now, (uint64_t)stints, &bounds, done < machine->wanted);
		looks++;
		wide += before > 1 ? 1 : 0;
		changes += width.now != before ? 1 : 0;
	}
}

/* How wide it is at least most of the time: a trial may be on just now. */
static size_t settled(void)
{
	return width.now + (width.trial == MTSI_TRIAL_NARROWER ? 1 : 0)
		- (width.trial == MTSI_TRIAL_WIDER ? 1 : 0);
}

static const size_t sizes[] = {1, 2, 3, 4, 16, 64};

START_TEST(as_wide_as_the_machine)
{
	struct machine machine = {sizes[_i], (double)sizes[_i], 40000, WITHOUT_END, 0.01};
	pass(&machine, 100 * sizes[_i]);
	ck_assert_uint_eq(settled(), sizes[_i]);
	pass(&machine, 60 * 1000);
	ck_assert_uint_eq(settled(), sizes[_i]);
	ck_assert_uint_le(changes, 2 * 60); /* a trial lasts for a window, and in vain is rare */
}
END_TEST

/* What was before the first look is no throughput to compare with. */
START_TEST(the_first_look_only_begins)
{
	const struct mtsi_bounds bounds = {1, 4};
	mtsi_width_look(&width, now, 1000, &bounds, true);
	ck_assert_int_eq(width.trial, MTSI_TRIAL_NONE);
	ck_assert_uint_eq(width.stints, 1000);
	mtsi_width_look(&width, now + 10 * MTSI_MILLISECOND, 1400, &bounds, true);
	ck_assert_int_eq(width.trial, MTSI_TRIAL_WIDER);
	ck_assert_uint_eq(width.rate, 40000);
}
END_TEST

START_TEST(slow_handlers_need_longer_windows)
{
	struct machine machine = {4, 4, 1000, WITHOUT_END, 0.05};
	pass(&machine, 2000);
	ck_assert_uint_eq(settled(), 4);
}
END_TEST

static const double noises[] = {0, 0.02, 0.1, 0.3};

START_TEST(one_where_two_bring_nothing)
{
	struct machine machine = {2, 1, 200000, WITHOUT_END, noises[_i]};
	pass(&machine, 60 * 1000);
	ck_assert_uint_eq(settled(), 1);
	ck_assert_uint_le(wide, looks / 50);
}
END_TEST

START_TEST(no_wider_than_what_is_free)
{
	struct machine machine = {16, 5, 40000, WITHOUT_END, 0.01};
	pass(&machine, 10 * 1000);
	ck_assert_uint_ge(settled(), 5);
	ck_assert_uint_le(settled(), 6);
}
END_TEST

START_TEST(one_for_what_one_can_do)
{
	struct machine machine = {4, 4, 40000, 30000, 0.01};
	pass(&machine, 10 * 1000);
	ck_assert_uint_eq(settled(), 1);
	ck_assert_uint_eq(wide, 0); /* nobody waits, so nothing is tried */
}
END_TEST

START_TEST(as_many_as_it_takes)
{
	struct machine machine = {8, 8, 40000, 100000, 0.01};
	pass(&machine, 2000);
	ck_assert_uint_eq(settled(), 3);
	pass(&machine, 60 * 1000);
	ck_assert_uint_eq(settled(), 3);
	ck_assert_uint_le(changes, 2 * 60);
}
END_TEST

START_TEST(narrower_when_less_is_asked_for)
{
	struct machine machine = {8, 8, 40000, WITHOUT_END, 0.01};
	pass(&machine, 2000);
	ck_assert_uint_eq(settled(), 8);
	machine.wanted = 30000;
	pass(&machine, 4000);
	ck_assert_uint_eq(settled(), 1);
}
END_TEST

START_TEST(narrower_when_others_take_the_cpus)
{
	struct machine machine = {4, 4, 40000, WITHOUT_END, 0.01};
	pass(&machine, 2000);
	ck_assert_uint_eq(settled(), 4);
	machine.free = 1;
	pass(&machine, 10 * 1000);
	ck_assert_uint_eq(settled(), 1);
	machine.free = 4;
	pass(&machine, 10 * 1000);
	ck_assert_uint_eq(settled(), 4);
}
END_TEST

START_TEST(never_beyond_its_bounds)
{
	const struct mtsi_bounds bounds = {2, 3};
	struct machine machine = {3, 3, 40000, WITHOUT_END, 1};
	for (int i = 0; i < 100 * 1000; i++) {
		now += (uint64_t)(1000 * (chance() + 1)) * MTSI_MICROSECOND;
		stints += machine.each / 1000 * (1 + chance());
		mtsi_width_look(&width, now, (uint64_t)stints, &bounds, chance() > 0);
		ck_assert_uint_ge(width.now, 1);
		ck_assert_uint_le(width.now, 3);
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("width");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_loop_test(cases, as_wide_as_the_machine, 0, sizeof(sizes) / sizeof(*sizes));
	tcase_add_test(cases, the_first_look_only_begins);
	tcase_add_test(cases, slow_handlers_need_longer_windows);
	tcase_add_loop_test(cases, one_where_two_bring_nothing, 0, sizeof(noises) / sizeof(*noises));
	tcase_add_test(cases, no_wider_than_what_is_free);
	tcase_add_test(cases, one_for_what_one_can_do);
	tcase_add_test(cases, as_many_as_it_takes);
	tcase_add_test(cases, narrower_when_less_is_asked_for);
	tcase_add_test(cases, narrower_when_others_take_the_cpus);
	tcase_add_test(cases, never_beyond_its_bounds);
	return suite_run_once();
}
