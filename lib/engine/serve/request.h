/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_REQUEST_H
#define MTSI_ENGINE_SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mtsi_worker;

/*
 * The client's next request, inside a callback, once what was written has been sent: 1; 0 at the
 * end of the stream; -ECANCELED, -ETIMEDOUT, -EMSGSIZE, -EPROTO, -EPIPE or -ENOMEM, and after one
 * of these the client gets no request any more.
 */
int mtsi_request_await(struct mtsi_worker *worker, const void **request, size_t *size);

/* Up to `size` bytes that follow the current request, inside a callback, as mtsi_fill_read(). */
ssize_t mtsi_request_read(struct mtsi_worker *worker, void *buffer, size_t size);

/*
 * As mtsi_request_await(). Without `wait`: -EAGAIN when no whole request is here, -ENOBUFS when too
 * much output waits for the client to get one, -ENOSPC when there is no memory for the rest of it.
 */
int mtsi_request_next(struct mtsi_worker *worker, const void **request, size_t *size, bool wait);

/* Whether the handler has run for longer than it may. Inside a callback. */
bool mtsi_request_overrun(struct mtsi_worker *worker);

#endif
