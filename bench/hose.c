/*
 * The firehoses: clients that always have more to say, and take what is echoed as it comes.
 *
 * They run on one thread of their own, which sends whatever their sockets take, so the server's side
 * is never empty; what the others have to bear meanwhile is the load's latency.  Their bytes are
 * counted apart and are no requests.  Every byte follows from its place in its stream, and is compared.
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

/* The thread's own once it runs, but for what is atomic. */
struct hose {
	pthread_t thread;
	unsigned count;
	int broken;
	struct jet *jets; /* count of them, and so are the next */
	struct pollfd *wanted;
	atomic_ullong echoed; /* on all */
	atomic_int stop;
	char stream[PIECE + PERIOD];
	char buffer[PIECE];
};

/* One connection's place in its stream. */
struct jet {
	uint64_t sent;
	uint64_t echoed;
};

static int may_go_on(ssize_t count)
{
	return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

/* 0, or -1 when it cannot go on. */
static int pour(struct hose *hose, int fd, struct jet *jet)
{
	ssize_t sent = send(fd, hose->stream + jet->sent % PERIOD, PIECE, MSG_NOSIGNAL);

	jet->sent += sent > 0 ? (uint64_t)sent : 0;
	return may_go_on(sent) ? 0 : -1;
}

static int take(struct hose *hose, int fd, struct jet *jet)
{
	ssize_t got = recv(fd, hose->buffer, sizeof(hose->buffer), 0);

	if (got > 0) {
		if (memcmp(hose->buffer, hose->stream + jet->echoed % PERIOD, (size_t)got) != 0) {
			return -1;
		}
		jet->echoed += (uint64_t)got;
		atomic_fetch_add_explicit(&hose->echoed, (uint64_t)got, memory_order_relaxed);
	}
	return may_go_on(got) ? 0 : -1;
}

static void move(struct hose *hose, const struct pollfd *ready, struct jet *jet)
{
	if ((ready->revents & ~POLLOUT) != 0) {
		hose->broken = take(hose, ready->fd, jet) != 0;
	}
	if ((ready->revents & POLLOUT) != 0 && !hose->broken) {
		hose->broken = pour(hose, ready->fd, jet) != 0;
	}
}

static void *run(void *argument)
{
	struct hose *hose = argument;
	unsigned i;

	while (!hose->broken && !atomic_load_explicit(&hose->stop, memory_order_relaxed)) {
		if (poll(hose->wanted, hose->count, LOOK_MS) <= 0) {
			continue;
		}
		for (i = 0; i < hose->count && !hose->broken; i++) {
			move(hose, &hose->wanted[i], &hose->jets[i]);
		}
	}
	return NULL;
}

static void release(struct hose *hose)
{
	unsigned i;

	for (i = 0; hose->wanted && hose->jets && i < hose->count; i++) {
		if (hose->wanted[i].fd >= 0) {
			close(hose->wanted[i].fd);
		}
	}
	free(hose->wanted);
	free(hose->jets);
	free(hose);
}

/* 0, or -1 with errno set. */
static int connect_all(struct hose *hose, unsigned port)
{
	unsigned i;

	for (i = 0; i < hose->count; i++) {
		hose->wanted[i].fd = -1;
		hose->wanted[i].events = POLLIN | POLLOUT;
	}
	for (i = 0; i < hose->count; i++) {
		hose->wanted[i].fd = dial_start(port, 0, i);
		if (hose->wanted[i].fd < 0 || dial_wait(hose->wanted[i].fd) != 0) {
			return -1;
		}
	}
	return 0;
}

struct hose *hose_start(unsigned port, unsigned count)
{
	struct hose *hose = calloc(1, sizeof(*hose));
	size_t i;

	if (!hose) {
		return NULL;
	}
	hose->count = count;
	hose->jets = calloc(count, sizeof(*hose->jets));
	hose->wanted = calloc(count, sizeof(*hose->wanted));
	for (i = 0; i < sizeof(hose->stream); i++) {
		hose->stream[i] = (char)(i % PERIOD);
	}
	if (!hose->jets || !hose->wanted || connect_all(hose, port) != 0
		|| pthread_create(&hose->thread, NULL, run, hose) != 0) {
		perror("load: cannot start the firehose");
		release(hose);
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
		fprintf(stderr, "load: a firehose lost its connection, or got other bytes than it sent\n");
	}
	release(hose);
	return broken ? -1 : 0;
}
