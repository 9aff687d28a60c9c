/*
 * The firehose: a client that always has more to say, and takes what is echoed as it comes.
 *
 * It runs on a thread of its own and sends whatever its socket takes, so the server's side is never
 * empty; what the others have to bear meanwhile is the load's latency.  Its bytes are counted apart
 * and are no requests.  Every byte follows from its place in the stream, and is compared.
 */
#include "hose.h"

#include "dial.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PERIOD 251 /* of the stream: prime, so that no buffer's length hides a loss */
#define PIECE (64 * 1024)
#define LOOK_MS 20 /* how often it looks whether it is to end, when nothing moves */

struct hose {
	pthread_t thread;
	int fd;
	int broken;
	uint64_t sent;
	atomic_ullong echoed;
	atomic_int stop;
	char stream[PIECE + PERIOD];
	char buffer[PIECE];
};

static int may_go_on(ssize_t count)
{
	return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

/* 0, or -1 when it cannot go on. */
static int pour(struct hose *hose)
{
	ssize_t sent = send(hose->fd, hose->stream + hose->sent % PERIOD, PIECE, MSG_NOSIGNAL);

	hose->sent += sent > 0 ? (uint64_t)sent : 0;
	return may_go_on(sent) ? 0 : -1;
}

static int take(struct hose *hose)
{
	uint64_t before = atomic_load_explicit(&hose->echoed, memory_order_relaxed);
	ssize_t got = recv(hose->fd, hose->buffer, sizeof(hose->buffer), 0);

	if (got > 0) {
		if (memcmp(hose->buffer, hose->stream + before % PERIOD, (size_t)got) != 0) {
			return -1;
		}
		atomic_store_explicit(&hose->echoed, before + (uint64_t)got, memory_order_relaxed);
	}
	return may_go_on(got) ? 0 : -1;
}

static void *run(void *argument)
{
	struct hose *hose = argument;

	while (!hose->broken && !atomic_load_explicit(&hose->stop, memory_order_relaxed)) {
		struct pollfd wanted = {.fd = hose->fd, .events = POLLIN | POLLOUT};

		if (poll(&wanted, 1, LOOK_MS) <= 0) {
			continue;
		}
		if ((wanted.revents & ~POLLOUT) != 0) {
			hose->broken = take(hose) != 0;
		}
		if ((wanted.revents & POLLOUT) != 0 && !hose->broken) {
			hose->broken = pour(hose) != 0;
		}
	}
	return NULL;
}

struct hose *hose_start(unsigned port)
{
	struct hose *hose = calloc(1, sizeof(*hose));
	size_t i;

	if (!hose) {
		return NULL;
	}
	for (i = 0; i < sizeof(hose->stream); i++) {
		hose->stream[i] = (char)(i % PERIOD);
	}
	hose->fd = dial_start(port, 0, 0);
	if (hose->fd < 0 || dial_wait(hose->fd) != 0
		|| pthread_create(&hose->thread, NULL, run, hose) != 0) {
		perror("load: cannot start the firehose");
		if (hose->fd >= 0) {
			close(hose->fd);
		}
		free(hose);
		return NULL;
	}
	return hose;
}

uint64_t hose_echoed(const struct hose *hose)
{
	return atomic_load_explicit(&hose->echoed, memory_order_relaxed);
}

int hose_finish(struct hose *hose)
{
	int broken;

	atomic_store(&hose->stop, 1);
	pthread_join(hose->thread, NULL);
	broken = hose->broken;
	if (broken) {
		fprintf(
			stderr, "load: the firehose lost its connection, or got other bytes than it sent\n");
	}
	close(hose->fd);
	free(hose);
	return broken ? -1 : 0;
}
