/*
 * The other yardstick: one thread, one level-triggered epoll, straight on the sockets.
 *
 * This is the cheapest known way to serve handlers that never block, and useless for those that
 * do (they run right here, and everybody waits); it marks the floor.  A client is registered once, the event carries its descriptor and no
 * other state exists.  A reply that the socket does not take at once is waited for right here:
 * the loads of this benchmark never get that far, and a real loop would need the output queue
 * that this one is meant to be without.
 */
#include "contract.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE (16 * 1024)
#define BATCH 256

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

static int loop(int epoll, int listener)
{
	struct epoll_event events[BATCH];

	for (;;) {
		int count = epoll_wait(epoll, events, BATCH, -1);
		int i;

		if (count < 0 && errno != EINTR) {
			return 1;
		}
		for (i = 0; i < count; i++) {
			if (events[i].data.fd == listener) {
				welcome(epoll, listener);
			} else {
				serve(events[i].data.fd);
			}
		}
	}
}

int main(int argc, char **argv)
{
	int listener;
	int epoll;
	int i;

	for (i = 1; i < argc; i++) {
		if (!contract_option(&contract, argc, argv, &i)) {
			contract_usage(argv[0], argv[i]);
		}
	}
	listener = contract_listen(&contract, SOCK_NONBLOCK);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || watch(epoll, listener) != 0) {
		perror("bare_epoll");
		return 1;
	}
	contract_announce(contract_port(listener));
	return loop(epoll, listener);
}
