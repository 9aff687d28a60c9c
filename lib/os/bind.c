/* SPDX-License-Identifier: MIT
 *
 * From an address to a listening socket. SO_REUSEADDR is on, so that a restart does not wait for
 * old connections to leave TIME_WAIT; SO_REUSEPORT is off unless the program wants it, so that two
 * servers on one port are an error that is noticed; IPV6_V6ONLY is on, so that "every address" can be two sockets that do not
 * depend on the system's default (ipv6(7)).
 *
 * Urgent data stays in the stream (SO_OOBINLINE; RFC 6093, 6): otherwise a byte would vanish from
 * it, and the bytes after that would not be counted as received. Accepted Unix sockets do not
 * inherit this option, nor any other, so it is set on each of them (socket.c), by one call that
 * others do not need. It cannot be set only when urgent data is reported, since a thread that waits
 * in a receive is not told.
 */
#include "os/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "os/unix_path.h"

enum { ASSUMED_OPEN = 64 }; /* descriptors, if that cannot be told */

static int resolver_errno(int result)
{
	switch (result) {
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno != 0 ? -errno : -EIO;
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return -ENOENT;
	default:
		return -EIO;
	}
}

void mtsi_targets_free(struct mtsi_targets *targets)
{
	free(targets->list);
	targets->list = NULL;
	targets->count = 0;
}

static bool listed(
	const struct mtsi_targets *targets, const struct sockaddr *address, socklen_t size)
{
	for (size_t i = 0; i < targets->count; i++) {
		if (targets->list[i].size == size
			&& memcmp(&targets->list[i].address, address, size) == 0) {
			return true;
		}
	}
	return false;
}

int mtsi_targets_add(struct mtsi_targets *targets, const struct sockaddr *address, socklen_t size)
{
	if (listed(targets, address, size)) {
		return 0;
	}
	struct mtsi_target *list = realloc(
		targets->list, (targets->count + 1) * sizeof(targets->list[0]));
	if (list == NULL) {
		return -ENOMEM;
	}
	targets->list = list;
	struct mtsi_target *target = &list[targets->count++];
	memset(target, 0, sizeof(*target));
	memcpy(&target->address, address, size);
	target->size = size;
	return 0;
}

int mtsi_resolve(const char *host, uint16_t port, struct mtsi_targets *targets)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	char service[8];
	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	struct addrinfo *found = NULL;
	errno = 0;
	int result = getaddrinfo(host, service, &hints, &found);
	if (result != 0) {
		return resolver_errno(result);
	}
	for (const struct addrinfo *a = found; a != NULL && result == 0; a = a->ai_next) {
		if (a->ai_family == AF_INET || a->ai_family == AF_INET6) {
			result = mtsi_targets_add(targets, a->ai_addr, a->ai_addrlen);
		}
	}
	freeaddrinfo(found);
	return result == 0 && targets->count == 0 ? -ENOENT : result;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/*
 * For accept alone, since Unix sockets do not inherit this from their listener: if somebody ever
 * makes the listener blocking, accept still waits only for a moment.
 */
static int bound_accept(int fd)
{
	const struct timeval moment = {.tv_usec = 1000};
	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment)) == 0 ? 0 : -errno;
}

static int share_port(int fd)
{
	return set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

static int configure(int fd, int family)
{
	int result = 0;
	if (family == AF_INET || family == AF_INET6) {
		result = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (result == 0) {
			result = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		}
		if (result == 0) {
			result = set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
		}
	}
	if (result == 0 && family == AF_UNIX) {
		result = bound_accept(fd);
	}
	if (result == 0 && family == AF_INET6) {
		result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	}
	return result;
}

/*
 * Binds. A port that is shared from the beginning may be one that others have and share; so one that
 * nobody else is to have is shared only once it is bound. (Others are asked then, when they bind it.)
 */
static int bind_to(int fd, const struct mtsi_target *target)
{
	const bool shares = target->shares_port && target->address.ss_family != AF_UNIX;
	int result = shares && !target->first ? share_port(fd) : 0;
	if (result == 0 && bind(fd, (const struct sockaddr *)&target->address, target->size) != 0) {
		result = -errno;
	}
	return result == 0 && shares && target->first ? share_port(fd) : result;
}

int mtsi_listen(const struct mtsi_target *target, int backlog, struct mtsi_path *path)
{
	const int family = target->address.ss_family;
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	int result = configure(fd, family);
	if (result == 0) {
		result = bind_to(fd, target);
	}
	if (result != 0) {
		(void)close(fd);
		return result;
	}
	if (path != NULL) {
		mtsi_path_take(path);
	}
	if (listen(fd, backlog) != 0) {
		result = -errno;
		mtsi_unlisten(fd, path);
		return result;
	}
	return fd;
}

void mtsi_unlisten(int fd, struct mtsi_path *path)
{
	if (path != NULL) {
		(void)mtsi_path_undo(path); /* while the socket is open: see mtsi_path_undo() */
	}
	(void)close(fd);
}

static int option_of(int fd, int option, int *value)
{
	socklen_t size = sizeof(*value);
	return getsockopt(fd, SOL_SOCKET, option, value, &size) == 0 ? 0 : -errno;
}

/* Whether it listens, and is a stream: 0; -EINVAL, or what getsockopt(2) says. */
static int check_listener(int fd)
{
	int listens = 0;
	int type = 0;
	int result = option_of(fd, SO_ACCEPTCONN, &listens);
	if (result == 0) {
		result = option_of(fd, SO_TYPE, &type);
	}
	return result == 0 && (listens == 0 || type != SOCK_STREAM) ? -EINVAL : result;
}

int mtsi_listen_adopt(int fd, struct mtsi_flags *before)
{
	int result = check_listener(fd);
	if (result != 0) {
		return result;
	}
	before->file = fcntl(fd, F_GETFL);
	before->descriptor = fcntl(fd, F_GETFD);
	if (before->file < 0 || before->descriptor < 0
		|| fcntl(fd, F_SETFL, before->file | O_NONBLOCK) < 0) {
		return -errno;
	}
	if (fcntl(fd, F_SETFD, before->descriptor | FD_CLOEXEC) < 0) {
		result = -errno;
		(void)fcntl(fd, F_SETFL, before->file);
	}
	return result;
}

void mtsi_listen_give_back(int fd, const struct mtsi_flags *before)
{
	(void)fcntl(fd, F_SETFL, before->file);
	(void)fcntl(fd, F_SETFD, before->descriptor);
}

void mtsi_listen_tune(int fd)
{
	/* Not every stream socket is TCP; where it is not, there is nothing to set. */
	(void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	(void)set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

int mtsi_bound_address(int fd, struct mtsi_target *target)
{
	memset(target, 0, sizeof(*target));
	target->size = sizeof(target->address);
	return getsockname(fd, (struct sockaddr *)&target->address, &target->size) == 0 ? 0 : -errno;
}

bool mtsi_can_defer_accept(void)
{
#ifdef TCP_DEFER_ACCEPT
	return true;
#else
	return false;
#endif
}

int mtsi_defer_accept(int fd, unsigned seconds)
{
#ifdef TCP_DEFER_ACCEPT
	return set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, (int)seconds);
#else
	(void)fd;
	(void)seconds;
	return -ENOTSUP;
#endif
}

int mtsi_keep_alive(int fd, unsigned seconds)
{
	enum { PROBES = 3 };
	int result = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)seconds);
	if (result == -EOPNOTSUPP || result == -ENOPROTOOPT) {
		return 0;
	}
	if (result == 0) {
		result = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)seconds);
	}
	if (result == 0) {
		result = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
	}
	return result == 0 ? set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) : result;
}

size_t mtsi_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
		return SIZE_MAX;
	}
	return (size_t)limit.rlim_cur;
}

size_t mtsi_descriptors_open(int any)
{
	/* A new descriptor gets the lowest free number, so all numbers below are open. */
	int lowest = fcntl(any, F_DUPFD_CLOEXEC, 0);
	if (lowest < 0 && errno != EMFILE && errno != EINVAL) {
		lowest = epoll_create1(EPOLL_CLOEXEC); /* fcntl(2) is denied: another way to a new one */
	}
	if (lowest < 0) {
		return errno == EMFILE || errno == EINVAL ? mtsi_descriptor_limit() : ASSUMED_OPEN;
	}
	(void)close(lowest);
	return (size_t)lowest;
}
