/* SPDX-License-Identifier: MIT
 *
 * The head of a request: where it ends, whether it is sound, what it says.
 */
#ifndef FILES_REQUEST_H
#define FILES_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <http_parser.h>

/* The longest head: the request line and all fields. */
enum { HEAD_MAX = 16 * 1024 };

/* The fields that matter here. The others are checked, and forgotten. */
#define FIELDS(X) \
	X(CONTENT_LENGTH, "Content-Length") \
	X(CONTENT_RANGE, "Content-Range") \
	X(EXPECT, "Expect") \
	X(HOST, "Host") \
	X(IF_MATCH, "If-Match") \
	X(IF_MODIFIED_SINCE, "If-Modified-Since") \
	X(IF_NONE_MATCH, "If-None-Match") \
	X(IF_RANGE, "If-Range") \
	X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since") \
	X(RANGE, "Range") \
	X(TRANSFER_ENCODING, "Transfer-Encoding")

enum field {
#define X(name, text) FIELD_##name,
	FIELDS(X)
#undef X
		FIELD_COUNT
};

struct request {
	unsigned method; /* HTTP_GET and so on, of http_parser.h */
	const char *target; /* as it was sent */
	const char *fields[FIELD_COUNT]; /* their values; NULL: not sent */
	uint64_t length; /* of the body; 0 when it is chunked */
	bool chunked;
	bool old; /* HTTP/1.0 */
	bool keep; /* the connection may serve another request after this one */
	char text[HEAD_MAX + 1]; /* where the strings above lie */
};

/* The framer of the server: a request is a head. */
ssize_t request_end(const void *data, size_t size, size_t scanned, void *user);

/* Reads a head; returns 0, or the HTTP status that refuses it. */
int request_parse(struct request *request, const char *head, size_t size);

/* Whether a body follows the head. */
bool request_has_body(const struct request *request);

#endif
