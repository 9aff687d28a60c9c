/* SPDX-License-Identifier: MIT
 *
 * Clients that come by a proxy: however the network cuts the header and what follows it, they are served
 * as all others, and come from where the header says.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxied.h"

static const char line[] = "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80\r\n";

/* A header of each version, both for 192.0.2.7:4660, and then two requests. */
static size_t make_stream(int version, char out[HEADER_ROOM])
{
	size_t size = strlen(line);
	if (version == 1) {
		memcpy(out, line, size);
	} else {
		size = proxied_inet_header(out, 20);
	}
	memcpy(out + size, "one\ntwo\n", 8);
	return size + 8;
}

/* What such a stream is answered with, beside the proxy's port. */
static void expect_answers(int peer)
{
	static const char *const answers[] = {
		"one 192.0.2.7:4660 127.0.0.1:", "two 192.0.2.7:4660 127.0.0.1:"};
	for (int i = 0; i < 2; i++) {
		char byte = ' ';
		peer_expect_text(peer, answers[i]);
		while (byte != '\n') {
			ck_assert_int_eq(recv(peer, &byte, 1, 0), 1);
		}
	}
}

/* The server has received what comes before the cut before it gets the rest. */
START_TEST(cut_at_every_byte)
{
	char stream[HEADER_ROOM];
	const size_t size = make_stream(_i, stream);
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	uint64_t received = 0;
	for (size_t cut = 1; cut < size; cut++) {
		const int peer = peer_connect(server, 0);
		peer_send(peer, stream, cut);
		server_wait_stat(server, MTS_STAT_BYTES_IN, received + cut);
		peer_send(peer, stream + cut, size - cut);
		expect_answers(peer);
		received += size;
		close(peer);
	}
	proxied_end(server, (int)size - 1);
	ck_assert_int_eq(gate_count(&proxied.complaints), 0);
}
END_TEST

START_TEST(byte_by_byte)
{
	char stream[HEADER_ROOM];
	const size_t size = make_stream(_i, stream);
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int peer = peer_connect(server, 0);
	for (size_t i = 0; i < size; i++) {
		peer_send(peer, stream + i, 1);
		server_wait_stat(server, MTS_STAT_BYTES_IN, i + 1);
	}
	expect_answers(peer);
	close(peer);
	proxied_end(server, 1);
}
END_TEST

START_TEST(in_one_segment)
{
	char stream[HEADER_ROOM];
	const size_t size = make_stream(_i, stream);
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	for (int i = 0; i < 20; i++) {
		const int peer = peer_connect(server, 0);
		peer_send(peer, stream, size);
		expect_answers(peer);
		proxied_ask(peer, "later", "192.0.2.7:4660");
		close(peer);
	}
	proxied_end(server, 20);
}
END_TEST

/* More comes with the rest of the header than a receive takes, and no event follows. */
START_TEST(much_behind_it)
{
	enum { LINES = 300 };
	char stream[HEADER_ROOM];
	size_t size = make_stream(_i, stream) - 8;
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int peer = peer_connect(server, 0);
	for (int i = 0; i < LINES; i++, size += 8) {
		memcpy(stream + size, "one\ntwo\n", 8);
	}
	peer_send(peer, stream, 5);
	server_wait_stat(server, MTS_STAT_BYTES_IN, 5);
	library_rests();
	peer_send(peer, stream + 5, size - 5);
	for (int i = 0; i < LINES; i++) {
		expect_answers(peer);
	}
	close(peer);
	proxied_end(server, 1);
}
END_TEST

/* The peer has finished before anybody has looked. */
START_TEST(with_the_end_behind_it)
{
	char stream[HEADER_ROOM];
	const size_t size = make_stream(_i, stream);
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int peer = peer_connect(server, 0);
	peer_send(peer, stream, size);
	peer_finish(peer);
	expect_answers(peer);
	peer_expect_end(peer);
	close(peer);
	endings_expect(&proxied.endings, MTS_CLOSED_BY_PEER, 1);
	proxied_end(server, 1);
}
END_TEST

/*
 * The longest header, in pieces around those sizes at which buffers change, with requests that are
 * smaller than what is saved of it.
 */
START_TEST(the_longest_header)
{
	static const size_t cuts[] = {
		16, 27, 28, 31, 511, 512, 513, 1023, 1024, 1025, 2048, 4095, 4096};
	char stream[HEADER_ROOM];
	const size_t header = proxied_inet_header(stream, 4096 - 28);
	ck_assert_uint_eq(header, 4096);
	memcpy(stream + header, "one\ntwo\n", 8);
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_max_request(server, 8), 0);
	server_start(server);
	uint64_t received = 0;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		const int peer = peer_connect(server, 0);
		peer_send(peer, stream, cuts[i]);
		server_wait_stat(server, MTS_STAT_BYTES_IN, received + cuts[i]);
		if (cuts[i] < 2000) {
			peer_send(peer, stream + cuts[i], 1000);
			server_wait_stat(server, MTS_STAT_BYTES_IN, received + cuts[i] + 1000);
			peer_send(peer, stream + cuts[i] + 1000, header + 8 - cuts[i] - 1000);
		} else {
			peer_send(peer, stream + cuts[i], header + 8 - cuts[i]);
		}
		expect_answers(peer);
		received += header + 8;
		close(peer);
	}
	proxied_end(server, sizeof(cuts) / sizeof(cuts[0]));
}
END_TEST

/* Addresses of each kind, and how they are shown. */
static const struct {
	struct header header; /* of version 2; all 0: */
	const char *line; /* of version 1 */
	const char *peer; /* NULL: the proxy's own */
} kinds[] = {
	{.header = {1, 0x11, "\xc0\0\2\7\xc6\x33\x64\1\x12\x34\0\x50", 12, NULL, 0},
		.peer = "192.0.2.7:4660"},
	{.header = {1, 0x21,
		 "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x12\x34\0\x50",
		 36, NULL, 0},
		.peer = "[2001:db8::7]:4660"},
	{.header = {1, 0x21,
		 "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\1\x12\x34\0\x50",
		 36, NULL, 0},
		.peer = "192.0.2.7:4660"},
	{.header = {1, 0x21,
		 "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\7\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x34\0\x50",
		 36, NULL, 0},
		.peer = "[fe80::7]:4660"},
	{.header = {1, 0x31, (const char[216]){"/run/client"}, 216, NULL, 0}, .peer = "unix"},
	{.header = {1, 0x00, NULL, 0, "\x04\0\2xx", 5}, .peer = NULL},
	{.header = {0, 0x00, NULL, 0, NULL, 0}, .peer = NULL},
	{.header = {0, 0x11, "\xc0\0\2\7\xc6\x33\x64\1\x12\x34\0\x50", 12, NULL, 0}, .peer = NULL},
	{.line = "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80\r\n", .peer = "192.0.2.7:4660"},
	{.line = "PROXY TCP6 2001:db8::7 2001:db8::1 4660 80\r\n", .peer = "[2001:db8::7]:4660"},
	{.line = "PROXY UNKNOWN\r\n", .peer = NULL},
	{.line = "PROXY UNKNOWN 2001:db8::7 2001:db8::1 4660 80\r\n", .peer = NULL},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static int connect_kind(const mts_server *server, size_t index, int kind)
{
	char bytes[HEADER_ROOM];
	const int peer = peer_connect(server, index);
	if (kinds[kind].line != NULL) {
		peer_puts(peer, kinds[kind].line);
	} else {
		peer_send(peer, bytes, proxied_header(bytes, &kinds[kind].header));
	}
	return peer;
}

static void own_address(int peer, char text[64])
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	ck_assert_int_eq(getsockname(peer, (struct sockaddr *)&address, &size), 0);
	(void)snprintf(text, 64, "127.0.0.1:%d", (int)ntohs(address.sin_port));
}

/* All of them, also where this machine has no IPv6. */
START_TEST(addresses_of_each_kind)
{
	char own[64];
	char expected[256];
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int peer = connect_kind(server, 0, _i);
	own_address(peer, own);
	peer_puts(peer, "who\n");
	(void)snprintf(expected, sizeof(expected), "who %s %s\n",
		kinds[_i].peer != NULL ? kinds[_i].peer : own, own);
	peer_expect_text(peer, expected);
	close(peer);
	proxied_end(server, 1);
}
END_TEST

/* The proxy comes by a Unix socket: how the socket is ended does not depend on what it has announced. */
START_TEST(by_a_unix_socket)
{
	char name[64];
	char expected[256];
	mts_server *server = proxied_server(MTS_PROXY_FROM_TRUSTED);
	(void)snprintf(name, sizeof(name), "unix:@mts-proxied-%d", (int)getpid());
	ck_assert_int_eq(mts_server_listen(server, name), 0);
	proxied_trust(server, "unix");
	server_start(server);
	for (int kind = 0; kind < KINDS; kind++) {
		const int peer = connect_kind(server, 1, kind);
		peer_puts(peer, "who\n");
		(void)snprintf(expected, sizeof(expected), "who %s unix\n",
			kinds[kind].peer != NULL ? kinds[kind].peer : "unix");
		peer_expect_text(peer, expected);
		peer_finish(peer);
		peer_expect_end(peer);
		close(peer);
	}
	proxied_end(server, KINDS);
}
END_TEST

static _Atomic int family_seen;
static _Atomic int size_seen;
static _Atomic int local_fits;

static int note_address(mts_client *client, void *user)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	(void)user;
	ck_assert_int_eq(mts_client_peer_sockaddr(client, (struct sockaddr *)&address, &size), 0);
	family_seen = address.ss_family;
	size_seen = (int)size;
	local_fits = strcmp(mts_client_local(client), mts_server_address(mts_client_server(client), 0))
		== 0;
	gate_add(&proxied.opened);
	return 0;
}

/* As a sockaddr too; and what the client has connected to is this machine's. */
START_TEST(addresses_for_programs)
{
	static const int families[] = {AF_INET, AF_INET6, AF_INET6, AF_INET6, AF_UNIX};
	static const size_t sizes[] = {sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6),
		sizeof(struct sockaddr_in6), sizeof(struct sockaddr_in6),
		offsetof(struct sockaddr_un, sun_path)};
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_on_open(server, note_address, NULL), 0);
	server_start(server);
	for (int kind = 0; kind < 5; kind++) {
		const int peer = connect_kind(server, 0, kind);
		gate_wait(&proxied.opened, kind + 1);
		ck_assert_int_eq(family_seen, families[kind]);
		ck_assert_int_eq(size_seen, (int)sizes[kind]);
		ck_assert_int_eq(local_fits, 1);
		close(peer);
	}
	proxied_end(server, 5);
}
END_TEST

static _Atomic int values; /* that were right */

static int look_at_values(mts_client *client, void *user)
{
	static const char *const text[] = {"a.example", "", "id"};
	static const int types[] = {2, 4, 5};
	char buffer[16];
	(void)user;
	for (int i = 0; i < 3; i++) {
		const ssize_t size = mts_client_proxy_tlv(client, types[i], buffer, sizeof(buffer));
		values += size == (ssize_t)strlen(text[i]) && memcmp(buffer, text[i], (size_t)size) == 0;
	}
	memset(buffer, '-', sizeof(buffer));
	values += mts_client_proxy_tlv(client, 2, buffer, 3) == 9 && memcmp(buffer, "a.e-", 4) == 0;
	values += mts_client_proxy_tlv(client, 2, NULL, 0) == 9;
	values += mts_client_proxy_tlv(client, 234, buffer, sizeof(buffer)) == -ENOENT;
	values += mts_client_proxy_tlv(client, 0, buffer, sizeof(buffer)) == -ENOENT;
	values += mts_client_proxy_tlv(client, 255, buffer, sizeof(buffer)) == -ENOENT;
	values += mts_client_proxy_tlv(client, 256, buffer, sizeof(buffer)) == -EINVAL;
	values += mts_client_proxy_tlv(client, -1, buffer, sizeof(buffer)) == -EINVAL;
	values += mts_client_proxy_tlv(client, 2, NULL, 1) == -EINVAL;
	gate_add(&proxied.opened);
	return 0;
}

START_TEST(further_values)
{
	static const char tlvs[] = "\4\0\0\2\0\x09"
							   "a.example\5\0\2id\5\0\5other";
	const struct header header = {.command = 1,
		.family = 0x11,
		.addresses = "\xc0\0\2\7\xc6\x33\x64\1\x12\x34\0\x50",
		.addresses_size = 12,
		.tlvs = tlvs,
		.tlvs_size = sizeof(tlvs) - 1};
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_on_open(server, look_at_values, NULL), 0);
	server_start(server);
	values = 0;
	const int peer = proxied_connect_by(server, &header);
	gate_wait(&proxied.opened, 1);
	ck_assert_int_eq(values, 11);
	close(peer);
	proxied_end(server, 1);
}
END_TEST

static int converse(mts_client *client, void *user)
{
	const void *request;
	size_t size;
	(void)user;
	ck_assert_int_eq(mts_client_next(client, &request, &size), 1);
	ck_assert_uint_eq(size, 3);
	ck_assert_mem_eq(request, "one", 3);
	ck_assert_int_eq(mts_client_printf(client, "hello %s\n", mts_client_peer(client)), 0);
	gate_add(&proxied.opened);
	return 0;
}

/* The open hook reads what has come behind the header, or comes later. */
START_TEST(the_open_hook_converses)
{
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_on_open(server, converse, NULL), 0);
	server_start(server);
	const int peer = proxied_connect(server, line);
	if (_i == 1) {
		library_rests();
	}
	peer_puts(peer, "one\n");
	peer_expect_text(peer, "hello 192.0.2.7:4660\n");
	proxied_ask(peer, "two", "192.0.2.7:4660");
	close(peer);
	proxied_end(server, 1);
}
END_TEST

/* One of each kind beside each other, a socket that was handed over, and an adopted connection. */
START_TEST(listeners_of_each_kind)
{
	int pair[2];
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_listen_fd(server, listening_socket(AF_INET, 10)), 0);
	ck_assert_int_eq(mts_server_set_proxy_protocol(server, MTS_PROXY_OFF), 0);
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_set_proxy_protocol(server, MTS_PROXY_REQUIRED), 0);
	server_start(server);
	for (size_t i = 0; i < 2; i++) {
		const int peer = peer_connect(server, i);
		peer_puts(peer, line);
		proxied_ask(peer, "who", "192.0.2.7:4660");
		close(peer);
	}
	const int plain = peer_connect(server, 2);
	char own[64];
	own_address(plain, own);
	proxied_ask(plain, "who", own);
	proxied_ask(plain, "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80", own);
	close(plain);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(mts_server_adopt(server, pair[0], NULL), 0);
	peer_puts(pair[1], "who\n");
	peer_expect_text(pair[1], "who unix \n");
	close(pair[1]);
	proxied_end(server, 4);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("proxy protocol");
	tcase_add_checked_fixture(tests, proxied_setup, NULL);
	tcase_add_loop_test(tests, cut_at_every_byte, 1, 3);
	tcase_add_loop_test(tests, byte_by_byte, 1, 3);
	tcase_add_loop_test(tests, in_one_segment, 1, 3);
	tcase_add_loop_test(tests, much_behind_it, 1, 3);
	tcase_add_loop_test(tests, with_the_end_behind_it, 1, 3);
	tcase_add_test(tests, the_longest_header);
	tcase_add_loop_test(tests, addresses_of_each_kind, 0, KINDS);
	tcase_add_test(tests, by_a_unix_socket);
	tcase_add_test(tests, addresses_for_programs);
	tcase_add_test(tests, further_values);
	tcase_add_loop_test(tests, the_open_hook_converses, 0, 2);
	tcase_add_test(tests, listeners_of_each_kind);
	return suite_run();
}
