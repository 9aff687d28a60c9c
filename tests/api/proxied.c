/* SPDX-License-Identifier: MIT
 *
 * Headers are made here byte by byte, from the specification, and not with what the library has.
 */
#include "proxied.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct proxied proxied;

void proxied_setup(void)
{
	proxied.endings = (struct endings){.all = GATE};
	proxied.opened = (struct gate)GATE;
	proxied.complaints = (struct gate)GATE;
}

static int answer_who(mts_client *client, const void *request, size_t size, void *user)
{
	char peer[128];
	(void)user;
	(void)snprintf(peer, sizeof(peer), "%s", mts_client_peer(client));
	(void)mts_client_printf(
		client, "%.*s %s %s\n", (int)size, (const char *)request, peer, mts_client_via(client));
	return MTS_KEEP;
}

static int note_opened(mts_client *client, void *user)
{
	(void)client;
	(void)user;
	gate_add(&proxied.opened);
	return 0;
}

static void note_complaint(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_NOTICE
		&& (strstr(message, "PROXY header") != NULL || strstr(message, "no proxy") != NULL)) {
		gate_add(&proxied.complaints);
	}
}

mts_server *proxied_server(int mode)
{
	mts_server *server = server_create(answer_who, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, note_opened, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &proxied.endings), 0);
	ck_assert_int_eq(mts_server_on_log(server, note_complaint, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_set_proxy_protocol(server, mode), 0);
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	return server;
}

mts_server *proxied_start(int mode)
{
	mts_server *server = proxied_server(mode);
	server_start(server);
	return server;
}

void proxied_trust(mts_server *server, const char *network)
{
	mts_networks *networks = NULL;
	if (network != NULL) {
		networks = mts_networks_create();
		ck_assert_int_eq(mts_networks_add(networks, network, MTS_ALLOW), 0);
	}
	ck_assert_int_eq(mts_server_set_trusted_proxies(server, networks), 0);
	mts_networks_destroy(networks);
}

int proxied_connect(const mts_server *server, const char *text)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, text);
	return peer;
}

void proxied_ask(int peer, const char *line, const char *from)
{
	char expected[256];
	char got[256];
	size_t size = 0;
	peer_puts(peer, line);
	peer_puts(peer, "\n");
	(void)snprintf(expected, sizeof(expected), "%s %s ", line, from);
	do {
		ck_assert_uint_lt(size, sizeof(got) - 1);
		ck_assert_msg(recv(peer, got + size, 1, 0) == 1, "no answer to %s", line);
	} while (got[size++] != '\n');
	got[size] = '\0';
	ck_assert_msg(strncmp(got, expected, strlen(expected)) == 0, "not %s, but %s", expected, got);
}

size_t proxied_header(char out[HEADER_ROOM], const struct header *header)
{
	static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
	const size_t rest = header->addresses_size + header->tlvs_size;
	ck_assert_uint_le(16 + rest, HEADER_ROOM);
	memcpy(out, signature, 12);
	out[12] = (char)(0x20 | header->command);
	out[13] = (char)header->family;
	out[14] = (char)(rest >> 8);
	out[15] = (char)rest;
	if (header->addresses_size > 0) {
		memcpy(out + 16, header->addresses, header->addresses_size);
	}
	if (header->tlvs_size > 0) {
		memcpy(out + 16 + header->addresses_size, header->tlvs, header->tlvs_size);
	}
	return 16 + rest;
}

size_t proxied_inet_header(char out[HEADER_ROOM], size_t tlvs_size)
{
	static const unsigned char addresses[12] = {192, 0, 2, 7, 203, 0, 113, 9, 0x12, 0x34, 0, 80};
	char tlvs[HEADER_ROOM] = {(char)234};
	const struct header header = {.command = 1,
		.family = 0x11,
		.addresses = addresses,
		.addresses_size = sizeof(addresses),
		.tlvs = tlvs,
		.tlvs_size = tlvs_size};
	if (tlvs_size > 0) {
		tlvs[1] = (char)((tlvs_size - 3) >> 8);
		tlvs[2] = (char)(tlvs_size - 3);
		pattern_fill(tlvs + 3, tlvs_size - 3, 0);
	}
	return proxied_header(out, &header);
}

int proxied_connect_by(const mts_server *server, const struct header *header)
{
	char bytes[HEADER_ROOM];
	const int peer = peer_connect(server, 0);
	peer_send(peer, bytes, proxied_header(bytes, header));
	return peer;
}

void proxied_expect_error(mts_server *server, int peer, uint64_t errors)
{
	peer_expect_gone(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_PROXY_ERRORS, errors);
}

void proxied_end(mts_server *server, int opened)
{
	server_wait_stat(server, MTS_STAT_CLOSED, (uint64_t)opened);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), (uint64_t)opened);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	server_end(server);
	ck_assert_int_eq(gate_count(&proxied.opened), opened);
	ck_assert_int_eq(gate_count(&proxied.endings.all), opened);
}
