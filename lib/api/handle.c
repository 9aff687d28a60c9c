/* SPDX-License-Identifier: MIT
 *
 * The server's handle: arguments checked, then one call down.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <mtserver/server.h>

#include "api/failure.h"
#include "api/until_signal.h"
#include "engine/base/floor.h"
#include "engine/base/inside.h"
#include "engine/door/floor.h"
#include "engine/door/listener.h"
#include "engine/door/suspend.h"
#include "engine/run/abandon.h"
#include "engine/run/adopt.h"
#include "engine/run/dump.h"
#include "engine/run/lifecycle.h"
#include "engine/run/server.h"

/* Called by debuggers only (doc/HACKING.md): without this nothing would link it in. */
static void (*const for_debuggers)(mts_server *, int) __attribute__((used)) = mtsi_dump;

mts_server *mts_server_create(mts_handler handler, void *user)
{
	return handler == NULL ? NULL : mtsi_lifecycle_new(handler, user);
}

/* Whether each byte of a name is printable ASCII, whatever the locale says. */
static bool is_printable(const char *name)
{
	while (*name >= ' ' && *name <= '~') {
		name++;
	}
	return *name == '\0';
}

int mts_server_set_name(mts_server *server, const char *name)
{
	const int result = mtsi_configurable(server, "set the name");
	if (result != 0) {
		return result;
	}
	const char *given = name != NULL ? name : "";
	if (strlen(given) >= MTSI_NAME) {
		return mtsi_fail(
			server, -EINVAL, "a name of %zu bytes is longer than %d", strlen(given), MTSI_NAME - 1);
	}
	if (!is_printable(given)) {
		return mtsi_fail(server, -EINVAL, "a name has bytes that are not printable ASCII");
	}
	memcpy(mtsi_base_floor(server)->options.name, given, strlen(given) + 1);
	return 0;
}

int mts_server_listen(mts_server *server, const char *address)
{
	char why[sizeof(server->error) - 32];
	int result = mtsi_configurable(server, "listen");
	if (result != 0) {
		return result;
	}
	if (address == NULL) {
		return mtsi_fail(server, -EINVAL, "cannot listen: the address is NULL");
	}
	result = mtsi_listeners_add(server, address, why, sizeof(why));
	return result == 0 ? 0 : mtsi_fail(server, result, "cannot listen on %s", why);
}

int mts_server_listen_fd(mts_server *server, int fd)
{
	int result = mtsi_configurable(server, "listen");
	if (result != 0) {
		return result;
	}
	result = mtsi_listeners_adopt(server, fd);
	if (result == -EALREADY) {
		return mtsi_fail(
			server, -EINVAL, "cannot listen on descriptor %d: the server has it already", fd);
	}
	if (result == -EINVAL) {
		return mtsi_fail(server, result,
			"cannot listen on descriptor %d: it is not a listening stream socket", fd);
	}
	return result == 0
		? 0
		: mtsi_fail(server, result, "cannot listen on descriptor %d: %s", fd, strerror(-result));
}

int mts_server_adopt(mts_server *server, int fd, void *data)
{
	const int result = mtsi_usable(server);
	return result != 0 ? result : mtsi_adopt(server, fd, data);
}

static int suspend(mts_server *server, bool suspended)
{
	const int result = mtsi_usable(server);
	return result != 0 ? result : mtsi_suspend(server, suspended);
}

int mts_server_suspend(mts_server *server)
{
	return suspend(server, true);
}

int mts_server_resume(mts_server *server)
{
	return suspend(server, false);
}

const char *mts_server_address(const mts_server *server, size_t index)
{
	/* Only read here. */
	const struct mtsi_listeners *listeners = server != NULL
		? &mtsi_door_floor((mts_server *)(uintptr_t)server)->listeners
		: NULL;
	return listeners != NULL && index < listeners->count ? listeners->list[index].text : NULL;
}

int mts_server_listener_fd(const mts_server *server, size_t index)
{
	if (server == NULL) {
		return -EINVAL;
	}
	/* Reading takes a lock, so here the server is not constant, although it is to the caller. */
	return mtsi_listeners_fd((mts_server *)(uintptr_t)server, index, mtsi_foreign(server));
}

static int start(mts_server *server, bool wait)
{
	const char *why = NULL;
	int result = mtsi_usable(server);
	if (result != 0) {
		return result;
	}
	if (mtsi_inside(server)) {
		return -EDEADLK;
	}
	if (atomic_load(&server->lifecycle.state) == MTSI_LIFECYCLE_NEW
		&& mtsi_door_floor(server)->listeners.count == 0) {
		return mtsi_fail(server, -EINVAL, "cannot start: the server listens nowhere");
	}
	result = mtsi_lifecycle_start(server, wait, &why);
	if (result == -EBUSY && why == NULL) {
		return mtsi_fail(server, result, "stopped, but callbacks have not returned");
	}
	return result == 0 || why == NULL ? result
									  : mtsi_fail(server, result, "%s: %s", why, strerror(-result));
}

int mts_server_run(mts_server *server)
{
	return start(server, true);
}

int mts_server_start(mts_server *server)
{
	return start(server, false);
}

int mts_server_join(mts_server *server)
{
	const int result = mtsi_usable(server);
	if (result != 0) {
		return result;
	}
	if (mtsi_inside(server)) {
		return -EDEADLK;
	}
	return atomic_load(&server->lifecycle.state) == MTSI_LIFECYCLE_NEW
		? -EINVAL
		: mtsi_lifecycle_join(server);
}

void mts_server_stop(mts_server *server)
{
	if (server != NULL && !mtsi_foreign(server)) {
		mtsi_lifecycle_stop(server);
	}
}

int mts_server_destroy(mts_server *server)
{
	if (server == NULL) {
		return 0;
	}
	if (mtsi_foreign(server)) {
		mtsi_abandon(server);
		return 0;
	}
	if (mtsi_inside(server)) {
		return -EDEADLK;
	}
	mtsi_until_signal_forget(server);
	return mtsi_lifecycle_destroy(server);
}

const char *mts_server_error(const mts_server *server)
{
	return server == NULL ? "" : server->error;
}
