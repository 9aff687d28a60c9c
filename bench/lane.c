/*
 * One thread of the generator: its clients' requests and replies.
 *
 * A client is a slot.  It connects, asks, reads its reply to the last byte and asks again; what
 * "again" means is the load's shape.  Every request differs, by its number and its client's, and
 * every byte of the reply is compared: an answer that is late by one, or somebody else's, is as
 * wrong as a broken one.
 *
 * By the clock, the timetable does not wait for replies.  A request that is due while every client
 * waits for one is sent by the first that comes free, and its latency counts from when it was due:
 * else a server that stalls would be asked nothing meanwhile, and the stall would show in one
 * request instead of in all that it held up ("coordinated omission").
 *
 * A fixed number of requests is made in step: all clients ask at once, and again when all have their
 * replies.  So what the server finds at a time hardly depends on how fast the generator is, nor does
 * what it does with it.  After an error nobody goes on.
 *
 * Whatever is sent at once, be it one request or a batch of lines, is one step here: it is timed
 * from its sending to its last byte of reply, and only counted by its lines.
 */
#include "lane.h"

#include "ramp.h"
#include "slot.h"

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
		slot_ask(lane, slot, due);
	}
}

static int has_made_its_share(const struct load *load, const struct slot *slot)
{
	return slot->id.sequence * load->request.pipeline >= load->requests / load->clients;
}

static void ask_again(struct lane *lane, struct slot *slot, uint64_t time)
{
	if (lane->all->load.shape == SHAPE_CONNECT) {
		slot_connect_and_ask(lane, slot, time);
	} else {
		slot_ask(lane, slot, time);
	}
}

/* All that have not made their share, once nobody waits. */
static void ask_in_step(struct lane *lane)
{
	unsigned i;

	if (!lane->going || lane->waiting > 0 || lane->live < lane->count) {
		return;
	}
	for (i = 0; i < lane->count; i++) {
		if (!has_made_its_share(&lane->all->load, &lane->slots[i])) {
			ask_again(lane, &lane->slots[i], now());
		}
	}
}

static void complete(struct lane *lane, struct slot *slot)
{
	struct clients *all = lane->all;
	uint64_t time = now();

	count(lane, slot, time);
	slot->waiting = 0;
	lane->waiting--;
	slot_settle(lane, slot);
	if (all->load.shape == SHAPE_CONNECT) {
		close(slot->fd);
		slot->fd = -1;
	}
	if (atomic_load_explicit(&all->stop, memory_order_relaxed)) {
		return;
	}
	if (all->load.requests > 0) {
		if (has_made_its_share(&all->load, slot)) {
			atomic_fetch_add(&lane->finished, 1);
		}
		ask_in_step(lane);
	} else if (lane->interval > 0) {
		ask_when_due(lane, slot, time);
	} else if (all->load.shape == SHAPE_CONNECT
		|| (asks_on(&all->load) && all->load.rate == 0 && lane->going)) {
		ask_again(lane, slot, time);
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
		slot_retire(lane, slot, CLIENT_RESET);
	} else if (got == 0) {
		if (until_end && slot->got == lane->reply_size) {
			complete(lane, slot);
		} else {
			slot_retire(lane, slot, CLIENT_SHORT);
		}
	} else {
		if (!until_end) {
			request_compose(&lane->all->load.request, slot->id, lane->request);
		}
		if (!slot->waiting || slot->got + (size_t)got > lane->reply_size
			|| memcmp(lane->reply + slot->got, lane->buffer, (size_t)got) != 0) {
			slot_retire(lane, slot, CLIENT_WRONG);
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
			slot_connect_and_ask(lane, &lane->slots[i], now());
		}
		return;
	}
	for (i = 0; i < lane->count; i++) {
		slot_open(lane, &lane->slots[i]);
	}
	for (i = 0; i < lane->count; i++) {
		if (lane->slots[i].fd >= 0) {
			slot_ask(lane, &lane->slots[i], now());
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
			slot_connected(lane, slot);
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
	if (all->load.requests > 0) {
		ask_in_step(lane);
		return;
	}
	for (i = 0; rate == 0 && asks_on(&all->load) && i < lane->count; i++) {
		if (lane->slots[i].fd >= 0) {
			slot_ask(lane, &lane->slots[i], now());
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
			slot_retire(lane, &lane->slots[i], CLIENT_LOST);
		} else if (lane->slots[i].fd >= 0) {
			close(lane->slots[i].fd);
		}
	}
	return NULL;
}
