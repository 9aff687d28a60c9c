/*
 * The generator: a closed loop, each client asking again as soon as it has its reply, or by the
 * clock, each client asking in turn.
 *
 * Clients are dealt out to one or more threads (lane.c), each with an epoll of its own and nothing
 * shared while it runs but two flags to read and two counters that it alone writes.  So reading
 * how many requests are done costs the load nothing, and can stand right beside the reading of the
 * server's clock.
 *
 * A closed loop measures a server at its own pace: a stall holds back the requests that would
 * have come meanwhile, so the percentiles are those of the requests made, not of a timetable.  By
 * the clock it is the other way round (lane.c).
 */
#include "clients.h"

#include "lane.h"
#include "servers/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* What wakes the lane besides its clients: NULL stands for the bell, itself for its timer. */
static int prepare_wakers(struct lane *lane)
{
	struct epoll_event bell = {.events = EPOLLIN, .data = {.ptr = NULL}};
	struct epoll_event timer = {.events = EPOLLIN, .data = {.ptr = lane}};

	lane->epoll = epoll_create1(EPOLL_CLOEXEC);
	lane->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lane->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (lane->epoll < 0 || lane->bell < 0 || lane->timer < 0) {
		return -1;
	}
	return epoll_ctl(lane->epoll, EPOLL_CTL_ADD, lane->bell, &bell) == 0
			&& epoll_ctl(lane->epoll, EPOLL_CTL_ADD, lane->timer, &timer) == 0
		? 0
		: -1;
}

static int prepare_lane(struct lane *lane, struct clients *all, unsigned index)
{
	int hello = all->load.shape == SHAPE_CONNECT;
	unsigned i;

	lane->all = all;
	lane->count = all->load.clients / all->load.threads
		+ (index < all->load.clients % all->load.threads);
	lane->live = lane->count;
	lane->slots = calloc(lane->count ? lane->count : 1, sizeof(*lane->slots));
	lane->bins = calloc(all->load.bins ? all->load.bins : 1, sizeof(*lane->bins));
	lane->size = request_bytes(&all->load.request);
	lane->reply = hello ? CONTRACT_HELLO : lane->request;
	lane->reply_size = hello ? sizeof(CONTRACT_HELLO) - 1 : lane->size;
	request_prepare(&all->load.request, lane->request);
	if (!lane->slots || !lane->bins || prepare_wakers(lane) != 0) {
		return -1;
	}
	for (i = 0; i < lane->count; i++) {
		lane->slots[i].fd = -1;
		lane->slots[i].id.client = (uint64_t)i * all->load.threads + index;
	}
	return pthread_create(&lane->thread, NULL, lane_run, lane) == 0 ? 0 : -1;
}

struct clients *clients_start(const struct load *load)
{
	struct clients *all = calloc(1, sizeof(*all));
	unsigned i;

	if (!all) {
		return NULL;
	}
	all->load = *load;
	atomic_store(&all->record_until, RECORD_ON);
	atomic_store(&all->record_from, load->shape == SHAPE_IDLE ? 1 : 0);
	all->lanes = calloc(load->threads, sizeof(*all->lanes));
	for (i = 0; all->lanes && i < load->threads; i++) {
		if (prepare_lane(&all->lanes[i], all, i) != 0) {
			/* The process is about to end with a failure, and all of this with it. */
			perror("load: cannot make its threads");
			return NULL;
		}
	}
	return all->lanes ? all : NULL;
}

static const struct timespec moment = {.tv_nsec = 2 * 1000 * 1000};

int clients_ready(struct clients *clients, unsigned seconds)
{
	uint64_t end = now() + seconds * UINT64_C(1000000000);

	while (now() < end) {
		unsigned settled = 0;
		unsigned i;

		for (i = 0; i < clients->load.threads; i++) {
			settled += atomic_load(&clients->lanes[i].settled);
		}
		if (settled == clients->load.clients) {
			return 0;
		}
		nanosleep(&moment, NULL);
	}
	return -1;
}

void clients_wait(struct clients *clients)
{
	uint64_t patience = (uint64_t)(clients->load.patience * 1e9);
	uint64_t end = now() + patience;
	uint64_t completed = 0;
	unsigned finished = 0;

	while (finished < clients->load.clients && now() < end) {
		uint64_t before = completed;
		unsigned i;

		nanosleep(&moment, NULL);
		completed = clients_completed(clients);
		end = completed > before ? now() + patience : end;
		for (finished = 0, i = 0; i < clients->load.threads; i++) {
			finished += atomic_load(&clients->lanes[i].finished);
		}
	}
}

void clients_go(struct clients *clients)
{
	unsigned i;

	atomic_store(&clients->started, now());
	atomic_store(&clients->go, 1);
	for (i = 0; i < clients->load.threads; i++) {
		(void)eventfd_write(clients->lanes[i].bell, 1);
	}
}

void clients_record(struct clients *clients, int on)
{
	if (clients->load.shape != SHAPE_IDLE) {
		atomic_store(on ? &clients->record_from : &clients->record_until, now());
	}
}

uint64_t clients_completed(const struct clients *clients)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < clients->load.threads; i++) {
		sum += atomic_load_explicit(&clients->lanes[i].completed, memory_order_relaxed);
	}
	return sum;
}

static void finish_lane(struct lane *lane, struct results *results)
{
	size_t i;

	(void)eventfd_write(lane->bell, 1);
	pthread_join(lane->thread, NULL);
	hist_merge(&results->hist[0], &lane->hist[0]);
	hist_merge(&results->hist[1], &lane->hist[1]);
	for (i = 0; i < CLIENT_ERROR_KINDS; i++) {
		results->errors[i] += lane->errors[i];
	}
	hist_merge(&results->late, &lane->late);
	results->missed += lane->missed;
	for (i = 0; results->bins && i < lane->all->load.bins; i++) {
		results->bins[i] += lane->bins[i];
	}
	close(lane->epoll);
	close(lane->bell);
	close(lane->timer);
	free(lane->bins);
	free(lane->slots);
}

void clients_finish(struct clients *clients, struct results *results)
{
	unsigned i;

	atomic_store(&clients->stop, 1);
	results->bins = calloc(clients->load.bins ? clients->load.bins : 1, sizeof(*results->bins));
	for (i = 0; i < clients->load.threads; i++) {
		finish_lane(&clients->lanes[i], results);
	}
	free(clients->lanes);
	free(clients);
}
