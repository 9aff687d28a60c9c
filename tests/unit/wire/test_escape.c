/*
 * Escaping: a table, every byte, and every size of the buffer.
 */
#include "wire/escape.h"

#include "../../api/support.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(literal) literal, sizeof(literal) - 1

START_TEST(samples)
{
	static const struct {
		const char *bytes;
		size_t count;
		const char *expected;
	} cases[] = {
		{BYTES(""), ""},
		{BYTES("GET / HTTP/1.0\r\n"), "GET / HTTP/1.0\\r\\n"},
		{BYTES("a\tb"), "a\\tb"},
		{BYTES("\\"), "\\\\"},
		{BYTES("\\n"), "\\\\n"},
		{BYTES("\"'%s"), "\"'%s"},
		{BYTES("a\0b"), "a\\x00b"},
		{BYTES("\033[2J"), "\\x1b[2J"},
		{BYTES("\177\200\377"), "\\x7f\\x80\\xff"},
		{BYTES("\303\244"), "\\xc3\\xa4"},
		{BYTES("\a\b\f\v"), "\\x07\\x08\\x0c\\x0b"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char out[64];
		size_t written = mtsi_escape(out, sizeof(out), cases[i].bytes, cases[i].count);

		ck_assert_str_eq(out, cases[i].expected);
		ck_assert_uint_eq(written, strlen(cases[i].expected));
	}
}
END_TEST

START_TEST(every_byte)
{
	for (unsigned value = 0; value < 256; value++) {
		char byte = (char)value;
		char out[MTSI_ESCAPE_SIZE(1)];
		char expected[8];

		if (value == '\\' || value == '\n' || value == '\r' || value == '\t') {
			snprintf(expected, sizeof(expected), "\\%c",
				value == '\n'       ? 'n'
					: value == '\r' ? 'r'
					: value == '\t' ? 't'
									: '\\');
		} else if (value >= 0x20 && value <= 0x7e) {
			snprintf(expected, sizeof(expected), "%c", byte);
		} else {
			snprintf(expected, sizeof(expected), "\\x%02x", value);
		}
		ck_assert_uint_eq(mtsi_escape(out, sizeof(out), &byte, 1), strlen(expected));
		ck_assert_str_eq(out, expected);
	}
}
END_TEST

/* Whether a text may end here: what it holds is the start of the whole, and a number of escapes. */
static bool is_boundary(size_t at)
{
	/* a \ x 0 0 \ n b \ \ \ x f f c */
	static const size_t boundaries[] = {0, 1, 5, 7, 8, 10, 14, 15};

	for (size_t i = 0; i < sizeof(boundaries) / sizeof(*boundaries); i++) {
		if (boundaries[i] == at) {
			return true;
		}
	}
	return false;
}

START_TEST(every_size)
{
	static const char bytes[] = {'a', '\0', '\n', 'b', '\\', '\377', 'c'};
	static const char whole[] = "a\\x00\\nb\\\\\\xffc";

	for (size_t size = 1; size <= sizeof(whole) + 2; size++) {
		char *out = malloc(size); /* exactly, so that sanitizers see one byte more */
		size_t written;
		size_t expected = size - 1 < sizeof(whole) - 1 ? size - 1 : sizeof(whole) - 1;

		ck_assert_ptr_nonnull(out);
		written = mtsi_escape(out, size, bytes, sizeof(bytes));
		while (!is_boundary(expected)) {
			expected--;
		}
		ck_assert_uint_eq(written, expected);
		ck_assert_uint_eq(strlen(out), written);
		ck_assert_mem_eq(out, whole, written);
		free(out);
	}
}
END_TEST

START_TEST(no_room)
{
	char guard = 'g';

	ck_assert_uint_eq(mtsi_escape(NULL, 0, "abc", 3), 0);
	ck_assert_uint_eq(mtsi_escape(&guard, 0, "abc", 3), 0);
	ck_assert_int_eq(guard, 'g');
	ck_assert_uint_eq(mtsi_escape(&guard, 1, "abc", 3), 0);
	ck_assert_int_eq(guard, '\0');
	guard = 'g';
	ck_assert_uint_eq(mtsi_escape(&guard, 1, NULL, 0), 0);
	ck_assert_int_eq(guard, '\0');
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("escape");

	tcase_add_test(cases, samples);
	tcase_add_test(cases, every_byte);
	tcase_add_test(cases, every_size);
	tcase_add_test(cases, no_room);

	return suite_run_once();
}
