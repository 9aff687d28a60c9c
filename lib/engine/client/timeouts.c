/* SPDX-License-Identifier: MIT
 *
 * Timeouts of single clients, instead of the server's. They lie in the clients' rare state (rare.h);
 * who has none costs nothing, and follows the server's as these change.
 *
 * The owner changes them, which does not wait for anything at that moment: but the client may be in
 * the heap of deadlines for later than the new timeout wants, `armed` may promise this for waits to
 * come, and its output may be waited for. So the client is looked at anew (deadline.c), as all are
 * when one of the server's timeouts is changed. This and the change are one under the client's lock,
 * under which the keeper, too, computes a deadline and puts the client into the heap. If it did so
 * before the change, with the old timeout, that is undone here; what it does afterwards it does with
 * the new one. So never is the client in the heap by an old timeout, with `armed` set.
 *
 * The call of a handler keeps the timeout with which it began. If the handler changes it, the old one
 * is put aside, until the next call begins.
 */
#include "engine/client/timeouts.h"

#include <errno.h>
#include <stddef.h>

#include "engine/client/deadline.h"
#include "engine/client/wait.h"
#include "os/lock.h"

uint64_t mtsi_timeout_of_call(const struct mts_client *client)
{
	struct mtsi_rare *rare = mtsi_rare(client);
	const uint64_t kept = rare != NULL ? atomic_load(&rare->handler) : 0;
	return kept != 0 ? kept : mtsi_timeout_of(client, MTS_TIMEOUT_HANDLER);
}

void mtsi_timeout_begin_call(struct mts_client *client)
{
	struct mtsi_rare *rare = mtsi_rare(client);
	if (rare == NULL || atomic_load_explicit(&rare->handler, memory_order_relaxed) == 0) {
		return;
	}
	mtsi_lock_take(&client->lock);
	atomic_store(&rare->handler, 0);
	mtsi_deadline_changed_locked(client);
	mtsi_lock_release(&client->lock);
}

/* The present call of the handler, if it has a deadline, is to keep it. */
static void keep_for_this_call(const struct mts_client *client, struct mtsi_rare *rare)
{
	const enum mtsi_wait kind = mtsi_wait_kind(atomic_load(&client->waits));
	if (kind == MTSI_WAIT_HANDLER) {
		atomic_store(&rare->handler, mtsi_timeout_of_call(client));
	}
}

int mtsi_timeout_set(struct mts_client *client, enum mts_timeout which, unsigned milliseconds)
{
	const bool inherits = milliseconds == MTS_TIMEOUT_INHERIT;
	struct mtsi_rare *rare = inherits ? mtsi_rare(client) : mtsi_rare_make(client);
	if (rare == NULL) {
		return inherits ? 0 : -ENOMEM;
	}
	mtsi_lock_take(&client->lock);
	if (which == MTS_TIMEOUT_HANDLER) {
		keep_for_this_call(client, rare);
		atomic_store(&mtsi_base_floor(client->server)->options.handlers_timed, true);
	}
	atomic_store(&rare->timeouts[which], inherits ? 0 : milliseconds + 1);
	mtsi_deadline_changed_locked(client);
	mtsi_lock_release(&client->lock);
	return 0;
}
