/*
 * GNU libmicrohttpd, as its minimal example has it: a callback, called once with the head of a
 * request and again when all of it is there.  Only then a response is queued, since it ends the
 * connection after a response that was queued before.  The response is made once and used by all.
 *
 * --model says which of its ways to have threads:
 *   thread-per-connection  each client's thread waits for it with poll, and may block
 *   pool                   one thread with epoll for each CPU of the affinity mask
 * The connection limit is far above what any load has, since a pool deals it out to its threads
 * evenly, while the clients may fall to them unevenly.  All else is left at its default; so it adds
 * a Date to each response, which the others do not.
 *
 * The listening socket is the contract's, to have the options that all servers have.
 *
 * --mode means nothing here, and --sleep and --burn concern every request.
 */
#include "contract.h"

#include <microhttpd.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTION_LIMIT 65536u

static struct contract contract;
static struct MHD_Response *response;
static char seen; /* its address marks a request whose head was told before */

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	(void)user;
	(void)url;
	(void)version;
	(void)data;
	(void)size;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
		return MHD_NO;
	}
	if (*state != &seen) {
		*state = &seen;
		return MHD_YES;
	}
	*state = NULL;
	contract_work_always(&contract);
	return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

static int make_response(void)
{
	static char body[] = CONTRACT_HELLO;

	response = MHD_create_response_from_buffer(sizeof(body) - 1, body, MHD_RESPMEM_PERSISTENT);
	return response
			&& MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain")
				== MHD_YES
		? 0
		: -1;
}

static unsigned cpus(void)
{
	cpu_set_t mask;

	return sched_getaffinity(0, sizeof(mask), &mask) == 0 ? (unsigned)CPU_COUNT(&mask) : 1;
}

static struct MHD_Daemon *start(int pool, int listener)
{
	if (pool) {
		return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL,
			MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, CONNECTION_LIMIT,
			MHD_OPTION_THREAD_POOL_SIZE, cpus(), MHD_OPTION_END);
	}
	return MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, NULL,
		NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
		CONNECTION_LIMIT, MHD_OPTION_END);
}

static int is_pool(int argc, char **argv, int *index)
{
	const char *name = contract_value(argc, argv, index);

	if (strcmp(name, "pool") != 0 && strcmp(name, "thread-per-connection") != 0) {
		contract_usage(argv[0], name);
	}
	return strcmp(name, "pool") == 0;
}

int main(int argc, char **argv)
{
	struct MHD_Daemon *daemon;
	sigset_t term;
	int pool = 0;
	int listener, got;
	int i;

	for (i = 1; i < argc; i++) {
		if (contract_option(&contract, argc, argv, &i)) {
			continue;
		}
		if (strcmp(argv[i], "--model") == 0) {
			pool = is_pool(argc, argv, &i);
		} else {
			contract_usage(argv[0], argv[i]);
		}
	}
	/* Blocked before there are threads, so that it waits for sigwait below. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	listener = contract_listen(&contract, SOCK_NONBLOCK);
	daemon = make_response() == 0 ? start(pool, listener) : NULL;
	if (!daemon) {
		fprintf(stderr, "mhd: cannot start\n");
		return 1;
	}
	contract_announce(contract_port(listener));
	sigwait(&term, &got);
	MHD_stop_daemon(daemon);
	MHD_destroy_response(response);
	return 0;
}
