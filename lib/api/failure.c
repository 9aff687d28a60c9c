/* SPDX-License-Identifier: MIT
 *
 * The sentence of the last configuration call that failed. It belongs to the server, not to a
 * thread: the thread that configures a server reads it. Several threads may try to start the
 * server, so the sentence is written under a lock. Once the server has started, only calls that
 * come too late write it.
 */
#include "api/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/run/lifecycle.h"
#include "engine/run/server.h"
#include "os/lock.h"

int mtsi_fail(mts_server *server, int code, const char *format, ...)
{
	va_list arguments;
	mtsi_lock_take(&server->lifecycle.lock);
	va_start(arguments, format);
	(void)vsnprintf(server->error, sizeof(server->error), format, arguments);
	va_end(arguments);
	mtsi_lock_release(&server->lifecycle.lock);
	return code;
}

int mtsi_usable(const mts_server *server)
{
	if (server == NULL) {
		return -EINVAL;
	}
	return mtsi_foreign(server) ? -ECHILD : 0;
}

int mtsi_configurable(mts_server *server, const char *what)
{
	const int result = mtsi_usable(server);
	if (result != 0) {
		return result;
	}
	if (atomic_load(&server->lifecycle.state) != MTSI_LIFECYCLE_NEW) {
		return mtsi_fail(server, -EBUSY, "cannot %s: the server runs already, or has run", what);
	}
	return 0;
}
