/* SPDX-License-Identifier: MIT
 *
 * What the tests of the public interface share: servers, waiting for events instead of for time, and main();
 * peers that never hang, common callbacks and gates have files of their own. Everything here fails the
 * running test when it does not succeed within PATIENCE.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <check.h>

#include <mtserver.h>

#include "callbacks.h"
#include "gate.h"
#include "peer.h"

/* The thread model that is being tested: one of enum mts_thread_model. */
extern int test_model;

/* A server of `handler` of that model. */
mts_server *server_create(mts_handler handler, void *user);

/* The same, which listens on 127.0.0.1, any port, or on a Unix socket of this process; not started. */
enum { TCP, UNIX, FAMILIES };
mts_server *server_on(int family, mts_handler handler, void *user);
mts_server *server_new(mts_handler handler, void *user); /* on TCP */
void server_start(mts_server *server);

/* A server of lines that counts how its clients end; like server_new(). */
mts_server *server_of_lines(mts_handler handler, void *user, struct endings *endings);

/*
 * Waits until a stop is over, in which no callback hangs. Under valgrind, which runs one thread at a
 * time, one that only waits for its turn looks to the library as if it slept; so it may count as hung.
 */
void server_join(mts_server *server);

/* Stops, joins and destroys it, and requires that each of these works. */
void server_end(mts_server *server);

/*
 * Requires that the number of threads, now or as a peak, fits the number of handlers that run at
 * once: one each, and on demand one more that polls, and one that was on its way when no longer
 * needed.
 */
void server_expect_threads(const mts_server *server, int which, int handlers);

/*
 * Waits for something that raises no event: looks again and again, and lets others run in between.
 * Fails after PATIENCE.
 */
#define wait_until(condition) \
	for (const uint64_t wait_begun = now_ms(); !(condition);) { \
		wait_on(wait_begun, #condition); \
	}
void wait_on(uint64_t begun, const char *what);

/* The threads of the library in this process, as the kernel sees them. */
struct library_threads {
	int count;
	int running; /* those that have or want a CPU */
	unsigned long switches; /* how often they have been given one */
};
struct library_threads library_threads(void);
void library_rests(void); /* waits until none of them has anything to do */

/* Waits until what has gone out stands still for a while: whatever blocks has blocked then. */
uint64_t server_settled_bytes(const mts_server *server);

/* Waits until a number of the server reaches a value. */
void server_wait_stat(mts_server *server, int which, uint64_t value);

/* A socket that listens, on 127.0.0.1 or under a name that the kernel has found. */
int listening_socket(int family, int backlog);

/*
 * The end of a child that was made while servers run, with status 0 or 1: by becoming another program. At an
 * end of this one, tools that look for leaks would miss the threads of the process that it was made from,
 * and what these had.
 */
_Noreturn void child_leave(int status);

/* How many descriptors and threads this process has. */
int count_descriptors(void);
int settled_descriptors(void); /* without those that a running server opens for a moment */
int count_threads(void);

uint64_t now_us(void);
uint64_t now_ms(void);

/* Makes this process unable to open more descriptors than it has, until called with false. */
void starve_descriptors(bool starve);

/* Raises the limit of open files as far as it goes; what it is now. */
size_t most_descriptors(void);

/*
 * Whether valgrind runs this process. It reports that there are too many descriptors only after the
 * kernel has made one, and closes that. So an accept that fails there has lost its connection.
 */
bool under_valgrind(void);

/* Whether valgrind or a sanitizer makes everything here take several times as long. */
bool is_slowed(void);

/* Goes down the stack from its top in frames of a few hundred bytes, and touches all of it; the result is 7. */
size_t stack_descend(const char *top, size_t depth);

/* CPU time that this process has used, in milliseconds. */
uint64_t cpu_ms(void);

/*
 * Begins the suite of a program, in whose one case the tests go; none of them may take two minutes, or what
 * the program sets instead. main() ends with one of the others: each test runs with each thread model in turn,
 * or with MTS_TEST_MODEL (on-demand, per-client) alone; or once, for what knows no threads.
 */
TCase *suite_begin(const char *name);
int suite_run(void);
int suite_run_once(void);

#endif
