/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_MAILBOX_H
#define MTSI_ENGINE_SERVE_MAILBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/client/list.h"
#include "os/lock.h"

struct mts_server;
struct mtsi_worker;

/* Clients that are to have a turn because of what other threads have done to them. */
struct mtsi_mailbox {
	struct mtsi_lock lock; /* guards the rest */
	struct mtsi_list claimed; /* owned by this line, until the keeper takes them */
};

void mtsi_mailbox_init(struct mtsi_mailbox *mailbox);
void mtsi_mailbox_free(struct mtsi_mailbox *mailbox);

/*
 * All of these may be called by any thread, with no lock held. None of them waits for a client or
 * runs anything of the program's.
 */

/* Sends to the client with this id: 0, -ENOENT, -ENOBUFS, -ENOMEM or -EFAULT. */
int mtsi_mailbox_send(struct mts_server *server, uint64_t id, const void *data, size_t size);

/*
 * Sends to all clients: how many it has reached; or -EFAULT or -ENOMEM, when the message cannot be
 * read.
 */
ssize_t mtsi_mailbox_broadcast(struct mts_server *server, const void *data, size_t size);

/* Tells the client with this id to finish: 0 or -ENOENT. */
int mtsi_mailbox_close(struct mts_server *server, uint64_t id);

/* Cuts the client with this id off: 0 or -ENOENT. */
int mtsi_mailbox_kick(struct mts_server *server, uint64_t id);

/*
 * For the worker that serves a client: sends what has gathered, and then these bytes as a message, so
 * without waiting: 0, -ENOBUFS, -EPIPE or -EFAULT.
 */
int mtsi_mailbox_try(struct mtsi_worker *worker, const void *data, size_t size);

/*
 * Leaves the client that was claimed, if any, to the keeper; whether the keeper is to be woken.
 * Under that client's lock, in the critical section in which it was claimed.
 */
bool mtsi_mailbox_put_locked(struct mts_server *server, struct mtsi_list *claimed);

/* Offers the clients that were left in this way have claimed to the crew. The keeper. */
void mtsi_mailbox_offer(struct mts_server *server);

#endif
