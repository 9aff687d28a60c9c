/*
 * The part that the servers with the benchmarked library share.
 *
 * What the library logs as a warning or worse goes to standard error, where whoever reads the
 * figures sees it.
 *
 * SIGTERM stops the server the way the library means it to be stopped, so each run of the
 * benchmark tries that too: the generator counts a server that stays as an error.
 */
#include "ours_common.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mts_server *to_stop;

static void show(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	fprintf(stderr, "ours: %s\n", message);
}

static void stop(int signal_number)
{
	(void)signal_number;
	mts_server_stop(to_stop);
}

void ours_check(mts_server *server, const char *what, int code)
{
	if (code >= 0) {
		return;
	}
	fprintf(stderr, "ours: %s: %s (%s)\n", what, mts_strerror(code), mts_server_error(server));
	exit(1);
}

int ours_thread_model(int argc, char **argv, int *index)
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

static void announce(mts_server *server)
{
	const char *address = mts_server_address(server, 0);
	const char *colon = address ? strrchr(address, ':') : NULL;

	if (!colon) {
		ours_check(server, "address", -1);
	}
	contract_announce((unsigned)strtoul(colon + 1, NULL, 10));
}

void ours_run(mts_server *server, const struct contract *contract)
{
	struct sigaction on_term = {.sa_handler = stop};
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", contract->port);
	ours_check(server, "log", mts_server_on_log(server, show, MTS_LOG_WARNING, NULL));
	ours_check(server, "listen", mts_server_listen(server, address));
	to_stop = server;
	sigaction(SIGTERM, &on_term, NULL);
	announce(server);
	ours_check(server, "run", mts_server_run(server));
	ours_check(server, "destroy", mts_server_destroy(server));
}
