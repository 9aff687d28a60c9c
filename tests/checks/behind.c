/*
 * A server behind a proxy: tells each client, by HTTP, where it comes from, and what else its proxy has
 * said about it.
 *
 *   behind off|required|from-trusted [TRUSTED-NETWORK]
 *
 * Prints its address, serves until SIGTERM, prints each client, and in the end how many headers were
 * wrong. On one thread, so that the lines stay whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver.h>

static void append(char *line, size_t room, const char *name, const void *text, size_t size)
{
	const size_t used = strlen(line);
	(void)snprintf(line + used, room - used, " %s=%.*s", name, (int)size, (const char *)text);
}

/* 2.2.6 of the specification: flags, whether the certificate is good, and values in the value. */
static void append_tls(char *line, size_t room, const unsigned char *value, size_t size)
{
	static const char *const names[] = {"version", "cn", "cipher", "signature", "key"};
	char flags[32];
	(void)snprintf(flags, sizeof(flags), "%u,%u", value[0], value[4]);
	append(line, room, "tls", flags, strlen(flags));
	for (size_t at = 5; at + 3 <= size;) {
		const size_t length = (size_t)value[at + 1] << 8 | value[at + 2];
		const unsigned which = value[at] - 0x21u;
		at += 3;
		if (length > size - at) {
			append(line, room, "wrong", "", 0);
			return;
		}
		if (which < sizeof(names) / sizeof(*names)) {
			append(line, room, names[which], value + at, length);
		}
		at += length;
	}
}

/* The values that the header has carried, by their names in `line`. */
static void append_values(char *line, size_t room, const mts_client *client)
{
	static const struct {
		int type;
		const char *name;
	} texts[] = {{1, "alpn"}, {2, "name"}, {5, "id"}};
	unsigned char value[512];
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const ssize_t size = mts_client_proxy_tlv(client, texts[i].type, value, sizeof(value));
		if (size > 0 && (size_t)size <= sizeof(value)) {
			append(line, room, texts[i].name, value, (size_t)size);
		}
	}
	if (mts_client_proxy_tlv(client, 3, NULL, 0) == 4) {
		append(line, room, "checksum", "right", strlen("right")); /* or nobody was told anything */
	}
	const ssize_t size = mts_client_proxy_tlv(client, 0x20, value, sizeof(value));
	if (size >= 5 && (size_t)size <= sizeof(value)) {
		append_tls(line, room, value, (size_t)size);
	}
}

static int tell(mts_client *client, const void *request, size_t size, void *user)
{
	char from[64];
	char more[1024] = "";
	(void)user;
	if (size > 0 && ((const char *)request)[0] != '\r') {
		return MTS_KEEP; /* not the line that ends the request */
	}
	(void)snprintf(from, sizeof(from), "%s", mts_client_peer(client));
	append_values(more, sizeof(more), client);
	(void)mts_client_printf(
		client, "HTTP/1.0 200 OK\r\n\r\n%s by %s%s\n", from, mts_client_via(client), more);
	return MTS_CLOSE;
}

static int note(mts_client *client, void *user)
{
	(void)user;
	(void)printf("client %s ", mts_client_peer(client));
	(void)printf("by %s\n", mts_client_via(client));
	(void)fflush(stdout);
	return 0;
}

static void die(mts_server *server)
{
	(void)fprintf(stderr, "behind: %s\n", mts_server_error(server));
	exit(EXIT_FAILURE);
}

static void trust(mts_server *server, const char *network)
{
	mts_networks *networks = mts_networks_create();
	if (mts_networks_add(networks, network, MTS_ALLOW) != 0
		|| mts_server_set_trusted_proxies(server, networks) != 0) {
		(void)fprintf(stderr, "behind: %s is no network\n", network);
		exit(EXIT_FAILURE);
	}
	mts_networks_destroy(networks);
}

int main(int argc, char **argv)
{
	static const char *const modes[] = {"off", "required", "from-trusted"};
	int mode = 0;
	while (argc > 1 && mode < 3 && strcmp(argv[1], modes[mode]) != 0) {
		mode++;
	}
	if (argc < 2 || mode == 3) {
		(void)fprintf(stderr, "behind: which mode?\n");
		return EXIT_FAILURE;
	}
	mts_server *server = mts_server_create(tell, NULL);
	if (mts_server_frame_lines(server) != 0 || mts_server_on_open(server, note, NULL) != 0
		|| mts_server_set_max_threads(server, 1) != 0
		|| mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL) != 0
		|| mts_server_set_proxy_protocol(server, mode) != 0
		|| mts_server_listen(server, "127.0.0.1:0") != 0) {
		die(server);
	}
	if (argc > 2) {
		trust(server, argv[2]);
	}
	(void)printf("%s\n", mts_server_address(server, 0));
	(void)fflush(stdout);
	if (mts_server_run_until_signal(server) != 0) {
		die(server);
	}
	(void)printf("%d wrong\n", (int)mts_server_stat(server, MTS_STAT_PROXY_ERRORS));
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
