/* SPDX-License-Identifier: MIT
 *
 * The rare state of clients: for each chunk of the table's slots another chunk with as many parts,
 * made when the first client among these slots needs one. Its pages stay untouched, and so cost
 * nothing, until a part in them is used. Like slots the parts stay where they are while the server
 * lives.
 *
 * Two threads may make the same chunk at the same time: one of them is first, and the other gives
 * its own back. So there is no lock.
 */
#include "engine/client/rare.h"

#include "os/pages.h"

static size_t chunk_bytes(unsigned chunk)
{
	return mtsi_chunk_size(chunk) * sizeof(struct mtsi_rare);
}

struct mtsi_rare *mtsi_rare_make(const struct mts_client *client)
{
	struct mtsi_clients *clients = &mtsi_client_floor(client->server)->clients;
	const unsigned chunk = mtsi_slot_chunk(mtsi_slot_of(atomic_load(&client->id)));
	atomic_store(&clients->any_rares, true);
	if (atomic_load(&clients->rares[chunk]) == NULL) {
		struct mtsi_rare *none = NULL;
		struct mtsi_rare *made = mtsi_pages_take(chunk_bytes(chunk));
		if (made == NULL) {
			return NULL;
		}
		if (!atomic_compare_exchange_strong(&clients->rares[chunk], &none, made)) {
			mtsi_pages_give(made, chunk_bytes(chunk));
		}
	}
	return mtsi_rare(client);
}

void mtsi_rare_forget_some(struct mtsi_rare *rare)
{
	if (atomic_load_explicit(&rare->handler, memory_order_relaxed) != 0) {
		atomic_store_explicit(&rare->handler, 0, memory_order_relaxed);
	}
	for (int i = 0; i < MTSI_TIMEOUTS; i++) {
		if (atomic_load_explicit(&rare->timeouts[i], memory_order_relaxed) != 0) {
			atomic_store_explicit(&rare->timeouts[i], 0, memory_order_relaxed);
		}
	}
	if (rare->ticket.number != 0) {
		rare->ticket = (struct mtsi_ticket){.number = 0};
	}
}

void mtsi_rares_free(struct mtsi_clients *clients)
{
	for (unsigned chunk = 0; chunk < MTSI_CHUNKS; chunk++) {
		struct mtsi_rare *made = atomic_load(&clients->rares[chunk]);
		if (made != NULL) {
			mtsi_pages_give(made, chunk_bytes(chunk));
		}
	}
}
