/* The clients of a load: N connections and what is asked on them; clients.c says how it runs. */
#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "hist.h"
#include "request.h"

enum shape {
	SHAPE_KEEP, /* connect once, then request after request */
	SHAPE_CONNECT, /* connect, one request, read until the server closes, close; again */
	SHAPE_IDLE, /* connect, one request, then nothing */
	SHAPE_RAMP /* as keep, but measured from the second request on, which all make at once */
};

/* What can go wrong, counted each; any of them makes the run fail. */
#define CLIENT_ERRORS(X) \
	X(REFUSED, "refused", "could not connect") \
	X(RESET, "reset", "lost its connection") \
	X(SHORT, "short", "saw the end of the stream before the whole reply") \
	X(WRONG, "wrong", "got other bytes than the reply that was due") \
	X(LOST, "lost", "got no reply in time")

enum client_error {
#define X(id, name, text) CLIENT_##id,
	CLIENT_ERRORS(X)
#undef X
		CLIENT_ERROR_KINDS
};

struct load {
	enum shape shape;
	unsigned port;
	unsigned clients;
	unsigned threads;
	unsigned rate; /* requests a second in all, by the clock; 0: each as soon as the last is done */
	unsigned requests; /* each client makes its share of so many, then stops; 0: it goes on */
	double patience; /* seconds to wait for the replies still due at the end */
	size_t bins; /* how many of RAMP_BIN_NS to count replies in; 0 but for SHAPE_RAMP */
	struct request request;
};

struct results {
	struct hist hist[2]; /* of latencies in ns: of unmarked requests, of marked ones */
	uint64_t errors[CLIENT_ERROR_KINDS];
	struct hist late; /* how long after it was due a request was sent by a client that was free */
	uint64_t missed; /* requests of the timetable for which no client came free before the end */
	uint32_t *bins; /* load.bins counts of replies; to be freed */
};

struct clients;

/* All threads of the load.  NULL, with the reason printed, when they cannot be made. */
struct clients *clients_start(const struct load *load);

/* Waits until every client had its first reply, or failed.  -1: some had none in time. */
int clients_ready(struct clients *clients, unsigned seconds);

/* Waits until every client has made its share of load.requests, or failed, as long as replies come:
 * without any for load.patience it returns. */
void clients_wait(struct clients *clients);

/* Lets them ask on, which they do not before. */
void clients_go(struct clients *clients);

/* Whether latencies are recorded from now on; they always are in SHAPE_IDLE. */
void clients_record(struct clients *clients, int on);

/* Replies so far, warm-up included; the one to every line counts. */
uint64_t clients_completed(const struct clients *clients);

/* Lets what is under way come to its end, then ends and frees all.  Fills in the results, which
 * are zeroed memory before. */
void clients_finish(struct clients *clients, struct results *results);

#endif
