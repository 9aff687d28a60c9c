/* SPDX-License-Identifier: MIT
 *
 * Peers are plain blocking sockets; that no call of theirs lasts for ever is the kernel's business, by
 * timeouts.
 */
#include "peer.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

static int connect_unix(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t size = strlen(name);
	ck_assert_uint_lt(size, sizeof(address.sun_path));
	memcpy(address.sun_path, name, size);
	if (name[0] == '@') {
		address.sun_path[0] = '\0';
	}
	const int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	ck_assert_int_ge(peer, 0);
	ck_assert_msg(connect(peer, (struct sockaddr *)&address, length) == 0, "connect to %s: %s",
		name, strerror(errno));
	return peer;
}

/* Small pieces are sent at once: the second of two would wait for the peer, 40 ms and more (RFC 896). */
static int inet_socket(int family)
{
	const int on = 1;
	const int peer = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(peer, 0);
	ck_assert_int_eq(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	return peer;
}

static int connect_inet(const char *text)
{
	char host[64];
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	const char *colon = strrchr(text, ':');
	const size_t bracket = text[0] == '[' ? 1 : 0;
	const size_t size = (size_t)(colon - text) - 2 * bracket;
	ck_assert_uint_lt(size, sizeof(host));
	memcpy(host, text + bracket, size);
	host[size] = '\0';
	ck_assert_int_eq(getaddrinfo(host, colon + 1, &hints, &found), 0);
	const int peer = inet_socket(found->ai_family);
	ck_assert_msg(connect(peer, found->ai_addr, found->ai_addrlen) == 0, "connect to %s: %s", text,
		strerror(errno));
	freeaddrinfo(found);
	return peer;
}

static void be_patient(int peer)
{
	const struct timeval patience = {.tv_sec = PATIENCE};
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
}

int peer_connect(const mts_server *server, size_t index)
{
	const char *text = mts_server_address(server, index);
	ck_assert_ptr_nonnull(text);
	const int peer = strncmp(text, "unix:", 5) == 0 ? connect_unix(text + 5) : connect_inet(text);
	be_patient(peer);
	return peer;
}

int peer_socket(void)
{
	const int peer = inet_socket(AF_INET);
	be_patient(peer);
	return peer;
}

bool peer_try_connect(int peer, const mts_server *server)
{
	const char *colon = strrchr(mts_server_address(server, 0), ':');
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int result = connect(peer, (const struct sockaddr *)&address, sizeof(address));
	ck_assert_msg(result == 0 || errno == ECONNREFUSED || errno == ECONNRESET, "connect: %s",
		strerror(errno));
	return result == 0;
}

void peer_connect_socket(int peer, const mts_server *server)
{
	ck_assert(peer_try_connect(peer, server));
}

int peer_connect_from(const mts_server *server, unsigned char host)
{
	const struct sockaddr_in from = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u | host)};
	const int peer = peer_socket();
	ck_assert_int_eq(bind(peer, (const struct sockaddr *)&from, sizeof(from)), 0);
	peer_connect_socket(peer, server);
	return peer;
}

void peer_send(int peer, const void *data, size_t size)
{
	const char *bytes = data;
	while (size > 0) {
		const ssize_t sent = send(peer, bytes, size, MSG_NOSIGNAL);
		ck_assert_msg(sent > 0, "send: %s", strerror(errno));
		bytes += sent;
		size -= (size_t)sent;
	}
}

void peer_puts(int peer, const char *text)
{
	peer_send(peer, text, strlen(text));
}

void peer_expect(int peer, const void *data, size_t size)
{
	char *got = malloc(size + 1);
	size_t have = 0;
	while (have < size) {
		const ssize_t count = recv(peer, got + have, size - have, 0);
		ck_assert_msg(count > 0, "after %zu of %zu bytes: %s", have, size,
			count == 0 ? "end of stream" : strerror(errno));
		have += (size_t)count;
	}
	ck_assert_mem_eq(got, data, size);
	free(got);
}

void peer_expect_text(int peer, const char *text)
{
	peer_expect(peer, text, strlen(text));
}

void peer_ask(int peer, const char *text)
{
	peer_puts(peer, text);
	peer_expect_text(peer, text);
}

void peer_visit(const mts_server *server, size_t index)
{
	const int peer = peer_connect(server, index);
	peer_ask(peer, "hello");
	close(peer);
}

void peer_expect_end(int peer)
{
	char byte;
	const ssize_t count = recv(peer, &byte, 1, 0);
	ck_assert_msg(count == 0, "expected the end of the stream: %s",
		count > 0 ? "there is more" : strerror(errno));
}

void peer_expect_gone(int peer)
{
	char bytes[4096];
	ssize_t count;
	do {
		count = recv(peer, bytes, sizeof(bytes), 0);
	} while (count > 0);
	ck_assert_msg(count == 0 || errno == ECONNRESET || errno == EPIPE, "expected it to be gone: %s",
		strerror(errno));
}

size_t peer_expect_torn(int peer)
{
	char bytes[4096];
	size_t all = 0;
	ssize_t count;
	while ((count = recv(peer, bytes, sizeof(bytes), 0)) > 0) {
		all += (size_t)count;
	}
	ck_assert_msg(count != 0, "after %zu bytes: an orderly end of the stream", all);
	ck_assert_msg(errno == ECONNRESET, "expected a reset: %s", strerror(errno));
	return all;
}

void peer_finish(int peer)
{
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
}

void peer_reset(int peer)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(peer);
}

void pattern_fill(void *bytes, size_t size, uint64_t position)
{
	unsigned char *byte = bytes;
	for (size_t i = 0; i < size; i++, position++) {
		byte[i] = (unsigned char)(position * 31 + position / 251 + position / 65521);
	}
}

void peer_expect_pattern(int peer, size_t size, uint64_t position)
{
	unsigned char expected[16384];
	while (size > 0) {
		const size_t step = size < sizeof(expected) ? size : sizeof(expected);
		pattern_fill(expected, step, position);
		peer_expect(peer, expected, step);
		position += step;
		size -= step;
	}
}

void small_buffers(int fd)
{
	/* Below a segment of the loopback device (64 KiB) TCP would crawl from timer to timer. */
	const int size = 128 * 1024;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

int peer_connect_small(const mts_server *server)
{
	const int peer = peer_socket();
	small_buffers(peer);
	peer_connect_socket(peer, server);
	return peer;
}
