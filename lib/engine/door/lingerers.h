/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_LINGERERS_H
#define MTSI_ENGINE_DOOR_LINGERERS_H

#include <stdbool.h>
#include <stdint.h>

struct mts_client;
struct mtsi_linger;

/*
 * Adds a client, with its sending side open or not, to the list that it belongs to: false when none
 * may linger any more. `*soonest`: it is the first there now, so the keeper may sleep for too long.
 * Under the client's lock.
 */
bool mtsi_lingerers_add(
	struct mtsi_linger *linger, struct mts_client *client, bool sends, bool *soonest);

/* These are called under the linger lock. */
void mtsi_lingerers_remove_locked(struct mtsi_linger *linger, struct mts_client *client);

/* The client that is due first, and when, by the present timeouts; NULL and MTSI_NEVER: none. */
struct mts_client *mtsi_lingerers_first_locked(const struct mtsi_linger *linger, uint64_t *due);

/* The client after `at`, in either list; after NULL, the first. */
struct mts_client *mtsi_lingerers_next_locked(
	const struct mtsi_linger *linger, const struct mts_client *at);

#endif
