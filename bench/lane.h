/* One thread of the generator and the clients that are dealt to it; lane.c says how it runs. */
#ifndef BENCH_LANE_H
#define BENCH_LANE_H

#include "clients.h"
#include "hist.h"

#include <pthread.h>
#include <stdatomic.h>

#define RECORD_ON UINT64_MAX

struct slot {
	int fd; /* -1: retired */
	int connecting;
	int waiting; /* for a reply */
	struct request_id id; /* of the latest request */
	uint64_t started; /* sent; by the clock: due */
	size_t got; /* of the reply */
	int settled; /* counted as such */
};

/* One thread's part.  Its own alone, but for what is atomic, which others read. */
struct lane {
	struct clients *all;
	pthread_t thread;
	int epoll;
	int bell; /* eventfd: the loop is to look at `go` and `stop` */
	int timer; /* timerfd: a request is due by the clock */
	struct slot *slots;
	unsigned count;
	int going; /* has seen `go` */
	unsigned live;
	unsigned waiting;
	unsigned connections; /* made so far, which picks the source address */
	unsigned turn; /* the slot that the clock comes to next */
	uint64_t due; /* when the timetable's next request is */
	uint64_t interval; /* between two of them; 0: there is no timetable */
	uint64_t missed;
	atomic_ullong completed;
	atomic_uint settled; /* slots that had their first reply, or failed */
	atomic_uint finished; /* slots that have made their share of requests, or failed */
	uint64_t errors[CLIENT_ERROR_KINDS];
	struct hist hist[2]; /* of unmarked requests, of marked ones */
	struct hist late; /* of the timetable's requests that did not wait for a client */
	uint32_t *bins; /* replies since `started` */
	const char *reply; /* what is due, reply_size bytes */
	size_t reply_size;
	size_t size; /* what is sent at once */
	char request[REQUEST_MAX_SIZE];
	char buffer[REQUEST_MAX_SIZE + 1];
};

struct clients {
	struct load load;
	atomic_ullong record_from; /* when it began, 0: not yet */
	atomic_ullong record_until; /* when it ended, RECORD_ON: it has not */
	atomic_int go; /* those that ask more than once may go on */
	atomic_ullong started; /* when that was set */
	atomic_int stop;
	struct lane *lanes;
};

/* The thread's function; takes its struct lane. */
void *lane_run(void *lane);

#endif
