/* What a client sends, and so what it must get back; request.c says how it is made up. */
#ifndef BENCH_REQUEST_H
#define BENCH_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#define REQUEST_MIN_SIZE 16
#define REQUEST_MIN_MARKED 17
#define REQUEST_MAX_SIZE 16384

/* What all requests have in common. */
struct request {
	unsigned size; /* of each */
	unsigned pipeline; /* how many are sent at once; more than one are lines */
	int lines; /* each is a line, with its LF */
	unsigned mark; /* percentage of them; 0: the byte for it is not touched */
};

struct request_id {
	uint64_t client;
	uint64_t sequence; /* from 1 */
};

/* Fills a buffer of REQUEST_MAX_SIZE once; request_compose then writes only what differs. */
void request_prepare(const struct request *request, char *buffer);
void request_compose(const struct request *request, struct request_id id, char *buffer);

/* The bytes of all that is sent at once. */
size_t request_bytes(const struct request *request);

/* Whether it is a marked one: the same answer in every run.  A client's first never is. */
int request_marked(const struct request *request, struct request_id id);

#endif
