/* SPDX-License-Identifier: MIT
 *
 * Who owns a client: one word in each client, to be asked and changed without a lock.
 *
 * An event, a stop or a deadline claims the client. A claimer that finds it unowned owns it from
 * then on, and sees to it that it gets a turn. A claimer that finds it owned leaves AGAIN behind,
 * and the owner looks once more before it lets go. So no two threads serve one client, and nothing
 * that happens is missed:
 *
 * - The owner clears AGAIN, then receives. What had come before the clearing is received; what
 *   comes later raises an event, which finds the client owned and sets AGAIN again.
 * - The owner lets go by one compare-and-swap, which fails while AGAIN is set. So an event comes
 *   either before that, and then the owner looks again, or after it, and then the event finds the
 *   client unowned. (Clearing AGAIN after the last receive would lose what came in between.)
 *
 * Who is told to finish (client.c) is claimed in this way too. That raises no event, so an owner that
 * clears AGAIN for another purpose has to look at `ends` as well, or to leave AGAIN behind.
 *
 * All of this is sequentially consistent, so the owner also sees what a claimer has stored before
 * it claimed, such as the flags of an event or of a stop.
 *
 * A slot that is free counts as owned, and a new client is born owned. So a late event for a client
 * that is gone can at worst make a new one in the same slot look once in vain.
 */
#ifndef MTSI_ENGINE_CLIENT_CLAIM_H
#define MTSI_ENGINE_CLIENT_CLAIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/client/client.h"

enum { MTSI_OWNED = 1, MTSI_AGAIN = 2 };

/*
 * Claims the client: true when the caller owns it now; else its owner will look again. Any thread.
 */
static inline bool mtsi_claim(struct mts_client *client)
{
	uint32_t before = atomic_load(&client->claim);
	uint32_t after;
	do {
		after = (before & MTSI_OWNED) != 0 ? before | MTSI_AGAIN : MTSI_OWNED;
	} while (!atomic_compare_exchange_weak(&client->claim, &before, after));
	return (before & MTSI_OWNED) == 0;
}

/* Whether there was another claim since AGAIN was last cleared. The owner, like the rest. */
static inline bool mtsi_claim_again(const struct mts_client *client)
{
	return (atomic_load(&client->claim) & MTSI_AGAIN) != 0;
}

/* Clears AGAIN; to be called right before looking at what there is. */
static inline void mtsi_claim_clear(struct mts_client *client)
{
	if (mtsi_claim_again(client)) {
		atomic_store(&client->claim, MTSI_OWNED);
	}
}

/*
 * Lets go: true, and the client is not to be touched any more. False: it was claimed, so look
 * again.
 */
static inline bool mtsi_claim_release(struct mts_client *client)
{
	uint32_t owned = MTSI_OWNED;
	return atomic_compare_exchange_strong(&client->claim, &owned, 0);
}

#endif
