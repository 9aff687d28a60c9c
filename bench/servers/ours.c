/*
 * The benchmarked library, through its public header only, as any program would use it.
 *
 * Everything that has no option here is left at its default, since that is what users get: the
 * limits, the log's rate, the buffers.  Beyond the contract of all servers there is one option, the
 * thread model.  What the library logs as a
 * warning or worse goes to standard error, where whoever reads the figures sees it.
 *
 * SIGTERM stops the server the way the library means it to be stopped, so each run of the
 * benchmark tries that too: the generator counts a server that stays as an error.
 */
#include "contract.h"

#include <mtserver.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mts_server *server;
static struct contract contract;

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	contract_work(&contract, request, size);
	mts_client_write(client, request, size);
	return MTS_KEEP;
}

static int echo_line(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	contract_work(&contract, request, size);
	mts_client_write(client, request, size);
	mts_client_write(client, "\n", 1);
	return MTS_KEEP;
}

static int hello(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	contract_work(&contract, request, size);
	mts_client_puts(client, CONTRACT_HELLO);
	return MTS_CLOSE;
}

static void show(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	fprintf(stderr, "ours: %s\n", message);
}

static void stop(int signal_number)
{
	(void)signal_number;
	mts_server_stop(server);
}

static void check(const char *what, int code)
{
	if (code >= 0) {
		return;
	}
	fprintf(stderr, "ours: %s: %s (%s)\n", what, mts_strerror(code), mts_server_error(server));
	exit(1);
}

static int thread_model(int argc, char **argv, int *index)
{
	const char *name = contract_value(argc, argv, index);

	if (strcmp(name, "per-client") == 0) {
		return MTS_THREAD_PER_CLIENT;
	}
	if (strcmp(name, "on-demand") == 0) {
		return MTS_THREAD_ON_DEMAND;
	}
	contract_usage(argv[0], name);
}

static void announce(void)
{
	const char *address = mts_server_address(server, 0);
	const char *colon = address ? strrchr(address, ':') : NULL;

	if (!colon) {
		check("address", -1);
	}
	contract_announce((unsigned)strtoul(colon + 1, NULL, 10));
}

static void make_server(int model)
{
	mts_handler handler = contract.hello ? hello : contract.lines ? echo_line : echo;
	char address[32];

	server = mts_server_create(handler, NULL);
	if (!server) {
		exit(1);
	}
	snprintf(address, sizeof(address), "127.0.0.1:%u", contract.port);
	check("log", mts_server_on_log(server, show, MTS_LOG_WARNING, NULL));
	if (model >= 0) {
		check("threads", mts_server_set_threads(server, model));
	}
	check(
		"framing", contract.lines ? mts_server_frame_lines(server) : mts_server_frame_raw(server));
	if (contract.defer_accept > 0) {
		check("defer accept", mts_server_set_defer_accept(server, contract.defer_accept));
	}
	check("listen", mts_server_listen(server, address));
}

int main(int argc, char **argv)
{
	struct sigaction on_term = {.sa_handler = stop};
	int model = -1;
	int i;

	for (i = 1; i < argc; i++) {
		if (contract_option(&contract, argc, argv, &i)) {
			continue;
		}
		if (strcmp(argv[i], "--threads") == 0) {
			model = thread_model(argc, argv, &i);
		} else {
			contract_usage(argv[0], argv[i]);
		}
	}
	make_server(model);
	sigaction(SIGTERM, &on_term, NULL);
	announce();
	check("run", mts_server_run(server));
	check("destroy", mts_server_destroy(server));
	return 0;
}
