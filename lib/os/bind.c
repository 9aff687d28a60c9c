/* SPDX-License-Identifier: MIT
 *
 * From an address to a listening socket. SO_REUSEADDR is on, so that a restart does not wait for
 * old connections to leave TIME_WAIT; SO_REUSEPORT is off, so that two servers on one port are an
 * error that somebody sees; IPV6_V6ONLY is on, so that "every address" can be two sockets that do
 * not depend on the system's default (ipv6(7)).
 *
 * Urgent data stays in the stream (SO_OOBINLINE; RFC 6093, 6): otherwise a byte would vanish from
 * it, and what stands behind would not be counted as received.
 */
#include "os/bind.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

enum { ASSUMED_OPEN = 64 }; /* descriptors, where that cannot be told */

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

static bool listed(const struct mtsi_target *targets, int count, const struct addrinfo *address)
{
	for (int i = 0; i < count; i++) {
		if (targets[i].size == address->ai_addrlen
			&& memcmp(&targets[i].address, address->ai_addr, address->ai_addrlen) == 0) {
			return true;
		}
	}
	return false;
}

int mtsi_resolve(const char *host, uint16_t port, struct mtsi_target *targets)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	char service[8];
	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	struct addrinfo *found = NULL;
	errno = 0;
	const int result = getaddrinfo(host, service, &hints, &found);
	if (result != 0) {
		return resolver_errno(result);
	}
	int count = 0;
	for (const struct addrinfo *a = found; a != NULL && count < MTSI_TARGETS; a = a->ai_next) {
		if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) && !listed(targets, count, a)) {
			memset(&targets[count], 0, sizeof(targets[count]));
			memcpy(&targets[count].address, a->ai_addr, a->ai_addrlen);
			targets[count].size = a->ai_addrlen;
			count++;
		}
	}
	freeaddrinfo(found);
	return count > 0 ? count : -ENOENT;
}

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
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
	if (result == 0 && family == AF_INET6) {
		result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	}
	return result;
}

int mtsi_listen(const struct mtsi_target *target, int backlog)
{
	const int family = target->address.ss_family;
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	int result = configure(fd, family);
	if (result == 0 && bind(fd, (const struct sockaddr *)&target->address, target->size) != 0) {
		result = -errno;
	}
	if (result != 0) {
		(void)close(fd);
		return result;
	}
	if (listen(fd, backlog) != 0) {
		result = -errno;
		mtsi_unlisten(fd, target);
		return result;
	}
	return fd;
}

void mtsi_unlisten(int fd, const struct mtsi_target *target)
{
	const struct sockaddr_un *local = (const struct sockaddr_un *)&target->address;
	if (local->sun_family == AF_UNIX && local->sun_path[0] != '\0') {
		(void)unlink(local->sun_path);
	}
	(void)close(fd);
}

static int option_of(int fd, int option, int *value)
{
	socklen_t size = sizeof(*value);
	return getsockopt(fd, SOL_SOCKET, option, value, &size) == 0 ? 0 : -errno;
}

int mtsi_listen_adopt(int fd)
{
	int listens = 0;
	int type = 0;
	int result = option_of(fd, SO_ACCEPTCONN, &listens);
	if (result == 0) {
		result = option_of(fd, SO_TYPE, &type);
	}
	if (result != 0) {
		return result;
	}
	if (listens == 0 || type != SOCK_STREAM) {
		return -EINVAL;
	}
	const int status = fcntl(fd, F_GETFL);
	const int flags = fcntl(fd, F_GETFD);
	if (status < 0 || flags < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0
		|| fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) {
		return -errno;
	}
	/* Not every stream socket is TCP; where it is not, there is nothing to set. */
	(void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	(void)set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	return 0;
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
	/* A new one gets the lowest number that is free, and all below are open. */
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
