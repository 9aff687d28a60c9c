/* SPDX-License-Identifier: MIT */
#include "engine/serve/framer.h"

#include <stddef.h>
#include <sys/types.h>

#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/serve/input.h"
#include "engine/serve/worker.h"

/* The worker on this thread, while the program's framer runs. */
static _Thread_local struct mtsi_worker *asking;

static const struct mtsi_framing *framing_of(const struct mtsi_worker *worker)
{
	return &mtsi_base_floor(worker->member.server)->options.framing;
}

static ssize_t ask(const void *data, size_t size, size_t scanned, void *user)
{
	struct mtsi_worker *worker = user;
	struct mts_client *client = worker->member.client;
	const struct mtsi_framing *framing = framing_of(worker);
	asking = worker;
	client->worker = NULL;
	const ssize_t answer = framing->client_framer(client, data, size, scanned, framing->user);
	client->worker = worker;
	asking = NULL;
	return answer;
}

int mtsi_framer_request(struct mtsi_worker *worker)
{
	struct mtsi_framing framing = *framing_of(worker);
	framing.kind = MTSI_FRAME_CUSTOM;
	framing.framer = ask;
	framing.user = worker;
	return mtsi_input_request(&worker->input, &framing);
}

struct mtsi_worker *mtsi_framer_worker(const struct mts_client *client)
{
	return asking != NULL && asking->member.client == client ? asking : NULL;
}

void mtsi_framer_abandon(struct mtsi_worker *worker)
{
	if (asking != NULL) {
		worker->member.client->worker = worker;
		asking = NULL;
	}
}
