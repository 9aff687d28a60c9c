/* SPDX-License-Identifier: MIT
 *
 * What the tests of the public interface share: peers that never hang, and waiting for events instead of
 * for time. Everything here fails the running test when it does not succeed within PATIENCE.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <check.h>

#include <mtserver.h>

enum { PATIENCE = 60 }; /* seconds; only a failure ever takes that long */

/* Counts events, and waits for them. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int count;
};

#define GATE \
	{ \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 \
	}

int gate_add(struct gate *gate); /* how many have come with this one */
int gate_count(struct gate *gate);
void gate_wait(struct gate *gate, int count); /* until at least so many have come */

/* The thread model that is being tested: one of enum mts_thread_model. */
extern int test_model;

/* A server of `handler` of that model. */
mts_server *server_create(mts_handler handler, void *user);

/* The same, which listens on 127.0.0.1, any port; not started. */
mts_server *server_new(mts_handler handler, void *user);
void server_start(mts_server *server);

/* Stops, joins and destroys it, and requires that each of that works. */
void server_end(mts_server *server);

/*
 * Requires that so many threads, now or as a peak, fit to so many handlers that run at once: one each,
 * and on demand another one that polls, and one that was on its way as it was no longer needed.
 */
void server_expect_threads(const mts_server *server, int which, int handlers);

/*
 * Waits for what nothing announces: looks at it again and again, and lets others run in between. Fails
 * after PATIENCE.
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

/* Waits until a number of the server reaches a value. */
void server_wait_stat(mts_server *server, int which, uint64_t value);

/*
 * Connects to the server's index-th address: a blocking socket whose calls fail after PATIENCE, and that
 * sends each piece at once.
 */
int peer_connect(const mts_server *server, size_t index);
/* The same in two steps, for when no descriptor can be had any more; to 127.0.0.1 only. */
int peer_socket(void);
void peer_connect_socket(int peer, const mts_server *server);
bool peer_try_connect(int peer, const mts_server *server); /* false: refused */

void peer_send(int peer, const void *data, size_t size);
void peer_puts(int peer, const char *text);

/* Receives exactly these bytes; the end of the stream; the end or a reset. */
void peer_expect(int peer, const void *data, size_t size);
void peer_expect_text(int peer, const char *text);
void peer_expect_end(int peer);
void peer_expect_gone(int peer);
size_t peer_expect_torn(int peer); /* whatever, then a reset: how much before it */
void peer_finish(int peer); /* no more from this side */
void peer_reset(int peer); /* closes with a reset instead of an end of stream */

/* How many descriptors and threads this process has. */
int count_descriptors(void);
int settled_descriptors(void); /* without those that a running server opens for a moment */
int count_threads(void);

uint64_t now_us(void);
uint64_t now_ms(void);

/* Counts clients that ended, by reason: mts_server_on_close(server, endings_note, &endings). */
struct endings {
	struct gate all;
	_Atomic int reasons[MTS_CLOSED_STOP + 1];
};

void endings_note(mts_client *client, int reason, void *endings);
void endings_expect(struct endings *endings, int reason, int count); /* waits for it */

/* A stream whose every byte follows from its position, so that what arrives can be checked. */
void pattern_fill(void *bytes, size_t size, uint64_t position);
void peer_expect_pattern(int peer, size_t size, uint64_t position);

/* Small kernel buffers, so that a reader who does not read is felt soon. */
void small_buffers(int fd);

/* Lets this process open no more descriptors than it has, until called with false. */
void starve_descriptors(bool starve);

/* Raises the limit of open files as far as it goes; what it is now. */
size_t most_descriptors(void);

/*
 * Whether valgrind runs this process. It tells of a descriptor too many only after the kernel has
 * made it, and closes it then, so an accept that fails there has lost its connection.
 */
bool under_valgrind(void);

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
