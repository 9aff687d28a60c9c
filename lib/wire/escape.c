/*
 * Escaping for log lines.
 *
 * What a peer sends must not be able to end a line, to move a terminal's cursor, or to be taken
 * for text of ours.  So everything but printable ASCII is spelled out, and the backslash too, which
 * makes the result unambiguous: two inputs never look alike.  isprint() is not asked, since it
 * follows the locale, and bytes of UTF-8 are escaped as well, since they may be anything.
 */
#include "wire/escape.h"

#include <string.h>

enum { LONGEST = 4 };

/* Writes one byte's text to out, not terminated, and returns its length. */
static size_t spell(char out[LONGEST], unsigned char byte)
{
	static const char digits[] = "0123456789abcdef";
	static const char plain[] = "\\\n\r\t";
	static const char letters[] = "\\nrt";
	const char *short_form = byte == 0 ? NULL : strchr(plain, byte);

	if (short_form != NULL) {
		out[0] = '\\';
		out[1] = letters[short_form - plain];
		return 2;
	}
	if (byte >= ' ' && byte <= '~') {
		out[0] = (char)byte;
		return 1;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = digits[byte >> 4];
	out[3] = digits[byte & 15];
	return 4;
}

size_t mtsi_escape(char *out, size_t size, const char *bytes, size_t count)
{
	size_t written = 0;

	if (size == 0) {
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		char text[LONGEST];
		size_t length = spell(text, (unsigned char)bytes[i]);

		/* One byte of out is for the NUL. */
		if (length >= size - written) {
			break;
		}
		memcpy(out + written, text, length);
		written += length;
	}
	out[written] = '\0';
	return written;
}
