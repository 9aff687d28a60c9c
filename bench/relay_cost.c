/* SPDX-License-Identifier: MIT
 *
 * What a relay costs: CPU time for each GiB that goes both ways at once, by mts_client_relay(), and by two bare
 * threads that splice. The sources and sinks are processes of their own, so this one's time is the relay's.
 * Yet on one machine the kernel charges whoever runs for what arrives meanwhile, so the time of all
 * processes together says more; it is shown beside.
 *
 *     bench/relay_cost [MiB each way]
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mtserver.h>

enum { PIECE = 64 * 1024, MIB = 1024 * 1024 };

static size_t much = 1024 * (size_t)MIB;
static int other = -1; /* what the client is relayed to */

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

/* Of this process (RUSAGE_SELF), or of its children that have ended (RUSAGE_CHILDREN). */
static double cpu_seconds(int whose)
{
	struct rusage usage;
	must(getrusage(whose, &usage) == 0, "getrusage");
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
		+ (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A TCP connection to this port, or to itself through a listener: 0. */
static int dial(unsigned short port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	must(
		fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	return fd;
}

static void pair(int ends[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	must(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0
			&& getsockname(listener, (struct sockaddr *)&address, &size) == 0,
		"listen");
	ends[0] = dial(ntohs(address.sin_port));
	ends[1] = accept(listener, NULL, NULL);
	must(ends[1] >= 0, "accept");
	close(listener);
}

/* A process that sends so much, and one that receives until the end. */
static void begin_end(int fd)
{
	static char bytes[PIECE];
	if (fork() == 0) {
		for (size_t left = much; left > 0;) {
			const ssize_t sent = send(fd, bytes, left < PIECE ? left : PIECE, 0);
			must(sent > 0, "send");
			left -= (size_t)sent;
		}
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	if (fork() == 0) {
		while (recv(fd, bytes, PIECE, 0) > 0) {
		}
		_exit(0);
	}
}

static void wait_for_ends(void)
{
	int status;
	for (int i = 0; i < 4; i++) {
		must(wait(&status) > 0 && status == 0, "a source or sink");
	}
}

/* What has been used, by this process and by its children. */
struct used {
	double here;
	double ends;
};

static struct used used(void)
{
	return (struct used){cpu_seconds(RUSAGE_SELF), cpu_seconds(RUSAGE_CHILDREN)};
}

static void report(const char *name, struct used before)
{
	const double gib = 2.0 * (double)much / (1024.0 * MIB);
	const struct used now = used();
	const double here = (now.here - before.here) / gib;
	printf("%-24s %.3f s of CPU for each GiB, %.3f with the sources and sinks\n", name, here,
		here + (now.ends - before.ends) / gib);
}

static void *splice_one_way(void *user)
{
	const int *ends = user;
	int pipe_ends[2];
	ssize_t count;
	must(pipe(pipe_ends) == 0, "pipe");
	while ((count = splice(ends[0], NULL, pipe_ends[1], NULL, MIB, SPLICE_F_MOVE)) > 0) {
		while (count > 0) {
			const ssize_t sent = splice(
				pipe_ends[0], NULL, ends[1], NULL, (size_t)count, SPLICE_F_MOVE);
			must(sent > 0, "splice");
			count -= sent;
		}
	}
	shutdown(ends[1], SHUT_WR);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	return NULL;
}

static void bare(void)
{
	int left[2];
	int right[2];
	pthread_t threads[2];
	pair(left);
	pair(right);
	int ways[2][2] = {{left[1], right[0]}, {right[0], left[1]}};
	const struct used before = used();
	begin_end(left[0]);
	begin_end(right[1]);
	for (int i = 0; i < 2; i++) {
		must(pthread_create(&threads[i], NULL, splice_one_way, ways[i]) == 0, "a thread");
	}
	for (int i = 0; i < 2; i++) {
		(void)pthread_join(threads[i], NULL);
	}
	wait_for_ends();
	report("two threads that splice", before);
}

static int relay(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	const int result = mts_client_relay(client, other);
	must(result == 0, "mts_client_relay");
	return MTS_CLOSE;
}

static void by_library(void)
{
	int ends[2];
	unsigned port = 0;
	pair(ends);
	other = ends[0];
	mts_server *server = mts_server_create(relay, NULL);
	must(server != NULL && mts_server_frame_lines(server) == 0
			&& mts_server_listen(server, "127.0.0.1:0") == 0 && mts_server_start(server) == 0
			&& sscanf(mts_server_address(server, 0), "127.0.0.1:%u", &port) == 1,
		"the server");
	const int client = dial((unsigned short)port);
	must(send(client, "\n", 1, 0) == 1, "send");
	const struct used before = used();
	begin_end(client);
	begin_end(ends[1]);
	wait_for_ends();
	report("mts_client_relay()", before);
	mts_server_stop(server);
	(void)mts_server_join(server);
	(void)mts_server_destroy(server);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		much = (size_t)strtoul(argv[1], NULL, 10) * MIB;
	}
	bare();
	by_library();
	return 0;
}
