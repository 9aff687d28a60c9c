/* SPDX-License-Identifier: MIT */
#include "engine/client/via.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/client/client.h"
#include "engine/client/memory.h"
#include "os/lock.h"
#include "wire/address.h"

int mtsi_via_keep(struct mts_client *client, const void *tlvs, size_t size)
{
	char text[MTSI_ADDRESS_TEXT] = "";
	struct mtsi_rare *rare = mtsi_rare_make(client);
	(void)mtsi_peer_format(&client->peer, text, sizeof(text));
	const struct mtsi_via found = {.text = (uint32_t)strlen(text) + 1, .tlvs = (uint32_t)size};
	const size_t bytes = mtsi_via_size(&found);
	if (rare == NULL || !mtsi_memory_take(client->server, bytes)) {
		return -ENOMEM;
	}
	struct mtsi_via *via = malloc(bytes);
	if (via == NULL) {
		mtsi_memory_give(client->server, bytes);
		return -ENOMEM;
	}
	*via = found;
	memcpy(via->bytes, text, found.text);
	memcpy(via->bytes + found.text, tlvs, size);
	mtsi_lock_take(&client->lock);
	rare->via = via;
	mtsi_lock_release(&client->lock);
	return 0;
}

void mtsi_via_drop(struct mts_server *server, struct mtsi_rare *rare)
{
	mtsi_memory_give(server, mtsi_via_size(rare->via));
	free(rare->via);
	rare->via = NULL;
}
