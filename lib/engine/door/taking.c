/* SPDX-License-Identifier: MIT
 *
 * Listening sockets that others have made: the program hands one over, or a service manager has
 * passed some (os/passed.c).
 *
 * Several are taken over or not, all of them. So each is looked at first and kept, which may fail
 * and leaves it as it is; only when all are kept are they made ready.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/door/floor.h"
#include "engine/door/listener.h"
#include "os/bind.h"
#include "os/home.h"
#include "os/passed.h"

static bool is_kept(const struct mtsi_listeners *listeners, int fd)
{
	for (size_t i = 0; i < listeners->count; i++) {
		if (listeners->list[i].fd == fd) {
			return true;
		}
	}
	return false;
}

/* Keeps one, which is not touched: 0 or an error. */
static int keep(struct mtsi_listeners *listeners, int fd)
{
	struct mtsi_target bound;
	if (is_kept(listeners, fd)) {
		return -EALREADY;
	}
	const int result = mtsi_listeners_keep(listeners, fd, NULL, &bound);
	if (result == 0) {
		listeners->list[listeners->count - 1].traits.shared = true;
	}
	return result;
}

/*
 * Makes those that were kept last ready, from the one with the number `before` on; or lets go of them,
 * if `result` is an error, or becomes one.
 */
static int finish(struct mtsi_listeners *listeners, size_t before, int result)
{
	for (size_t i = before; i < listeners->count && result == 0; i++) {
		result = mtsi_listen_adopt(listeners->list[i].fd);
	}
	while (listeners->count > before && result != 0) {
		free(listeners->list[--listeners->count].text);
	}
	return result;
}

int mtsi_listeners_adopt(struct mts_server *server, int fd)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	const size_t before = listeners->count;
	return finish(listeners, before, keep(listeners, fd));
}

int mtsi_listeners_take_passed(
	struct mts_server *server, const char *name, int *failed, const char **why)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	const size_t before = listeners->count;
	struct mtsi_passed passed;
	int fd;
	*failed = -1;
	mtsi_passed_get(&passed);
	int result = mtsi_passed_begin(&passed, mtsi_home_self(), name, why);
	while (result == 0 && (fd = mtsi_passed_next(&passed, name)) >= 0) {
		*failed = fd;
		result = mtsi_passed_fits(fd, why);
		if (result == 0) {
			result = keep(listeners, fd);
			*why = result == -EALREADY ? "the server has it already" : NULL;
		}
	}
	return finish(listeners, before, result);
}
