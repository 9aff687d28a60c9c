/* SPDX-License-Identifier: MIT
 *
 * The beginning of a client: its header, if it comes by a proxy; its open hook; and whether to look for
 * its first request at once.
 */
#include "engine/serve/opening.h"

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/serve/header.h"
#include "engine/serve/worker.h"
#include "os/lock.h"

/*
 * After a first request was found, so many are looked for in vain; else one client in so many is
 * tried.
 */
enum { EAGER_LASTS = 16, EAGER_EVERY = 64 };

/*
 * Whether to ask for the first request right after accept. If accept was deferred, the request is
 * there. Otherwise it nearly never is, so this is tried only while it has paid lately, and now and
 * then.
 */
static bool is_eager(struct mtsi_worker *worker)
{
	return mtsi_base_floor(worker->member.server)->options.defer_accept > 0 || worker->eager_for > 0
		|| worker->opens++ % EAGER_EVERY == 0;
}

static void enter_stage(struct mts_client *client, enum mtsi_stage stage)
{
	mtsi_lock_take(&client->lock);
	client->stage = (unsigned char)stage;
	mtsi_lock_release(&client->lock);
}

/* Calls the open hook, if there is one; whether it agrees. */
static bool hook_agrees(struct mts_client *client)
{
	const struct mtsi_options *options = &mtsi_base_floor(client->server)->options;
	if (options->on_open == NULL) {
		return true;
	}
	enter_stage(client, MTSI_CLIENT_OPENING);
	return options->on_open(client, options->on_open_user) == 0;
}

int mtsi_opening(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	const bool proxied = client->awaits_header;
	if (proxied) {
		enter_stage(client, MTSI_CLIENT_OPENING);
		const int result = mtsi_header_take(worker);
		if (result != 1) {
			return result;
		}
	}
	if (!hook_agrees(client)) {
		mtsi_count(&worker->member.counters, MTS_STAT_REFUSED, 1);
		return 0;
	}
	enter_stage(client, MTSI_CLIENT_SERVED);
	client->opened = true;
	mtsi_count(&worker->member.counters, MTS_STAT_ACCEPTED, 1);
	worker->looks_at_once = !proxied && is_eager(worker);
	/*
	 * As good as asked: when it is watched, epoll says whether there is anything. (Who had a header has
	 * been asked, for that.) It does not say whether the client was told to finish, which may have been
	 * before this turn cleared AGAIN.
	 */
	const bool asked = proxied ? worker->input.exhausted : !worker->looks_at_once;
	worker->input.exhausted = asked && !mtsi_client_finishes(client);
	return 1;
}

void mtsi_opening_learn(struct mtsi_worker *worker)
{
	if (worker->looks_at_once) {
		if (worker->received > 0) {
			worker->eager_for = EAGER_LASTS;
		} else if (worker->eager_for > 0) {
			worker->eager_for--;
		}
	}
}
