/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_TIMEOUTS_H
#define MTSI_ENGINE_CLIENT_TIMEOUTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/floor.h"
#include "engine/base/options.h"
#include "engine/client/client.h"
#include "engine/client/rare.h"
#include "os/clock.h"

/* Whether the client has a timeout of its own for this. Whoever may touch the client. */
static inline bool mtsi_timeout_is_own(const struct mts_client *client, enum mts_timeout which)
{
	const struct mtsi_rare *rare = mtsi_rare(client);
	return rare != NULL && atomic_load_explicit(&rare->timeouts[which], memory_order_relaxed) != 0;
}

/*
 * How long this may take for the client, in nanoseconds, by its own timeout or the server's;
 * MTSI_NEVER: for ever. Whoever may touch the client.
 */
static inline uint64_t mtsi_timeout_of(const struct mts_client *client, enum mts_timeout which)
{
	const struct mtsi_rare *rare = mtsi_rare(client);
	const unsigned own = rare != NULL
		? atomic_load_explicit(&rare->timeouts[which], memory_order_relaxed)
		: 0;
	if (own == 0) {
		return mtsi_timeout(&mtsi_base_floor(client->server)->options, which);
	}
	return own == 1 ? MTSI_NEVER : (own - 1) * MTSI_MILLISECOND;
}

/* The same for the present call of its handler. */
uint64_t mtsi_timeout_of_call(const struct mts_client *client);

/* A call of its handler begins: what the one before has changed holds now. The owner. */
void mtsi_timeout_begin_call(struct mts_client *client);

/*
 * Gives the client a timeout of its own, in milliseconds, 0: never; MTS_TIMEOUT_INHERIT: takes it
 * away again. 0, or -ENOMEM: nothing has changed. The owner, with no lock held.
 */
int mtsi_timeout_set(struct mts_client *client, enum mts_timeout which, unsigned milliseconds);

#endif
