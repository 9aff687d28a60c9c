/* SPDX-License-Identifier: MIT
 *
 * The handler reads a body where it needs it, as it would read a file, and waits for its bytes in
 * mts_client_read(): nobody else waits. It never has more than one buffer of it, so an upload of any
 * size costs the same memory.
 *
 * The end of a chunked body is known only when it is seen, and by then the beginning of the next
 * request may be in the buffer. mts_client_unread() puts it back, and the framer finds it there.
 */
#include "body.h"

#include <errno.h>

void body_begin(struct body *body, mts_client *client, const struct request *request)
{
	body->client = client;
	body->left = request->length;
	body->chunked = request->chunked;
	body->chunks = (struct chunks){.state = CHUNKS_SIZE};
	body->at = 0;
	body->end = 0;
}

/* Waits for bytes, at most so many. */
static ssize_t read_some(struct body *body, uint64_t most)
{
	const size_t size = most < sizeof(body->buffer) ? (size_t)most : sizeof(body->buffer);
	const ssize_t count = mts_client_read(body->client, body->buffer, size);
	return count == 0 ? -EPROTO : count;
}

static ssize_t next_of_known_length(struct body *body, const char **data)
{
	if (body->left == 0) {
		return 0;
	}
	const ssize_t count = read_some(body, body->left);
	if (count > 0) {
		*data = body->buffer;
		body->left -= (uint64_t)count;
	}
	return count;
}

static ssize_t next_of_chunked(struct body *body, const char **data)
{
	for (;;) {
		size_t count;
		const ssize_t used = chunks_decode(
			&body->chunks, body->buffer + body->at, body->end - body->at, data, &count);
		if (used < 0) {
			return used;
		}
		body->at += (size_t)used;
		if (count > 0) {
			return (ssize_t)count;
		}
		if (body->chunks.state == CHUNKS_END) {
			return mts_client_unread(body->client, body->buffer + body->at, body->end - body->at);
		}
		const ssize_t received = read_some(body, sizeof(body->buffer));
		if (received < 0) {
			return received;
		}
		body->at = 0;
		body->end = (size_t)received;
	}
}

ssize_t body_next(struct body *body, const char **data)
{
	return body->chunked ? next_of_chunked(body, data) : next_of_known_length(body, data);
}
