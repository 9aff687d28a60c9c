/*
 * A server behind a proxy: tells each client, by HTTP, where it comes from.
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

static int tell(mts_client *client, const void *request, size_t size, void *user)
{
	char from[64];
	(void)user;
	if (size > 0 && ((const char *)request)[0] != '\r') {
		return MTS_KEEP; /* not the line that ends the request */
	}
	(void)snprintf(from, sizeof(from), "%s", mts_client_peer(client));
	(void)mts_client_printf(
		client, "HTTP/1.0 200 OK\r\n\r\n%s by %s\n", from, mts_client_via(client));
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
