/* SPDX-License-Identifier: MIT
 *
 * Handlers and hooks of the plainest kind. They run on threads of the library.
 */
#ifndef CALLBACKS_H
#define CALLBACKS_H

#include <stddef.h>

#include <mtserver.h>

#include "gate.h"

/* Handlers: sends back what has come, and the client stays; does nothing, and it is closed, or stays. */
int answer_echo(mts_client *client, const void *request, size_t size, void *user);
int answer_close(mts_client *client, const void *request, size_t size, void *user);
int answer_keep(mts_client *client, const void *request, size_t size, void *user);

/* Answers with the number of its process, and closes. */
int answer_process(mts_client *client, const void *request, size_t size, void *user);

/* An open hook: small kernel buffers, so that a reader who does not read is felt soon. */
int open_with_small_buffers(mts_client *client, void *user);

/* Counts clients that ended, by reason: mts_server_on_close(server, endings_note, &endings). */
struct endings {
	struct gate all;
	_Atomic int reasons[MTS_CLOSED_LATER_TIMEOUT + 1];
};

void endings_note(mts_client *client, int reason, void *endings);
void endings_expect(struct endings *endings, int reason, int count); /* waits for it */

/* Counts workers: mts_server_on_thread(server, worker_begins, worker_ends, &workers). */
struct workers {
	_Atomic int now;
	_Atomic int most; /* at the same time */
};

void worker_begins(void *workers);
void worker_ends(void *workers);

#endif
