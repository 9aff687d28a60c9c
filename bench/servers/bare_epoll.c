/*
 * The other yardstick: one thread, one level-triggered epoll, straight on the sockets.
 *
 * This is the cheapest known way to serve handlers that never block, and useless for those that
 * do (they run right here, and everybody waits); it marks the floor.  A client is registered once,
 * the event carries its descriptor and no other state exists.  A reply that the socket does not
 * take at once is waited for right here: the loads of this benchmark never get that far, and a real
 * loop would need the output queue that this one is meant to be without.
 *
 * With --loops N (0: one for each CPU) there are N threads with a loop and a listener each, which
 * share nothing but the port: the floor for servers that use more than one CPU.  SO_REUSEPORT
 * spreads the clients by a hash of their addresses, so with few of them the loops' shares differ,
 * and some may have none.
 */
#include "contract.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE (16 * 1024)
#define BATCH 256
#define MAX_LOOPS 1024

struct loop {
	int epoll;
	int listener;
};

static struct contract contract;

static int watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void welcome(int epoll, int listener)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			if (watch(epoll, fd) != 0) {
				close(fd);
			}
		} else if (errno == EMFILE || errno == ENFILE) {
			fprintf(stderr, "bare_epoll: out of descriptors\n");
			(void)poll(NULL, 0, 10);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void serve(int fd)
{
	char buffer[BUFFER_SIZE];
	ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got > 0) {
		contract_work(&contract, buffer, (size_t)got);
	}
	if (got > 0 && !contract.hello) {
		if (contract_send_all(fd, buffer, (size_t)got) == 0) {
			return;
		}
	} else if (got > 0) {
		(void)contract_send_all(fd, CONTRACT_HELLO, sizeof(CONTRACT_HELLO) - 1);
	}
	close(fd);
}

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void *run(void *argument)
{
	const struct loop *loop = argument;
	struct epoll_event events[BATCH];

	for (;;) {
		int count = epoll_wait(loop->epoll, events, BATCH, -1);
		int i;

		if (count < 0 && errno != EINTR) {
			fail("epoll_wait");
		}
		for (i = 0; i < count; i++) {
			if (events[i].data.fd == loop->listener) {
				welcome(loop->epoll, loop->listener);
			} else {
				serve(events[i].data.fd);
			}
		}
	}
}

static void open_loop(struct loop *loop)
{
	loop->listener = contract_listen(&contract, SOCK_NONBLOCK);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0 || watch(loop->epoll, loop->listener) != 0) {
		fail("epoll");
	}
	/* The first one may have had any port, the others must have the same. */
	contract.port = contract_port(loop->listener);
}

static unsigned loops_value(int argc, char **argv, int *index)
{
	unsigned count = (unsigned)contract_number(argc, argv, index, MAX_LOOPS);

	return count > 0 ? count : contract_cpus();
}

int main(int argc, char **argv)
{
	static struct loop loops[MAX_LOOPS];
	unsigned count = 1;
	unsigned loop;
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--loops") == 0) {
			count = loops_value(argc, argv, &i);
			contract.reuse_port = 1;
		} else if (!contract_option(&contract, argc, argv, &i)) {
			contract_usage(argv[0], argv[i]);
		}
	}
	for (loop = 0; loop < count; loop++) {
		open_loop(&loops[loop]);
	}
	for (loop = 1; loop < count; loop++) {
		pthread_t thread;

		errno = pthread_create(&thread, NULL, run, &loops[loop]);
		if (errno != 0) {
			fail("pthread_create");
		}
	}
	contract_announce(contract.port);
	run(&loops[0]);
	return 1;
}
