/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_INPUT_H
#define MTSI_ENGINE_SERVE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mtsi_worker;

/*
 * What has been received of the client that is being served, and not been consumed: data[start,
 * end).
 */
struct mtsi_input {
	char *data; /* the worker's small or large buffer, or memory of its own for a huge request */
	size_t start;
	size_t end;
	size_t capacity; /* one byte behind it is always there for a NUL */
	size_t scanned; /* what framing has searched already */
	char *nul; /* where a NUL stands after the request that is being handled; NULL: nowhere */
	char under_nul; /* the byte that it hides, perhaps the next request's first */
	bool full; /* the last receive filled the buffer: more may be waiting */
	bool drained; /* the last receive has taken all there was, unless somebody says AGAIN */
	bool ended; /* the peer's end of stream has come */
	bool charged; /* memory may be charged for it, or be waited for */
};

/* Begins with what the client has saved; ends with what it has left, or without: all is freed. */
void mtsi_input_begin(struct mtsi_worker *worker);
bool mtsi_input_save(struct mtsi_worker *worker); /* false when memory is short */
void mtsi_input_end(struct mtsi_worker *worker);

/*
 * The next whole request among what is here: 1, 0 when more must be received, -EMSGSIZE or -EPROTO.
 * At the end of the stream the last line or what is cut off: 1, 0 or an error. The bytes of the
 * request before are gone; a NUL follows the new one.
 */
int mtsi_input_request(struct mtsi_worker *worker, const void **request, size_t *size);

/*
 * Receives more, and waits for it where need be: 1; 0 at the end of the stream; -ECANCELED when the
 * server stops, or -ETIMEDOUT when a wait has lasted too long, and all that had come by then is read;
 * -EPIPE when the client is lost; -ENOMEM. Without `wait` -EAGAIN when there is nothing, and
 * -ENOSPC when all clients' memory is used up, so that there would be nowhere to put it: the client
 * can be parked. A thread of its own waits in any case.
 */
int mtsi_input_fill(struct mtsi_worker *worker, bool wait);

/* Whether mtsi_input_fill() without `wait` would find nothing, as far as is known without asking. */
bool mtsi_input_exhausted(const struct mtsi_worker *worker);

/* A wait has lasted too long: from now on only what has come by now is received, then -ETIMEDOUT. */
void mtsi_input_late(struct mtsi_worker *worker);

/* What was waited for has come. So nobody is late, unless its deadline has ended it. */
void mtsi_input_met(struct mtsi_worker *worker);

/*
 * Up to `size` bytes that follow the current request, as mtsi_input_fill() with `wait`, or from
 * what is here.
 */
ssize_t mtsi_input_read(struct mtsi_worker *worker, void *buffer, size_t size);

#endif
