/*
 * The part that all benchmarked servers share, so that they differ only in what is compared:
 * the options, the listening socket, the announcement of the port, a send that completes, and what
 * a marked request costs.
 *
 * A server is a process of its own: it must have no part in what the generator costs.  Its port
 * is chosen by the kernel, since a fixed one may be taken, and is told through standard output,
 * which the generator holds as a pipe: when that line is there, the server accepts.
 *
 * TCP_NODELAY is set once on the listener; Linux hands it down to every accepted socket, which
 * spares the yardsticks a system call per client.  They are meant to be hard to beat.
 *
 * Work is marked in the request rather than drawn by the server, so that the generator knows which
 * replies had to be slow, and all servers get the same ones.  Burning goes by the thread's own CPU
 * clock: a loop that was calibrated would burn less while others hold the CPU, and by the time of
 * day a preempted handler would cost nothing.
 */
#include "contract.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define SPINS_PER_LOOK 5000 /* some 10 us */
#define LAST_SPINS 500
#define LAST_NS 20000

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

void contract_usage(const char *program, const char *option)
{
	fprintf(stderr, "%s: unknown option or bad value: %s\n", program, option);
	exit(2);
}

const char *contract_value(int argc, char **argv, int *index)
{
	if (*index + 1 >= argc) {
		contract_usage(argv[0], argv[*index]);
	}
	return argv[++*index];
}

unsigned long contract_number(int argc, char **argv, int *index, unsigned long max)
{
	const char *text = contract_value(argc, argv, index);
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || number > max) {
		contract_usage(argv[0], text);
	}
	return number;
}

double contract_seconds(int argc, char **argv, int *index)
{
	const char *text = contract_value(argc, argv, index);
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0 && value <= 3600)) {
		contract_usage(argv[0], text);
	}
	return value;
}

int contract_option(struct contract *contract, int argc, char **argv, int *index)
{
	if (strcmp(argv[*index], "--mode") == 0) {
		const char *mode = contract_value(argc, argv, index);

		contract->hello = strcmp(mode, "hello") == 0;
		contract->lines = strcmp(mode, "lines") == 0;
		if (!contract->hello && !contract->lines && strcmp(mode, "echo") != 0) {
			contract_usage(argv[0], mode);
		}
		return 1;
	}
	if (strcmp(argv[*index], "--port") == 0) {
		contract->port = (unsigned)contract_number(argc, argv, index, 65535);
		return 1;
	}
	if (strcmp(argv[*index], "--defer-accept") == 0) {
		contract->defer_accept = (unsigned)contract_number(argc, argv, index, 3600);
		return 1;
	}
	if (strcmp(argv[*index], "--sleep") == 0) {
		contract->sleep_us = contract_number(argc, argv, index, 60000000);
		contract->costs |= contract->sleep_us > 0;
		return 1;
	}
	if (strcmp(argv[*index], "--burn") == 0) {
		contract->burn_us = contract_number(argc, argv, index, 60000000);
		contract->costs |= contract->burn_us > 0;
		return 1;
	}
	if (strcmp(argv[*index], "--burn-all") == 0) {
		contract->burn_all_us = contract_number(argc, argv, index, 60000000);
		contract->costs |= contract->burn_all_us > 0;
		return 1;
	}
	return 0;
}

static uint64_t thread_cpu(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void contract_burn(unsigned long microseconds)
{
	uint64_t now = thread_cpu();
	uint64_t end = now + microseconds * UINT64_C(1000);

	/* This clock is a system call: mostly spinning in between leaves it user time, as real work
	 * would be.  Towards the end it looks more often, else 10 us would be 20. */
	for (; now < end; now = thread_cpu()) {
		volatile unsigned spins = end - now > LAST_NS ? SPINS_PER_LOOK : LAST_SPINS;

		while (spins > 0) {
			spins--;
		}
	}
}

int contract_marked(const struct contract *contract, const void *request, size_t size)
{
	const char *bytes = request;

	return size > CONTRACT_MARK_AT && bytes[CONTRACT_MARK_AT] == CONTRACT_MARK
		&& (contract->burn_us > 0 || contract->sleep_us > 0);
}

static void work(const struct contract *contract, const void *request, size_t size)
{
	if (contract->burn_all_us > 0) {
		contract_burn(contract->burn_all_us);
	}
	if (contract_marked(contract, request, size)) {
		contract_work_always(contract);
	}
}

void contract_work(const struct contract *contract, const void *request, size_t size)
{
	/* Most loads want nothing here, and what that costs is part of every server's figure. */
	if (contract->costs) {
		work(contract, request, size);
	}
}

void contract_work_always(const struct contract *contract)
{
	if (contract->burn_us > 0) {
		contract_burn(contract->burn_us);
	}
	if (contract->sleep_us > 0) {
		struct timespec left = {.tv_sec = (time_t)(contract->sleep_us / 1000000u),
			.tv_nsec = (long)(contract->sleep_us % 1000000u) * 1000};

		while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
			continue;
		}
	}
}

int contract_listen(const struct contract *contract, int flags)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int yes = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	address.sin_port = htons((uint16_t)contract->port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0) {
		fail("socket");
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0
		|| setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0) {
		fail("setsockopt");
	}
	if (contract->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) != 0) {
		fail("SO_REUSEPORT");
	}
	if (contract->defer_accept > 0
		&& setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &contract->defer_accept,
			   sizeof(contract->defer_accept))
			!= 0) {
		fail("TCP_DEFER_ACCEPT");
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		fail("bind");
	}
	if (listen(fd, SOMAXCONN) != 0) {
		fail("listen");
	}
	return fd;
}

unsigned contract_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) {
		return 1;
	}
	return (unsigned)CPU_COUNT(&cpus);
}

void contract_announce(unsigned port)
{
	printf("port %u\n", port);
	if (fflush(stdout) != 0) {
		fail("standard output");
	}
}

unsigned contract_port(int listener)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	if (getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
		fail("getsockname");
	}
	return ntohs(address.sin_port);
}

int contract_send_all(int fd, const void *data, size_t size)
{
	const char *next = data;

	while (size > 0) {
		ssize_t sent = send(fd, next, size, MSG_NOSIGNAL);

		if (sent >= 0) {
			next += sent;
			size -= (size_t)sent;
		} else if (errno == EAGAIN) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};

			(void)poll(&room, 1, -1);
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 0;
}
