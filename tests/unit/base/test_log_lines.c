/* SPDX-License-Identifier: MIT
 *
 * The queue of log lines: in order, bounded, and what does not fit is counted where it is missing. A model
 * beside it, with no bound and no bytes, says what must be true.
 */
#include "engine/base/log_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/support.h"

static struct mtsi_log_lines lines;
static struct mtsi_log_line line;

static void setup(void)
{
	mtsi_log_lines_init(&lines);
}

static void put(int level, const char *text)
{
	mtsi_log_lines_put(&lines, level, 1, text);
}

static void want(const char *text, int level)
{
	ck_assert(mtsi_log_lines_take(&lines, &line));
	ck_assert_uint_eq(line.lost.count, 0);
	ck_assert(line.here);
	ck_assert_str_eq(line.text, text);
	ck_assert_int_eq(line.level, level);
}

static void want_nothing(void)
{
	ck_assert(!mtsi_log_lines_take(&lines, &line));
}

/* So many notices of this length, numbered from 0: until the first that does not fit. */
static uint64_t fill(int level, int length)
{
	uint64_t count = 0;
	char text[MTSI_LOG_LINE];
	while (lines.lost.count == 0) {
		(void)snprintf(text, sizeof(text), "%0*d", length, (int)count);
		put(level, text);
		count += lines.lost.count == 0 ? 1 : 0;
	}
	return count;
}

START_TEST(in_order)
{
	want_nothing();
	put(MTS_LOG_INFO, "first");
	put(MTS_LOG_ERR, "second");
	want("first", MTS_LOG_INFO);
	put(MTS_LOG_DEBUG, "");
	want("second", MTS_LOG_ERR);
	want("", MTS_LOG_DEBUG);
	want_nothing();
}
END_TEST

/* The bytes are used again and again, whatever the lines' lengths are. */
START_TEST(round_and_round)
{
	char text[MTSI_LOG_LINE];
	uint64_t next = 0;
	uint64_t taken = 0;
	for (int round = 0; round < 500; round++) {
		for (int i = 0; i < 10; i++, next++) {
			(void)snprintf(text, sizeof(text), "%0*d", 1 + (int)(next * 37 % 4000), (int)next);
			put(MTS_LOG_NOTICE, text);
		}
		for (int i = 0; i < 10; i++, taken++) {
			ck_assert(mtsi_log_lines_take(&lines, &line));
			ck_assert_uint_eq(line.lost.count, 0);
			ck_assert_uint_eq(strtoull(line.text, NULL, 10), taken);
		}
	}
	want_nothing();
}
END_TEST

/* The first ones stay; those that do not fit are told of behind them, in a place of their own. */
START_TEST(full)
{
	const uint64_t kept = fill(MTS_LOG_NOTICE, 100);
	ck_assert_uint_ge(kept, 400);
	put(MTS_LOG_INFO,
		"no room, since it is longer than what may be left of it at the end: ........................................................");
	put(MTS_LOG_WARNING,
		"nor for this one: .................................................................................................");
	for (uint64_t i = 0; i < kept; i++) {
		ck_assert(mtsi_log_lines_take(&lines, &line));
		ck_assert_uint_eq(line.lost.count, 0);
		ck_assert_uint_eq(strtoull(line.text, NULL, 10), i);
	}
	put(MTS_LOG_INFO, "again");
	ck_assert(mtsi_log_lines_take(&lines, &line));
	ck_assert_uint_eq(line.lost.count, 3);
	ck_assert_int_eq(line.lost.level, MTS_LOG_WARNING);
	ck_assert_str_eq(line.text, "again");
	want_nothing();
}
END_TEST

/* If nothing comes after them, they are told of all the same, once. */
START_TEST(full_at_the_end)
{
	const uint64_t kept = fill(MTS_LOG_NOTICE, 2000);
	for (uint64_t i = 0; i < kept; i++) {
		ck_assert(mtsi_log_lines_take(&lines, &line));
		ck_assert(line.here);
	}
	ck_assert(mtsi_log_lines_take(&lines, &line));
	ck_assert(!line.here);
	ck_assert_uint_eq(line.lost.count, 1);
	ck_assert_int_eq(line.lost.level, MTS_LOG_NOTICE);
	want_nothing();
}
END_TEST

/* An error takes the place of the latest others, and nobody's number is lost. */
START_TEST(errors_find_room)
{
	char text[64];
	const uint64_t kept = fill(MTS_LOG_NOTICE, 100);
	for (int i = 0; i < 50; i++) {
		(void)snprintf(text, sizeof(text), "error %d", i);
		put(MTS_LOG_ERR, text);
	}
	uint64_t notices = 0;
	uint64_t lost = 0;
	int errors = 0;
	while (mtsi_log_lines_take(&lines, &line)) {
		lost += line.lost.count;
		if (line.here && line.level == MTS_LOG_ERR) {
			(void)snprintf(text, sizeof(text), "error %d", errors++);
			ck_assert_str_eq(line.text, text);
		} else if (line.here) {
			ck_assert_int_eq(errors, 0);
			ck_assert_uint_eq(strtoull(line.text, NULL, 10), notices++);
		}
	}
	ck_assert_int_eq(errors, 50);
	ck_assert_uint_lt(notices, kept);
	ck_assert_uint_eq(notices + lost, kept + 1); /* and the one that did not fit */
}
END_TEST

/* Where nothing but errors waits there is no room for one more, and then it is counted as one. */
START_TEST(nothing_but_errors)
{
	const uint64_t kept = fill(MTS_LOG_ERR, 1000);
	for (uint64_t i = 0; i < kept; i++) {
		ck_assert(mtsi_log_lines_take(&lines, &line));
		ck_assert_int_eq(line.level, MTS_LOG_ERR);
	}
	ck_assert(mtsi_log_lines_take(&lines, &line));
	ck_assert_uint_eq(line.lost.count, 1);
	ck_assert_int_eq(line.lost.level, MTS_LOG_ERR);
}
END_TEST

/* A line that stands for others takes their number with it. */
START_TEST(for_those_that_it_stands_for)
{
	const uint64_t kept = fill(MTS_LOG_ERR, 4000);
	char text[MTSI_LOG_LINE];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	mtsi_log_lines_put(&lines, MTS_LOG_WARNING, 1000, text);
	for (uint64_t i = 0; i < kept; i++) {
		ck_assert(mtsi_log_lines_take(&lines, &line));
	}
	ck_assert(mtsi_log_lines_take(&lines, &line));
	ck_assert_uint_eq(line.lost.count, 1001);
}
END_TEST

START_TEST(the_longest_line)
{
	char text[MTSI_LOG_LINE];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 100; i++) {
		put(MTS_LOG_INFO, text);
		want(text, MTS_LOG_INFO);
	}
}
END_TEST

/* The model: the number of each message that was put and has not been taken or told of as missing. */
enum { STEPS = 20000 };

static uint64_t seed = 1;

static unsigned random_below(unsigned bound)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(seed >> 33) % bound;
}

/*
 * Whatever happens: numbers come in order, each gap is exactly as large as it says, an error is missing
 * only where there is nothing but errors before it.
 */
START_TEST(anything)
{
	static bool error[STEPS];
	static char text[MTSI_LOG_LINE];
	uint64_t next = 0;
	uint64_t told = 0; /* all below were taken, or told of as missing */
	uint64_t errors_missing = 0;
	for (int step = 0; step < STEPS; step++) {
		if (random_below(100) < (step / 1000 % 2 == 0 ? 70U : 30U)) {
			error[next] = random_below(10) == 0;
			(void)snprintf(text, sizeof(text), "%0*d", 7 + (int)random_below(1500), (int)next);
			put(error[next] ? MTS_LOG_ERR : MTS_LOG_INFO, text);
			next++;
		} else if (mtsi_log_lines_take(&lines, &line)) {
			for (uint64_t i = told; i < told + line.lost.count; i++) {
				errors_missing += error[i];
			}
			told += line.lost.count;
			if (line.here) {
				ck_assert_uint_eq(strtoull(line.text, NULL, 10), told);
				ck_assert_int_eq(line.level, error[told] ? MTS_LOG_ERR : MTS_LOG_INFO);
				told++;
			}
		} else {
			ck_assert_uint_eq(told, next);
		}
	}
	ck_assert_uint_gt(told, 1000);
	ck_assert_uint_eq(errors_missing, 0); /* a tenth of the lines never fills it */
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("log lines");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, in_order);
	tcase_add_test(cases, round_and_round);
	tcase_add_test(cases, full);
	tcase_add_test(cases, full_at_the_end);
	tcase_add_test(cases, errors_find_room);
	tcase_add_test(cases, nothing_but_errors);
	tcase_add_test(cases, for_those_that_it_stands_for);
	tcase_add_test(cases, the_longest_line);
	tcase_add_test(cases, anything);
	return suite_run_once();
}
