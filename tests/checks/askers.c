/*
 * Clients that never let go of a server, so that a script can see that none is ever left without an answer.
 *
 *   askers [ADDRESS:]PORT RATE
 *
 * Some of them connect to that port, of this machine if nothing else is said, ask once and go, RATE times a
 * second together; some keep their connection, and ask again and again until they are told that this was
 * the last answer. A line is answered by a line that ends in "more" or "last". Of each connection that is kept
 * the first answer is printed. At SIGTERM it prints how many were answered, and ends; with status 1 if
 * anybody was refused, reset or not answered. Each of these is told when it happens, with the port from
 * which it has asked.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { VISITORS = 6, KEEPERS = 4, PATIENCE = 30 };

static struct sockaddr_in to = {.sin_family = AF_INET};
static long pause_us; /* of each visitor, between two visits */
static _Atomic bool over;
static _Atomic long answered, failed;

static void complain(int fd, const char *what, int error)
{
	struct sockaddr_in own = {.sin_port = 0};
	socklen_t size = sizeof(own);
	failed++;
	getsockname(fd, (struct sockaddr *)&own, &size);
	fprintf(stderr, "askers: port %d: %s: %s\n", ntohs(own.sin_port), what,
		error != 0 ? strerror(error) : "the end");
}

/* A connection; it is reset when it is closed, so that no port has to wait. -1: refused. */
static int connect_once(void)
{
	struct timeval patience = {.tv_sec = PATIENCE};
	struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		complain(fd, "connect", errno);
		close(fd);
		return -1;
	}
	return fd;
}

/* Asks: whether there will be another answer. If that is wanted, prints this one. */
static bool ask(int fd, bool print)
{
	char line[64];
	size_t size = 0;
	if (send(fd, "?\n", 2, MSG_NOSIGNAL) != 2) {
		complain(fd, "send", errno);
		return false;
	}
	do {
		ssize_t count = recv(fd, line + size, sizeof(line) - 1 - size, 0);
		if (count <= 0) {
			complain(fd, "receive", count < 0 ? errno : 0);
			return false;
		}
		size += (size_t)count;
	} while (line[size - 1] != '\n' && size < sizeof(line) - 1);
	line[size] = '\0';
	answered++;
	if (print) {
		printf("stays: %s", line);
		fflush(stdout);
	}
	return strstr(line, " more\n") != NULL;
}

static void *visit(void *unused)
{
	struct timespec next;
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!over) {
		int fd = connect_once();
		if (fd >= 0) {
			ask(fd, false);
			close(fd);
		}
		next.tv_nsec += pause_us * 1000;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return unused;
}

static void *keep(void *unused)
{
	while (!over) {
		int fd = connect_once();
		bool first = true;
		while (fd >= 0 && !over && ask(fd, first)) {
			first = false;
			usleep(1000);
		}
		if (fd >= 0)
			close(fd);
	}
	return unused;
}

/* ADDRESS:PORT, or PORT. */
static bool parse(char *where)
{
	char *colon = strchr(where, ':');
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((in_port_t)atoi(colon != NULL ? colon + 1 : where));
	if (colon != NULL)
		*colon = '\0';
	return colon == NULL || inet_pton(AF_INET, where, &to.sin_addr) == 1;
}

int main(int argc, char **argv)
{
	pthread_t threads[VISITORS + KEEPERS];
	sigset_t wanted;
	int signal;
	if (argc != 3 || !parse(argv[1])) {
		fprintf(stderr, "askers [ADDRESS:]PORT RATE\n");
		return EXIT_FAILURE;
	}
	pause_us = 1000000L * VISITORS / atol(argv[2]);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &wanted, NULL);
	for (int i = 0; i < VISITORS + KEEPERS; i++)
		pthread_create(&threads[i], NULL, i < VISITORS ? visit : keep, NULL);
	sigwait(&wanted, &signal);
	over = true;
	for (int i = 0; i < VISITORS + KEEPERS; i++)
		pthread_join(threads[i], NULL);
	printf("%ld answered, %ld not\n", (long)answered, (long)failed);
	return failed == 0 && answered > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
