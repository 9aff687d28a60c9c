/* SPDX-License-Identifier: MIT
 *
 * http_parser takes all of this, at least as Debian builds it (HTTP_PARSER_STRICT is off there):
 * lines that end with LF alone, lines that are continued in the next one, spaces in and after the
 * name of a field, several spaces in the request line, bytes above 127 in the target, a request line
 * without a version, any version from 0.9 to 9.9. Here none of it passes.
 */
#include "syntax.h"

#include <http_parser.h>
#include <stdbool.h>
#include <string.h>

/* One line, without its CR LF. */
struct line {
	const char *text;
	size_t size;
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* How many of the first bytes are those of a token (RFC 9110, section 5.6.2). */
static size_t token(const char *text, size_t size)
{
	size_t count = 0;
	while (count < size
		&& (is_letter(text[count]) || is_digit(text[count])
			|| (text[count] != '\0' && strchr("!#$%&'*+-.^_`|~", text[count]) != NULL))) {
		count++;
	}
	return count;
}

/* METHOD, a space, the target, a space, HTTP/1.1 */
static int check_request_line(struct line line)
{
	size_t at = token(line.text, line.size);
	if (at == 0 || at == line.size || line.text[at] != ' ') {
		return HTTP_STATUS_BAD_REQUEST;
	}
	const size_t target = ++at;
	while (at < line.size && line.text[at] > ' ' && line.text[at] < '\x7f') {
		at++;
	}
	if (at == target || line.size - at != strlen(" HTTP/1.1")
		|| memcmp(line.text + at, " HTTP/", 6) != 0 || !is_digit(line.text[at + 6])
		|| line.text[at + 7] != '.' || !is_digit(line.text[at + 8])) {
		return HTTP_STATUS_BAD_REQUEST;
	}
	return line.text[at + 6] == '1' ? 0 : HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
}

/* NAME: VALUE. A line that continues another one begins with a space, and has no name. */
static int check_field(struct line line)
{
	const size_t name = token(line.text, line.size);
	if (name == 0 || name == line.size || line.text[name] != ':') {
		return HTTP_STATUS_BAD_REQUEST;
	}
	for (size_t at = name + 1; at < line.size; at++) {
		const unsigned char c = (unsigned char)line.text[at];
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			return HTTP_STATUS_BAD_REQUEST;
		}
	}
	return 0;
}

/* Takes the next line from the head; false when it does not end with CR LF. */
static bool next_line(struct line *rest, struct line *line)
{
	const char *end = memchr(rest->text, '\n', rest->size);
	if (end == NULL || end == rest->text || end[-1] != '\r') {
		return false;
	}
	line->text = rest->text;
	line->size = (size_t)(end - rest->text) - 1;
	rest->size -= line->size + 2;
	rest->text = end + 1;
	return true;
}

int syntax_check(const char *head, size_t size)
{
	struct line rest = {head, size};
	struct line line;
	if (!next_line(&rest, &line)) {
		return HTTP_STATUS_BAD_REQUEST;
	}
	int status = check_request_line(line);
	while (status == 0) {
		if (!next_line(&rest, &line)) {
			return HTTP_STATUS_BAD_REQUEST;
		}
		if (line.size == 0) {
			return rest.size == 0 ? 0 : HTTP_STATUS_BAD_REQUEST;
		}
		status = check_field(line);
	}
	return status;
}
