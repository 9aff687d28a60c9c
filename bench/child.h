/* The server under test as a child process. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <sys/types.h>

struct child {
	pid_t pid;
	unsigned port;
};

/* Runs the command, on one CPU unless cpu is -1, and waits until it tells its port.  0, or -1 with
 * the reason printed and nothing left running. */
int child_start(struct child *child, char **command, int cpu);

/* Holds the calling process to the CPU that the server does not get.  0, or -1 with the reason. */
int child_pin_generator(void);

/* As many open files as may be, for this process and the server, which inherits that. */
void child_raise_files(void);

/* SIGTERM, and SIGKILL when that has no effect in time.  0 when it ended as it should: with status
 * 0 or by that very SIGTERM; otherwise -1 with what happened printed. */
int child_stop(struct child *child);

#endif
