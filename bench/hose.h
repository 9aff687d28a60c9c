/* One more client, beside those of the load, that streams without a pause; hose.c says how. */
#ifndef BENCH_HOSE_H
#define BENCH_HOSE_H

#include <stdint.h>

struct hose;

/* Connects and begins to stream.  NULL, with the reason printed, when it cannot. */
struct hose *hose_start(unsigned port);

/* Bytes that have come back so far. */
uint64_t hose_echoed(const struct hose *hose);

/* Ends it and frees it: 0, or -1 when its connection was lost, or other bytes came back. */
int hose_finish(struct hose *hose);

#endif
