/*
 * Framing: framers of the user's own, raw pieces, and what holds for all kinds.
 *
 * A framer is the one part of framing that is not ours, so whatever it answers must be judged: too
 * much, more than is there, any negative number.  Raw framing has its pieces for requests, so it is
 * the one kind whose outcome depends on how the stream was cut.  For every kind: how a stream ends
 * in the middle of a request, how much room a request may need, and that settings which no setter
 * lets through are an error and nothing worse.
 *
 * Linear time is shown without a clock: no byte is looked at twice.
 */
#include "../feed.h"

#include "../../api/support.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

START_TEST(custom_streams)
{
	static const struct stream_case cases[] = {
		{BYTES(""), "end"},
		{BYTES("01x2yz"), "[0][1x][2yz]end"},
		{BYTES("3abc"), "[3abc]end"},
		{BYTES("4abcd"), "too large"},
		{BYTES("1a4ab"), "[1a]protocol"},
		{BYTES("1a4abc"), "[1a]too large"},
		{BYTES("1a7b"), "[1a]protocol"},
	};
	struct mtsi_framing four = framing_custom(4);

	CHECK_CASES(four, cases);
}
END_TEST

struct told {
	ssize_t answer;
	size_t shown;
};

/* A framer that answers what it is told to, and notes how much it was shown. */
static ssize_t told_framer(const void *data, size_t size, size_t scanned, void *user)
{
	struct told *told = user;

	(void)data;
	(void)scanned;
	told->shown = size;
	return told->answer;
}

START_TEST(custom_answers)
{
	static const struct {
		ssize_t answer;
		size_t limit;
		size_t size;
		int expected;
	} cases[] = {
		{1, 4, 1, 1},
		{4, 4, 4, 1},
		{4, 4, 9, 1},
		{0, 4, 3, 0},
		{0, 4, 4, -EMSGSIZE},
		{0, 4, 9, -EMSGSIZE},
		{5, 4, 9, -EPROTO},
		{5, 4, 5, -EPROTO},
		{4, 4, 3, -EPROTO},
		{10, 4, 9, -EPROTO},
		{-1, 4, 3, -EPROTO},
		{-EMSGSIZE, 4, 3, -EPROTO},
		{1, 4, 0, 0},
		{1, 0, 1, -EMSGSIZE},
		{0, SIZE_MAX, 9, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct told told = {cases[i].answer, 0};
		struct mtsi_framing framing = {.kind = MTSI_FRAME_CUSTOM,
			.limit = cases[i].limit,
			.framer = told_framer,
			.user = &told};
		struct mtsi_frame frame = {7, 7, 7};
		size_t scanned = 0;
		int result = mtsi_frame_next(&framing, "123456789", cases[i].size, &scanned, &frame);

		ck_assert_msg(result == cases[i].expected, "case %zu: %d", i, result);
		ck_assert_uint_eq(frame.consumed, result == 1 ? (size_t)told.answer : 7);
		ck_assert_uint_le(told.shown, cases[i].limit);
	}
}
END_TEST

START_TEST(raw_pieces)
{
	static const struct {
		size_t limit;
		size_t size;
		const char *expected;
	} cases[] = {
		{4, 0, "end"},
		{4, 1, "[a]end"},
		{4, 4, "[abcd]end"},
		{4, 5, "[abcd][e]end"},
		{4, 8, "[abcd][efgh]end"},
		{SIZE_MAX, 8, "[abcdefgh]end"},
		{0, 1, "too large"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_framing raw = {.kind = MTSI_FRAME_RAW, .limit = cases[i].limit};
		struct outcome outcome;

		feed_stream(&raw, "abcdefgh", cases[i].size, 0, SIZE_MAX, &outcome);
		ck_assert_str_eq(outcome.text, cases[i].expected);
	}
}
END_TEST

START_TEST(last_of_each_kind)
{
	static const struct {
		enum mtsi_frame_kind kind;
		size_t size;
		int expected;
	} cases[] = {
		{MTSI_FRAME_LINES, 0, 0},
		{MTSI_FRAME_LINES, 1, 1},
		{MTSI_FRAME_LINES, 4, 1},
		{MTSI_FRAME_LINES, 5, -EMSGSIZE},
		{MTSI_FRAME_RAW, 0, 0},
		{MTSI_FRAME_DELIMITED, 0, 0},
		{MTSI_FRAME_DELIMITED, 1, -EPROTO},
		{MTSI_FRAME_FIXED, 0, 0},
		{MTSI_FRAME_FIXED, 1, -EPROTO},
		{MTSI_FRAME_PREFIXED, 0, 0},
		{MTSI_FRAME_PREFIXED, 1, -EPROTO},
		{MTSI_FRAME_CUSTOM, 0, 0},
		{MTSI_FRAME_CUSTOM, 1, -EPROTO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_framing framing = {.kind = cases[i].kind, .limit = 4};
		struct mtsi_frame frame = {7, 7, 7};
		size_t scanned = cases[i].size;
		int result = mtsi_frame_last(&framing, "abcd\r", cases[i].size, &scanned, &frame);

		ck_assert_msg(result == cases[i].expected, "case %zu: %d", i, result);
		ck_assert_uint_eq(scanned, 0);
		ck_assert_uint_eq(frame.offset, result == 1 ? 0 : 7);
		ck_assert_uint_eq(frame.size, result == 1 ? cases[i].size : 7);
		ck_assert_uint_eq(frame.consumed, result == 1 ? cases[i].size : 7);
	}
}
END_TEST

START_TEST(room_of_each_kind)
{
	struct {
		struct mtsi_framing framing;
		size_t room;
	} cases[] = {
		{{.kind = MTSI_FRAME_RAW, .limit = 9}, 9},
		{{.kind = MTSI_FRAME_RAW, .limit = SIZE_MAX}, SIZE_MAX},
		{framing_lines(9), 11},
		{framing_lines(0), 2},
		{framing_lines(SIZE_MAX - 1), SIZE_MAX},
		{framing_lines(SIZE_MAX), SIZE_MAX},
		{framing_delimited("END", 9), 12},
		{framing_delimited("END", SIZE_MAX - 2), SIZE_MAX},
		{framing_fixed(5, 9), 5},
		{framing_fixed(9, 9), 9},
		{framing_fixed(SIZE_MAX, SIZE_MAX), SIZE_MAX},
		{framing_prefixed(1, false, 9), 10},
		{framing_prefixed(1, false, 1000), 256},
		{framing_prefixed(2, false, 9), 11},
		{framing_prefixed(2, false, 1000000), 65537},
		{framing_prefixed(4, true, 9), 13},
		{framing_prefixed(8, true, 9), 17},
		{framing_prefixed(8, true, SIZE_MAX - 7), SIZE_MAX},
		{framing_custom(9), 9},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_msg(mtsi_frame_room(&cases[i].framing) == cases[i].room, "room of case %zu", i);
	}
}
END_TEST

/* What no setter lets through ends the stream, and neither spins nor reads outside. */
START_TEST(nonsense_framings)
{
	struct mtsi_framing cases[] = {
		framing_fixed(0, 9),
		framing_prefixed(0, false, 9),
		framing_prefixed(9, false, 9),
		framing_delimited("", 9),
		{.kind = (enum mtsi_frame_kind)99, .limit = 9},
	};
	struct mtsi_framing roomless[] = {
		{.kind = MTSI_FRAME_RAW}, framing_custom(0), framing_fixed(0, 0)};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_frame frame;
		size_t scanned = 0;

		ck_assert_int_eq(mtsi_frame_next(&cases[i], "a", 1, &scanned, &frame), -EPROTO);
		ck_assert_int_eq(mtsi_frame_next(&cases[i], "a", 0, &scanned, &frame), 0);
	}
	for (size_t i = 0; i < sizeof(roomless) / sizeof(*roomless); i++) {
		ck_assert_uint_eq(mtsi_frame_room(&roomless[i]), 1);
	}
}
END_TEST

/*
 * Linear time, without a clock.  A delimiter is written over the end of what was scanned, behind
 * the function's back: were it to look there again, it would find one.
 */
static void check_no_second_look(const struct mtsi_framing *framing, const char *pattern,
	const char *trap, size_t size, size_t slack)
{
	char *data = malloc(size);
	size_t period = strlen(pattern);
	size_t scanned = 0;

	ck_assert_ptr_nonnull(data);
	for (size_t i = 0; i < size; i++) {
		struct mtsi_frame frame;

		data[i] = pattern[i % period];
		ck_assert_int_eq(mtsi_frame_next(framing, data, i + 1, &scanned, &frame), 0);
		ck_assert_uint_le(scanned, i + 1);
		ck_assert_uint_ge(scanned + slack, i + 1);
		if (scanned >= strlen(trap)) {
			memcpy(data + scanned - strlen(trap), trap, strlen(trap));
		}
	}
	free(data);
}

START_TEST(linear_searches)
{
	struct mtsi_framing line = framing_lines(1000);
	struct mtsi_framing end = framing_delimited("END", 1000);
	struct mtsi_framing cr_lf = framing_delimited("\r\n", 1000);

	check_no_second_look(&line, "abc", "\n", 1000, 0);
	check_no_second_look(&end, "abcEN", "END", 1000, 2);
	check_no_second_look(&cr_lf, "abc\r", "\r\n", 1000, 1);
}
END_TEST

struct tally {
	size_t fresh; /* bytes shown for the first time */
	size_t shown; /* how many bytes of the request the framer has seen */
};

static ssize_t tallying_framer(const void *data, size_t size, size_t scanned, void *user)
{
	struct tally *tally = user;
	const char *bytes = data;

	ck_assert_uint_eq(scanned, tally->shown);
	ck_assert_uint_gt(size, scanned);
	tally->fresh += size - scanned;
	tally->shown = size;
	for (size_t i = scanned; i < size; i++) {
		if (bytes[i] == ';') {
			/* What follows in data is shown again, as part of the next request. */
			tally->fresh -= size - i - 1;
			tally->shown = 0;
			return (ssize_t)i + 1;
		}
	}
	return 0;
}

START_TEST(linear_framer)
{
	static const char stream[] = "first;second;;a longer one that goes on;last;";
	size_t size = sizeof(stream) - 1;

	for (size_t piece = 1; piece <= size; piece++) {
		struct tally tally = {0, 0};
		struct mtsi_framing framing = {
			.kind = MTSI_FRAME_CUSTOM, .limit = 100, .framer = tallying_framer, .user = &tally};
		struct outcome outcome;

		feed_stream(&framing, stream, size, 0, piece, &outcome);
		ck_assert_str_eq(outcome.text,
			"[first;][second;][;][a\\20longer\\20one\\20that\\20goes\\20on;][last;]end");
		ck_assert_uint_eq(tally.fresh, size);
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("frame_custom");

	tcase_add_test(cases, custom_streams);
	tcase_add_test(cases, custom_answers);
	tcase_add_test(cases, raw_pieces);
	tcase_add_test(cases, last_of_each_kind);
	tcase_add_test(cases, room_of_each_kind);
	tcase_add_test(cases, nonsense_framings);
	tcase_add_test(cases, linear_searches);
	tcase_add_test(cases, linear_framer);

	return suite_run_once();
}
