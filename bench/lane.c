/*
 * One thread of the generator: its clients' connections, requests and replies.
 *
 * A client is a slot.  It connects, asks, reads its reply to the last byte and asks again; what
 * "again" means is the load's shape.  Every request differs, by its number and its client's, and
 * every byte of the reply is compared: an answer that is late by one, or somebody else's, is as
 * wrong as a broken one.  A client that saw an error is retired, as one in a loop of errors would
 * drown the rest.
 *
 * When each connection serves one request, the port numbers matter.  The server closes first, so
 * TIME_WAIT stays on its side, and the sources are spread over 127.0.1.1 to 127.0.1.16, the port
 * chosen at connect (IP_BIND_ADDRESS_NO_PORT), so that few need be reused within a run.
 */
#include "lane.h"

#include "contract.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256
#define CONNECT_MS 10000
#define SOURCES 16

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void settle(struct lane *lane, struct slot *slot)
{
	if (!slot->settled) {
		atomic_fetch_add(&lane->settled, 1);
	}
	slot->settled = 1;
}

static void retire(struct lane *lane, struct slot *slot, enum client_error error)
{
	static const char *const texts[] = {
#define X(id, name, text) text,
		CLIENT_ERRORS(X)
#undef X
	};
	int code = errno;

	if (lane->errors[error]++ == 0) {
		fprintf(stderr, "load: client %llu, request %llu: %s%s%s\n",
			(unsigned long long)slot->number, (unsigned long long)slot->sequence, texts[error],
			error <= CLIENT_RESET ? ": " : "", error <= CLIENT_RESET ? strerror(code) : "");
	}
	if (slot->fd >= 0) {
		close(slot->fd);
	}
	slot->fd = -1;
	lane->live--;
	lane->waiting -= slot->waiting ? 1 : 0;
	slot->waiting = 0;
	settle(lane, slot);
}

static int new_socket(struct lane *lane)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int yes = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || lane->all->load.shape != SHAPE_CONNECT) {
		return fd;
	}
	source.sin_addr.s_addr = htonl(0x7f000101u + lane->connections++ % SOURCES);
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
	(void)bind(fd, (struct sockaddr *)&source, sizeof(source));
	return fd;
}

static int watch(struct lane *lane, struct slot *slot, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = slot}};

	return epoll_ctl(lane->epoll, how, slot->fd, &event);
}

/* 0: under way or done; -1: failed. */
static int start_connect(struct lane *lane, struct slot *slot)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	int yes = 1;

	server.sin_port = htons((uint16_t)lane->all->load.port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	slot->fd = new_socket(lane);
	if (slot->fd < 0) {
		return -1;
	}
	(void)setsockopt(slot->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (connect(slot->fd, (struct sockaddr *)&server, sizeof(server)) != 0
		&& errno != EINPROGRESS) {
		return -1;
	}
	return 0;
}

/* Where a connect ended: its error, which is also put into errno. */
static int connect_result(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
		error = errno;
	}
	errno = error;
	return error;
}

static void compose(struct lane *lane, const struct slot *slot)
{
	memcpy(lane->request, &slot->sequence, sizeof(slot->sequence));
	memcpy(lane->request + 8, &slot->number, sizeof(slot->number));
}

/* -1 when the socket did not take it; a request is small, so it takes all or none. */
static int send_request(struct lane *lane, struct slot *slot)
{
	size_t size = lane->all->load.size;
	ssize_t sent;

	compose(lane, slot);
	sent = send(slot->fd, lane->request, size, MSG_NOSIGNAL);
	if (sent >= 0 && (size_t)sent < size) {
		errno = EMSGSIZE;
	}
	return sent == (ssize_t)size ? 0 : -1;
}

static void begin(struct lane *lane, struct slot *slot, uint64_t time)
{
	slot->sequence++;
	slot->started = time;
	slot->got = 0;
	slot->waiting = 1;
	lane->waiting++;
}

static void ask(struct lane *lane, struct slot *slot, uint64_t time)
{
	begin(lane, slot, time);
	if (send_request(lane, slot) != 0) {
		retire(lane, slot, CLIENT_RESET);
	}
}

/* On loopback the handshake is nearly always over when connect returns, so sending is tried at
 * once, which spares the generator a round through epoll. */
static void connect_and_ask(struct lane *lane, struct slot *slot, uint64_t time)
{
	uint32_t events = EPOLLIN;

	begin(lane, slot, time);
	slot->connecting = 0;
	if (start_connect(lane, slot) != 0) {
		retire(lane, slot, CLIENT_REFUSED);
		return;
	}
	if (send_request(lane, slot) != 0) {
		if (errno != EAGAIN) {
			retire(lane, slot, CLIENT_REFUSED);
			return;
		}
		slot->connecting = 1;
		events = EPOLLOUT;
	}
	if (watch(lane, slot, EPOLL_CTL_ADD, events) != 0) {
		retire(lane, slot, CLIENT_RESET);
	}
}

static void connected(struct lane *lane, struct slot *slot)
{
	slot->connecting = 0;
	if (connect_result(slot->fd) != 0) {
		retire(lane, slot, CLIENT_REFUSED);
	} else if (send_request(lane, slot) != 0 || watch(lane, slot, EPOLL_CTL_MOD, EPOLLIN) != 0) {
		retire(lane, slot, CLIENT_RESET);
	}
}

/* Connects and waits for it: many at once would overflow the server's queue of connections. */
static void open_slot(struct lane *lane, struct slot *slot)
{
	struct pollfd writable = {.events = POLLOUT};
	int done;

	if (start_connect(lane, slot) != 0) {
		retire(lane, slot, CLIENT_REFUSED);
		return;
	}
	writable.fd = slot->fd;
	done = poll(&writable, 1, CONNECT_MS);
	errno = ETIMEDOUT;
	if (done != 1 || connect_result(slot->fd) != 0
		|| watch(lane, slot, EPOLL_CTL_ADD, EPOLLIN) != 0) {
		retire(lane, slot, CLIENT_REFUSED);
	}
}

static void complete(struct lane *lane, struct slot *slot)
{
	struct clients *all = lane->all;
	uint64_t time = now();

	if (atomic_load_explicit(&all->recording, memory_order_relaxed)) {
		hist_add(&lane->hist, time - slot->started);
	}
	slot->waiting = 0;
	lane->waiting--;
	atomic_store_explicit(&lane->completed,
		atomic_load_explicit(&lane->completed, memory_order_relaxed) + 1, memory_order_relaxed);
	settle(lane, slot);
	if (all->load.shape == SHAPE_CONNECT) {
		close(slot->fd);
		slot->fd = -1;
	}
	if (atomic_load_explicit(&all->stop, memory_order_relaxed)) {
		return;
	}
	if (all->load.shape == SHAPE_KEEP && lane->going) {
		ask(lane, slot, time);
	} else if (all->load.shape == SHAPE_CONNECT) {
		connect_and_ask(lane, slot, time);
	}
}

static void readable(struct lane *lane, struct slot *slot)
{
	int until_end = lane->all->load.shape == SHAPE_CONNECT;
	ssize_t got = recv(slot->fd, lane->buffer, sizeof(lane->buffer), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got < 0) {
		retire(lane, slot, CLIENT_RESET);
	} else if (got == 0) {
		if (until_end && slot->got == lane->reply_size) {
			complete(lane, slot);
		} else {
			retire(lane, slot, CLIENT_SHORT);
		}
	} else {
		if (!until_end) {
			compose(lane, slot);
		}
		if (!slot->waiting || slot->got + (size_t)got > lane->reply_size
			|| memcmp(lane->reply + slot->got, lane->buffer, (size_t)got) != 0) {
			retire(lane, slot, CLIENT_WRONG);
			return;
		}
		slot->got += (size_t)got;
		if (!until_end && slot->got == lane->reply_size) {
			complete(lane, slot);
		}
	}
}

static void begin_all(struct lane *lane)
{
	unsigned i;

	if (lane->all->load.shape == SHAPE_CONNECT) {
		for (i = 0; i < lane->count; i++) {
			connect_and_ask(lane, &lane->slots[i], now());
		}
		return;
	}
	for (i = 0; i < lane->count; i++) {
		open_slot(lane, &lane->slots[i]);
	}
	for (i = 0; i < lane->count; i++) {
		if (lane->slots[i].fd >= 0) {
			ask(lane, &lane->slots[i], now());
		}
	}
}

static void serve_events(struct lane *lane, int timeout)
{
	struct epoll_event events[BATCH];
	int count = epoll_wait(lane->epoll, events, BATCH, timeout);
	eventfd_t rings;
	int i;

	for (i = 0; i < count; i++) {
		struct slot *slot = events[i].data.ptr;

		if (!slot) {
			(void)eventfd_read(lane->bell, &rings);
		} else if (slot->connecting) {
			connected(lane, slot);
		} else {
			readable(lane, slot);
		}
	}
}

/* Nobody asks twice before everybody was answered once: the first clients' requests would compete
 * with the accepting of the last, and the load would take longer to stand. */
static void go_on(struct lane *lane)
{
	struct clients *all = lane->all;
	unsigned i;

	if (lane->going || !atomic_load(&all->go) || atomic_load(&all->stop)) {
		return;
	}
	lane->going = 1;
	for (i = 0; all->load.shape == SHAPE_KEEP && i < lane->count; i++) {
		if (lane->slots[i].fd >= 0) {
			ask(lane, &lane->slots[i], now());
		}
	}
}

void *lane_run(void *argument)
{
	struct lane *lane = argument;
	uint64_t end;
	unsigned i;

	begin_all(lane);
	while (lane->live > 0 && !atomic_load_explicit(&lane->all->stop, memory_order_relaxed)) {
		serve_events(lane, -1);
		go_on(lane);
	}
	end = now() + (uint64_t)(lane->all->load.patience * 1e9);
	while (lane->waiting > 0 && now() < end) {
		serve_events(lane, 10);
	}
	for (i = 0; i < lane->count; i++) {
		if (lane->slots[i].waiting) {
			retire(lane, &lane->slots[i], CLIENT_LOST);
		} else if (lane->slots[i].fd >= 0) {
			close(lane->slots[i].fd);
		}
	}
	return NULL;
}
