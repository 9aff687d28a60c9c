/*
 * Framing.
 *
 * The tests feed a stream in pieces as a server would, note what comes out as a line of text (each
 * request in brackets, then how it ended), and compare that with what is expected.  Every stream of
 * the table is cut in two at every byte, and fed byte by byte; a random test compares with a
 * reference that sees the whole stream and knows nothing of pieces.  Each call is given its bytes
 * in a block of exactly their size, so that sanitizers see any access outside.
 */
#include "wire/frame.h"

#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(literal) literal, sizeof(literal) - 1

/* An assertion for what runs a million times: Check's own are noted in a file even if they hold. */
#define REQUIRE(holds) \
	do { \
		if (!(holds)) \
			ck_abort_msg("%s", #holds); \
	} while (0)

enum { LONGEST = 1024 };

struct outcome {
	char text[LONGEST];
	size_t length;
};

static void note(struct outcome *outcome, const char *text)
{
	size_t size = strlen(text);

	REQUIRE(outcome->length + size < LONGEST);
	memcpy(outcome->text + outcome->length, text, size + 1);
	outcome->length += size;
}

static void note_request(struct outcome *outcome, const char *bytes, size_t size)
{
	note(outcome, "[");
	for (size_t i = 0; i < size; i++) {
		char text[8];
		unsigned char byte = (unsigned char)bytes[i];

		snprintf(text, sizeof(text), byte > ' ' && byte <= '~' ? "%c" : "\\%02x", byte);
		note(outcome, text);
	}
	note(outcome, "]");
}

static void note_end(struct outcome *outcome, int result)
{
	note(outcome,
		result == 0               ? "end"
			: result == -EMSGSIZE ? "too large"
			: result == -EPROTO   ? "protocol"
								  : "nonsense");
}

/* One stream being fed: what is left of the pieces so far. */
struct feed {
	const struct mtsi_framing *framing;
	char *left;
	size_t size;
	size_t scanned;
	int result; /* of the last call */
	struct outcome outcome;
};

static void replace_left(struct feed *feed, const char *bytes, size_t size)
{
	char *copy = malloc(size == 0 ? 1 : size);

	REQUIRE(copy != NULL);
	memcpy(copy, bytes, size);
	free(feed->left);
	feed->left = copy;
	feed->size = size;
}

static void take_request(struct feed *feed, const struct mtsi_frame *frame)
{
	REQUIRE(feed->scanned == 0);
	REQUIRE(frame->consumed > 0);
	REQUIRE(frame->consumed <= feed->size);
	REQUIRE(frame->offset + frame->size <= frame->consumed);
	REQUIRE(frame->size <= feed->framing->limit);
	note_request(&feed->outcome, feed->left + frame->offset, frame->size);
	replace_left(feed, feed->left + frame->consumed, feed->size - frame->consumed);
}

/* What must hold whenever more is asked for. */
static void check_unfinished(const struct feed *feed)
{
	size_t room = mtsi_frame_room(feed->framing);
	size_t need = mtsi_frame_need(feed->framing, feed->left, feed->size);

	REQUIRE(feed->size < room);
	REQUIRE(need > feed->size);
	REQUIRE(need <= room);
	REQUIRE(feed->scanned <= feed->size);
}

static void feed_piece(struct feed *feed, const char *bytes, size_t size)
{
	struct mtsi_frame frame;

	if (feed->result < 0) {
		return;
	}

	char *joined = malloc(feed->size + size + 1);

	REQUIRE(joined != NULL);
	if (feed->size > 0) {
		memcpy(joined, feed->left, feed->size);
	}
	memcpy(joined + feed->size, bytes, size);
	replace_left(feed, joined, feed->size + size);
	free(joined);

	for (;;) {
		feed->result = mtsi_frame_next(
			feed->framing, feed->left, feed->size, &feed->scanned, &frame);
		if (feed->result != 1) {
			break;
		}
		take_request(feed, &frame);
	}
	if (feed->result == 0) {
		check_unfinished(feed);
	}
}

static void feed_end(struct feed *feed)
{
	struct mtsi_frame frame;

	if (feed->result == 0) {
		feed->result = mtsi_frame_last(
			feed->framing, feed->left, feed->size, &feed->scanned, &frame);
		REQUIRE(feed->scanned == 0);
	}
	if (feed->result == 1) {
		take_request(feed, &frame);
		REQUIRE(feed->size == 0);
		feed->result = 0;
	}
	note_end(&feed->outcome, feed->result);
	free(feed->left);
}

/* The stream in two pieces, and then each in pieces of a given size. */
static void run_cut(const struct mtsi_framing *framing, const char *stream, size_t size, size_t cut,
	size_t piece, struct outcome *outcome)
{
	struct feed feed = {.framing = framing};

	for (size_t at = 0; at < size;) {
		size_t stop = at < cut ? cut : size;
		size_t count = stop - at < piece ? stop - at : piece;

		feed_piece(&feed, stream + at, count);
		at += count;
	}
	feed_end(&feed);
	*outcome = feed.outcome;
}

static void check_every_cut(
	const struct mtsi_framing *framing, const char *stream, size_t size, const char *expected)
{
	struct outcome outcome;

	for (size_t cut = 0; cut <= size; cut++) {
		run_cut(framing, stream, size, cut, SIZE_MAX, &outcome);
		ck_assert_msg(strcmp(outcome.text, expected) == 0, "cut at %zu: %s, expected %s", cut,
			outcome.text, expected);
	}
	for (size_t piece = 1; piece <= 3; piece++) {
		run_cut(framing, stream, size, 0, piece, &outcome);
		ck_assert_msg(strcmp(outcome.text, expected) == 0, "pieces of %zu: %s, expected %s", piece,
			outcome.text, expected);
	}
}

/* A framer: the low three bits of the first byte say how many follow it, seven is an error. */
static ssize_t short_framer(const void *data, size_t size, size_t scanned, void *user)
{
	size_t total = 1 + (*(const unsigned char *)data & 7u);

	(void)scanned;
	(void)user;
	if (total == 8) {
		return -EBADMSG;
	}
	return size < total ? 0 : (ssize_t)total;
}

static struct mtsi_framing lines(size_t limit)
{
	return (struct mtsi_framing){.kind = MTSI_FRAME_LINES, .limit = limit};
}

static struct mtsi_framing delimited(const char *delimiter, size_t limit)
{
	/* The struct has no const, since its usual owner frees it; nothing here writes. */
	return (struct mtsi_framing){.kind = MTSI_FRAME_DELIMITED,
		.limit = limit,
		.delimiter = (unsigned char *)(uintptr_t)delimiter,
		.delimiter_size = strlen(delimiter)};
}

static struct mtsi_framing fixed(size_t size, size_t limit)
{
	return (struct mtsi_framing){.kind = MTSI_FRAME_FIXED, .limit = limit, .fixed = size};
}

static struct mtsi_framing prefixed(unsigned width, bool little, size_t limit)
{
	return (struct mtsi_framing){
		.kind = MTSI_FRAME_PREFIXED, .limit = limit, .prefix = width, .little = little};
}

static struct mtsi_framing custom(size_t limit)
{
	return (struct mtsi_framing){.kind = MTSI_FRAME_CUSTOM, .limit = limit, .framer = short_framer};
}

struct stream_case {
	const char *bytes;
	size_t size;
	const char *expected;
};

static void check_cases(
	const struct mtsi_framing *framing, const struct stream_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		check_every_cut(framing, cases[i].bytes, cases[i].size, cases[i].expected);
	}
}

#define CHECK_CASES(framing, cases) check_cases(&framing, cases, sizeof(cases) / sizeof(*cases))

START_TEST(line_streams)
{
	static const struct stream_case cases[] = {
		{BYTES(""), "end"},
		{BYTES("\n"), "[]end"},
		{BYTES("\r\n"), "[]end"},
		{BYTES("\n\n\r\n"), "[][][]end"},
		{BYTES("ab\n"), "[ab]end"},
		{BYTES("ab\r\ncd\n"), "[ab][cd]end"},
		{BYTES("ab\ncd"), "[ab][cd]end"},
		{BYTES("ab\ncd\r"), "[ab][cd\\0d]end"},
		{BYTES("\r"), "[\\0d]end"},
		{BYTES("\r\r\n"), "[\\0d]end"},
		{BYTES("a\rb\n"), "[a\\0db]end"},
		{BYTES("\ra\n"), "[\\0da]end"},
		{BYTES("\n\ra\n"), "[][\\0da]end"},
		{BYTES("a\0b\n\0\n"), "[a\\00b][\\00]end"},
		{BYTES("abcd\n"), "[abcd]end"},
		{BYTES("abcd\r\n"), "[abcd]end"},
		{BYTES("abcd"), "[abcd]end"},
		{BYTES("abc\r"), "[abc\\0d]end"},
		{BYTES("abcd\r"), "too large"},
		{BYTES("abcd\r\r\n"), "too large"},
		{BYTES("abcd\rx"), "too large"},
		{BYTES("abcde"), "too large"},
		{BYTES("abcde\n"), "too large"},
		{BYTES("abcde\r\n"), "too large"},
		{BYTES("ab\ncd\nabcde\nef\n"), "[ab][cd]too large"},
		{BYTES("\r\r\r\r\r\n"), "[\\0d\\0d\\0d\\0d]end"},
		{BYTES("\r\r\r\r\r\r\n"), "too large"},
	};
	static const struct stream_case empty_cases[] = {
		{BYTES("\n\r\n\n"), "[][][]end"},
		{BYTES("\r"), "too large"},
		{BYTES("\na\n"), "[]too large"},
	};
	struct mtsi_framing four = lines(4);
	struct mtsi_framing none = lines(0);

	CHECK_CASES(four, cases);
	CHECK_CASES(none, empty_cases);
}
END_TEST

START_TEST(delimited_streams)
{
	static const struct stream_case cases[] = {
		{BYTES(""), "end"},
		{BYTES("END"), "[]end"},
		{BYTES("ENDEND"), "[][]end"},
		{BYTES("abENDcEND"), "[ab][c]end"},
		{BYTES("ab"), "protocol"},
		{BYTES("abEND\n"), "[ab]protocol"},
		{BYTES("abEN"), "protocol"},
		{BYTES("abcdEND"), "[abcd]end"},
		{BYTES("abcdE"), "protocol"},
		{BYTES("abcdEN"), "protocol"},
		{BYTES("abcde"), "too large"},
		{BYTES("abcdEx"), "too large"},
		{BYTES("abcdENx"), "too large"},
		{BYTES("abcdeEND"), "too large"},
		{BYTES("abcdEEND"), "too large"},
		{BYTES("EENEEND"), "[EENE]end"},
		{BYTES("a\0\nEND\r\nEND"), "[a\\00\\0a][\\0d\\0a]end"},
		{BYTES("aENDabcdeENDbEND"), "[a]too large"},
	};
	static const struct stream_case self_overlapping[] = {
		{BYTES("aaab"), "[a]end"},
		{BYTES("aaaaaab"), "[aaaa]end"},
		{BYTES("aaaaaaab"), "too large"},
		{BYTES("aabaab"), "[][]end"},
		{BYTES("aaaaaa"), "protocol"},
		{BYTES("aaaaaaa"), "too large"},
	};
	struct mtsi_framing end = delimited("END", 4);
	struct mtsi_framing aab = delimited("aab", 4);
	struct mtsi_framing nul = delimited("x", 3);
	static const struct stream_case nul_cases[] = {
		{BYTES("\0ab\0\0"), "[][ab][]end"},
		{BYTES("abc\0"), "[abc]end"},
		{BYTES("abcd\0"), "too large"},
	};
	unsigned char zero = 0;

	nul.delimiter = &zero;
	CHECK_CASES(end, cases);
	CHECK_CASES(aab, self_overlapping);
	CHECK_CASES(nul, nul_cases);
}
END_TEST

START_TEST(fixed_streams)
{
	static const struct stream_case cases[] = {
		{BYTES(""), "end"},
		{BYTES("abc"), "[abc]end"},
		{BYTES("abcd\nf"), "[abc][d\\0af]end"},
		{BYTES("abcde"), "[abc]protocol"},
		{BYTES("a"), "protocol"},
	};
	static const struct stream_case above[] = {{BYTES(""), "end"}, {BYTES("a"), "too large"}};
	struct mtsi_framing three = fixed(3, 3);
	struct mtsi_framing four = fixed(4, 3);

	CHECK_CASES(three, cases);
	CHECK_CASES(four, above);
}
END_TEST

START_TEST(prefixed_streams)
{
	static const struct stream_case one[] = {
		{BYTES(""), "end"},
		{BYTES("\0\0"), "[][]end"},
		{BYTES("\2ab\1c"), "[ab][c]end"},
		{BYTES("\4abcd"), "[abcd]end"},
		{BYTES("\5abcde"), "too large"},
		{BYTES("\1a\377"), "[a]too large"},
		{BYTES("\2a"), "protocol"},
		{BYTES("\0\1"), "[]protocol"},
	};
	static const struct stream_case big[] = {
		{BYTES("\0\2ab\0\0\0\4abcd"), "[ab][][abcd]end"},
		{BYTES("\0\5"), "too large"},
		{BYTES("\1\0"), "too large"},
		{BYTES("\1"), "protocol"},
	};
	static const struct stream_case little[] = {
		{BYTES("\2\0\0\0ab\0\0\0\0"), "[ab][]end"},
		{BYTES("\5\0\0\0"), "too large"},
		{BYTES("\0\0\0\1"), "too large"},
		{BYTES("\1\0\0"), "protocol"},
	};
	struct mtsi_framing byte = prefixed(1, false, 4);
	struct mtsi_framing two = prefixed(2, false, 4);
	struct mtsi_framing four = prefixed(4, true, 4);

	CHECK_CASES(byte, one);
	CHECK_CASES(two, big);
	CHECK_CASES(four, little);
}
END_TEST

static void put_prefix(char *out, unsigned width, bool little, uint64_t value)
{
	for (unsigned i = 0; i < width; i++) {
		out[little ? i : width - 1 - i] = (char)(value >> 8 * i & 255);
	}
}

static void check_prefix_value(unsigned width, bool little, size_t limit, uint64_t value)
{
	struct mtsi_framing framing = prefixed(width, little, limit);
	struct mtsi_frame frame = {7, 7, 7};
	size_t scanned = 0;
	char data[8];

	if (width < 8 && value >> 8 * width != 0) {
		return;
	}
	put_prefix(data, width, little, value);

	/* Only the prefix may be looked at, so the body may be claimed without being there. */
	if (value > limit || value > SIZE_MAX - width) {
		ck_assert_int_eq(mtsi_frame_next(&framing, data, width, &scanned, &frame), -EMSGSIZE);
		ck_assert_int_eq(mtsi_frame_next(&framing, data, SIZE_MAX, &scanned, &frame), -EMSGSIZE);
		ck_assert_uint_eq(frame.consumed, 7);
		return;
	}

	size_t total = width + (size_t)value;

	ck_assert_uint_le(total, mtsi_frame_room(&framing));
	if (value > 0) {
		ck_assert_int_eq(mtsi_frame_next(&framing, data, width, &scanned, &frame), 0);
		ck_assert_uint_eq(mtsi_frame_need(&framing, data, width), total);
		ck_assert_int_eq(mtsi_frame_next(&framing, data, total - 1, &scanned, &frame), 0);
		ck_assert_uint_eq(mtsi_frame_need(&framing, data, total - 1), total);
	}
	ck_assert_uint_eq(frame.consumed, 7);
	ck_assert_int_eq(mtsi_frame_next(&framing, data, total, &scanned, &frame), 1);
	ck_assert_uint_eq(frame.offset, width);
	ck_assert_uint_eq(frame.size, value);
	ck_assert_uint_eq(frame.consumed, total);
}

START_TEST(prefix_values)
{
	static const size_t limits[] = {0, 1, 5, 127, 128, 254, 255, 256, 65534, 65535, 65536,
		0x7fffffff, 0xfffffffe, 0xffffffff, SIZE_MAX / 2, SIZE_MAX - 9, SIZE_MAX - 8, SIZE_MAX - 7,
		SIZE_MAX - 1, SIZE_MAX};
	static const uint64_t values[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff,
		0x10000, UINT64_C(1) << 31, UINT32_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63,
		UINT64_MAX - 8, UINT64_MAX - 7, UINT64_MAX};
	static const unsigned widths[] = {1, 2, 4, 8};

	for (size_t l = 0; l < sizeof(limits) / sizeof(*limits); l++) {
		for (size_t w = 0; w < 8; w++) {
			for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++) {
				check_prefix_value(widths[w / 2], w % 2, limits[l], values[v]);
			}
			check_prefix_value(widths[w / 2], w % 2, limits[l], limits[l]);
			check_prefix_value(widths[w / 2], w % 2, limits[l], (uint64_t)limits[l] + 1);
		}
	}
}
END_TEST

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
	struct mtsi_framing four = custom(4);

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
		{5, 4, 9, -EMSGSIZE},
		{5, 4, 5, -EMSGSIZE},
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

		run_cut(&raw, "abcdefgh", cases[i].size, 0, SIZE_MAX, &outcome);
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

START_TEST(room_and_need)
{
	struct {
		struct mtsi_framing framing;
		size_t room;
		size_t need[3]; /* with 0, 1 and 2 bytes there */
	} cases[] = {
		{{.kind = MTSI_FRAME_RAW, .limit = 9}, 9, {1, 2, 3}},
		{{.kind = MTSI_FRAME_RAW, .limit = SIZE_MAX}, SIZE_MAX, {1, 2, 3}},
		{lines(9), 11, {1, 2, 3}},
		{lines(0), 2, {1, 2, 2}},
		{lines(SIZE_MAX - 1), SIZE_MAX, {1, 2, 3}},
		{lines(SIZE_MAX), SIZE_MAX, {1, 2, 3}},
		{delimited("END", 9), 12, {1, 2, 3}},
		{delimited("END", SIZE_MAX - 2), SIZE_MAX, {1, 2, 3}},
		{fixed(5, 9), 5, {5, 5, 5}},
		{fixed(9, 9), 9, {9, 9, 9}},
		{fixed(SIZE_MAX, SIZE_MAX), SIZE_MAX, {SIZE_MAX, SIZE_MAX, SIZE_MAX}},
		{prefixed(1, false, 9), 10, {1, 4, 4}},
		{prefixed(1, false, 1000), 256, {1, 4, 4}},
		{prefixed(2, false, 9), 11, {2, 2, 5}},
		{prefixed(2, false, 1000000), 65537, {2, 2, 5}},
		{prefixed(4, true, 9), 13, {4, 4, 4}},
		{prefixed(8, true, 9), 17, {8, 8, 8}},
		{prefixed(8, true, SIZE_MAX - 7), SIZE_MAX, {8, 8, 8}},
		{custom(9), 9, {1, 2, 3}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct mtsi_framing *framing = &cases[i].framing;
		const char *data = framing->prefix == 2 ? "\0\3" : "\3\0";

		ck_assert_msg(mtsi_frame_room(framing) == cases[i].room, "room of case %zu", i);
		for (size_t size = 0; size < 3; size++) {
			ck_assert_msg(mtsi_frame_need(framing, data, size) == cases[i].need[size],
				"need of case %zu with %zu bytes", i, size);
		}
	}
}
END_TEST

/* What no setter lets through ends the stream, and neither spins nor reads outside. */
START_TEST(nonsense_framings)
{
	struct mtsi_framing cases[] = {
		fixed(0, 9),
		prefixed(0, false, 9),
		prefixed(9, false, 9),
		delimited("", 9),
		{.kind = (enum mtsi_frame_kind)99, .limit = 9},
	};
	struct mtsi_framing roomless[] = {{.kind = MTSI_FRAME_RAW}, custom(0), fixed(0, 0)};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_frame frame;
		size_t scanned = 0;

		ck_assert_int_eq(mtsi_frame_next(&cases[i], "a", 1, &scanned, &frame), -EPROTO);
		ck_assert_int_eq(mtsi_frame_next(&cases[i], "a", 0, &scanned, &frame), 0);
	}
	for (size_t i = 0; i < sizeof(roomless) / sizeof(*roomless); i++) {
		ck_assert_uint_eq(mtsi_frame_room(&roomless[i]), 1);
		ck_assert_uint_eq(mtsi_frame_need(&roomless[i], "", 0), 1);
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
	struct mtsi_framing line = lines(1000);
	struct mtsi_framing end = delimited("END", 1000);
	struct mtsi_framing cr_lf = delimited("\r\n", 1000);

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

		run_cut(&framing, stream, size, 0, piece, &outcome);
		ck_assert_str_eq(outcome.text,
			"[first;][second;][;][a\\20longer\\20one\\20that\\20goes\\20on;][last;]end");
		ck_assert_uint_eq(tally.fresh, size);
	}
}
END_TEST

/*
 * The reference: how the request at s[0, size) ends when the whole stream is known.  Returns as
 * mtsi_frame_next() and mtsi_frame_last() do together; written for plainness, not for speed.
 */
static int plain_line(size_t limit, const char *s, size_t size, struct mtsi_frame *frame)
{
	size_t at = 0;

	while (at < size && s[at] != '\n') {
		at++;
	}
	*frame = (struct mtsi_frame){0, at, at < size ? at + 1 : at};
	if (at < size && at > 0 && s[at - 1] == '\r') {
		frame->size--;
	}
	return frame->size > limit ? -EMSGSIZE : 1;
}

static int plain_delimited(
	const struct mtsi_framing *framing, const char *s, size_t size, struct mtsi_frame *frame)
{
	size_t length = framing->delimiter_size;
	bool open = false; /* one may have begun, or may begin with the next byte */

	for (size_t at = 0; at <= size && at <= framing->limit; at++) {
		size_t there = size - at < length ? size - at : length;

		if (memcmp(s + at, framing->delimiter, there) != 0) {
			continue;
		}
		*frame = (struct mtsi_frame){0, at, at + length};
		if (there == length) {
			return 1;
		}
		open = true;
	}
	return open ? -EPROTO : -EMSGSIZE;
}

static int plain_prefixed(
	const struct mtsi_framing *framing, const char *s, size_t size, struct mtsi_frame *frame)
{
	unsigned width = framing->prefix;
	uint64_t value = 0;

	if (size < width) {
		return -EPROTO;
	}
	for (unsigned i = 0; i < width; i++) {
		value |= (uint64_t)(unsigned char)s[i] << 8 * (framing->little ? i : width - 1 - i);
	}
	if (value > framing->limit) {
		return -EMSGSIZE;
	}
	*frame = (struct mtsi_frame){width, (size_t)value, width + (size_t)value};
	return size < frame->consumed ? -EPROTO : 1;
}

static int plain_custom(size_t limit, const char *s, size_t size, struct mtsi_frame *frame)
{
	size_t total = 1 + ((unsigned char)s[0] & 7u);

	if (limit == 0) {
		return -EMSGSIZE;
	}
	if (total == 8) {
		return -EPROTO;
	}
	*frame = (struct mtsi_frame){0, total, total};
	if (total <= limit && total <= size) {
		return 1;
	}
	return size >= limit ? -EMSGSIZE : -EPROTO;
}

static int plain_next(
	const struct mtsi_framing *framing, const char *s, size_t size, struct mtsi_frame *frame)
{
	if (framing->kind == MTSI_FRAME_LINES) {
		return plain_line(framing->limit, s, size, frame);
	}
	if (framing->kind == MTSI_FRAME_DELIMITED) {
		return plain_delimited(framing, s, size, frame);
	}
	if (framing->kind == MTSI_FRAME_PREFIXED) {
		return plain_prefixed(framing, s, size, frame);
	}
	if (framing->kind == MTSI_FRAME_CUSTOM) {
		return plain_custom(framing->limit, s, size, frame);
	}
	*frame = (struct mtsi_frame){0, framing->fixed, framing->fixed};
	return framing->fixed > framing->limit ? -EMSGSIZE : size < framing->fixed ? -EPROTO : 1;
}

static void run_plain(
	const struct mtsi_framing *framing, const char *stream, size_t size, struct outcome *outcome)
{
	int result = 1;

	*outcome = (struct outcome){.length = 0};
	while (size > 0) {
		struct mtsi_frame frame;

		result = plain_next(framing, stream, size, &frame);
		if (result != 1) {
			break;
		}
		note_request(outcome, stream + frame.offset, frame.size);
		stream += frame.consumed;
		size -= frame.consumed;
	}
	note_end(outcome, result == 1 ? 0 : result);
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % below;
}

/* A framing, and a stream of few different bytes, so that whatever matters happens often. */
static struct mtsi_framing draw_framing(uint64_t *state, unsigned char delimiter[4])
{
	static const enum mtsi_frame_kind kinds[] = {MTSI_FRAME_LINES, MTSI_FRAME_DELIMITED,
		MTSI_FRAME_FIXED, MTSI_FRAME_PREFIXED, MTSI_FRAME_CUSTOM};
	struct mtsi_framing framing = {.kind = kinds[draw(state, 5)],
		.limit = draw(state, 10),
		.fixed = 1 + draw(state, 6),
		.prefix = 1u << draw(state, 4),
		.little = draw(state, 2),
		.delimiter = delimiter,
		.delimiter_size = 1 + draw(state, 4),
		.framer = short_framer};

	for (size_t i = 0; i < 4; i++) {
		delimiter[i] = (unsigned char)("ab"[draw(state, 2)]);
	}
	return framing;
}

static size_t draw_stream(uint64_t *state, const struct mtsi_framing *framing, char stream[64])
{
	static const struct {
		const char *bytes;
		uint32_t count;
	} alphabets[] = {
		[MTSI_FRAME_LINES] = {"\n\r\nab\r", 7},
		[MTSI_FRAME_DELIMITED] = {"abc", 2},
		[MTSI_FRAME_FIXED] = {"abc", 3},
		[MTSI_FRAME_PREFIXED] = {"\0\0\0\0\0\0\0\0\0\1\2\3\4\5", 14},
		[MTSI_FRAME_CUSTOM] = {"0123456012345601234567", 22},
	};
	size_t size = draw(state, 64);

	for (size_t i = 0; i < size; i++) {
		stream[i] = alphabets[framing->kind].bytes[draw(state, alphabets[framing->kind].count)];
	}
	return size;
}

START_TEST(random_streams)
{
	enum { ROUNDS = 20000 };
	const uint64_t seed = UINT64_C(20240229);

	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t state = seed + round;
		unsigned char delimiter[4];
		char stream[64];
		struct mtsi_framing framing = draw_framing(&state, delimiter);
		size_t size = draw_stream(&state, &framing, stream);
		size_t cut = draw(&state, 64) % (size + 1);
		size_t piece = 1 + draw(&state, 8);
		struct outcome expected;
		struct outcome outcome;

		run_plain(&framing, stream, size, &expected);
		for (size_t way = 0; way < 3; way++) {
			run_cut(&framing, stream, size, cut,
				way == 0       ? SIZE_MAX
					: way == 1 ? 1
							   : piece,
				&outcome);
			if (strcmp(outcome.text, expected.text) == 0) {
				continue;
			}
			ck_abort_msg(
				"seed %llu: kind %d, limit %zu, cut %zu, piece %zu, way %zu: %s, expected %s",
				(unsigned long long)(seed + round), (int)framing.kind, framing.limit, cut, piece,
				way, outcome.text, expected.text);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame");
	TCase *cases = tcase_create("frame");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, line_streams);
	tcase_add_test(cases, delimited_streams);
	tcase_add_test(cases, fixed_streams);
	tcase_add_test(cases, prefixed_streams);
	tcase_add_test(cases, prefix_values);
	tcase_add_test(cases, custom_streams);
	tcase_add_test(cases, custom_answers);
	tcase_add_test(cases, raw_pieces);
	tcase_add_test(cases, last_of_each_kind);
	tcase_add_test(cases, room_and_need);
	tcase_add_test(cases, nonsense_framings);
	tcase_add_test(cases, linear_searches);
	tcase_add_test(cases, linear_framer);
	tcase_add_test(cases, random_streams);
	suite_add_tcase(suite, cases);

	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
