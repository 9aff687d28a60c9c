/* SPDX-License-Identifier: MIT
 *
 * What the handlers know of the site, and the handlers of the methods.
 */
#ifndef FILES_SITE_H
#define FILES_SITE_H

#include <stdint.h>

#include <mtserver.h>

#include "path.h"
#include "request.h"

struct site {
	int root; /* the folder that is served */
	uint64_t max_upload; /* in bytes; 0: nothing may be uploaded */
};

/* Each answers one request, and returns what a handler of the library returns. */
int site_get(
	mts_client *client, struct request *request, const struct site *site, const struct path *path);
int site_put(
	mts_client *client, struct request *request, const struct site *site, const struct path *path);

/* The page for a folder that has no index.html. Takes the descriptor over. */
int site_list(
	mts_client *client, const struct request *request, const struct path *path, int folder);

#endif
