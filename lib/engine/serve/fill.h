/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_FILL_H
#define MTSI_ENGINE_SERVE_FILL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mtsi_worker;

/*
 * Receives more, and waits for it if necessary: 1; 0 at the end of the stream; -ECANCELED when the
 * server stops, or -ETIMEDOUT when a wait has lasted too long, once all that had come by then is
 * read; -EPIPE when the client is lost; -ENOMEM. Without `wait`: -EAGAIN when there is nothing, and
 * -ENOSPC when all clients' memory is used up, so that there is nowhere to put input; the client
 * can be parked then. A worker that stays with its client (thread per client) waits in any case.
 */
int mtsi_fill(struct mtsi_worker *worker, bool wait);

/* The same for a callback that reads a line: it waits for that as for the rest of a request. */
int mtsi_fill_line(struct mtsi_worker *worker);

/*
 * The same for what comes before the open hook, and is shorter than a worker's buffer. Without `wait`:
 * a thread that stays with its client waits in any case.
 */
int mtsi_fill_header(struct mtsi_worker *worker);

/*
 * Reads up to `size` bytes that follow the current request: those that are here, or else as
 * mtsi_fill() with `wait`. Returns how many, or what mtsi_fill() does.
 */
ssize_t mtsi_fill_read(struct mtsi_worker *worker, void *buffer, size_t size);

#endif
