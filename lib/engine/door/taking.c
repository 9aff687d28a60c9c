/* SPDX-License-Identifier: MIT
 *
 * Listening sockets that others have made: the program hands one over, or a service manager has
 * passed some (os/passed.c).
 *
 * Several are taken over or not, all of them. So each is looked at first and kept, which may fail
 * and leaves it as it is. When all are kept they are made ready, which may fail too, and then the others
 * are given back as they were. What is set last cannot fail.
 *
 * What was passed is taken once in a process: two servers would close it twice (os/passed.c). The program
 * knows what it hands over by itself.
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

/* Makes those from the one with the number `before` on ready: 0; or an error, and they are as they were. */
static int make_ready(struct mtsi_listeners *listeners, size_t before)
{
	size_t ready = before;
	int result = 0;
	while (ready < listeners->count && result == 0) {
		struct mtsi_listener *listener = &listeners->list[ready];
		result = mtsi_listen_adopt(listener->fd, &listener->before);
		ready += result == 0 ? 1 : 0;
	}
	while (ready > before && result != 0) {
		const struct mtsi_listener *listener = &listeners->list[--ready];
		mtsi_listen_give_back(listener->fd, &listener->before);
	}
	return result;
}

/*
 * All that a call takes over have been kept, or not all, if `result` is an error: makes them ready, or
 * lets go of those from the one with the number `before` on.
 */
static int finish(struct mtsi_listeners *listeners, size_t before, bool passed, int result)
{
	if (result == 0) {
		result = make_ready(listeners, before);
	}
	for (size_t i = before; i < listeners->count && result == 0; i++) {
		mtsi_listen_tune(listeners->list[i].fd);
	}
	while (listeners->count > before && result != 0) {
		const struct mtsi_listener *listener = &listeners->list[--listeners->count];
		if (passed) {
			mtsi_passed_put_back(listener->fd);
		}
		free(listener->text);
	}
	return result;
}

int mtsi_listeners_adopt(struct mts_server *server, int fd)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	const size_t before = listeners->count;
	return finish(listeners, before, false, keep(listeners, fd));
}

/* Keeps one that was passed, and notes that it is taken: 0, or an error with a clause in `*why`. */
static int keep_passed(struct mtsi_listeners *listeners, int fd, const char **why)
{
	if (is_kept(listeners, fd)) {
		*why = "the server has it already";
		return -EALREADY;
	}
	int result = mtsi_passed_take(fd, why);
	if (result != 0) {
		return result;
	}
	result = mtsi_passed_fits(fd, why);
	if (result == 0) {
		result = keep(listeners, fd);
	}
	if (result != 0) {
		mtsi_passed_put_back(fd);
	}
	return result;
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
		result = keep_passed(listeners, fd, why);
	}
	return finish(listeners, before, true, result);
}
