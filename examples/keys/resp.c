/* SPDX-License-Identifier: MIT
 *
 * No input and no output here: bytes in, words out. The words are where the bytes are; nothing is
 * copied, and nothing is kept. An array whose end is not here yet is looked at from its beginning when
 * more has come, but only at the sizes in it, of which there are few.
 */
#include "resp.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER = 16 };

/* `*3` or `$5`, and CR LF. */
static ssize_t take_number(const char *text, size_t size, char kind, long *number)
{
	const size_t most = size < NUMBER ? size : NUMBER;
	const char *end = memchr(text, '\n', most);
	if ((size > 0 && text[0] != kind) || (end == NULL && most == NUMBER)) {
		return -EPROTO;
	}
	if (end == NULL) {
		return 0;
	}
	char *rest;
	*number = strtol(text + 1, &rest, 10);
	const bool is_number = isdigit((unsigned char)text[1]) || text[1] == '-';
	return is_number && rest + 1 == end && *rest == '\r' ? end + 1 - text : -EPROTO;
}

static ssize_t take_array(const char *text, size_t size, struct command *command)
{
	long count;
	ssize_t used = take_number(text, size, '*', &count);
	size_t at = (size_t)used;
	if (used <= 0 || count > RESP_WORDS) {
		return used <= 0 ? used : -EPROTO;
	}
	for (command->count = 0; command->count < count; command->count++) {
		long length;
		used = take_number(text + at, size - at, '$', &length);
		if (used <= 0 || length < 0 || length > RESP_LARGEST) {
			return used <= 0 ? used : -EPROTO;
		}
		at += (size_t)used;
		if (size - at < (size_t)length + 2) {
			return 0;
		}
		command->words[command->count] = (struct word){text + at, (size_t)length};
		at += (size_t)length + 2;
		if (text[at - 2] != '\r' || text[at - 1] != '\n') {
			return -EPROTO;
		}
	}
	return (ssize_t)at;
}

/* What of it has been looked at before has no LF. */
static ssize_t take_line(const char *text, size_t size, size_t scanned, struct command *command)
{
	const char *end = memchr(text + scanned, '\n', size - scanned);
	if (end == NULL) {
		return 0;
	}
	command->count = 0;
	for (const char *at = text; at < end;) {
		const char *start = at;
		while (at < end && !isspace((unsigned char)*at)) {
			at++;
		}
		if (at > start && command->count == RESP_WORDS) {
			return -EPROTO;
		}
		if (at > start) {
			command->words[command->count++] = (struct word){start, (size_t)(at - start)};
		}
		at++;
	}
	return end + 1 - text;
}

ssize_t resp_take(const char *text, size_t size, size_t scanned, struct command *command)
{
	return text[0] == '*' ? take_array(text, size, command)
						  : take_line(text, size, scanned, command);
}
