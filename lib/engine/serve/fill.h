/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_FILL_H
#define MTSI_ENGINE_SERVE_FILL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mtsi_worker;

/*
 * Receives more, and waits for it where need be: 1; 0 at the end of the stream; -ECANCELED when the
 * server stops, or -ETIMEDOUT when a wait has lasted too long, and all that had come by then is read;
 * -EPIPE when the client is lost; -ENOMEM. Without `wait` -EAGAIN when there is nothing, and
 * -ENOSPC when all clients' memory is used up, so that there would be nowhere to put it: the client
 * can be parked. A thread of its own waits in any case.
 */
int mtsi_fill(struct mtsi_worker *worker, bool wait);

/*
 * Up to `size` bytes that follow the current request, as mtsi_fill() with `wait`, or from
 * what is here.
 */
ssize_t mtsi_fill_read(struct mtsi_worker *worker, void *buffer, size_t size);

#endif
