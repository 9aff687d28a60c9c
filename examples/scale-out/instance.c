/* SPDX-License-Identifier: MIT
 *
 * Thirteenth lesson: one of several processes behind a balancer.
 *
 * Beside it are haproxy.cfg, which divides clients among three of these, and run.sh, which starts them.
 *
 * Clients come by the balancer, which says in front of each connection for whom it connects. Nobody else
 * may connect. Each line is answered with this instance's name, where the client comes from, and whether
 * there will be a next answer.
 *
 * At a second address the balancer asks how this instance does. That is a server of its own, so that it
 * answers also when the other one is full, and to the very end. At SIGTERM it begins to say "drain". Once
 * the balancer has asked twice, it has heard that, and no connection of its is under way any more. Only
 * then does the instance close its listener, and with some time for its clients it ends. It says "stopped"
 * as well, so that HAProxy brings clients to the next one little by little, as to one that was down.
 *
 *     instance NAME ADDRESS ADDRESS-FOR-THE-BALANCER [TRUSTED-NETWORK]
 */
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <mtserver.h>

/* How long the balancer may take to ask twice, in seconds; and clients, in milliseconds. */
enum { PATIENCE = 10, GRACE = 10000 };

static const char *name;
static atomic_bool draining;
static sem_t told; /* counts how often the balancer was told that */

/* Whoever is told "more" is sure to get another answer. */
static int answer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	const bool last = draining;
	mts_client_printf(client, "%s %s %s\n", name, mts_client_peer(client), last ? "last" : "more");
	return last ? MTS_CLOSE : MTS_KEEP;
}

static int tell(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	if (draining) {
		mts_client_puts(client, "drain stopped\n");
		(void)sem_post(&told);
	} else {
		mts_client_puts(client, "ready up\n");
	}
	return MTS_CLOSE;
}

static int fail(mts_server *server)
{
	(void)fprintf(
		stderr, "%s: %s\n", name, server == NULL ? "out of memory" : mts_server_error(server));
	return EXIT_FAILURE;
}

/* What both servers are alike in. */
static bool start(mts_server *server, const char *address)
{
	(void)mts_server_set_name(server, name);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_NOTICE, NULL);
	return mts_server_frame_lines(server) == 0 && mts_server_listen(server, address) == 0
		&& mts_server_start(server) == 0;
}

static bool believe(mts_server *server, const char *network)
{
	mts_networks *proxies = mts_networks_create();
	const bool done = mts_networks_add(proxies, network, MTS_ALLOW) == 0
		&& mts_server_set_trusted_proxies(server, proxies) == 0;
	mts_networks_destroy(proxies);
	return done && mts_server_set_proxy_protocol(server, MTS_PROXY_REQUIRED) == 0;
}

/* A balancer that does not ask is not waited for longer than that. */
static void wait_for_the_balancer(void)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	(void)sem_timedwait(&told, &until);
	(void)sem_timedwait(&told, &until);
}

/* From the first client to the last. */
static int serve(mts_server *service, mts_server *agent, char **addresses)
{
	sigset_t end;
	int which;
	(void)sigemptyset(&end);
	(void)sigaddset(&end, SIGINT);
	(void)sigaddset(&end, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &end, NULL);
	if (!start(service, addresses[0])) {
		return fail(service);
	}
	if (!start(agent, addresses[1])) {
		return fail(agent);
	}
	(void)printf("%s %d serves %s\n", name, (int)getpid(), mts_server_address(service, 0));
	(void)fflush(stdout);
	(void)sigwait(&end, &which);
	draining = true;
	wait_for_the_balancer();
	mts_server_stop(service);
	return mts_server_join(service) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		(void)fprintf(stderr, "instance NAME ADDRESS ADDRESS-FOR-THE-BALANCER [TRUSTED-NETWORK]\n");
		return EXIT_FAILURE;
	}
	name = argv[1];
	mts_server *service = mts_server_create(answer, NULL);
	mts_server *agent = mts_server_create(tell, NULL);
	int status = EXIT_FAILURE;
	if (service == NULL || agent == NULL || sem_init(&told, 0, 0) != 0) {
		(void)fail(NULL);
	} else if (!believe(service, argc > 4 ? argv[4] : "127.0.0.0/8")
		|| mts_server_set_drain(service, GRACE) != 0) {
		(void)fprintf(stderr, "%s: nobody can be trusted\n", name);
	} else {
		status = serve(service, agent, argv + 2);
	}
	(void)mts_server_destroy(service);
	(void)mts_server_destroy(agent);
	return status;
}
