/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_PUSH_H
#define MTSI_ENGINE_SERVE_PUSH_H

#include <stdbool.h>
#include <stddef.h>

#include "os/socket.h"

struct mts_client;
struct mtsi_worker;

/* Output that is to go out after the queue: what has gathered, then one write of the program's. */
struct mtsi_pieces {
	struct iovec ours;
	struct iovec theirs;
	size_t ready; /* so much of `theirs` is faulted in: the rest is not touched under a lock */
	bool begun; /* a part of `theirs` is on its way */
	bool faulty; /* `theirs` cannot be faulted in any more */
	bool refused; /* it could not be read, and goes nowhere */
	bool more; /* the end of the stream follows at once */
};

/*
 * How much of a write may be faulted in first, and so is known to be readable before any of it is
 * sent.
 */
enum { MTSI_PUSH_FIRST = 16 * 1024 * 1024 };

/*
 * Sends, and queues what the socket does not take, until no more than `limit` bytes wait: 0, or an
 * error as in output.h. -EFAULT: the program's part cannot be read, and none of it is sent, or the
 * client is lost because a part was. The worker, with no lock held.
 */
int mtsi_push(struct mtsi_worker *worker, struct mtsi_pieces *pieces, size_t limit);

/* The same for the replies that have gathered, at least one byte: mostly they go out at once. */
int mtsi_push_replies(struct mtsi_worker *worker, size_t limit);

/* Sends from the queue until it is empty or the socket is full: 0, or -EPIPE. Adds to *sent. */
int mtsi_push_queue_locked(struct mts_client *client, size_t *sent);

/*
 * Waits until the socket takes more: true. If it is memory that is short, waits for a while: false.
 */
bool mtsi_push_wait(struct mtsi_worker *worker, bool memory);

/* What has ended such a wait: -EPIPE or -ETIMEDOUT. */
int mtsi_push_why_lost(const struct mts_client *client);

/* A part of what one call has written is sent, and the rest cannot follow: the client is lost. */
void mtsi_push_torn_locked(struct mts_client *client);

#endif
