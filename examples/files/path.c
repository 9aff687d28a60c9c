/* SPDX-License-Identifier: MIT
 *
 * The target is cut at its slashes first, and decoded then: %2F is no slash, but a part of a name
 * that no file can have. Names that begin with a dot are never served. This keeps what is hidden
 * hidden, such as uploads that are under way (put.c), and "." and ".." are among them. It is not
 * what keeps a request below the root, though: a symbolic link leads out too, and only the kernel
 * knows (root.c).
 */
#include "path.h"

#include <http_parser.h>
#include <string.h>

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *found = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
	return found != NULL ? (int)(found - digits) : -1;
}

/* Decodes the character at *at, and goes to the next one. Returns 0 or a status. */
static int decode(const char **at, const char *end, char *c)
{
	*c = *(*at)++;
	if (*c != '%') {
		return 0;
	}
	if (end - *at < 2 || hex_digit((*at)[0]) < 0 || hex_digit((*at)[1]) < 0) {
		return HTTP_STATUS_BAD_REQUEST;
	}
	*c = (char)(hex_digit((*at)[0]) * 16 + hex_digit((*at)[1]));
	*at += 2;
	if (*c == '\0') {
		return HTTP_STATUS_BAD_REQUEST;
	}
	return *c == '/' ? HTTP_STATUS_NOT_FOUND : 0;
}

/* Decodes the parts between the slashes. Each slash is written when something follows it. */
static int decode_parts(const char *at, const char *end, struct path *path)
{
	size_t size = 0;
	bool begins = true; /* a part */
	while (at < end) {
		if (*at == '/') {
			begins = true;
			at++;
			continue;
		}
		char c;
		const int status = decode(&at, end, &c);
		if (status != 0) {
			return status;
		}
		if (begins && c == '.') {
			return HTTP_STATUS_NOT_FOUND;
		}
		if (size + 3 > sizeof(path->name)) {
			return HTTP_STATUS_URI_TOO_LONG;
		}
		if (begins && size > 0) {
			path->name[size++] = '/';
		}
		begins = false;
		path->name[size++] = c;
	}
	if (size == 0) {
		path->name[size++] = '.';
	}
	path->name[size] = '\0';
	path->folder = begins;
	return 0;
}

/* The target may be a whole URL, as for a proxy; all but the path is ignored (RFC 9112, 3.2.2). */
int path_decode(const char *target, struct path *path)
{
	struct http_parser_url url;
	http_parser_url_init(&url);
	if (http_parser_parse_url(target, strlen(target), 0, &url) != 0
		|| (url.field_set & (1 << UF_FRAGMENT)) != 0) {
		return HTTP_STATUS_BAD_REQUEST;
	}
	if ((url.field_set & (1 << UF_PATH)) == 0) {
		return decode_parts(target, target, path);
	}
	const char *start = target + url.field_data[UF_PATH].off;
	if (*start != '/') {
		return HTTP_STATUS_BAD_REQUEST;
	}
	return decode_parts(start, start + url.field_data[UF_PATH].len, path);
}
