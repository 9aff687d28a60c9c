/* SPDX-License-Identifier: MIT
 *
 * The body of a request, piece by piece.
 */
#ifndef FILES_BODY_H
#define FILES_BODY_H

#include <mtserver.h>

#include "chunks.h"
#include "request.h"

struct body {
	mts_client *client;
	uint64_t left; /* when it is not chunked */
	bool chunked;
	struct chunks chunks;
	size_t at; /* the first byte in the buffer that is not used yet */
	size_t end; /* behind the last one */
	char buffer[16 * 1024];
};

void body_begin(struct body *body, mts_client *client, const struct request *request);

/*
 * Gives the next piece, which is valid until the next call. Returns its size; 0: the body is
 * complete, and what follows it has been left to the next request; -EPROTO: it is malformed, or the
 * peer ended in the middle of it; or what mts_client_read() has answered.
 */
ssize_t body_next(struct body *body, const char **data);

#endif
