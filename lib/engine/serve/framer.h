/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_FRAMER_H
#define MTSI_ENGINE_SERVE_FRAMER_H

struct mts_client;
struct mtsi_worker;

/*
 * A framer of the program that knows its client (mts_server_frame_by_client()). While it runs, no
 * worker serves that client, as far as the client knows: so all calls are refused that would read or
 * write. Only the questions about its addresses, which are put into the worker, need it still.
 */

/* The next request that it finds: as mtsi_input_request(). */
int mtsi_framer_request(struct mtsi_worker *worker);

/* The worker whose framer asks about this client, on this thread; NULL: there is none. */
struct mtsi_worker *mtsi_framer_worker(const struct mts_client *client);

/* The program has ended this thread, perhaps in its framer: the worker serves its client again. */
void mtsi_framer_abandon(struct mtsi_worker *worker);

#endif
