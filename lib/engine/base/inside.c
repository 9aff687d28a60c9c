/* SPDX-License-Identifier: MIT
 *
 * For which server a thread works. A callback must not wait for the end of its own server, so calls
 * that would do that are refused there.
 */
#include "engine/base/inside.h"

#include <stddef.h>

static _Thread_local const struct mts_server *entered;

void mtsi_inside_enter(const struct mts_server *server)
{
	entered = server;
}

bool mtsi_inside(const struct mts_server *server)
{
	return entered == server;
}
