/* SPDX-License-Identifier: MIT
 *
 * To the library a request is the head of a message, up to its empty line: request_end() is the
 * framer that finds it. What follows, the body, is read by the handler (body.c).
 *
 * http_parser reads the head. It knows methods, versions, when a connection stays, and how long a
 * body is. But it forgives a lot that others understand differently, and a proxy and a server that
 * do not agree where a request ends can be made to mix up the requests of different people (RFC
 * 9112, section 11.2). So syntax.c looks at each byte first, and a few rules follow here.
 */
#include "request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "syntax.h"

/*
 * A line that ends with LF alone ends the head too: what follows cannot be trusted, and the handler
 * is to say so instead of waiting for the rest.
 */
ssize_t request_end(const void *data, size_t size, size_t scanned, void *user)
{
	const char *text = data;
	(void)user;
	for (size_t at = scanned; at < size; at++) {
		if (text[at] != '\n') {
			continue;
		}
		const bool alone = at == 0 || text[at - 1] != '\r';
		const bool empty_line = at == 1 || (at >= 3 && text[at - 2] == '\n');
		if (alone || empty_line) {
			return (ssize_t)at + 1;
		}
	}
	return 0;
}

/* What http_parser has said of the head so far. */
struct reading {
	struct request *request;
	const char *head;
	int field; /* whose value comes next; FIELD_COUNT: of none that matters */
};

/* The copy of a piece of the head, as a string. */
static char *string(const struct reading *reading, const char *at, size_t size)
{
	char *text = reading->request->text + (at - reading->head);
	text[size] = '\0';
	return text;
}

static int on_target(http_parser *parser, const char *at, size_t size)
{
	const struct reading *reading = parser->data;
	reading->request->target = string(reading, at, size);
	return 0;
}

static int on_field(http_parser *parser, const char *at, size_t size)
{
	static const char *const names[] = {
#define X(name, text) text,
		FIELDS(X)
#undef X
	};
	struct reading *reading = parser->data;
	reading->field = 0;
	while (reading->field < FIELD_COUNT
		&& (strlen(names[reading->field]) != size
			|| strncasecmp(names[reading->field], at, size) != 0)) {
		reading->field++;
	}
	return 0;
}

/* None of these fields makes sense twice, and two that differ would be understood differently. */
static int on_value(http_parser *parser, const char *at, size_t size)
{
	struct reading *reading = parser->data;
	if (reading->field == FIELD_COUNT) {
		return 0;
	}
	if (reading->request->fields[reading->field] != NULL) {
		return -1;
	}
	while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t')) {
		size--;
	}
	reading->request->fields[reading->field] = string(reading, at, size);
	return 0;
}

/* All fields have come. The parser waits for the body then, which it is never given. */
static int on_end(http_parser *parser)
{
	const struct reading *reading = parser->data;
	struct request *request = reading->request;
	request->method = parser->method;
	request->chunked = (parser->flags & F_CHUNKED) != 0;
	if ((parser->flags & F_CONTENTLENGTH) != 0) {
		request->length = parser->content_length;
	}
	request->keep = http_should_keep_alive(parser) != 0;
	request->old = parser->http_minor == 0;
	return 0;
}

/* What http_parser takes, and this server does not. */
static int check(const struct request *request)
{
	const char *encoding = request->fields[FIELD_TRANSFER_ENCODING];
	if (encoding != NULL && (request->old || request->fields[FIELD_CONTENT_LENGTH] != NULL)) {
		return HTTP_STATUS_BAD_REQUEST;
	}
	if (encoding != NULL && strcasecmp(encoding, "chunked") != 0) {
		return HTTP_STATUS_NOT_IMPLEMENTED;
	}
	if (!request->old && request->fields[FIELD_HOST] == NULL) {
		return HTTP_STATUS_BAD_REQUEST;
	}
	const char *expect = request->fields[FIELD_EXPECT];
	if (expect != NULL && strcasecmp(expect, "100-continue") != 0) {
		return HTTP_STATUS_EXPECTATION_FAILED;
	}
	return 0;
}

int request_parse(struct request *request, const char *head, size_t size)
{
	static const http_parser_settings settings = {
		.on_url = on_target,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_headers_complete = on_end,
	};
	struct reading reading = {.request = request, .head = head, .field = FIELD_COUNT};
	http_parser parser;
	*request = (struct request){.keep = false};
	memcpy(request->text, head, size);
	const int status = syntax_check(head, size);
	if (status != 0) {
		return status;
	}
	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = &reading;
	(void)http_parser_execute(&parser, &settings, head, size);
	switch (HTTP_PARSER_ERRNO(&parser)) {
	case HPE_OK:
		break;
	case HPE_INVALID_METHOD:
		return HTTP_STATUS_NOT_IMPLEMENTED;
	default:
		return HTTP_STATUS_BAD_REQUEST;
	}
	return request->target == NULL ? HTTP_STATUS_BAD_REQUEST : check(request);
}

bool request_has_body(const struct request *request)
{
	return request->chunked || request->length > 0;
}
