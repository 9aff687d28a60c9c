/* SPDX-License-Identifier: MIT
 *
 * Limits and access behind a proxy: they are about the clients that it announces, not about the proxy.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxied.h"

static const char local_check[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/* A client of this address, whose proxy has said so. */
static int connect_for(const mts_server *server, const char *address)
{
	char text[128];
	(void)snprintf(text, sizeof(text), "PROXY TCP4 %s 203.0.113.9 4660 80\r\n", address);
	return proxied_connect(server, text);
}

static void expect_served(int peer, const char *address)
{
	char from[256];
	(void)snprintf(from, sizeof(from), "%s:4660", address);
	proxied_ask(peer, "who", from);
}

/* Tries until it is let in: who leaves counts for a moment more. Returns a client that was served. */
static int get_in(const mts_server *server, const char *address)
{
	for (const uint64_t begun = now_ms();; wait_on(begun, "to get in")) {
		char byte = 0;
		const int peer = connect_for(server, address);
		(void)send(peer, "first\n", 6, MSG_NOSIGNAL);
		if (recv(peer, &byte, 1, MSG_PEEK) == 1 && byte == 'f') {
			char answer[64];
			(void)snprintf(answer, sizeof(answer), "first %s:4660 127.0.0.1:", address);
			char got[64] = "";
			const ssize_t count = recv(peer, got, strlen(answer), MSG_WAITALL);
			if (count == (ssize_t)strlen(answer) && strcmp(got, answer) == 0) {
				do {
					ck_assert_int_eq(recv(peer, &byte, 1, 0), 1);
				} while (byte != '\n');
				return peer;
			}
		}
		close(peer);
	}
}

static mts_server *limited_server(int mode, size_t clients)
{
	mts_server *server = proxied_server(mode);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, clients), 0);
	ck_assert_int_eq(mts_server_set_refusal(server, "full\n", 5), 0);
	return server;
}

/* It is told so, as one that was refused at accept. */
static void expect_refused(mts_server *server, int peer, uint64_t refused)
{
	peer_expect_text(peer, "full\n");
	peer_expect_end(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_REFUSED, refused);
}

/* Two clients of one proxy: each has a limit of its own, and what it had is given back. */
START_TEST(by_announced_address)
{
	mts_server *server = limited_server(MTS_PROXY_REQUIRED, 1);
	server_start(server);
	const int one = connect_for(server, "192.0.2.1");
	expect_served(one, "192.0.2.1");
	const int other = connect_for(server, "192.0.2.2");
	expect_served(other, "192.0.2.2");
	expect_refused(server, connect_for(server, "192.0.2.1"), 1);
	expect_refused(server, connect_for(server, "192.0.2.2"), 2);
	close(one);
	server_wait_stat(server, MTS_STAT_OPEN, 1);
	const int again = get_in(server, "192.0.2.1");
	close(other);
	close(again);
	proxied_end(server, 3);
}
END_TEST

/* Connections that await their header count for nobody; and a limit that is set meanwhile counts the others. */
START_TEST(set_while_headers_are_awaited)
{
	int peers[10];
	mts_server *server = limited_server(MTS_PROXY_REQUIRED, 0);
	server_start(server);
	const int first = connect_for(server, "192.0.2.1");
	expect_served(first, "192.0.2.1");
	const uint64_t before = mts_server_stat(server, MTS_STAT_BYTES_IN);
	for (int i = 0; i < 10; i++) {
		peers[i] = proxied_connect(server, "PROXY TCP4 ");
	}
	server_wait_stat(server, MTS_STAT_BYTES_IN, before + 10 * 11);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	for (int i = 0; i < 10; i++) {
		char rest[128];
		(void)snprintf(rest, sizeof(rest), "192.0.2.%d 203.0.113.9 4660 80\r\n", i + 10);
		peer_puts(peers[i], rest);
		(void)snprintf(rest, sizeof(rest), "192.0.2.%d", i + 10);
		expect_served(peers[i], rest);
	}
	expect_refused(server, connect_for(server, "192.0.2.1"), 1);
	expect_refused(server, connect_for(server, "192.0.2.19"), 2);
	close(first);
	for (int i = 0; i < 10; i++) {
		close(peers[i]);
	}
	proxied_end(server, 11);
}
END_TEST

/* Asks as a proxy on its own behalf: by LOCAL; or, since version 1 has no word for it, as HAProxy does there. */
static void check_health(int peer, int version)
{
	struct sockaddr_in own;
	socklen_t size = sizeof(own);
	char text[128];
	ck_assert_int_eq(getsockname(peer, (struct sockaddr *)&own, &size), 0);
	const unsigned port = ntohs(own.sin_port);
	if (version == 2) {
		peer_send(peer, local_check, 16);
	} else {
		(void)snprintf(text, sizeof(text), "PROXY TCP4 127.0.0.1 127.0.0.1 %u 80\r\n", port);
		peer_puts(peer, text);
	}
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	proxied_ask(peer, "who", text);
}

/* As many as a balancer likes to make; also where it was not said who is one. */
START_TEST(health_checks)
{
	int peers[30];
	const int mode = _i / 2;
	const int version = 1 + _i % 2;
	const bool by_anybody = mode == MTS_PROXY_OFF;
	mts_server *server = limited_server(by_anybody ? MTS_PROXY_REQUIRED : mode, 1);
	if (!by_anybody) {
		proxied_trust(server, "127.0.0.1");
	}
	server_start(server);
	for (int i = 0; i < 30; i++) {
		peers[i] = peer_connect(server, 0);
		check_health(peers[i], version);
	}
	const int one = connect_for(server, "127.0.0.1");
	expect_served(one, "127.0.0.1");
	for (int i = 0; i < 30; i++) {
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 1);
	expect_refused(server, connect_for(server, "127.0.0.1"), 1);
	close(one);
	proxied_end(server, 31);
}
END_TEST

/* Where nobody is announced it is the proxy's own that counts. */
START_TEST(by_its_own_address)
{
	mts_server *server = limited_server(MTS_PROXY_REQUIRED, 1);
	server_start(server);
	const int first = proxied_connect(server, "PROXY UNKNOWN\r\nwho\n");
	peer_expect_text(first, "who 127.0.0.1:");
	expect_refused(server, proxied_connect(server, "PROXY UNKNOWN\r\n"), 1);
	close(first);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	const int second = get_in(server, "127.0.0.1");
	close(second);
	proxied_end(server, 2);
}
END_TEST

/* At a socket for both families, which sees the proxy's IPv4 address as one of IPv6. */
START_TEST(health_checks_at_a_socket_for_both)
{
	const int no = 0;
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	socklen_t size = sizeof(any);
	mts_server *server = limited_server(MTS_PROXY_REQUIRED, 1);
	const int both = socket(AF_INET6, SOCK_STREAM, 0);
	if (both < 0 || setsockopt(both, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) != 0
		|| bind(both, (struct sockaddr *)&any, size) != 0) {
		(void)fprintf(stderr, "passed over: this machine has no IPv6\n");
		ck_assert_int_eq(mts_server_destroy(server), 0);
		return;
	}
	ck_assert_int_eq(listen(both, 5), 0);
	ck_assert_int_eq(getsockname(both, (struct sockaddr *)&any, &size), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, both), 0);
	server_start(server);
	int peers[3];
	for (int i = 0; i < 3; i++) {
		const struct sockaddr_in loopback = {.sin_family = AF_INET,
			.sin_port = any.sin6_port,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		peers[i] = peer_socket();
		ck_assert_int_eq(
			connect(peers[i], (const struct sockaddr *)&loopback, sizeof(loopback)), 0);
		check_health(peers[i], 1);
	}
	for (int i = 0; i < 3; i++) {
		close(peers[i]);
	}
	proxied_end(server, 3);
}
END_TEST

static void set_access(mts_server *server, const char *network, int verdict, const char *second)
{
	mts_networks *networks = mts_networks_create();
	ck_assert_int_eq(mts_networks_add(networks, network, verdict), 0);
	if (second != NULL) {
		ck_assert_int_eq(mts_networks_add(networks, second, MTS_DENY), 0);
	}
	ck_assert_int_eq(mts_server_set_access(server, networks), 0);
	mts_networks_destroy(networks);
}

static void expect_denied(mts_server *server, int peer, uint64_t denied)
{
	peer_expect_gone(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_DENIED, denied);
}

/* The list is about those who are announced; the proxy itself need not be in it. */
START_TEST(who_may_connect)
{
	mts_server *server = limited_server(MTS_PROXY_REQUIRED, 0);
	set_access(server, "192.0.2.0/25", MTS_ALLOW, "0.0.0.0/0");
	server_start(server);
	const int good = connect_for(server, "192.0.2.1");
	expect_served(good, "192.0.2.1");
	expect_denied(server, connect_for(server, "192.0.2.200"), 1);
	/* Nobody said who is trusted, so it may be anybody who says this. */
	const int unknown = proxied_connect(server, "PROXY UNKNOWN\r\n");
	expect_denied(server, unknown, 2);
	const int check = peer_connect(server, 0);
	peer_send(check, local_check, 16);
	expect_denied(server, check, 3);
	proxied_trust(server, "127.0.0.1");
	for (int version = 1; version <= 2; version++) {
		const int trusted = peer_connect(server, 0);
		check_health(trusted, version);
		close(trusted);
	}
	expect_denied(server, connect_for(server, "127.0.0.1"), 4); /* another end than its own */
	close(good);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_PROXY_ERRORS), 0);
	proxied_end(server, 3);
}
END_TEST

/* With proxies and others at the same listener each is looked at when it is known. */
START_TEST(beside_plain_ones)
{
	mts_server *server = limited_server(MTS_PROXY_FROM_TRUSTED, 0);
	set_access(server, "127.0.0.0/8", MTS_DENY, NULL);
	server_start(server);
	expect_denied(server, peer_connect(server, 0), 1);
	proxied_trust(server, "127.0.0.1");
	const int client = connect_for(server, "192.0.2.1");
	expect_served(client, "192.0.2.1");
	expect_denied(server, connect_for(server, "127.0.0.1"), 2);
	close(client);
	proxied_end(server, 1);
}
END_TEST

/* Who awaits its header makes room for another, the longest of them first. */
START_TEST(evicted)
{
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_EVICT), 0);
	server_start(server);
	const int first = proxied_connect(server, _i == 0 ? "" : "PROXY");
	library_rests();
	const int second = connect_for(server, "192.0.2.2");
	expect_served(second, "192.0.2.2");
	const int third = connect_for(server, "192.0.2.3");
	expect_served(third, "192.0.2.3");
	peer_expect_gone(first);
	expect_served(second, "192.0.2.2");
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_PROXY_ERRORS), 0);
	close(first);
	close(second);
	close(third);
	proxied_end(server, 2);
}
END_TEST

/* The server is full: who would send a header is told nothing, since it may not be for its ears. */
START_TEST(full)
{
	mts_server *server = limited_server(MTS_PROXY_REQUIRED, 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_REFUSE), 0);
	server_start(server);
	const int first = proxied_connect(server, "PROXY");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 5);
	const int second = peer_connect(server, 0);
	peer_expect_end(second);
	server_wait_stat(server, MTS_STAT_REFUSED, 1);
	close(first);
	close(second);
	proxied_end(server, 0);
}
END_TEST

static bool on_demand(void)
{
	return test_model == MTS_THREAD_ON_DEMAND;
}

/* What is kept of headers, whole or not, counts as clients' memory, and is given back. */
START_TEST(memory)
{
	char header[HEADER_ROOM];
	const size_t size = proxied_inet_header(header, 3000);
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int peer = peer_connect(server, 0);
	peer_send(peer, header, 2000);
	server_wait_stat(server, MTS_STAT_BYTES_IN, 2000);
	library_rests();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY) >= 2000, on_demand());
	peer_send(peer, header + 2000, size - 2000);
	proxied_ask(peer, "who", "192.0.2.7:4660");
	library_rests();
	const uint64_t kept = mts_server_stat(server, MTS_STAT_MEMORY);
	ck_assert_uint_ge(kept, 3000);
	ck_assert_uint_le(kept, 3100);
	close(peer);
	proxied_end(server, 1);
}
END_TEST

/* As much as there may be in all. Who holds most is cut off for those who need some, or is refused. */
START_TEST(memory_is_short)
{
	enum { MANY = 64 };
	char header[HEADER_ROOM];
	int peers[MANY];
	const size_t size = proxied_inet_header(header, 4000);
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_max_memory(server, 64 * 1024), 0);
	server_start(server);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(server, 0);
		peer_send(peers[i], header, size);
	}
	wait_until(gate_count(&proxied.opened) >= 10
		&& mts_server_stat(server, MTS_STAT_REFUSED) + mts_server_stat(server, MTS_STAT_MEMORY_CUTS)
			> 0);
	const int last = proxied_connect(server, "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80\r\n");
	proxied_ask(last, "who", "192.0.2.7:4660");
	close(last);
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	server_end(server);
}
END_TEST

static _Atomic bool over;
static _Atomic int failures;

static void *change_limits(void *argument)
{
	mts_server *server = argument;
	while (!over) {
		failures += mts_server_set_max_clients_per_address(server, 0) != 0;
		failures += mts_server_set_max_clients_per_address(server, 1000) != 0;
	}
	return NULL;
}

/* Limits change at any moment of clients that come, say where from, and go: in the end all add up. */
START_TEST(limits_change_meanwhile)
{
	enum { ROUNDS = 100, AT_ONCE = 5 };
	pthread_t thread;
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	over = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, change_limits, server), 0);
	for (int i = 0; i < ROUNDS; i++) {
		int peers[AT_ONCE];
		for (int j = 0; j < AT_ONCE; j++) {
			peers[j] = j == 0 ? proxied_connect(server, "PROXY") : connect_for(server, "192.0.2.1");
		}
		for (int j = 1; j < AT_ONCE; j++) {
			expect_served(peers[j], "192.0.2.1");
		}
		for (int j = 0; j < AT_ONCE; j++) {
			close(peers[j]);
		}
	}
	over = true;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(failures, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	const int one = get_in(server, "192.0.2.1");
	const int own = get_in(server, "127.0.0.1");
	close(one);
	close(own);
	proxied_end(server, ROUNDS * (AT_ONCE - 1) + 2);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("proxy protocol, limits");
	tcase_add_checked_fixture(tests, proxied_setup, NULL);
	tcase_add_test(tests, by_announced_address);
	tcase_add_test(tests, set_while_headers_are_awaited);
	tcase_add_test(tests, health_checks_at_a_socket_for_both);
	tcase_add_loop_test(tests, health_checks, 0, 2 * (MTS_PROXY_FROM_TRUSTED + 1));
	tcase_add_test(tests, by_its_own_address);
	tcase_add_test(tests, who_may_connect);
	tcase_add_test(tests, beside_plain_ones);
	tcase_add_loop_test(tests, evicted, 0, 2);
	tcase_add_test(tests, full);
	tcase_add_test(tests, limits_change_meanwhile);
	tcase_add_test(tests, memory);
	tcase_add_test(tests, memory_is_short);
	return suite_run();
}
