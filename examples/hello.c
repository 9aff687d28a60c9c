/* SPDX-License-Identifier: MIT
 *
 * First lesson: one callback, and a server around it.
 *
 * The classic tutorial server: it greets each client that says something, and closes. Run it, then
 * talk to it with `nc localhost 5000`. Ctrl-C ends it.
 *
 *     hello [HOST [PORT]]
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver.h>

/* Bytes from the network must not go to a terminal as they are. */
static void print_escaped(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		const unsigned char byte = (unsigned char)bytes[i];
		if (isprint(byte)) {
			(void)putchar(byte);
		} else {
			(void)printf("\\x%02x", byte);
		}
	}
}

static int opened(mts_client *client, void *user)
{
	(void)user;
	(void)printf("New connection from %s\n", mts_client_peer(client));
	return 0;
}

/* One request: the bytes that one receive has returned. */
static int hello(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	flockfile(stdout);
	(void)fputs("Received data: ", stdout);
	print_escaped(request, size);
	(void)putchar('\n');
	funlockfile(stdout);
	mts_client_puts(client, "Hello from the server");
	return MTS_CLOSE;
}

static void closed(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	(void)printf("Connection closed with %s\n", mts_client_peer(client));
}

static int fail(mts_server *server)
{
	(void)fprintf(stderr, "%s\n", mts_server_error(server));
	(void)mts_server_destroy(server);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const char *host = argc > 1 ? argv[1] : "localhost";
	const char *port = argc > 2 ? argv[2] : "5000";
	char address[512];
	(void)snprintf(
		address, sizeof(address), strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);

	mts_server *server = mts_server_create(hello, NULL);
	if (server == NULL) {
		(void)fprintf(stderr, "out of memory\n");
		return EXIT_FAILURE;
	}
	(void)mts_server_on_open(server, opened, NULL);
	(void)mts_server_on_close(server, closed, NULL);
	if (mts_server_listen(server, address) != 0) {
		return fail(server);
	}

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	/* The port may have been 0, any free one: the server knows which it is. */
	(void)printf(
		"Server running on %s:%s\n", host, strrchr(mts_server_address(server, 0), ':') + 1);

	if (mts_server_run_until_signal(server) != 0) {
		return fail(server);
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
