/* SPDX-License-Identifier: MIT
 *
 * Background work: arguments checked, then one call down.
 */
#include <mtserver/tasks.h>

#include <errno.h>

#include "api/failure.h"
#include "engine/run/tasks.h"
#include "os/clock.h"

static int64_t add(mts_server *server, unsigned ms, bool again, mts_task task, void *user)
{
	const int result = mtsi_usable(server);
	if (result != 0) {
		return result;
	}
	if (task == NULL) {
		return -EINVAL;
	}
	return mtsi_tasks_add(server, ms * MTSI_MILLISECOND, again, task, user);
}

int64_t mts_server_every(mts_server *server, unsigned ms, mts_task task, void *user)
{
	return ms == 0 ? -EINVAL : add(server, ms, true, task, user);
}

int64_t mts_server_after(mts_server *server, unsigned ms, mts_task task, void *user)
{
	return add(server, ms, false, task, user);
}

int mts_server_cancel(mts_server *server, int64_t task)
{
	const int result = mtsi_usable(server);
	return result != 0 ? result : mtsi_tasks_cancel(server, task);
}
