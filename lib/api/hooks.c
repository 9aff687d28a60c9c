/* SPDX-License-Identifier: MIT
 *
 * The hooks: kept until the server starts, constant afterwards.
 */
#include <mtserver/hooks.h>

#include <errno.h>

#include "api/failure.h"
#include "engine/base/floor.h"

enum { LOWEST_LEVEL = 0, HIGHEST_LEVEL = 7 };

int mts_server_on_open(mts_server *server, mts_open_hook hook, void *user)
{
	const int result = mtsi_configurable(server, "set the open hook");
	if (result == 0) {
		mtsi_base_floor(server)->options.on_open = hook;
		mtsi_base_floor(server)->options.on_open_user = user;
	}
	return result;
}

int mts_server_on_fault(mts_server *server, mts_fault_hook hook, void *user)
{
	const int result = mtsi_configurable(server, "set the fault hook");
	if (result == 0) {
		mtsi_base_floor(server)->options.on_fault = hook;
		mtsi_base_floor(server)->options.on_fault_user = user;
	}
	return result;
}

int mts_server_on_close(mts_server *server, mts_close_hook hook, void *user)
{
	const int result = mtsi_configurable(server, "set the close hook");
	if (result == 0) {
		mtsi_base_floor(server)->options.on_close = hook;
		mtsi_base_floor(server)->options.on_close_user = user;
	}
	return result;
}

int mts_server_on_thread(mts_server *server, mts_thread_hook start, mts_thread_hook end, void *user)
{
	const int result = mtsi_configurable(server, "set the thread hooks");
	if (result == 0) {
		mtsi_base_floor(server)->options.on_thread_start = start;
		mtsi_base_floor(server)->options.on_thread_end = end;
		mtsi_base_floor(server)->options.on_thread_user = user;
	}
	return result;
}

int mts_server_on_log(mts_server *server, mts_log_hook hook, int max_level, void *user)
{
	const int result = mtsi_configurable(server, "set the log hook");
	if (result != 0) {
		return result;
	}
	if (max_level < LOWEST_LEVEL || max_level > HIGHEST_LEVEL) {
		return mtsi_fail(server, -EINVAL, "%d is no log level", max_level);
	}
	mtsi_base_floor(server)->log.hook = hook;
	mtsi_base_floor(server)->log.max_level = max_level;
	mtsi_base_floor(server)->log.user = user;
	return 0;
}
