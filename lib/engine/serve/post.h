/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_POST_H
#define MTSI_ENGINE_SERVE_POST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/client/line.h"
#include "os/lock.h"

struct mts_server;

/* Clients that are to have a turn because of what other threads have done to them. */
struct mtsi_post {
	struct mtsi_lock lock; /* guards the rest */
	struct mtsi_line claimed; /* owned by this line, until the keeper takes them */
};

void mtsi_post_init(struct mtsi_post *post);
void mtsi_post_free(struct mtsi_post *post);

/*
 * All of these may be called by any thread, with no lock held. None of them waits for a client or
 * runs anything of the program's.
 */

/* Sends to the client with this id: 0, -ENOENT, -ENOBUFS, -ENOMEM or -EFAULT. */
int mtsi_post_send(struct mts_server *server, uint64_t id, const void *data, size_t size);

/* Sends to all clients: to how many; or -EFAULT or -ENOMEM, when the message cannot be read. */
ssize_t mtsi_post_broadcast(struct mts_server *server, const void *data, size_t size);

/* Cuts the client with this id off: 0 or -ENOENT. */
int mtsi_post_kick(struct mts_server *server, uint64_t id);

/* Offers to the crew whom the above have claimed. The keeper. */
void mtsi_post_offer(struct mts_server *server);

#endif
