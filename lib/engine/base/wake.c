/* SPDX-License-Identifier: MIT
 *
 * Waking the threads that sleep on descriptors: the keeper, and the thread that polls. Before the
 * start there are none, and nothing is done.
 */
#include "engine/base/wake.h"

#include "engine/base/floor.h"
#include "os/poll.h"

static void wake(const _Atomic int *descriptor)
{
	const int fd = atomic_load(descriptor);
	if (fd >= 0) {
		mtsi_wake_up(fd);
	}
}

void mtsi_wake_keeper(struct mts_server *server)
{
	wake(&mtsi_base_floor(server)->wake);
}

void mtsi_wake_poller(struct mts_server *server)
{
	wake(&mtsi_base_floor(server)->bell);
}
