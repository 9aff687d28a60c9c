/* SPDX-License-Identifier: MIT
 *
 * Guessing who waits: whether there was CPU time to be had, as made-up figures show it, and how many
 * guesses may stand after right and wrong ones.
 */
#include "engine/crew/blind.h"

#include "../desk.h"
#include "engine/crew/stint.h"
#include "os/clock.h"
#include "os/quota.h"

static struct desk desk;
static struct mtsi_member *worker;
static struct mtsi_crew *crew;
static struct mtsi_blind blind;
static struct mtsi_usage usage;

static void setup(void)
{
	desk_open(&desk, desk_server());
	worker = &desk.worker.member;
	crew = &mtsi_crew_floor(desk.server)->crew;
	crew->short_until = MTSI_NEVER - 1; /* no thread is made */
	usage = (struct mtsi_usage){.at = 1000 * MTSI_SECOND, .cpu = 7 * MTSI_SECOND};
	mtsi_blind_begin(&blind, 4, MTSI_NO_QUOTA);
}

static void teardown(void)
{
	desk_close(&desk);
}

/* So much later, having used so many thousandths of one CPU: whether there was more to be had. */
static bool spare_after(uint64_t span, uint64_t thousandths)
{
	usage.at += span;
	usage.cpu += span / 1000 * thousandths;
	return mtsi_blind_spare(&blind, &usage);
}

START_TEST(all_or_less_than_all)
{
	ck_assert(!spare_after(0, 0)); /* not known yet */
	ck_assert(!spare_after(MTSI_MILLISECOND, 0)); /* too early to say */
	ck_assert(spare_after(10 * MTSI_MILLISECOND, 100));
	for (int i = 0; i < 100; i++) {
		(void)spare_after(2 * MTSI_MILLISECOND, 4000);
	}
	ck_assert(!spare_after(2 * MTSI_MILLISECOND, 4000));
	for (int i = 0; i < 100; i++) {
		(void)spare_after(2 * MTSI_MILLISECOND, 3100);
	}
	ck_assert(!spare_after(2 * MTSI_MILLISECOND, 3100));
	for (int i = 0; i < 100; i++) {
		(void)spare_after(2 * MTSI_MILLISECOND, 2900);
	}
	ck_assert(spare_after(2 * MTSI_MILLISECOND, 2900));
}
END_TEST

/* What was long ago says nothing: it is looked at anew. */
START_TEST(after_a_sleep)
{
	(void)spare_after(0, 0);
	ck_assert(spare_after(10 * MTSI_MILLISECOND, 0));
	ck_assert(!spare_after(MTSI_SECOND, 0));
	ck_assert(!spare_after(MTSI_MILLISECOND, 4000));
	ck_assert(!spare_after(10 * MTSI_MILLISECOND, 4000));
	ck_assert(!spare_after(40 * MTSI_MILLISECOND, 4000));
}
END_TEST

/* A quota below the CPUs is all that is allowed; one above them means nothing. */
START_TEST(with_a_quota)
{
	mtsi_blind_begin(&blind, 4, 1500);
	ck_assert_uint_eq(blind.allowed, 1500);
	(void)spare_after(0, 0);
	ck_assert(!spare_after(10 * MTSI_MILLISECOND, 1500));
	ck_assert(!spare_after(10 * MTSI_MILLISECOND, 1200));
	ck_assert(spare_after(20 * MTSI_MILLISECOND, 100));
	mtsi_blind_begin(&blind, 4, 5000);
	ck_assert_uint_eq(blind.allowed, 4000);
}
END_TEST

START_TEST(by_those_who_serve_alone)
{
	const uint64_t span = 200 * MTSI_MICROSECOND;
	ck_assert(mtsi_blind_all_taken(&blind, 4 * span, span));
	ck_assert(mtsi_blind_all_taken(&blind, 7 * span / 2, span));
	ck_assert(!mtsi_blind_all_taken(&blind, 3 * span, span));
	mtsi_blind_begin(&blind, 1, MTSI_NO_QUOTA);
	ck_assert(mtsi_blind_all_taken(&blind, span / 2, span));
	ck_assert(!mtsi_blind_all_taken(&blind, span / 4, span));
}
END_TEST

/* A guess about this thread, which stands then; false: none may. */
static bool guess(uint64_t now)
{
	mtsi_observe_self(&worker->observed);
	worker->seen_cpu = mtsi_observe_cpu(&worker->observed);
	const bool may = mtsi_blind_guess_locked(&blind, worker, now);
	ck_assert(!may || worker->guessed_at == now);
	return may;
}

static void end_guess(bool computes)
{
	while (
		computes && mtsi_observe_cpu(&worker->observed) - worker->seen_cpu < 2 * MTSI_MILLISECOND) {
	}
	if (!computes) { /* however long the end takes */
		worker->seen_cpu = mtsi_observe_cpu(&worker->observed) + MTSI_SECOND;
	}
	mtsi_blind_end_locked(&blind, worker);
	ck_assert_uint_eq(worker->guessed_at, 0);
}

/* How many guesses may stand at once. */
static unsigned room_for_guesses(uint64_t now)
{
	const unsigned standing = blind.standing;
	while (guess(now)) {
	}
	const unsigned room = blind.standing - standing;
	blind.standing = standing;
	worker->guessed_at = 0;
	return room;
}

START_TEST(right_guesses_allow_for_more)
{
	const uint64_t now = mtsi_clock_now();
	const unsigned first = room_for_guesses(now);
	ck_assert_uint_gt(first, 0);
	ck_assert_uint_lt(first, 20);
	for (unsigned i = 0; i < 5000; i++) {
		ck_assert(guess(now));
		end_guess(false);
	}
	const unsigned most = room_for_guesses(now);
	ck_assert_uint_gt(most, 100);
	ck_assert_uint_le(most, 1024);
	mtsi_blind_forget_locked(&blind);
	ck_assert_uint_eq(room_for_guesses(now), first);
}
END_TEST

START_TEST(a_wrong_guess_is_the_last_for_a_while)
{
	const uint64_t now = mtsi_clock_now();
	ck_assert(guess(now));
	end_guess(true);
	ck_assert_uint_eq(blind.standing, 0);
	ck_assert_uint_eq(room_for_guesses(now + 500 * MTSI_MILLISECOND), 0);
	const unsigned later = room_for_guesses(mtsi_clock_now() + MTSI_SECOND);
	ck_assert_uint_gt(later, 0);
	ck_assert_uint_lt(later, 8);
}
END_TEST

/* While the stint lasts: one that goes on without CPU time was right, one that computes was wrong. */
START_TEST(it_is_found_out_meanwhile)
{
	const bool computes = _i == 1;
	const uint64_t now = mtsi_clock_now();
	mtsi_lock_take(&crew->lock);
	crew->workers = worker;
	mtsi_stint_begin_locked(worker, desk.client);
	ck_assert(guess(now));
	mtsi_stint_stand_locked(worker, MTSI_AWAY);
	const unsigned credit = blind.credit;
	worker->seen_cpu += MTSI_SECOND;
	mtsi_blind_check_locked(&blind, crew, now + 10 * MTSI_MILLISECOND);
	ck_assert_uint_eq(worker->guessed_at, now); /* that cannot be said yet */
	worker->seen_cpu -= computes ? MTSI_SECOND : 0;
	while (
		computes && mtsi_observe_cpu(&worker->observed) - worker->seen_cpu < 2 * MTSI_MILLISECOND) {
	}
	mtsi_blind_check_locked(&blind, crew, now + 50 * MTSI_MILLISECOND);
	ck_assert_uint_eq(worker->guessed_at, 0);
	ck_assert_uint_eq(blind.standing, 0);
	ck_assert_uint_eq(blind.credit, computes ? 0 : credit + 1);
	ck_assert_int_eq(worker->standing, computes ? MTSI_LONG : MTSI_AWAY);
	mtsi_stint_end_locked(worker);
	crew->workers = NULL;
	mtsi_lock_release(&crew->lock);
	worker->client = desk.client;
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("blind");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, all_or_less_than_all);
	tcase_add_test(cases, after_a_sleep);
	tcase_add_test(cases, with_a_quota);
	tcase_add_test(cases, by_those_who_serve_alone);
	tcase_add_test(cases, right_guesses_allow_for_more);
	tcase_add_test(cases, a_wrong_guess_is_the_last_for_a_while);
	tcase_add_loop_test(cases, it_is_found_out_meanwhile, 0, 2);
	return suite_run_once();
}
