/* More clients, beside those of the load, that stream without a pause; hose.c says how. */
#ifndef BENCH_HOSE_H
#define BENCH_HOSE_H

#include <stdint.h>

struct hose;

/* Connects so many and begins to stream.  NULL, with the reason printed, when it cannot. */
struct hose *hose_start(unsigned port, unsigned count);

/* Bytes that have come back so far, on all. */
uint64_t hose_echoed(const struct hose *hose);

/* Ends and frees all: 0, or -1 when a connection was lost, or other bytes came back. */
int hose_finish(struct hose *hose);

#endif
