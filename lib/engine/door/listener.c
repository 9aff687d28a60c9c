/* SPDX-License-Identifier: MIT
 *
 * The listening sockets: kept, watched, closed. binding.c makes them, or taking.c takes them over.
 *
 * The file of a Unix socket is removed by the keeper, when no lock is held: a file system may take
 * long. Only if the server was never started, the thread that frees it does this. It stays if the program
 * wants that, since another process has been given the socket: that has no part in the locks by which
 * copies of one server agree who is last (unix_path.c), so it would find its file gone.
 */
#include "engine/door/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver/proxy.h>

#include "engine/base/floor.h"
#include "engine/base/log.h"
#include "engine/base/ranks.h"
#include "engine/client/registration.h"
#include "engine/door/door.h"
#include "engine/door/entry.h"
#include "engine/door/floor.h"
#include "os/bind.h"
#include "os/fork.h"
#include "os/listening.h"
#include "os/lock.h"
#include "os/poll.h"
#include "os/socket.h"
#include "os/unix_path.h"
#include "wire/address.h"

enum {
	PATIENCE = 20, /* milliseconds, for the folders of all Unix sockets together */
	ROOM_FOR_MORE = MTSI_LISTENERS_LIST - MTSI_ADDRESS_TEXT /* " and 12345678 more" */
};

void mtsi_listeners_init(struct mtsi_listeners *listeners)
{
	mtsi_lock_init(&listeners->lock, MTSI_RANK_LISTENERS);
	mtsi_signal_init(&listeners->left);
	listeners->awaited = 0;
	listeners->list = NULL;
	listeners->count = 0;
	listeners->notes = NULL;
	listeners->notes_count = 0;
	listeners->proxy = MTS_PROXY_OFF;
	listeners->entry = (struct mtsi_entry){false, 0, false};
	atomic_init(&listeners->keeps_paths, false);
	listeners->closed = false;
	listeners->spare = -1;
}

static bool reserve_slot(struct mtsi_listeners *listeners)
{
	struct mtsi_listener *list = realloc(
		listeners->list, (listeners->count + 1) * sizeof(listeners->list[0]));
	if (list != NULL) {
		listeners->list = list;
	}
	return list != NULL;
}

/*
 * Removes the file if it is ours, and not to be kept, before the socket is closed: 0, or why that could not
 * be done.
 */
static int remove_file(
	struct mtsi_listeners *listeners, struct mtsi_listener *listener, unsigned *patience)
{
	const bool removes = listener->path != NULL && !atomic_load(&listeners->keeps_paths);
	const int result = removes ? mtsi_path_remove(listener->path, patience) : 0;
	mtsi_path_close(listener->path);
	listener->path = NULL;
	return result;
}

static void drop(struct mtsi_listener *listener)
{
	if (listener->fd >= 0) {
		mtsi_socket_close(listener->fd);
		listener->fd = -1;
	}
}

static void forget(struct mtsi_listeners *listeners, struct mtsi_listener *listener)
{
	unsigned patience = PATIENCE;
	(void)remove_file(listeners, listener, &patience);
	drop(listener);
	free(listener->text);
}

void mtsi_listeners_unwind(struct mtsi_listeners *listeners, size_t count, size_t notes)
{
	while (listeners->count > count) {
		forget(listeners, &listeners->list[--listeners->count]);
	}
	while (listeners->notes_count > notes) {
		free(listeners->notes[--listeners->notes_count]);
	}
}

int mtsi_listeners_note(struct mtsi_listeners *listeners, const char *note)
{
	char *copy = strdup(note);
	char **notes = copy == NULL
		? NULL
		: realloc(listeners->notes, (listeners->notes_count + 1) * sizeof(listeners->notes[0]));
	if (notes == NULL) {
		free(copy);
		return -ENOMEM;
	}
	listeners->notes = notes;
	notes[listeners->notes_count++] = copy;
	return 0;
}

int mtsi_listeners_keep(
	struct mtsi_listeners *listeners, int fd, struct mtsi_path *path, struct mtsi_target *bound)
{
	char text[MTSI_ADDRESS_TEXT];
	const int result = mtsi_bound_address(fd, bound);
	if (result != 0 || listeners->count == MTSI_NO_LISTENER) {
		return result != 0 ? result : -EMFILE;
	}
	const struct sockaddr *address = (const struct sockaddr *)&bound->address;
	if (mtsi_address_format(address, bound->size, text, sizeof(text)) < 0) {
		(void)snprintf(text, sizeof(text), "fd:%d", fd);
	}
	char *copy = strdup(text);
	if (copy == NULL || !reserve_slot(listeners)) {
		free(copy);
		return -ENOMEM;
	}
	struct mtsi_listener *listener = &listeners->list[listeners->count];
	memset(listener, 0, sizeof(*listener));
	listener->traits.index = (uint16_t)listeners->count++;
	listener->traits.proxy = listeners->proxy;
	listener->fd = fd;
	listener->text = copy;
	listener->path = path;
	return 0;
}

int mtsi_listeners_fd(struct mts_server *server, size_t index, bool foreign)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	if (index >= listeners->count) {
		return -ENOENT;
	}
	if (foreign) { /* whoever held the lock at the fork never releases it here */
		return listeners->list[index].fd >= 0 ? listeners->list[index].fd : -EBADF;
	}
	mtsi_lock_take(&listeners->lock);
	const int fd = listeners->closed ? -1 : listeners->list[index].fd;
	mtsi_lock_release(&listeners->lock);
	return fd >= 0 ? fd : -EBADF;
}

static int prepare_listener(struct mts_server *server, size_t index)
{
	const int fd = mtsi_door_floor(server)->listeners.list[index].fd;
	const unsigned seconds = mtsi_base_floor(server)->options.defer_accept;
	struct mtsi_path *path = mtsi_door_floor(server)->listeners.list[index].path;
	if (path != NULL) {
		mtsi_path_serve(path);
	}
	const unsigned keepalive = mtsi_base_floor(server)->options.keepalive;
	int result = keepalive > 0 ? mtsi_keep_alive(fd, keepalive) : 0;
	if (result == 0 && seconds > 0) {
		result = mtsi_defer_accept(fd, seconds);
	}
	/* A Unix socket does not know this option, and does not need it. */
	if (result == 0 || result == -EOPNOTSUPP || result == -ENOPROTOOPT) {
		result = mtsi_registration_enter_listener(server, fd, index + 1);
	}
	mtsi_door_floor(server)->listeners.list[index].counts = mtsi_listening_counts(fd);
	return result == -EEXIST ? 0 : result;
}

int mtsi_listeners_prepare(struct mts_server *server)
{
	int result = 0;
	mtsi_fork_notice(); /* from now on there may be sockets that a child could have too */
	if (mtsi_base_floor(server)->options.overload == MTS_OVERLOAD_REFUSE
		&& mtsi_door_floor(server)->listeners.spare < 0) {
		mtsi_door_floor(server)->listeners.spare =
			mtsi_wake_open(); /* if none can be had now, it is opened later */
	}
	for (size_t i = 0; i < mtsi_door_floor(server)->listeners.count && result == 0; i++) {
		result = prepare_listener(server, i);
	}
	return result;
}

void mtsi_listener_arm(struct mts_server *server, const struct mtsi_listener *listener, bool armed)
{
	const uint64_t tag = (uint64_t)(listener - mtsi_door_floor(server)->listeners.list) + 1;
	if (!atomic_load(&listener->dead)) {
		/* A shutdown has to be known also while the listeners rest. */
		mtsi_registration_watch_listener(server, listener->fd, tag, armed && !listener->put_off);
	}
}

void mtsi_listeners_arm(struct mts_server *server, bool armed)
{
	const struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	for (size_t i = 0; i < listeners->count; i++) {
		mtsi_listener_arm(server, &listeners->list[i], armed);
	}
}

void mtsi_listeners_bury(struct mts_server *server, uint64_t tag)
{
	struct mtsi_listener *listener = &mtsi_door_floor(server)->listeners.list[tag - 1];
	mtsi_lock_take(&mtsi_door_floor(server)->listeners.lock);
	const bool buried = listener->fd >= 0 && !atomic_load(&listener->dead);
	if (buried) {
		atomic_store(&listener->dead, true);
		mtsi_registration_leave_listener(server, listener->fd);
	}
	mtsi_lock_release(&mtsi_door_floor(server)->listeners.lock);
	if (buried) {
		mtsi_log(
			server, MTSI_LOG_LISTENER, "somebody has shut down the listener on %s", listener->text);
	}
}

static void drop_spare(struct mtsi_listeners *listeners)
{
	if (listeners->spare >= 0) {
		mtsi_socket_close(listeners->spare);
		listeners->spare = -1;
	}
}

void mtsi_listeners_drop_locked(struct mts_server *server)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	mtsi_lock_assert_held(&listeners->lock);
	for (size_t i = 0; i < listeners->count; i++) {
		if (!mtsi_entry_taken_locked(listeners, &listeners->list[i])) {
			drop(&listeners->list[i]);
		}
	}
}

/* No client comes any more; the descriptors stay open for now. */
static void withdraw(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_door_floor(server)->listeners.lock);
	mtsi_door_floor(server)->listeners.closed = true;
	for (size_t i = 0; i < mtsi_door_floor(server)->listeners.count; i++) {
		mtsi_registration_leave_listener(server, mtsi_door_floor(server)->listeners.list[i].fd);
	}
	mtsi_lock_release(&mtsi_door_floor(server)->listeners.lock);
}

void mtsi_listeners_keep_paths(struct mts_server *server, bool keep)
{
	atomic_store(&mtsi_door_floor(server)->listeners.keeps_paths, keep);
}

void mtsi_listeners_close(struct mts_server *server)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	unsigned patience = PATIENCE;
	withdraw(server);
	for (size_t i = 0; i < listeners->count; i++) {
		struct mtsi_listener *listener = &listeners->list[i];
		const int result = remove_file(listeners, listener, &patience);
		if (result != 0) {
			mtsi_log(server, MTSI_LOG_PATH, "the file of %s stays, it cannot be removed: %s",
				listener->text, strerror(-result));
		}
	}
	mtsi_lock_take(&listeners->lock);
	mtsi_listeners_drop_locked(server);
	drop_spare(listeners);
	mtsi_lock_release(&listeners->lock);
}

void mtsi_listeners_list(struct mts_server *server, char *out, size_t size)
{
	const struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	size_t used = 0;
	size_t i;
	for (i = 0; i < listeners->count; i++) {
		const char *text = listeners->list[i].text;
		/* The first one fits in any case. */
		if (i > 0 && used + strlen(text) + ROOM_FOR_MORE > size) {
			break;
		}
		used += (size_t)snprintf(out + used, size - used, "%s%s", i == 0 ? "" : ", ", text);
	}
	if (i < listeners->count) {
		(void)snprintf(out + used, size - used, " and %zu more", listeners->count - i);
	}
}

void mtsi_listeners_announce(struct mts_server *server)
{
	const struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	char where[MTSI_LISTENERS_LIST];
	mtsi_listeners_list(server, where, sizeof(where));
	mtsi_log(server, MTSI_LOG_START, "serving on %s, at most %zu clients", where,
		mtsi_door_max_clients(server));
	for (size_t i = 0; i < listeners->notes_count; i++) {
		mtsi_log(server, MTSI_LOG_LEFT_OUT, "%s", listeners->notes[i]);
	}
}

void mtsi_listeners_free(struct mts_server *server)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	mtsi_listeners_unwind(listeners, 0, 0);
	drop_spare(listeners);
	free(listeners->list);
	free(listeners->notes);
	mtsi_signal_destroy(&listeners->left);
	mtsi_lock_destroy(&listeners->lock);
}

void mtsi_listeners_abandon(struct mts_server *server)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	for (size_t i = 0; i < listeners->count; i++) {
		struct mtsi_listener *listener = &listeners->list[i];
		if (listener->fd >= 0) {
			mtsi_socket_close(listener->fd);
			listener->fd = -1;
		}
		if (listener->path != NULL) {
			mtsi_path_abandon(listener->path);
		}
	}
	drop_spare(listeners);
}
