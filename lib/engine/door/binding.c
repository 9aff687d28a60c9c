/* SPDX-License-Identifier: MIT
 *
 * From an address to listening sockets.
 *
 * An address may stand for several sockets. With port 0 the kernel picks a port for the first
 * socket, and the others must get the same port. If it is taken for one of those, all are closed,
 * and another port is tried; also if the ports are to be shared, since a stranger who shares it there
 * would get some of the connections. Whatever one call has bound is closed again when the call fails as a
 * whole.
 *
 * Of several addresses, those that cannot be bound here are left out: because this machine lacks
 * them or their family, or because nobody could ever be served there (place.h). One address that an
 * administrator has added to a name must not keep a server from starting. But nothing is left out
 * silently: each is noted, and the notes go to the log at the start.
 */
#include "engine/base/floor.h"
#include "engine/door/floor.h"
#include "engine/door/listener.h"
#include "os/bind.h"
#include "os/unix_path.h"
#include "wire/address.h"
#include "wire/escape.h"
#include "wire/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { PORT_TRIES = 16, BOUND_TEXT = 512 };

static const struct sockaddr *sockaddr_of(const struct mtsi_target *target)
{
	return (const struct sockaddr *)&target->address;
}

/* Binds one address: 0, with the address that it got in `*bound`, or a negative errno value. */
static int bind_one(struct mts_server *server, const struct mtsi_target *target,
	struct mtsi_path *path, struct mtsi_target *bound)
{
	const struct mtsi_options *options = &mtsi_base_floor(server)->options;
	struct mtsi_target wanted = *target;
	wanted.shares_port = options->shares_port;
	const int fd = mtsi_listen(&wanted, options->backlog, path);
	if (fd < 0) {
		return fd;
	}
	const int result = mtsi_listeners_keep(&mtsi_door_floor(server)->listeners, fd, path, bound);
	if (result != 0) {
		mtsi_unlisten(fd, path);
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

/* Whether this machine lacks the address family, the address, or its interface. */
static bool missing(int result)
{
	return result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL || result == -EPROTONOSUPPORT
		|| result == -ENODEV;
}

/* Writes an address as it is, also an IPv4 address in IPv6 form. */
static void name_target(const struct mtsi_target *target, char *out, size_t size)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&target->address;
	char ip[INET6_ADDRSTRLEN];
	if (target->address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		(void)snprintf(out, size, "[%s]:%u", ip, (unsigned)ntohs(in6->sin6_port));
	} else if (mtsi_address_format(sockaddr_of(target), target->size, out, size) < 0) {
		(void)snprintf(out, size, "an address of its");
	}
}

/* Notes that an address is left out: 0 or -ENOMEM. */
static int leave_out(struct mts_server *server, const struct mtsi_target *target, const char *why)
{
	char name[MTSI_ADDRESS_TEXT];
	char note[BOUND_TEXT];
	name_target(target, name, sizeof(name));
	(void)snprintf(note, sizeof(note), "not serving on %s: %s", name, why);
	return mtsi_listeners_note(&mtsi_door_floor(server)->listeners, note);
}

/* What comes of one call: where and why it failed, if it did. */
struct attempt {
	char *where; /* room for BOUND_TEXT bytes: `address`, or the one of its addresses that failed */
	const char *clause; /* why, if the error's own text does not say it; else NULL */
	int missing; /* the error of the last address that was left out */
};

/* Binds one of several, or leaves it out: 0, 1 when it is left out, or an error. */
static int bind_of_several(struct mts_server *server, const struct mtsi_target *target,
	struct mtsi_target *bound, struct attempt *attempt)
{
	const char *unfit = mtsi_place_unfit(sockaddr_of(target), target->size);
	const int result = unfit != NULL ? -EADDRNOTAVAIL : bind_one(server, target, NULL, bound);
	if (result == 0) {
		return 0;
	}
	name_target(target, attempt->where, BOUND_TEXT);
	attempt->clause = unfit;
	if (!missing(result)) {
		return result;
	}
	attempt->missing = result;
	if (leave_out(server, target, unfit != NULL ? unfit : strerror(-result)) != 0) {
		attempt->clause = NULL;
		return -ENOMEM;
	}
	return 1;
}

/* Binds all targets to one port: 0, or an error and nothing is bound. */
static int bind_all(
	struct mts_server *server, struct mtsi_targets *targets, struct attempt *attempt)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	const size_t before = listeners->count;
	const size_t notes = listeners->notes_count;
	int result = 0;
	for (size_t i = 0; i < targets->count && result >= 0; i++) {
		struct mtsi_target bound;
		result = bind_of_several(server, &targets->list[i], &bound, attempt);
		for (size_t j = i + 1; j < targets->count && result == 0; j++) {
			set_port(&targets->list[j], port_of(&bound));
		}
	}
	if (result >= 0 && listeners->count == before) {
		result = attempt->missing;
	}
	if (result < 0) {
		mtsi_listeners_unwind(listeners, before, notes);
	}
	return result < 0 ? result : 0;
}

static int bind_inet(struct mts_server *server, struct mtsi_targets *targets, in_port_t port,
	struct attempt *attempt)
{
	int result = -EADDRINUSE;
	for (int tries = 0; tries < (port == 0 ? PORT_TRIES : 1) && result == -EADDRINUSE; tries++) {
		for (size_t i = 0; i < targets->count; i++) {
			set_port(&targets->list[i], port);
			targets->list[i].first = port == 0;
		}
		result = bind_all(server, targets, attempt);
	}
	return result;
}

/* Makes room for the file, and binds, with the folder reserved meanwhile. */
static int bind_path(
	struct mts_server *server, const struct mtsi_target *target, struct mtsi_path *path)
{
	struct mtsi_target bound;
	const int reservation = mtsi_path_reserve(path);
	int result = mtsi_path_make_room(path);
	if (result == 0) {
		result = bind_one(server, target, path, &bound);
	}
	mtsi_path_release(reservation);
	return result;
}

static int bind_unix(struct mts_server *server, const struct mtsi_place *place)
{
	struct mtsi_target bound;
	struct mtsi_target target = {.size = place->path_size};
	struct mtsi_path *path = NULL;
	memcpy(&target.address, &place->path, place->path_size);
	if (place->path.sun_path[0] == '\0') {
		return bind_one(server, &target, NULL, &bound);
	}
	int result = mtsi_path_open(&place->path, &path);
	if (result == 0) {
		result = bind_path(server, &target, path);
	}
	if (result != 0) {
		mtsi_path_close(path);
	}
	return result;
}

/* Adds an address of both families: 0 or -ENOMEM. */
static int add_both(struct mtsi_targets *targets, in_addr_t ipv4, const struct in6_addr *ipv6)
{
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ipv4)};
	const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = *ipv6};
	const int result = mtsi_targets_add(targets, (const struct sockaddr *)&in, sizeof(in));
	return result != 0 ? result
					   : mtsi_targets_add(targets, (const struct sockaddr *)&in6, sizeof(in6));
}

static int find_targets(const struct mtsi_place *place, struct mtsi_targets *targets)
{
	switch (place->kind) {
	case MTSI_PLACE_ANY:
		return add_both(targets, INADDR_ANY, &in6addr_any);
	case MTSI_PLACE_LOOPBACK:
		return add_both(targets, INADDR_LOOPBACK, &in6addr_loopback);
	default:
		return mtsi_resolve(place->host, place->port, targets);
	}
}

/* What was not found, when the resolver says so. */
static const char *not_found(const struct mtsi_place *place)
{
	return strchr(place->host, '%') != NULL ? "no such interface" : "no such name";
}

static int add_inet(
	struct mts_server *server, const struct mtsi_place *place, struct attempt *attempt)
{
	struct mtsi_targets targets = {NULL, 0};
	int result = find_targets(place, &targets);
	if (result == -ENOENT) {
		attempt->clause = not_found(place);
	} else if (result == 0) {
		result = bind_inet(server, &targets, htons(place->port), attempt);
	}
	mtsi_targets_free(&targets);
	return result;
}

/* Takes over what a service manager has passed: 0 or an error. */
static int add_passed(struct mts_server *server, const char *name, struct attempt *attempt)
{
	int failed;
	const int result = mtsi_listeners_take_passed(server, name, &failed, &attempt->clause);
	if (result != 0 && failed >= 0) {
		const size_t used = strlen(attempt->where);
		(void)snprintf(attempt->where + used, BOUND_TEXT - used, ", descriptor %d", failed);
	}
	return result;
}

/* Listens at a place: 0 or an error. */
static int add_place(
	struct mts_server *server, const struct mtsi_place *place, struct attempt *attempt)
{
	switch (place->kind) {
	case MTSI_PLACE_UNIX:
		return bind_unix(server, place);
	case MTSI_PLACE_PASSED:
		return add_passed(server, place->host, attempt);
	default:
		return add_inet(server, place, attempt);
	}
}

int mtsi_listeners_add(struct mts_server *server, const char *address, char *why, size_t size)
{
	struct mtsi_place place;
	char where[BOUND_TEXT];
	struct attempt attempt = {where, NULL, 0};
	(void)mtsi_escape(where, sizeof(where), address, strnlen(address, sizeof(where)));
	int result = mtsi_place_parse(address, &place, &attempt.clause);
	if (result == 0) {
		attempt.clause = NULL;
		result = add_place(server, &place, &attempt);
	}
	(void)snprintf(
		why, size, "%s: %s", where, attempt.clause != NULL ? attempt.clause : strerror(-result));
	return result;
}
