/* SPDX-License-Identifier: MIT
 *
 * Threads on demand: how many there are. None for an idle client, and an idle server is never woken; as
 * many as block at once, down to one when it is quiet again; never more than are allowed, and then nobody
 * is forgotten; and not one for each handler that computes.
 */
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stage.h"

static struct workers threads;
static _Atomic unsigned calls; /* of a handler that computes a little, */
static _Atomic unsigned together; /* those that began while another one was at it, */
static _Atomic unsigned inside; /* and those that are at it now */

static void burn(uint64_t nanoseconds)
{
	struct timespec used;
	uint64_t until = 0;
	uint64_t now;
	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
		now = (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
		until = until == 0 ? now + nanoseconds : until;
	} while (now < until);
}

/* Does what the line says, and echoes it. */
static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	(void)size;
	if (strcmp(request, "wait") == 0) {
		gate_add(&entered);
		gate_wait(&leave, 1);
	} else if (strcmp(request, "burn") == 0) {
		burn(2000000);
	} else if (strcmp(request, "work") == 0) {
		calls++;
		together += atomic_fetch_add(&inside, 1) > 0 ? 1 : 0;
		burn(50000);
		inside--;
	} else if (strcmp(request, "nap") == 0) {
		poll(NULL, 0, 1);
	}
	return mts_client_printf(client, "%s\n", (const char *)request) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static mts_server *obeying_server(unsigned limit)
{
	mts_server *server = server_new(obey, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, limit), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_on_thread(server, worker_begins, worker_ends, &threads), 0);
	return server;
}

static void ask(int peer, const char *line)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "%s\n", line);
	peer_puts(peer, text); /* in one piece: the second of two would wait for the peer (RFC 896) */
}

static void want(int peer, const char *line)
{
	peer_expect_text(peer, line);
	peer_expect_text(peer, "\n");
}

static void connect_all(const mts_server *server, int *peers, int count)
{
	for (int i = 0; i < count; i++) {
		peers[i] = peer_connect(server, 0);
	}
}

static void close_all(const int *peers, int count)
{
	for (int i = 0; i < count; i++) {
		close(peers[i]);
	}
}

/* The keeper, the stand-in, and a worker that polls. */
enum { IDLE_THREADS = 3 };

/* Parked clients of all kinds: silent, served, with half a request; and one that has blocked. */
START_TEST(an_idle_server_is_never_woken)
{
	enum { PEERS = 60, MILLISECONDS = 2500 };
	int peers[PEERS];
	mts_server *server = obeying_server(0);
	server_start(server);
	connect_all(server, peers, PEERS);
	for (int i = 0; i < PEERS; i++) {
		if (i % 3 != 0) {
			const char *line = i % 4 == 0 ? "nap" : "hello";
			ask(peers[i], line);
			want(peers[i], line);
			peer_puts(peers[i], i % 3 == 1 ? "half" : "");
		}
	}
	server_wait_stat(server, MTS_STAT_OPEN, PEERS);
	server_wait_stat(server, MTS_STAT_BYTES_IN, 20 * 4 + 5 * 4 * 2 + 15 * 6 * 2);
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	/* The one that has left may be listed for a moment, and what it has set in motion must end. */
	struct library_threads before;
	const uint64_t start = now_ms();
	do {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		before = library_threads();
		poll(NULL, 0, 300);
	} while (before.count != IDLE_THREADS || library_threads().switches != before.switches);
	poll(NULL, 0, MILLISECONDS);
	ck_assert_uint_eq(library_threads().switches, before.switches);
	ck_assert_int_eq(library_threads().count, IDLE_THREADS);
	for (int i = 0; i < PEERS; i++) {
		const bool half = i % 3 == 1;
		ask(peers[i], "x");
		want(peers[i], half ? "halfx" : "x");
	}
	close_all(peers, PEERS);
	server_end(server);
}
END_TEST

START_TEST(as_many_as_block_and_one_when_quiet)
{
	enum { PEERS = 500, IDLE = 100 };
	static int peers[PEERS + IDLE];
	ck_assert_uint_ge(most_descriptors(), 2 * (PEERS + IDLE) + 40);
	mts_server *server = obeying_server(0);
	server_start(server);
	connect_all(server, peers, PEERS + IDLE);
	server_wait_stat(server, MTS_STAT_OPEN, PEERS + IDLE);
	for (int i = 0; i < PEERS; i++) {
		ask(peers[i], "wait");
	}
	gate_wait(&entered, PEERS);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), PEERS);
	server_expect_threads(server, MTS_STAT_THREADS, PEERS);
	server_expect_threads(server, MTS_STAT_THREADS_PEAK, PEERS);
	for (int i = PEERS; i < PEERS + IDLE; i++) {
		ask(peers[i], "in between");
		want(peers[i], "in between");
	}
	gate_add(&leave);
	for (int i = 0; i < PEERS; i++) {
		want(peers[i], "wait");
	}
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), PEERS + IDLE);
	close_all(peers, PEERS + IDLE);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS + IDLE);
	server_end(server);
	ck_assert_int_eq(threads.now, 0);
}
END_TEST

static const unsigned limits[] = {1, 2, 4};

/* Handlers that block now and then, more clients than threads, and all get all their answers. */
START_TEST(the_limit_is_kept_and_all_are_served)
{
	enum { PEERS = 120, ROUNDS = 10 };
	int peers[PEERS];
	const unsigned limit = limits[_i];
	mts_server *server = obeying_server(limit);
	server_start(server);
	connect_all(server, peers, PEERS);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < PEERS; i++) {
			ask(peers[i], (i + round) % 5 == 0 ? "nap" : "hello");
		}
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = PEERS - 1; i >= 0; i--) {
			want(peers[i], (i + round) % 5 == 0 ? "nap" : "hello");
		}
	}
	close_all(peers, PEERS);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_THREADS_PEAK), limit);
	server_end(server);
	ck_assert_int_le(threads.most, (int)limit);
	ck_assert_int_eq(threads.now, 0);
}
END_TEST

/* All threads there may be are blocked: connections are taken all the same, and wait for their hook. */
START_TEST(at_the_limit_connections_are_accepted)
{
	enum { MORE = 30 };
	int busy[4];
	int more[MORE];
	const unsigned limit = limits[_i];
	mts_server *server = obeying_server(limit);
	server_start(server);
	for (unsigned i = 0; i < limit; i++) {
		busy[i] = peer_connect(server, 0);
		ask(busy[i], "wait");
		gate_wait(&entered, (int)i + 1);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_THREADS), limit);
	connect_all(server, more, MORE);
	const uint64_t start = now_ms();
	while (mts_server_stat(server, MTS_STAT_THREAD_WAITS) < MORE) { /* accepted, and waiting */
		ck_assert_msg(now_ms() - start < PATIENCE * 1000 / 2, "%d wait",
			(int)mts_server_stat(server, MTS_STAT_THREAD_WAITS));
		poll(NULL, 0, 1);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), limit);
	for (int i = 0; i < MORE; i++) {
		ask(more[i], "hello");
	}
	gate_add(&leave);
	for (int i = 0; i < MORE; i++) {
		want(more[i], "hello");
	}
	for (unsigned i = 0; i < limit; i++) {
		want(busy[i], "wait");
	}
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_THREADS_PEAK), limit);
	close_all(more, MORE);
	close_all(busy, (int)limit);
	server_wait_stat(server, MTS_STAT_CLOSED, MORE + limit);
	server_end(server);
}
END_TEST

/* They compute on as many threads as there are CPUs, or a few more, and a short request gets through. */
START_TEST(handlers_that_compute_breed_no_threads)
{
	enum { PEERS = 64, ROUNDS = 8 };
	int peers[PEERS];
	const int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	mts_server *server = obeying_server(0);
	server_start(server);
	connect_all(server, peers, PEERS);
	const int short_one = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, PEERS + 1);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < PEERS; i++) {
			ask(peers[i], "burn");
		}
		ask(short_one, "hello");
		want(short_one, "hello");
		for (int i = 0; i < PEERS; i++) {
			want(peers[i], "burn");
		}
	}
	/* Two more may compute than there are CPUs, one polls, and one may be on its way. */
	const int peak = (int)mts_server_stat(server, MTS_STAT_THREADS_PEAK);
	ck_assert_msg(peak <= cpus + 4, "%d threads on %d CPUs", peak, cpus);
	close(short_one);
	close_all(peers, PEERS);
	server_end(server);
}
END_TEST

/* How many CPUs this process may use. */
static int allowed_cpus(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Nobody is late, but as long as clients wait behind each other a second CPU is of use. */
START_TEST(handlers_that_compute_a_little_use_two_cpus)
{
	enum { PEERS = 32, STRETCH = 1000 };
	int peers[PEERS];
	mts_server *server = obeying_server(0);
	server_start(server);
	connect_all(server, peers, PEERS);
	server_wait_stat(server, MTS_STAT_OPEN, PEERS);
	do {
		calls = 0;
		together = 0;
		while (calls < STRETCH) {
			for (int i = 0; i < PEERS; i++) {
				ask(peers[i], "work");
			}
			for (int i = 0; i < PEERS; i++) {
				want(peers[i], "work");
			}
		}
	} while (together < STRETCH / 2);
	close_all(peers, PEERS);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("on demand");
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_test(tcase, an_idle_server_is_never_woken);
	tcase_add_test(tcase, as_many_as_block_and_one_when_quiet);
	tcase_add_loop_test(tcase, the_limit_is_kept_and_all_are_served, 0, 3);
	tcase_add_loop_test(tcase, at_the_limit_connections_are_accepted, 0, 3);
	if (!under_valgrind()) { /* which lets one thread run at a time, and the others wait */
		tcase_add_test(tcase, handlers_that_compute_breed_no_threads);
		if (allowed_cpus() > 1) { /* with one there is nothing to be had */
			tcase_add_test(tcase, handlers_that_compute_a_little_use_two_cpus);
		}
	}
	return suite_run_once();
}
