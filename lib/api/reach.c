/* SPDX-License-Identifier: MIT
 *
 * Clients by their ids, from any thread: arguments checked, then one call down.
 */
#include <mtserver/later.h>
#include <mtserver/reach.h>

#include <errno.h>
#include <limits.h>

#include "api/failure.h"
#include "engine/serve/later.h"
#include "engine/serve/mailbox.h"

int mts_server_send(mts_server *server, uint64_t id, const void *data, size_t size)
{
	if (server == NULL || (data == NULL && size > 0)) {
		return -EINVAL;
	}
	return mtsi_foreign(server) ? -ECHILD : mtsi_mailbox_send(server, id, data, size);
}

int mts_server_broadcast(mts_server *server, const void *data, size_t size)
{
	if (server == NULL || (data == NULL && size > 0)) {
		return -EINVAL;
	}
	if (mtsi_foreign(server)) {
		return -ECHILD;
	}
	const ssize_t reached = mtsi_mailbox_broadcast(server, data, size);
	return reached > INT_MAX ? INT_MAX : (int)reached;
}

int mts_server_close(mts_server *server, uint64_t id)
{
	const int result = mtsi_usable(server);
	return result != 0 ? result : mtsi_mailbox_close(server, id);
}

int mts_server_complete(mts_server *server, uint64_t id, int64_t ticket, int verdict)
{
	const int result = mtsi_usable(server);
	if (result != 0) {
		return result;
	}
	const bool is_verdict = verdict == MTS_KEEP || verdict == MTS_CLOSE || verdict < 0;
	return !is_verdict ? -EINVAL : mtsi_later_complete(server, id, ticket, verdict);
}

int mts_server_kick(mts_server *server, uint64_t id)
{
	const int result = mtsi_usable(server);
	return result != 0 ? result : mtsi_mailbox_kick(server, id);
}
