/* SPDX-License-Identifier: MIT
 *
 * Why a client ends, as the close hook is told.
 */
#include "engine/serve/reason.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/client/client.h"
#include "engine/serve/fault.h"
#include "engine/serve/output.h"
#include "engine/serve/worker.h"

int mtsi_reason(const struct mts_client *client, int reason)
{
	const int cause = atomic_load(&client->cause);
	return cause != MTSI_NO_CAUSE ? cause : reason;
}

int mtsi_reason_of_input(struct mtsi_worker *worker, int result)
{
	struct mts_server *server = worker->member.server;
	struct mts_client *client = worker->member.client;
	switch (result) {
	case 0:
		return MTS_CLOSED_BY_PEER;
	case -EPIPE:
	case -ETIMEDOUT:
		return mtsi_reason(client, MTS_CLOSED_BY_PEER);
	case -ECANCELED:
		return mtsi_client_finishes(client) ? mtsi_reason(client, MTS_CLOSED_BY_HANDLER)
											: MTS_CLOSED_STOP;
	case -EMSGSIZE:
		mtsi_log_client(server, MTSI_LOG_TOO_LARGE, client->id, &client->peer,
			"request above the limit of %zu bytes", mtsi_base_floor(server)->options.framing.limit);
		return MTS_CLOSED_TOO_LARGE;
	case -EPROTO:
		mtsi_log_client(
			server, MTSI_LOG_PROTOCOL, client->id, &client->peer, "not a whole request");
		return MTS_CLOSED_PROTOCOL;
	default:
		mtsi_log_client(
			server, MTSI_LOG_CLIENT, client->id, &client->peer, "cut off: %s", strerror(-result));
		return MTS_CLOSED_ERROR;
	}
}

/* Whether the handler returns the same error that a call of the library has returned to it. */
static bool is_told(const struct mtsi_worker *worker, int verdict)
{
	const struct mts_client *client = worker->member.client;
	if (verdict < 0 && verdict == worker->failed) {
		return true;
	}
	const bool timed_out = atomic_load(&client->cause) == MTS_CLOSED_WRITE_TIMEOUT;
	return atomic_load(&client->lost)
		&& (verdict == -EPIPE || (verdict == -ETIMEDOUT && timed_out));
}

int mtsi_reason_of_failure(struct mtsi_worker *worker, int verdict)
{
	const struct mts_client *client = worker->member.client;
	if (is_told(worker, verdict)) {
		return mtsi_reason_of_input(worker, verdict); /* nothing that it has written is dropped */
	}
	if (atomic_load(&client->cause) != MTSI_NO_CAUSE || !mtsi_fault(worker, MTS_CLOSED_ERROR)) {
		mtsi_output_forget(worker);
		(void)mtsi_output_flush(worker, !mtsi_on_demand(worker->member.server));
	}
	if (atomic_load(&client->cause) != MTSI_NO_CAUSE) {
		return mtsi_reason(client, MTS_CLOSED_ERROR); /* a call has told the handler so */
	}
	mtsi_log_client(worker->member.server, MTSI_LOG_HANDLER, client->id, &client->peer,
		"cut off, the handler returned %d: %s", verdict,
		strerror(verdict < 0 && verdict > INT_MIN ? -verdict : EINVAL));
	return MTS_CLOSED_ERROR;
}
