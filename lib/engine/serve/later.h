/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_LATER_H
#define MTSI_ENGINE_SERVE_LATER_H

#include <stdbool.h>
#include <stdint.h>

struct mts_client;
struct mts_server;
struct mtsi_worker;

/*
 * Replies that come later than their handlers return. All but the last function: by the worker that
 * serves the client, with no lock held.
 */

/*
 * Inside a callback: a ticket, above 0; -EINVAL, this is no handler; -EALREADY, the handler has one;
 * -EPIPE or -ENOMEM.
 */
int64_t mtsi_later_defer(struct mtsi_worker *worker);

/*
 * A handler that has a ticket has returned this verdict. Returns what holds now: MTS_LATER when the
 * reply is still to come; what was said, if it is completed already; or the verdict itself, and the
 * ticket is void.
 */
int mtsi_later_returned(struct mtsi_worker *worker, int verdict);

/* What has become of a deferred reply. */
enum mtsi_later {
	MTSI_LATER_OPEN, /* it is still to come */
	MTSI_LATER_COMPLETED, /* it has come */
	MTSI_LATER_LOST /* the client is lost */
};

/*
 * After a stop only what had arrived by then is served (receive.c). A turn that begins would measure
 * that anew, so it is kept here while the reply is waited for. The owner, before it lets go.
 */
void mtsi_later_measure(struct mtsi_worker *worker);

/*
 * Looks at a deferred reply; AGAIN was cleared before. COMPLETED: `*verdict` is what was said, and
 * the client is deferred no more.
 */
enum mtsi_later mtsi_later_look(struct mtsi_worker *worker, int *verdict);

/* It has taken too long, and the client is told so: true; false: it is completed. */
bool mtsi_later_give_up(struct mts_client *client);

/*
 * The client is waited for no more, but its reply is: true, and it has been let go of. False: look
 * again. Its input is saved.
 */
bool mtsi_later_let_go(struct mts_client *client);

/*
 * The reply is complete, with this verdict of its handler: 0, -ENOENT or -ESTALE. Any thread, with
 * no lock held.
 */
int mtsi_later_complete(struct mts_server *server, uint64_t id, int64_t ticket, int verdict);

#endif
