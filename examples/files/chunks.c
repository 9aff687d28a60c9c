/* SPDX-License-Identifier: MIT
 *
 * A chunk is its size in hexadecimal digits, CR LF, the data, CR LF. One of size 0 is the last; after
 * it come fields, if any, and an empty line. Nothing else is taken: no space, no sign, no 0x, no LF
 * alone. What one server takes for a size and another one does not, lets an attacker hide a request
 * in a body.
 */
#include "chunks.h"

#include <errno.h>
#include <stdbool.h>

enum {
	DIGITS = 15, /* so that no size is too large for 64 bits */
	EXTRA_MAX = 8 * 1024
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The line goes on with anything that can be seen, and ends with CR. */
static bool in_line(struct chunks *chunks, char c, enum chunks_state end)
{
	if (c == '\r') {
		chunks->state = end;
		return true;
	}
	return ((unsigned char)c >= ' ' || c == '\t') && c != '\x7f' && ++chunks->extra <= EXTRA_MAX;
}

static bool in_size(struct chunks *chunks, char c)
{
	const int digit = hex_digit(c);
	if (digit >= 0) {
		chunks->left = chunks->left * 16 + (unsigned)digit;
		return ++chunks->digits <= DIGITS;
	}
	if (chunks->digits == 0 || (c != ';' && c != '\r')) {
		return false;
	}
	chunks->state = c == ';' ? CHUNKS_EXTENSION : CHUNKS_SIZE_LF;
	return true;
}

/* What has to be this very byte. */
static bool fixed(struct chunks *chunks, char c, char wanted, enum chunks_state next)
{
	chunks->state = next;
	return c == wanted;
}

/* Takes one byte that is no data; false when it may not stand there. */
static bool take(struct chunks *chunks, char c)
{
	switch (chunks->state) {
	case CHUNKS_SIZE:
		return in_size(chunks, c);
	case CHUNKS_EXTENSION:
		return in_line(chunks, c, CHUNKS_SIZE_LF);
	case CHUNKS_SIZE_LF:
		chunks->digits = 0;
		return fixed(chunks, c, '\n', chunks->left > 0 ? CHUNKS_DATA : CHUNKS_TRAILER);
	case CHUNKS_DATA_CR:
		return fixed(chunks, c, '\r', CHUNKS_DATA_LF);
	case CHUNKS_DATA_LF:
		return fixed(chunks, c, '\n', CHUNKS_SIZE);
	case CHUNKS_TRAILER:
		chunks->state = CHUNKS_TRAILER_LINE;
		return in_line(chunks, c, CHUNKS_END_LF);
	case CHUNKS_TRAILER_LINE:
		return in_line(chunks, c, CHUNKS_TRAILER_LF);
	case CHUNKS_TRAILER_LF:
		return fixed(chunks, c, '\n', CHUNKS_TRAILER);
	case CHUNKS_END_LF:
		return fixed(chunks, c, '\n', CHUNKS_END);
	case CHUNKS_DATA:
	case CHUNKS_END:
		break;
	}
	return false;
}

ssize_t chunks_decode(
	struct chunks *chunks, const char *bytes, size_t size, const char **data, size_t *count)
{
	size_t at = 0;
	*count = 0;
	while (at < size && chunks->state != CHUNKS_DATA && chunks->state != CHUNKS_END) {
		if (!take(chunks, bytes[at++])) {
			return -EPROTO;
		}
	}
	if (chunks->state == CHUNKS_DATA) {
		*data = bytes + at;
		*count = size - at < chunks->left ? size - at : (size_t)chunks->left;
		chunks->left -= *count;
		at += *count;
		if (chunks->left == 0) {
			chunks->state = CHUNKS_DATA_CR;
		}
	}
	return (ssize_t)at;
}
