/* One client of the generator and its connection; lane.c says when it asks. Only its lane calls. */
#ifndef BENCH_SLOT_H
#define BENCH_SLOT_H

#include "lane.h"

/* Connects and waits for it: many at once would overflow the server's queue of connections. */
void slot_open(struct lane *lane, struct slot *slot);

/* Sends the next request on the connection that is there. */
void slot_ask(struct lane *lane, struct slot *slot, uint64_t time);

/* Sends it on a connection of its own, and slot_connected() if that takes its time. */
void slot_connect_and_ask(struct lane *lane, struct slot *slot, uint64_t time);
void slot_connected(struct lane *lane, struct slot *slot);

/* Had its first reply, or failed. */
void slot_settle(struct lane *lane, struct slot *slot);

/* Counts the error, says so if it is the first of its kind, and is done with the client. */
void slot_retire(struct lane *lane, struct slot *slot, enum client_error error);

#endif
