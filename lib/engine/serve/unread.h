/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_UNREAD_H
#define MTSI_ENGINE_SERVE_UNREAD_H

#include <stddef.h>
#include <sys/types.h>

struct mtsi_worker;

/*
 * Puts bytes back in front of the input of the client that is being served; they are copied, and
 * may lie in the input themselves. 0; -EMSGSIZE: too much would be here then; -ENOMEM; -EPIPE: the
 * client is lost, or its close hook runs. After an error nothing has changed.
 */
int mtsi_unread(struct mtsi_worker *worker, const void *data, size_t size);

/* How many bytes have been received from that client, and not consumed; or -EPIPE, as above. */
ssize_t mtsi_unread_pending(const struct mtsi_worker *worker);

#endif
