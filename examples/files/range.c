/* SPDX-License-Identifier: MIT
 *
 * bytes=0-99 are the first hundred bytes, bytes=100- all after them, bytes=-100 the last hundred.
 * Whoever asks for several ranges at once, or for what is no range, gets the whole file, as RFC 9110
 * allows.
 */
#include "range.h"

#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

/* Reads digits; a number that is too large becomes the largest. Returns whether there were any. */
static bool read_number(const char **at, int64_t *number)
{
	const char *start = *at;
	*number = 0;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		const int digit = **at - '0';
		*number = *number > (INT64_MAX - digit) / 10 ? INT64_MAX : *number * 10 + digit;
	}
	return *at > start;
}

enum range_result range_read(const char *text, int64_t file_size, struct range *range)
{
	int64_t first;
	int64_t last;
	if (text == NULL || strncasecmp(text, "bytes=", 6) != 0) {
		return RANGE_NONE;
	}
	text += 6;
	const bool has_first = read_number(&text, &first);
	if (*text++ != '-') {
		return RANGE_NONE;
	}
	const bool has_last = read_number(&text, &last);
	if (*text != '\0' || (!has_first && !has_last) || (has_first && has_last && first > last)) {
		return RANGE_NONE;
	}
	if (!has_first) {
		if (last == 0) {
			return RANGE_OUTSIDE;
		}
		range->size = last < file_size ? last : file_size;
		range->start = file_size - range->size;
		/* All of nothing cannot be written as a range. */
		return file_size == 0 ? RANGE_NONE : RANGE_ONE;
	}
	if (first >= file_size) {
		return RANGE_OUTSIDE;
	}
	range->start = first;
	range->size = (has_last && last < file_size ? last + 1 : file_size) - first;
	return RANGE_ONE;
}
