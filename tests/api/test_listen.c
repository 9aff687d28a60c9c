/* SPDX-License-Identifier: MIT
 *
 * Listening on addresses of the network: every form that an address may have, one port for all that it
 * stands for, what happens when it cannot be had, and the sentences about that. Unix sockets are
 * in test_listen_unix.c, adopted ones in test_listen_fd.c, texts that are no address in test_listen_text.c.
 *
 * A machine without IPv6 is a case of its own: the same calls then bind IPv4 alone. Where a test wants one
 * certain port it takes an address of its own out of 127.0.0.0/8, so that no other program is in the way.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static int open_inet(int family, const void *address, socklen_t size)
{
	const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, address, size) == 0 && listen(fd, 1) == 0) {
		return fd;
	}
	if (fd >= 0) {
		close(fd);
	}
	return -1;
}

static int taken_ipv4(uint16_t port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return open_inet(AF_INET, &address, sizeof(address));
}

static int taken_ipv6(uint16_t port)
{
	const struct sockaddr_in6 address = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	return open_inet(AF_INET6, &address, sizeof(address));
}

/* An address that is this process's alone. */
static void own_address(char *text, size_t size)
{
	const unsigned number = (unsigned)getpid();
	snprintf(text, size, "127.77.%u.%u:0", number >> 8 & 255, number & 255);
}

static bool have_ipv6(void)
{
	const int fd = taken_ipv6(0);
	if (fd >= 0) {
		close(fd);
	}
	return fd >= 0;
}

static int port_in(const char *address)
{
	const char *colon = strrchr(address, ':');
	ck_assert_ptr_nonnull(colon);
	return atoi(colon + 1);
}

static void expect_listen(mts_server *server, const char *address, int result)
{
	const int got = mts_server_listen(server, address);
	ck_assert_msg(got == result, "listen on %.100s: %d instead of %d: %s", address, got, result,
		mts_server_error(server));
}

/* The index-th address is `host`, a colon and a port. */
static void expect_host(const mts_server *server, size_t index, const char *host)
{
	const char *text = mts_server_address(server, index);
	ck_assert_ptr_nonnull(text);
	const size_t size = strlen(host);
	ck_assert_msg(
		strncmp(text, host, size) == 0 && text[size] == ':', "%s is not on %s", text, host);
	ck_assert_int_gt(port_in(text), 0);
}

/* An address that may stand for both families, and what it is then bound as. */
static const struct {
	const char *address;
	const char *ipv4;
	const char *ipv6;
} both[] = {
	{"0", "0.0.0.0", "[::]"},
	{"*:0", "0.0.0.0", "[::]"},
	{"localhost:0", "127.0.0.1", "[::1]"},
	{"LocalHost:0", "127.0.0.1", "[::1]"},
};

START_TEST(both_families)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, both[_i].address, 0);
	expect_host(server, 0, both[_i].ipv4);
	if (have_ipv6()) {
		expect_host(server, 1, both[_i].ipv6);
		ck_assert_int_eq(
			port_in(mts_server_address(server, 0)), port_in(mts_server_address(server, 1)));
		ck_assert_ptr_null(mts_server_address(server, 2));
	} else {
		ck_assert_ptr_null(mts_server_address(server, 1));
	}
	server_start(server);
	for (size_t i = 0; mts_server_address(server, i) != NULL; i++) {
		peer_visit(server, i);
	}
	server_end(server);
}
END_TEST

static const struct {
	const char *address;
	const char *host;
} single[] = {
	{"127.0.0.1:0", "127.0.0.1"},
	{"127.0.0.2:0", "127.0.0.2"},
	{"0.0.0.0:0", "0.0.0.0"},
	{"[::1]:0", "[::1]"},
	{"[0:0:0:0:0:0:0:1]:0", "[::1]"},
	{"[::]:0", "[::]"},
};

START_TEST(one_family)
{
	if (single[_i].address[0] == '[' && !have_ipv6()) {
		return;
	}
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, single[_i].address, 0);
	expect_host(server, 0, single[_i].host);
	ck_assert_ptr_null(mts_server_address(server, 1));
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

static int tell_v6only(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	int value = -1;
	socklen_t length = sizeof(value);
	(void)getsockopt(mts_client_fd(client), IPPROTO_IPV6, IPV6_V6ONLY, &value, &length);
	mts_client_printf(client, "%d", value);
	return MTS_KEEP;
}

/* IPv6 means IPv6 alone, whatever the system's default is; a socket tells as its listener would. */
START_TEST(ipv6_only)
{
	if (!have_ipv6()) {
		return;
	}
	mts_server *server = server_create(tell_v6only, NULL);
	expect_listen(server, "[::]:0", 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "?");
	peer_expect_text(peer, "1");
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(several)
{
	enum { LISTENERS = 20 };
	mts_server *server = server_create(answer_echo, NULL);
	for (int i = 0; i < LISTENERS; i++) {
		expect_listen(server, "127.0.0.1:0", 0);
	}
	for (size_t i = 0; i < LISTENERS; i++) {
		expect_host(server, i, "127.0.0.1");
	}
	ck_assert_ptr_null(mts_server_address(server, LISTENERS));
	ck_assert_ptr_null(mts_server_address(server, (size_t)-1));
	server_start(server);
	for (size_t i = 0; i < LISTENERS; i++) {
		peer_visit(server, i);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), LISTENERS);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	expect_host(server, LISTENERS - 1, "127.0.0.1"); /* still told, though closed */
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Peers may connect before it runs; they wait in the kernel's queue. */
START_TEST(connected_before_run)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, "127.0.0.1:0", 0);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "early");
	server_start(server);
	peer_expect_text(peer, "early");
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(port_in_use)
{
	char address[32];
	char sentence[128];
	const int descriptors = count_descriptors();
	mts_server *other = server_create(answer_echo, NULL);
	mts_server *server = server_create(answer_echo, NULL);
	own_address(address, sizeof(address));
	expect_listen(other, address, 0);
	snprintf(address, sizeof(address), "%s", mts_server_address(other, 0));
	snprintf(sentence, sizeof(sentence), "cannot listen on %s: Address already in use", address);
	expect_listen(server, address, -EADDRINUSE);
	ck_assert_str_eq(mts_server_error(server), sentence);
	ck_assert_ptr_null(mts_server_address(server, 0));
	expect_listen(server, "127.0.0.1:0", 0);
	ck_assert_str_eq(mts_server_error(server), sentence); /* of the last that failed */
	ck_assert_int_eq(mts_server_destroy(other), 0);
	expect_listen(server, address, 0);
	ck_assert_str_eq(mts_server_address(server, 1), address);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

/* Two servers of ours on one port are an error as well. */
START_TEST(port_of_another_server)
{
	mts_server *first = server_new(answer_echo, NULL);
	mts_server *second = server_create(answer_echo, NULL);
	expect_listen(second, mts_server_address(first, 0), -EADDRINUSE);
	expect_listen(first, mts_server_address(first, 0), -EADDRINUSE);
	server_start(first);
	expect_listen(second, mts_server_address(first, 0), -EADDRINUSE);
	peer_visit(first, 0);
	server_end(first);
	ck_assert_int_eq(mts_server_destroy(second), 0);
}
END_TEST

/* A restart does not wait for the old connections' TIME_WAIT. */
START_TEST(same_port_again)
{
	char address[32];
	own_address(address, sizeof(address));
	for (int i = 0; i < 5; i++) {
		mts_server *server = server_create(answer_echo, NULL);
		expect_listen(server, address, 0);
		snprintf(address, sizeof(address), "%s", mts_server_address(server, 0));
		server_start(server);
		const int peer = peer_connect(server, 0);
		peer_ask(peer, "hello");
		server_end(server);
		peer_expect_end(peer);
		close(peer);
	}
}
END_TEST

/*
 * A port of ::1 that is taken, and not taken on 127.0.0.1. It is none of those that the kernel picks, so
 * nobody who runs beside gets it meanwhile.
 */
static int taken_ipv6_alone(uint16_t *port)
{
	for (unsigned number = (unsigned)getpid();; number++) {
		*port = (uint16_t)(10000 + number % 20000);
		const int fd = taken_ipv6(*port);
		const int other = fd >= 0 ? taken_ipv4(*port) : -1;
		if (other >= 0) {
			close(other);
			return fd;
		}
		if (fd >= 0) {
			close(fd);
		}
	}
}

/* One of two addresses is taken: the other one is given up again, and the sentence says which it was. */
START_TEST(second_address_in_use)
{
	char address[32];
	char sentence[128];
	if (!have_ipv6()) {
		return;
	}
	uint16_t port;
	const int taken = taken_ipv6_alone(&port);
	const int descriptors = count_descriptors();
	mts_server *server = server_new(answer_echo, NULL);
	snprintf(address, sizeof(address), "localhost:%d", port);
	snprintf(sentence, sizeof(sentence), "cannot listen on [::1]:%d: Address already in use", port);
	expect_listen(server, address, -EADDRINUSE);
	ck_assert_str_eq(mts_server_error(server), sentence);
	ck_assert_ptr_null(mts_server_address(server, 1));
	ck_assert_int_eq(count_descriptors(), descriptors + 1);
	const int other = taken_ipv4(port); /* free again */
	ck_assert_int_ge(other, 0);
	close(other);
	close(taken);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

/* What nobody should be able to bind. 192.0.2.0/24 is for documentation, so no machine has it. */
START_TEST(address_of_others)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, "192.0.2.1:0", -EADDRNOTAVAIL);
	ck_assert_str_eq(
		mts_server_error(server), "cannot listen on 192.0.2.1:0: Cannot assign requested address");
	ck_assert_ptr_null(mts_server_address(server, 0));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Not once it runs, nor afterwards. */
START_TEST(too_late)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	expect_listen(server, "127.0.0.1:0", -EBUSY);
	ck_assert_str_ne(mts_server_error(server), "");
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	expect_listen(server, "127.0.0.1:0", -EBUSY);
	ck_assert_ptr_null(mts_server_address(server, 1));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	TCase *cases = suite_begin("listen");
	tcase_add_loop_test(cases, both_families, 0, COUNT(both));
	tcase_add_loop_test(cases, one_family, 0, COUNT(single));
	tcase_add_test(cases, ipv6_only);
	tcase_add_test(cases, several);
	tcase_add_test(cases, connected_before_run);
	tcase_add_test(cases, port_in_use);
	tcase_add_test(cases, port_of_another_server);
	tcase_add_test(cases, same_port_again);
	tcase_add_test(cases, second_address_in_use);
	tcase_add_test(cases, address_of_others);
	tcase_add_test(cases, too_late);
	return suite_run();
}
