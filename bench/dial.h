/* Making a client's connection, without waiting or with; dial.c says from where. */
#ifndef BENCH_DIAL_H
#define BENCH_DIAL_H

/* A non-blocking socket with a connect under way or done; spread: over several source addresses,
 * by the number given.  -1: failed, errno says why. */
int dial_start(unsigned port, int spread, unsigned number);

/* Where a connect ended: its error, which is also put into errno. */
int dial_result(int fd);

/* Waits for a connect that is under way; -1: failed, errno says why. */
int dial_wait(int fd);

#endif
