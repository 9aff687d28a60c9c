/* SPDX-License-Identifier: MIT
 *
 * Binding addresses, and unbinding them.
 *
 * An address may stand for several sockets. With port 0 the kernel picks a port for the first, and
 * the others must get the same one; when somebody else has it there, all is closed and another one
 * is tried. Whatever one call has bound is closed again when it fails as a whole.
 */
#include "engine/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/entry.h"
#include "engine/server.h"
#include "os/fork.h"
#include "os/listening.h"
#include "os/poll.h"
#include "os/socket.h"
#include "wire/address.h"
#include "wire/escape.h"

enum { PORT_TRIES = 16, BOUND_TEXT = 512 };

void mtsi_listeners_init(struct mtsi_listeners *listeners)
{
	mtsi_lock_init(&listeners->lock);
	listeners->list = NULL;
	listeners->count = 0;
	listeners->turn = (struct mtsi_turn){false, 0, false};
	listeners->closed = false;
	listeners->spare = -1;
}

static bool reserve(struct mtsi_listeners *listeners)
{
	struct mtsi_listener *list = realloc(
		listeners->list, (listeners->count + 1) * sizeof(listeners->list[0]));
	if (list != NULL) {
		listeners->list = list;
	}
	return list != NULL;
}

static void remove_file(struct mtsi_listener *listener)
{
	if (listener->fd >= 0 && listener->path != NULL) {
		mtsi_unix_remove(listener->path, &listener->file);
	}
}

static void drop(struct mtsi_listener *listener)
{
	if (listener->fd >= 0) {
		mtsi_socket_close(listener->fd);
		listener->fd = -1;
	}
}

static void forget(struct mtsi_listener *listener)
{
	remove_file(listener);
	drop(listener);
	free(listener->text);
	free(listener->path);
}

/* Drops the latest ones until `count` are left. */
static void unwind(struct mtsi_listeners *listeners, size_t count)
{
	while (listeners->count > count) {
		forget(&listeners->list[--listeners->count]);
	}
}

/* Keeps a listening socket: 0, or an error and it stays the caller's. */
static int keep(struct mtsi_listeners *listeners, int fd, struct mtsi_target *bound)
{
	char text[MTSI_ADDRESS_TEXT];
	const int result = mtsi_bound_address(fd, bound);
	if (result != 0) {
		return result;
	}
	const struct sockaddr *address = (const struct sockaddr *)&bound->address;
	if (mtsi_address_format(address, bound->size, text, sizeof(text)) < 0) {
		(void)snprintf(text, sizeof(text), "fd:%d", fd);
	}
	char *copy = strdup(text);
	if (copy == NULL || !reserve(listeners)) {
		free(copy);
		return -ENOMEM;
	}
	struct mtsi_listener *listener = &listeners->list[listeners->count++];
	memset(listener, 0, sizeof(*listener));
	listener->fd = fd;
	listener->text = copy;
	return 0;
}

/* Binds one address: 0, with the address that it got in `*bound`, or a negative errno value. */
static int bind_one(
	struct mts_server *server, const struct mtsi_target *target, struct mtsi_target *bound)
{
	const int fd = mtsi_listen(target, server->options.backlog);
	if (fd < 0) {
		return fd;
	}
	const int result = keep(&server->listeners, fd, bound);
	if (result != 0) {
		mtsi_unlisten(fd, target);
	}
	return result;
}

static void set_port(struct mtsi_target *target, in_port_t port)
{
	if (target->address.ss_family == AF_INET) {
		((struct sockaddr_in *)&target->address)->sin_port = port;
	} else {
		((struct sockaddr_in6 *)&target->address)->sin6_port = port;
	}
}

static in_port_t port_of(const struct mtsi_target *target)
{
	return target->address.ss_family == AF_INET
		? ((const struct sockaddr_in *)&target->address)->sin_port
		: ((const struct sockaddr_in6 *)&target->address)->sin6_port;
}

/* This machine has no such address family, or not this address of it. */
static bool family_missing(int result)
{
	return result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL || result == -EPROTONOSUPPORT;
}

static void name_target(const struct mtsi_target *target, char *why, size_t size)
{
	if (mtsi_address_format((const struct sockaddr *)&target->address, target->size, why, size)
		< 0) {
		(void)snprintf(why, size, "an address of its");
	}
}

/*
 * Binds all targets to one port: 0, or an error, with what it was about in `why`, and nothing
 * bound.
 */
static int bind_all(
	struct mts_server *server, struct mtsi_target *targets, int count, char *why, size_t size)
{
	struct mtsi_listeners *listeners = &server->listeners;
	const size_t before = listeners->count;
	int missing = 0;
	for (int i = 0; i < count; i++) {
		struct mtsi_target bound;
		const int result = bind_one(server, &targets[i], &bound);
		if (result != 0) {
			name_target(&targets[i], why, size);
			missing = result;
		}
		if (result != 0 && !(family_missing(result) && count > 1)) {
			unwind(listeners, before);
			return result;
		}
		for (int j = i + 1; j < count && result == 0; j++) {
			set_port(&targets[j], port_of(&bound));
		}
	}
	return listeners->count > before ? 0 : missing;
}

static int bind_inet(
	struct mts_server *server, const struct mtsi_target *targets, int count, char *why, size_t size)
{
	const bool any_port = port_of(&targets[0]) == 0;
	int result = -EADDRINUSE;
	for (int tries = 0; tries < (any_port ? PORT_TRIES : 1) && result == -EADDRINUSE; tries++) {
		struct mtsi_target copies[MTSI_TARGETS];
		memcpy(copies, targets, (size_t)count * sizeof(targets[0]));
		result = bind_all(server, copies, count, why, size);
	}
	return result;
}

/* Makes room for the file, binds, and notes which file it is. */
static int bind_path(struct mts_server *server, const struct mtsi_place *place)
{
	struct mtsi_listeners *listeners = &server->listeners;
	struct mtsi_target bound;
	struct mtsi_target target = {.size = place->path_size};
	char *path = strdup(place->path.sun_path);
	int result = path == NULL ? -ENOMEM : mtsi_unix_make_room(&place->path, place->path_size);
	if (result == 0) {
		memcpy(&target.address, &place->path, place->path_size);
		result = bind_one(server, &target, &bound);
	}
	if (result != 0) {
		free(path);
		return result;
	}
	struct mtsi_listener *listener = &listeners->list[listeners->count - 1];
	if (mtsi_unix_file(path, &listener->file)) {
		listener->path = path;
	} else {
		free(path);
	}
	return 0;
}

static int bind_unix(struct mts_server *server, const struct mtsi_place *place)
{
	if (place->path.sun_path[0] == '\0') {
		struct mtsi_target bound;
		struct mtsi_target target = {.size = place->path_size};
		memcpy(&target.address, &place->path, place->path_size);
		return bind_one(server, &target, &bound);
	}
	const int reservation = mtsi_unix_reserve(place->path.sun_path);
	const int result = bind_path(server, place);
	mtsi_unix_release(reservation);
	return result;
}

static int numeric(const char *ipv4, const char *ipv6, uint16_t port, struct mtsi_target *targets)
{
	const int first = mtsi_resolve(ipv4, port, targets);
	const int second = first < 0 ? first : mtsi_resolve(ipv6, port, targets + first);
	return second < 0 ? second : first + second;
}

static int find_targets(const struct mtsi_place *place, struct mtsi_target *targets)
{
	switch (place->kind) {
	case MTSI_PLACE_ANY:
		return numeric("0.0.0.0", "::", place->port, targets);
	case MTSI_PLACE_LOOPBACK:
		return numeric("127.0.0.1", "::1", place->port, targets);
	default:
		return mtsi_resolve(place->host, place->port, targets);
	}
}

int mtsi_listeners_add(struct mts_server *server, const char *address, char *why, size_t size)
{
	struct mtsi_place place;
	struct mtsi_target targets[2 * MTSI_TARGETS];
	char where[BOUND_TEXT];
	const char *reason = "";
	(void)mtsi_escape(where, sizeof(where), address, strnlen(address, sizeof(where)));
	int result = mtsi_place_parse(address, &place, &reason);
	if (result != 0) {
		(void)snprintf(why, size, "%s: %s", where, reason);
		return result;
	}
	if (place.kind == MTSI_PLACE_UNIX) {
		result = bind_unix(server, &place);
	} else {
		result = find_targets(&place, targets);
		if (result > 0) {
			result = bind_inet(server, targets, result, where, sizeof(where));
		}
	}
	const bool name = result == -ENOENT && place.kind == MTSI_PLACE_NAME;
	(void)snprintf(why, size, "%s: %s", where, name ? "no such name" : strerror(-result));
	return result;
}

int mtsi_listeners_adopt(struct mts_server *server, int fd)
{
	struct mtsi_target bound;
	for (size_t i = 0; i < server->listeners.count; i++) {
		if (server->listeners.list[i].fd == fd) {
			return -EALREADY;
		}
	}
	int result = mtsi_listen_adopt(fd);
	if (result == 0) {
		result = keep(&server->listeners, fd, &bound);
	}
	if (result == 0) {
		server->listeners.list[server->listeners.count - 1].shared = true;
	}
	return result;
}

static int prepare(struct mts_server *server, size_t index)
{
	const int fd = server->listeners.list[index].fd;
	const unsigned seconds = server->options.defer_accept;
	int result = seconds > 0 ? mtsi_defer_accept(fd, seconds) : 0;
	/* A Unix socket knows no such option, and has no need of it. */
	if (result == 0 || result == -EOPNOTSUPP || result == -ENOPROTOOPT) {
		result = mtsi_poll_add(server->poll, fd, 0, index + 1);
	}
	server->listeners.list[index].counts = mtsi_listening_counts(fd);
	return result == -EEXIST ? 0 : result;
}

int mtsi_listeners_prepare(struct mts_server *server)
{
	int result = 0;
	mtsi_fork_notice(); /* from now on there may be sockets that a child could have too */
	if (server->options.overload == MTS_OVERLOAD_REFUSE && server->listeners.spare < 0) {
		server->listeners.spare = mtsi_wake_open(); /* if it cannot be had now, then later */
	}
	for (size_t i = 0; i < server->listeners.count && result == 0; i++) {
		result = prepare(server, i);
	}
	return result;
}

void mtsi_listener_arm(struct mts_server *server, const struct mtsi_listener *listener, bool armed)
{
	const uint64_t tag = (uint64_t)(listener - server->listeners.list) + 1;
	if (!atomic_load(&listener->dead)) {
		/* That it is shut down is to be known at rest too. */
		const bool waits = armed && !listener->put_off;
		const uint32_t events = waits ? MTSI_POLL_IN | MTSI_POLL_RDHUP : MTSI_POLL_RDHUP;
		(void)mtsi_poll_change(server->poll, listener->fd, events, tag);
	}
}

void mtsi_listeners_arm(struct mts_server *server, bool armed)
{
	const struct mtsi_listeners *listeners = &server->listeners;
	for (size_t i = 0; i < listeners->count; i++) {
		mtsi_listener_arm(server, &listeners->list[i], armed);
	}
}

void mtsi_listeners_bury(struct mts_server *server, uint64_t tag)
{
	struct mtsi_listener *listener = &server->listeners.list[tag - 1];
	mtsi_lock_take(&server->listeners.lock);
	const bool buried = listener->fd >= 0 && !atomic_load(&listener->dead);
	if (buried) {
		atomic_store(&listener->dead, true);
		mtsi_poll_remove(server->poll, listener->fd);
	}
	mtsi_lock_release(&server->listeners.lock);
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
	struct mtsi_listeners *listeners = &server->listeners;
	mtsi_lock_assert_held(&listeners->lock);
	for (size_t i = 0; i < listeners->count; i++) {
		if (!mtsi_entry_taken_locked(listeners, &listeners->list[i])) {
			drop(&listeners->list[i]);
		}
	}
}

void mtsi_listeners_close(struct mts_server *server)
{
	mtsi_lock_take(&server->listeners.lock);
	server->listeners.closed = true;
	for (size_t i = 0; i < server->listeners.count; i++) {
		mtsi_poll_remove(server->poll, server->listeners.list[i].fd);
		remove_file(&server->listeners.list[i]);
	}
	mtsi_listeners_drop_locked(server);
	drop_spare(&server->listeners);
	mtsi_lock_release(&server->listeners.lock);
}

void mtsi_listeners_free(struct mts_server *server)
{
	unwind(&server->listeners, 0);
	drop_spare(&server->listeners);
	free(server->listeners.list);
	mtsi_lock_destroy(&server->listeners.lock);
}
