/* SPDX-License-Identifier: MIT
 *
 * Replies: the status line, the fields that all have, and errors.
 */
#ifndef FILES_REPLY_H
#define FILES_REPLY_H

#include <stddef.h>

#include <mtserver.h>

#include "request.h"

/* The status line and the fields of every reply. More fields follow, then reply_body(). */
void reply_begin(mts_client *client, const struct request *request, int status);

/* Ends the fields; a body of this size follows. */
void reply_body(mts_client *client, const char *type, long long size);

/* What the handler returns after a reply: whether the connection stays. */
int reply_verdict(const struct request *request);

/* A whole reply that says no more than its status. */
int reply_status(mts_client *client, const struct request *request, int status);

/* The same with more fields, which end with CR LF each. */
int reply_fields(mts_client *client, const struct request *request, int status, const char *fields);

/* A reply after which nothing of the connection can be trusted, or wanted: it ends. */
int reply_and_close(mts_client *client, struct request *request, int status);

#endif
