/*
 * Framing: what each kind that comes with the library makes of a stream.
 *
 * A table for each kind says which requests a stream holds and how it ends; every stream is cut in
 * two at every byte and fed byte by byte, which must change nothing.  feed.h does that and says how
 * an outcome is written.  Length prefixes have a test of their own for the values that no stream
 * can hold: every limit against every value around the powers of two, where sums could overflow.
 */
#include "../feed.h"

#include "../../api/support.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

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
	struct mtsi_framing four = framing_lines(4);
	struct mtsi_framing none = framing_lines(0);

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
	struct mtsi_framing end = framing_delimited("END", 4);
	struct mtsi_framing aab = framing_delimited("aab", 4);
	struct mtsi_framing nul = framing_delimited("x", 3);
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
	struct mtsi_framing three = framing_fixed(3, 3);
	struct mtsi_framing four = framing_fixed(4, 3);

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
	struct mtsi_framing byte = framing_prefixed(1, false, 4);
	struct mtsi_framing two = framing_prefixed(2, false, 4);
	struct mtsi_framing four = framing_prefixed(4, true, 4);

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
	struct mtsi_framing framing = framing_prefixed(width, little, limit);
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
		ck_assert_int_eq(mtsi_frame_next(&framing, data, total - 1, &scanned, &frame), 0);
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

int main(void)
{
	TCase *cases = suite_begin("frame");

	tcase_add_test(cases, line_streams);
	tcase_add_test(cases, delimited_streams);
	tcase_add_test(cases, fixed_streams);
	tcase_add_test(cases, prefixed_streams);
	tcase_add_test(cases, prefix_values);

	return suite_run_once();
}
