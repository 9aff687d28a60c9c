/* SPDX-License-Identifier: MIT
 *
 * Ninth lesson: two streams at once, here a SOCKS proxy (RFC 1928).
 *
 * A client says where it wants to be connected to, and from then on its bytes are none of the program's
 * business: mts_client_relay() carries them both ways until both sides have ended. What comes before
 * that is short and binary, so it is read in pieces of a known size: the two bytes with which a client
 * begins are its request, all else belongs to it.
 *
 * The handler may block: to look up a name, to connect, and for as long as the relay takes. Only
 * CONNECT is done, and no authentication: so it listens to this machine alone, unless told otherwise.
 *
 *     proxy [ADDRESS]
 *     curl --socks5-hostname localhost:5000 https://www.debian.org/
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <mtserver.h>

enum { VERSION = 5, NO_AUTHENTICATION = 0, NO_METHOD = 0xff, CONNECT = 1 };
enum { IPV4 = 1, NAME = 3, IPV6 = 4 };
enum {
	SUCCEEDED = 0,
	FAILED = 1,
	NO_NETWORK = 3,
	NO_HOST = 4,
	REFUSED = 5,
	NO_COMMAND = 7,
	NO_FAMILY = 8
};
enum { CONNECT_SECONDS = 10, HANDSHAKE = 10000, IDLE = 5 * 60 * 1000 };

/* Reads all of it: true; false when the client is gone, or ends before. */
static bool read_all(mts_client *client, void *bytes, size_t size)
{
	return mts_client_read_exact(client, bytes, size) == (ssize_t)size;
}

/* What the client is told, with the address that it is connected from, which nobody looks at. */
static int reply(mts_client *client, int what)
{
	const unsigned char bytes[10] = {VERSION, (unsigned char)what, 0, IPV4};
	const int result = mts_client_write(client, bytes, sizeof(bytes));
	return result == 0 ? MTS_CLOSE : result;
}

static int meaning(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return REFUSED;
	case ENETUNREACH:
		return NO_NETWORK;
	case EAFNOSUPPORT:
		return NO_FAMILY;
	case EHOSTUNREACH:
	case ETIMEDOUT:
	case EINPROGRESS: /* so connect(2) says that the time is up, socket(7) */
		return NO_HOST;
	default:
		return FAILED;
	}
}

/* A connection to this address; -1, and errno. */
static int connect_to(const struct addrinfo *address)
{
	const struct timeval patience = {.tv_sec = CONNECT_SECONDS};
	const struct timeval none = {0};
	const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
		const int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	return fd;
}

/* A connection to the first address that answers; -1, and in `*why` what the client is told. */
static int reach(const char *host, const char *port, int *why)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int fd = -1;
	*why = NO_HOST;
	if (host[0] == '\0' || getaddrinfo(host, port, &hints, &found) != 0) {
		return -1;
	}
	for (const struct addrinfo *one = found; one != NULL && fd < 0; one = one->ai_next) {
		fd = connect_to(one);
		*why = fd < 0 ? meaning(errno) : SUCCEEDED;
	}
	freeaddrinfo(found);
	return fd;
}

/* Reads an address of this type, as text: true; false when the client is gone. */
static bool read_host(mts_client *client, int type, char host[256])
{
	unsigned char bytes[16];
	unsigned char size;
	if (type == NAME) {
		if (!read_all(client, &size, 1) || (size > 0 && !read_all(client, host, size))) {
			return false;
		}
		host[size] = '\0'; /* a name with a NUL, or without anything, is nobody's */
		return true;
	}
	return read_all(client, bytes, type == IPV4 ? 4 : 16)
		&& inet_ntop(type == IPV4 ? AF_INET : AF_INET6, bytes, host, 256) != NULL;
}

/* The client may connect: does that, and lets the bytes go. */
static int serve(mts_client *client, const char *host, const char *port)
{
	int why;
	const int fd = reach(host, port, &why);
	int result = reply(client, why);
	if (fd < 0) {
		return result;
	}
	if (result == MTS_CLOSE && mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, IDLE) == 0) {
		const int relayed = mts_client_relay(client, fd);
		result = relayed == 0 ? MTS_CLOSE : relayed;
	}
	close(fd);
	return result;
}

/* Whether the client takes one of those methods of authentication that we know: there is one. */
static bool agree(mts_client *client, size_t count)
{
	unsigned char methods[255];
	if (!read_all(client, methods, count)) {
		return false;
	}
	const bool known = memchr(methods, NO_AUTHENTICATION, count) != NULL;
	const unsigned char answer[2] = {VERSION, known ? NO_AUTHENTICATION : NO_METHOD};
	return mts_client_write(client, answer, sizeof(answer)) == 0 && known;
}

/* The first two bytes: the version, and how many methods follow. */
static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	const unsigned char *begun = request;
	unsigned char command[4]; /* the version, what to do, nothing, the type of the address */
	unsigned char number[2];
	char host[256];
	char port[6];
	(void)size;
	(void)user;
	if (begun[0] != VERSION || begun[1] == 0) {
		return -EPROTO;
	}
	if (!agree(client, begun[1]) || !read_all(client, command, sizeof(command))) {
		return MTS_CLOSE;
	}
	if (command[0] != VERSION) {
		return reply(client, FAILED);
	}
	if (command[1] != CONNECT) {
		return reply(client, NO_COMMAND);
	}
	if (command[3] != IPV4 && command[3] != NAME && command[3] != IPV6) {
		return reply(client, NO_FAMILY);
	}
	if (!read_host(client, command[3], host) || !read_all(client, number, sizeof(number))) {
		return MTS_CLOSE;
	}
	(void)snprintf(port, sizeof(port), "%u", number[0] << 8U | number[1]);
	return serve(client, host, port);
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(handle, NULL);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	(void)mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, HANDSHAKE);
	(void)mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, HANDSHAKE);
	if (mts_server_frame_fixed(server, 2) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
