/*
 * One thread of the generator: its clients' requests and replies.
 *
 * A client is a slot.  It connects, asks, reads its reply to the last byte and asks again; what
 * "again" means is the load's shape.  Every request differs, by its number and its client's, and
 * every byte of the reply is compared: an answer that is late by one, or somebody else's, is as
 * wrong as a broken one.  A client that saw an error is retired, as one in a loop of errors would
 * drown the rest.
 *
 * By the clock, the timetable does not wait for replies.  A request that is due while every client
 * waits for one is sent by the first that comes free, and its latency counts from when it was due:
 * else a server that stalls would be asked nothing meanwhile, and the stall would show in one
 * request instead of in all that it held up ("coordinated omission").
 *
 * Whatever is sent at once, be it one request or a batch of lines, is one step here: it is timed
 * from its sending to its last byte of reply, and only counted by its lines.
 */
#include "lane.h"

#include "dial.h"
#include "ramp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256
#define MIN_STEP_NS 20000 /* of the timer: requests closer together go out in small batches */

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
			(unsigned long long)slot->id.client, (unsigned long long)slot->id.sequence,
			texts[error], error <= CLIENT_RESET ? ": " : "",
			error <= CLIENT_RESET ? strerror(code) : "");
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

static int watch(struct lane *lane, struct slot *slot, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = slot}};

	return epoll_ctl(lane->epoll, how, slot->fd, &event);
}

/* 0: under way or done; -1: failed. */
static int start_connect(struct lane *lane, struct slot *slot)
{
	const struct load *load = &lane->all->load;

	slot->fd = dial_start(load->port, load->shape == SHAPE_CONNECT, lane->connections++);
	return slot->fd >= 0 ? 0 : -1;
}

/* -1 when the socket did not take it; a request is small, so it takes all or none. */
static int send_request(struct lane *lane, struct slot *slot)
{
	ssize_t sent;

	request_compose(&lane->all->load.request, slot->id, lane->request);
	sent = send(slot->fd, lane->request, lane->size, MSG_NOSIGNAL);
	if (sent >= 0 && (size_t)sent < lane->size) {
		errno = EMSGSIZE;
	}
	return sent == (ssize_t)lane->size ? 0 : -1;
}

static void begin(struct lane *lane, struct slot *slot, uint64_t time)
{
	slot->id.sequence++;
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
	if (dial_result(slot->fd) != 0) {
		retire(lane, slot, CLIENT_REFUSED);
	} else if (send_request(lane, slot) != 0 || watch(lane, slot, EPOLL_CTL_MOD, EPOLLIN) != 0) {
		retire(lane, slot, CLIENT_RESET);
	}
}

/* Connects and waits for it: many at once would overflow the server's queue of connections. */
static void open_slot(struct lane *lane, struct slot *slot)
{
	if (start_connect(lane, slot) != 0 || dial_wait(slot->fd) != 0
		|| watch(lane, slot, EPOLL_CTL_ADD, EPOLLIN) != 0) {
		retire(lane, slot, CLIENT_REFUSED);
	}
}

static int asks_on(const struct load *load)
{
	return load->shape == SHAPE_KEEP || load->shape == SHAPE_RAMP;
}

/* What belongs to the window: of a timetable all that is due in it, however late the reply, and
 * otherwise what is done in it. */
static int recorded(const struct lane *lane, uint64_t time)
{
	const struct clients *all = lane->all;
	uint64_t from = atomic_load_explicit(&all->record_from, memory_order_relaxed);

	return from != 0 && time >= from
		&& time < atomic_load_explicit(&all->record_until, memory_order_relaxed);
}

static void count(struct lane *lane, const struct slot *slot, uint64_t time)
{
	struct clients *all = lane->all;
	uint64_t done = atomic_load_explicit(&lane->completed, memory_order_relaxed);

	if (recorded(lane, lane->interval > 0 ? slot->started : time)) {
		int marked = request_marked(&all->load.request, slot->id);

		hist_add(&lane->hist[marked], time - slot->started);
	}
	if (all->load.bins > 0 && lane->going) {
		uint64_t bin = (time - atomic_load(&all->started)) / RAMP_BIN_NS;

		lane->bins[bin < all->load.bins ? bin : all->load.bins - 1]++;
	}
	atomic_store_explicit(
		&lane->completed, done + all->load.request.pipeline, memory_order_relaxed);
}

/* The timetable's next request, if it is due. */
static void ask_when_due(struct lane *lane, struct slot *slot, uint64_t time)
{
	if (lane->due <= time) {
		uint64_t due = lane->due;

		lane->due += lane->interval;
		ask(lane, slot, due);
	}
}

static void complete(struct lane *lane, struct slot *slot)
{
	struct clients *all = lane->all;
	uint64_t time = now();

	count(lane, slot, time);
	slot->waiting = 0;
	lane->waiting--;
	settle(lane, slot);
	if (all->load.shape == SHAPE_CONNECT) {
		close(slot->fd);
		slot->fd = -1;
	}
	if (atomic_load_explicit(&all->stop, memory_order_relaxed)) {
		return;
	}
	if (lane->interval > 0) {
		ask_when_due(lane, slot, time);
	} else if (asks_on(&all->load) && all->load.rate == 0 && lane->going) {
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
			request_compose(&lane->all->load.request, slot->id, lane->request);
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

/* As many requests as are due by the clock, each by the next client that does not wait.  When all
 * wait, the rest is left to those that come free. */
static void tick(struct lane *lane)
{
	uint64_t rings;
	uint64_t time = now();

	if (read(lane->timer, &rings, sizeof(rings)) != (ssize_t)sizeof(rings)) {
		return;
	}
	while (lane->due <= time && lane->waiting < lane->live && !atomic_load(&lane->all->stop)) {
		struct slot *slot = &lane->slots[lane->turn++ % lane->count];

		if (slot->fd >= 0 && !slot->waiting) {
			if (recorded(lane, lane->due)) {
				hist_add(&lane->late, time - lane->due);
			}
			ask_when_due(lane, slot, time);
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
		} else if (events[i].data.ptr == lane) {
			tick(lane);
		} else if (slot->connecting) {
			connected(lane, slot);
		} else {
			readable(lane, slot);
		}
	}
}

static void start_timetable(struct lane *lane, uint64_t interval)
{
	uint64_t step = interval > MIN_STEP_NS ? interval : MIN_STEP_NS;
	struct timespec period = {
		.tv_sec = (time_t)(step / 1000000000u), .tv_nsec = (long)(step % 1000000000u)};
	struct itimerspec timer = {.it_interval = period, .it_value = period};

	lane->interval = interval;
	lane->due = now() + interval;
	if (timerfd_settime(lane->timer, 0, &timer, NULL) != 0) {
		perror("load: cannot set its timer");
	}
}

/* What was due in the window and could not even be sent has waited until now, and for longer. */
static void close_timetable(struct lane *lane)
{
	uint64_t time = now();

	while (lane->interval > 0 && lane->due <= time) {
		if (recorded(lane, lane->due)) {
			hist_add(&lane->hist[lane->all->load.request.mark == 100], time - lane->due);
			lane->missed++;
		}
		lane->due += lane->interval;
	}
}

/* Nobody asks twice before everybody was answered once: the first clients' requests would compete
 * with the accepting of the last, and the load would take longer to stand. */
static void go_on(struct lane *lane)
{
	struct clients *all = lane->all;
	unsigned rate = all->load.rate;
	unsigned i;

	if (lane->going || !atomic_load(&all->go) || atomic_load(&all->stop)) {
		return;
	}
	lane->going = 1;
	if (rate > 0) {
		start_timetable(lane, UINT64_C(1000000000) * all->load.threads / rate);
	}
	for (i = 0; rate == 0 && asks_on(&all->load) && i < lane->count; i++) {
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
	close_timetable(lane);
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
