/* SPDX-License-Identifier: MIT
 *
 * The last word: the program's hook for clients that the library is about to end for a reason that
 * the peer can still be told.
 *
 * The hook runs where the client's turn has found the reason, before anything of the end
 * (ending.c). So it always has a worker, and is to the crew what a handler is. A client that is
 * parked when its time is up, or when a stop comes, gets a turn to end in anyway. The client is in
 * the stage ENDING then: nobody sends it messages, tells it to finish or evicts it, but it can be
 * kicked and cut. Since that stage lasts, the hook is not called again in the turn in which a client
 * comes back whose output had to wait.
 *
 * What has gathered before the hook is called, a failed handler's output too, stays where it is: if
 * the hook writes nothing, that is dropped or sent as ever. The hook has written something if there
 * is more of it afterwards; or if it has left the buffers, which resets the mark there. This costs
 * the writes themselves nothing. A flush before the first write does nothing, since it would send
 * what may have to be dropped (lib/api/calls.c). A call that fails may have sent it all the same, as
 * one for a file that cannot be read. Then the hook has still written nothing; and if that is so in
 * the end, what a failed handler has written counts as dropped, since its peer is not to take it for
 * a whole reply.
 *
 * `said`, in the client, is kept until the socket is closed: an end that follows a failed handler is
 * orderly then, and the close lingers although nothing is unread yet, since the peer may be in the
 * middle of sending (engine/door/linger.c).
 */
#include "engine/serve/fault.h"

#include <stddef.h>
#include <stdint.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/client/deadline.h"
#include "engine/serve/worker.h"
#include "os/lock.h"

/* The reasons that a peer can be told; for all others it is lost, or knows. */
static const bool can_be_told[] = {
	[MTS_CLOSED_IDLE] = true,
	[MTS_CLOSED_REQUEST_TIMEOUT] = true,
	[MTS_CLOSED_TOO_LARGE] = true,
	[MTS_CLOSED_PROTOCOL] = true,
	[MTS_CLOSED_ERROR] = true,
	[MTS_CLOSED_STOP] = true,
	[MTS_CLOSED_LATER_TIMEOUT] = true,
};
enum { REASONS = sizeof(can_be_told) / sizeof(can_be_told[0]) };

/* In replies.mark while the hook runs, and nothing has left the buffers. */
#define UNTOUCHED SIZE_MAX

/*
 * Whether the hook is to be called. If a call has told a callback of the same fault, it has had its
 * say already; that the handler has failed is a fault of its own.
 */
static bool is_to_be_told(const struct mtsi_worker *worker, int reason)
{
	const struct mts_client *client = worker->member.client;
	const bool knows = worker->told && reason != MTS_CLOSED_ERROR;
	return reason >= 0 && reason < REASONS && can_be_told[reason] && !knows && client->opened
		&& client->stage != MTSI_CLIENT_ENDING && !atomic_load(&client->muted);
}

static void call_hook(struct mtsi_worker *worker, int reason)
{
	const struct mtsi_options *options = &mtsi_base_floor(worker->member.server)->options;
	struct mts_client *client = worker->member.client;
	mtsi_gauge(&worker->member.counters, MTS_STAT_BUSY, 1);
	worker->overrun = false;
	mtsi_deadline_met(client);
	worker->handler_since = mtsi_deadline_handler(client);
	options->on_fault(client, reason, options->on_fault_user);
	worker->handler_since = 0;
	mtsi_deadline_met(client);
	mtsi_gauge(&worker->member.counters, MTS_STAT_BUSY, 0);
}

static bool wrote(const struct mtsi_worker *worker)
{
	return worker->replies.mark != UNTOUCHED || worker->replies.size > worker->before;
}

bool mtsi_fault_is_silent(const struct mtsi_worker *worker)
{
	return worker->tells && !wrote(worker);
}

void mtsi_fault_stays_silent(struct mtsi_worker *worker)
{
	if (worker->replies.mark != UNTOUCHED) {
		worker->spilled = worker->spilled || worker->before > worker->mark_before;
		worker->replies.mark = UNTOUCHED;
		worker->before = worker->replies.size;
		worker->mark_before = worker->before;
	}
}

/* The hook is over: whether it has written something. */
static bool conclude(struct mtsi_worker *worker)
{
	struct mts_client *client = worker->member.client;
	const bool said = wrote(worker);
	if (worker->replies.mark == UNTOUCHED) {
		worker->replies.mark = worker->mark_before;
	}
	if (worker->spilled && !said) {
		mtsi_lock_take(&client->lock);
		mtsi_client_drop_locked(client);
		mtsi_lock_release(&client->lock);
	}
	worker->tells = false;
	return said;
}

bool mtsi_fault(struct mtsi_worker *worker, int reason)
{
	struct mts_client *client = worker->member.client;
	if (mtsi_base_floor(worker->member.server)->options.on_fault == NULL
		|| !is_to_be_told(worker, reason)) {
		return false;
	}
	mtsi_lock_take(&client->lock);
	client->stage = MTSI_CLIENT_ENDING;
	mtsi_lock_release(&client->lock);
	worker->before = worker->replies.size;
	worker->mark_before = reason == MTS_CLOSED_ERROR ? worker->replies.mark : worker->before;
	worker->spilled = false;
	worker->replies.mark = UNTOUCHED;
	worker->tells = true;
	call_hook(worker, reason);
	client->said = conclude(worker);
	return client->said;
}

void mtsi_fault_abandon(struct mtsi_worker *worker)
{
	if (worker->tells) {
		(void)conclude(worker);
	}
}
