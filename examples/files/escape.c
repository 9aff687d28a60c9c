/* SPDX-License-Identifier: MIT
 *
 * A file can be called <script>, or "onload=, or a%2Fb. In a URL all but letters, digits and a few
 * more becomes %XX. In HTML the characters that mean something there are named, and what cannot be
 * shown is a question mark.
 */
#include "escape.h"

#include <string.h>

const char *escape_url(char *to, size_t size, const char *text)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
	static const char digits[] = "0123456789ABCDEF";
	size_t at = 0;
	for (; *text != '\0' && at + 4 <= size; text++) {
		if (strchr(plain, *text) != NULL) {
			to[at++] = *text;
			continue;
		}
		const unsigned char c = (unsigned char)*text;
		to[at++] = '%';
		to[at++] = digits[c >> 4];
		to[at++] = digits[c & 15];
	}
	to[at] = '\0';
	return to;
}

void escape_html(FILE *to, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '&':
			(void)fputs("&amp;", to);
			break;
		case '<':
			(void)fputs("&lt;", to);
			break;
		case '>':
			(void)fputs("&gt;", to);
			break;
		case '"':
			(void)fputs("&quot;", to);
			break;
		case '\'':
			(void)fputs("&#39;", to);
			break;
		default:
			(void)fputc((unsigned char)*text < ' ' || *text == '\x7f' ? '?' : *text, to);
		}
	}
}
