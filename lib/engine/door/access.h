/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_ACCESS_H
#define MTSI_ENGINE_DOOR_ACCESS_H

#include <stdbool.h>

#include "os/lock.h"

struct mts_server;
struct mtsi_peer;
struct mtsi_ranges;

enum mtsi_access_list {
	MTSI_ACCESS_CLIENTS, /* who may connect */
	MTSI_ACCESS_PROXIES, /* who is believed when it says for whom it connects */
	MTSI_ACCESS_LISTS
};

/* Who may connect, and who is believed. */
struct mtsi_access {
	struct mtsi_lock lock; /* held to replace a list, and while one is looked into */
	/* NULL: there is none; written under the lock; what one points to is only read. */
	struct mtsi_ranges *_Atomic lists[MTSI_ACCESS_LISTS];
};

void mtsi_access_init(struct mtsi_access *access);
void mtsi_access_free(struct mtsi_access *access);

/*
 * Live: puts a list in the place of another, or NULL; it belongs to the server from then on. Returns the
 * one before, or NULL, which nobody looks into any more: it is the caller's, to free it. Any thread.
 */
struct mtsi_ranges *mtsi_access_replace(
	struct mts_server *server, enum mtsi_access_list which, struct mtsi_ranges *ranges);

/* Whether anybody could be denied. Any thread, like all that follow, with any locks but the log's. */
bool mtsi_access_is_limited(struct mts_server *server);

/* Whether that peer may connect: MTS_ALLOW or MTS_DENY. */
int mtsi_access_verdict(struct mts_server *server, const struct mtsi_peer *peer);

/* Whether that peer is a trusted proxy. */
bool mtsi_access_trusts(struct mts_server *server, const struct mtsi_peer *peer);

/* Whether it has been said at all who is. */
bool mtsi_access_has_trusted(struct mts_server *server);

#endif
