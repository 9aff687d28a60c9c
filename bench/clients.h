/* The clients of a load: a closed loop on N connections; clients.c says how it runs. */
#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "hist.h"

enum shape {
	SHAPE_KEEP, /* connect once, then request after request */
	SHAPE_CONNECT, /* connect, one request, read until the server closes, close; again */
	SHAPE_IDLE /* connect, one request, then nothing */
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

#define CLIENTS_MIN_SIZE 16
#define CLIENTS_MAX_SIZE 16384

struct load {
	enum shape shape;
	unsigned port;
	unsigned clients;
	unsigned threads;
	double patience; /* seconds to wait for the replies still due at the end */
	size_t size; /* of a request, within the two limits above */
};

struct clients;

/* All threads of the load.  NULL, with the reason printed, when they cannot be made. */
struct clients *clients_start(const struct load *load);

/* Waits until every client had its first reply, or failed, and only then lets them ask on.  -1: some had none in time. */
int clients_ready(struct clients *clients, unsigned seconds);

/* Whether latencies are recorded from now on; they always are in SHAPE_IDLE. */
void clients_record(struct clients *clients, int on);

/* Replies so far, warm-up included. */
uint64_t clients_completed(const struct clients *clients);

/* Lets what is under way come to its end, then ends and frees all.  Adds the latencies in ns to
 * hist and the errors to errors[CLIENT_ERROR_KINDS]. */
void clients_finish(struct clients *clients, struct hist *hist, uint64_t *errors);

#endif
