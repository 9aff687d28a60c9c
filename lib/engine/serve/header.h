/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_HEADER_H
#define MTSI_ENGINE_SERVE_HEADER_H

struct mts_client;
struct mtsi_worker;

/*
 * Takes the PROXY header of the worker's client: 1, and the client may be opened. -EAGAIN, -ENOSPC: it
 * is still to come, and there is nothing to receive now, or no memory for it; so the client can be
 * parked. -EPIPE: the client ends (mtsi_header_end()).
 */
int mtsi_header_take(struct mtsi_worker *worker);

/* Ends a client that still awaits its header, whatever the cause. It is gone then. No lock is held. */
void mtsi_header_end(struct mtsi_worker *worker, struct mts_client *client);

#endif
