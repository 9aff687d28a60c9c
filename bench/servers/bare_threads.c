/*
 * The yardstick: a thread for every client, straight on the sockets.
 *
 * It is what a good C programmer writes when no library is at hand: the main thread accepts, each
 * client gets a detached thread with a 1 MiB stack that receives into a buffer on that stack and
 * sends back, all blocking.  No locks, no states, no limits, no way to stop but to end the
 * process.  Every other server's cost is given as a multiple of this one's, so nothing here may
 * be slower than it need be: the option on the sockets is inherited from the listener, the flags
 * come with accept4, and the C library itself recycles the stacks of threads that have ended.
 */
#include "contract.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE (16 * 1024)
#define STACK_SIZE (1024 * 1024)

static struct contract contract;

static ssize_t receive(int fd, void *buffer, size_t size)
{
	ssize_t got;

	do {
		got = recv(fd, buffer, size, 0);
	} while (got < 0 && errno == EINTR);
	return got;
}

static void *serve(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char buffer[BUFFER_SIZE];
	ssize_t got;

	while ((got = receive(fd, buffer, sizeof(buffer))) > 0) {
		contract_work(&contract, buffer, (size_t)got);
		if (contract.hello) {
			(void)contract_send_all(fd, CONTRACT_HELLO, sizeof(CONTRACT_HELLO) - 1);
			break;
		}
		if (contract_send_all(fd, buffer, (size_t)got) != 0) {
			break;
		}
	}
	close(fd);
	return NULL;
}

static void accept_for_ever(int listener, const pthread_attr_t *attributes)
{
	static const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	for (;;) {
		pthread_t thread;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			/* Out of descriptors or memory: spinning would make it worse. */
			if (errno != EINTR && errno != ECONNABORTED) {
				nanosleep(&pause, NULL);
			}
			continue;
		}
		if (pthread_create(&thread, attributes, serve, (void *)(intptr_t)fd) != 0) {
			fprintf(stderr, "bare_threads: no thread for a client\n");
			close(fd);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_attr_t attributes;
	int listener;
	int i;

	for (i = 1; i < argc; i++) {
		if (!contract_option(&contract, argc, argv, &i)) {
			contract_usage(argv[0], argv[i]);
		}
	}
	if (pthread_attr_init(&attributes) != 0
		|| pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) != 0
		|| pthread_attr_setstacksize(&attributes, STACK_SIZE) != 0) {
		return 1;
	}
	listener = contract_listen(&contract, 0);
	contract_announce(contract_port(listener));
	accept_for_ever(listener, &attributes);
	return 0;
}
