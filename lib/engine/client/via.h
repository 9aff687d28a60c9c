/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_VIA_H
#define MTSI_ENGINE_CLIENT_VIA_H

#include <stddef.h>
#include <stdint.h>

#include "engine/client/rare.h"

struct mts_client;
struct mts_server;

/*
 * What is kept of a client's PROXY header, beside the address that is its peer's from then on. It is
 * a part of the client's rare state (rare.h), in one block, which the ledger counts.
 */
struct mtsi_via {
	uint32_t text; /* bytes of the proxy's address, with the NUL behind it */
	uint32_t tlvs; /* bytes of TLVs, which follow it */
	char bytes[];
};

static inline size_t mtsi_via_size(const struct mtsi_via *via)
{
	return sizeof(*via) + via->text + via->tlvs;
}

/*
 * Keeps the address that the client's peer has now, which is the proxy's, and these TLVs: 0; -ENOMEM:
 * there is no memory, or the ledger has no room. The owner, once in a client's life; takes its lock.
 */
int mtsi_via_keep(struct mts_client *client, const void *tlvs, size_t size);

/* What was kept; NULL: the client has sent no header. The owner, or under the client's lock. */
static inline const struct mtsi_via *mtsi_via(const struct mts_client *client)
{
	const struct mtsi_rare *rare = mtsi_rare(client);
	return rare != NULL ? rare->via : NULL;
}

/* The client goes, and its descriptor has gone. The owner. */
void mtsi_via_drop(struct mts_server *server, struct mtsi_rare *rare);

static inline void mtsi_via_forget(const struct mts_client *client)
{
	struct mtsi_rare *rare = mtsi_rare(client);
	if (rare != NULL && rare->via != NULL) {
		mtsi_via_drop(client->server, rare);
	}
}

#endif
