/* SPDX-License-Identifier: MIT
 *
 * Listening sockets: where they are, their options, and which may be adopted.
 */
#include "os/bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../api/support.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	ck_assert_int_eq(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static const struct {
	const char *host;
	int family;
} numeric[] = {{"127.0.0.1", AF_INET}, {"0.0.0.0", AF_INET}, {"::1", AF_INET6}, {"::", AF_INET6}};

START_TEST(resolving)
{
	struct mtsi_targets targets = {NULL, 0};
	ck_assert_int_eq(mtsi_resolve(numeric[_i].host, 5000, &targets), 0);
	ck_assert_uint_eq(targets.count, 1);
	const struct mtsi_target *target = &targets.list[0];
	ck_assert_int_eq(target->address.ss_family, numeric[_i].family);
	char text[INET6_ADDRSTRLEN];
	const void *bytes = NULL;
	if (numeric[_i].family == AF_INET) {
		const struct sockaddr_in *address = (const struct sockaddr_in *)&target->address;
		ck_assert_uint_eq(target->size, sizeof(*address));
		ck_assert_uint_eq(ntohs(address->sin_port), 5000);
		bytes = &address->sin_addr;
	} else {
		const struct sockaddr_in6 *address = (const struct sockaddr_in6 *)&target->address;
		ck_assert_uint_eq(target->size, sizeof(*address));
		ck_assert_uint_eq(ntohs(address->sin6_port), 5000);
		bytes = &address->sin6_addr;
	}
	inet_ntop(numeric[_i].family, bytes, text, sizeof(text));
	ck_assert_str_eq(text, numeric[_i].host);
	mtsi_targets_free(&targets);
	ck_assert_uint_eq(targets.count, 0);
}
END_TEST

/* A name may have as many addresses as it likes; one that it has twice is one. */
START_TEST(as_many_as_there_are)
{
	enum { ADDRESSES = 300 };
	struct mtsi_targets targets = {NULL, 0};
	for (uint32_t i = 0; i < 2 * ADDRESSES; i++) {
		const struct sockaddr_in address = {
			.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % ADDRESSES)};
		ck_assert_int_eq(
			mtsi_targets_add(&targets, (const struct sockaddr *)&address, sizeof(address)), 0);
	}
	ck_assert_uint_eq(targets.count, ADDRESSES);
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		const struct sockaddr_in *address = (const struct sockaddr_in *)&targets.list[i].address;
		ck_assert_uint_eq(ntohl(address->sin_addr.s_addr), INADDR_LOOPBACK + i);
	}
	mtsi_targets_free(&targets);
}
END_TEST

static struct mtsi_target only(const char *host)
{
	struct mtsi_targets targets = {NULL, 0};
	ck_assert_int_eq(mtsi_resolve(host, 0, &targets), 0);
	ck_assert_uint_eq(targets.count, 1);
	const struct mtsi_target target = targets.list[0];
	mtsi_targets_free(&targets);
	return target;
}

static struct mtsi_target loopback(void)
{
	return only("127.0.0.1");
}

START_TEST(options_of_listeners)
{
	struct mtsi_target target = loopback();
	const int fd = mtsi_listen(&target, 5, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	struct mtsi_target bound;
	ck_assert_int_eq(mtsi_bound_address(fd, &bound), 0);
	ck_assert_uint_ne(((struct sockaddr_in *)&bound.address)->sin_port, 0);
	ck_assert_int_eq(mtsi_listen(&bound, 5, NULL), -EADDRINUSE);
	if (mtsi_can_defer_accept()) {
		ck_assert_int_eq(mtsi_defer_accept(fd, 1), 0);
		ck_assert_int_gt(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	}
	mtsi_unlisten(fd, NULL);
	ck_assert_int_eq(mtsi_bound_address(fd, &bound), -EBADF);
}
END_TEST

START_TEST(ipv6_is_only_ipv6)
{
	const struct mtsi_target target = only("::1");
	const int fd = mtsi_listen(&target, 5, NULL);
	if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
		return; /* a machine without IPv6 */
	}
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	mtsi_unlisten(fd, NULL);
}
END_TEST

START_TEST(adopting)
{
	struct mtsi_target target = loopback();
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
	const int packets = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	const int file = open("/dev/null", O_RDONLY);
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	struct mtsi_flags before;
	ck_assert_int_eq(mtsi_listen_adopt(fd, &before), -EINVAL);
	ck_assert_int_eq(mtsi_listen_adopt(datagrams, &before), -EINVAL);
	ck_assert_int_eq(mtsi_listen_adopt(file, &before), -ENOTSOCK);
	ck_assert_int_eq(mtsi_listen_adopt(-1, &before), -EBADF);
	ck_assert_int_eq(bind(packets, (const struct sockaddr *)&unnamed, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(packets, 1), 0);
	ck_assert_int_eq(mtsi_listen_adopt(packets, &before), -EINVAL);
	ck_assert_int_eq(fcntl(packets, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(fcntl(packets, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&target.address, target.size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(mtsi_listen_adopt(fd, &before), 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	mtsi_listen_give_back(fd, &before);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	mtsi_listen_tune(fd);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	close(fd);
	close(datagrams);
	close(packets);
	close(file);
}
END_TEST

START_TEST(how_many_descriptors)
{
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 77;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(mtsi_descriptor_limit(), 77);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("bind");
	tcase_add_loop_test(cases, resolving, 0, sizeof(numeric) / sizeof(numeric[0]));
	tcase_add_test(cases, as_many_as_there_are);
	tcase_add_test(cases, options_of_listeners);
	tcase_add_test(cases, ipv6_is_only_ipv6);
	tcase_add_test(cases, adopting);
	tcase_add_test(cases, how_many_descriptors);
	return suite_run_once();
}
