/* SPDX-License-Identifier: MIT
 *
 * Peers that do what is allowed and hardly anybody does: urgent data, sends of nothing, resets at any
 * moment, one byte at a time. None of it may cost the server more than the bytes are worth, or another
 * client anything. With both thread models; what is particular to threads on demand is in
 * test_on_demand_input.c.
 */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

enum { QUIET = 300 }; /* ms of silence, in which hardly any CPU time may be used */
enum { MIB = 1024 * 1024 };

static struct endings endings;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
}

/* Replies with the size of the request. */
static int measure(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)user;
	return mts_client_printf(client, "%zu\n", size) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static mts_server *measuring_server(int family)
{
	mts_server *server = server_on(family, measure, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 4 * MIB), 0);
	server_start(server);
	return server;
}

/* Nobody is busy with what has come: less than 2 % of a CPU, and what a look costs under valgrind. */
static void expect_quiet(void)
{
	const uint64_t before = cpu_ms();
	poll(NULL, 0, QUIET);
	ck_assert_uint_le(cpu_ms() - before, under_valgrind() ? QUIET / 3 : QUIET / 50);
}

START_TEST(urgent_data_does_not_spin)
{
	mts_server *server = measuring_server(TCP);
	const int peer = peer_connect(server, 0);
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(send(peer, "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
		server_wait_stat(server, MTS_STAT_BYTES_IN, i);
		expect_quiet();
	}
	peer_puts(peer, "and a line\n"); /* the urgent bytes are in their places */
	peer_expect_text(peer, "13\n");
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	server_end(server);
}
END_TEST

START_TEST(sends_of_nothing_do_not_spin)
{
	mts_server *server = measuring_server(_i);
	const int peer = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 1);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(send(peer, "", 0, MSG_NOSIGNAL), 0);
	}
	expect_quiet();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 0);
	for (int i = 0; i < 100; i++) {
		peer_puts(peer, "ha");
		ck_assert_int_eq(send(peer, "", 0, MSG_NOSIGNAL), 0);
		peer_puts(peer, "lf\n");
		ck_assert_int_eq(send(peer, "", 0, MSG_NOSIGNAL), 0);
		peer_expect_text(peer, "4\n");
	}
	expect_quiet();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 100);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	server_end(server);
}
END_TEST

/* After so many bytes, or replies; at once, or a little later; with unread replies, or none. */
static void come_and_reset(mts_server *server, size_t i)
{
	static const char lines[] = "one\ntwo\nthree\nfour\nfi";
	const size_t sent = i % sizeof(lines);
	const int peer = peer_connect(server, 0);
	peer_send(peer, lines, sent);
	if (i % 3 == 1) {
		poll(NULL, 0, 1);
	} else if (i % 3 == 2 && sent >= 4) {
		peer_expect_text(peer, "3\n");
	}
	peer_reset(peer);
}

START_TEST(resets_harm_nobody_else)
{
	enum { ROUNDS = 300 };
	mts_server *server = measuring_server(_i);
	const int stays = peer_connect(server, 0);
	peer_puts(stays, "half of ");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 8);
	for (size_t i = 0; i < ROUNDS; i++) {
		come_and_reset(server, i);
	}
	/* One that is reset before it is accepted may never have been seen. */
	wait_until(mts_server_stat(server, MTS_STAT_OPEN) <= 1);
	const uint64_t closed = mts_server_stat(server, MTS_STAT_CLOSED);
	ck_assert_int_eq(gate_count(&endings.all), (int)closed);
	expect_quiet();
	peer_puts(stays, "a line\n");
	peer_expect_text(stays, "14\n");
	close(stays);
	server_end(server);
}
END_TEST

/* CPU time of all threads but this one, in microseconds. */
static uint64_t others_cpu_us(void)
{
	struct timespec all;
	struct timespec own;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &all);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
	return (uint64_t)(all.tv_sec - own.tv_sec) * 1000000
		+ (uint64_t)((all.tv_nsec - own.tv_nsec) / 1000);
}

/* What it costs to take so many bytes one by one. */
static uint64_t byte_by_byte(mts_server *server, int peer, int count)
{
	uint64_t in = mts_server_stat(server, MTS_STAT_BYTES_IN);
	const uint64_t before = others_cpu_us();
	for (int i = 0; i < count; i++) {
		peer_send(peer, "x", 1);
		in++;
		while (mts_server_stat(server, MTS_STAT_BYTES_IN) != in) {
			sched_yield();
		}
	}
	return others_cpu_us() - before;
}

/* A byte costs the same when a mebibyte of its request is here already: nothing is copied or searched. */
START_TEST(one_byte_at_a_time_takes_linear_time)
{
	enum { COUNT = 2000 };
	char *start = malloc(MIB);
	memset(start, 'y', MIB);
	mts_server *server = measuring_server(_i);
	const int peer = peer_connect(server, 0);
	(void)byte_by_byte(server, peer, COUNT);
	const uint64_t early = byte_by_byte(server, peer, COUNT);
	peer_send(peer, start, MIB);
	server_wait_stat(server, MTS_STAT_BYTES_IN, MIB + 2 * COUNT);
	const uint64_t late = byte_by_byte(server, peer, COUNT);
	/*
	 * Searching or copying it all each time would take ten times as long, or more. (valgrind looks at
	 * all of the buffer that a receive is given.)
	 */
	ck_assert_msg(under_valgrind() || late <= 3 * early + 20000,
		"%llu us for %d bytes at first, %llu later", (unsigned long long)early, COUNT,
		(unsigned long long)late);
	peer_puts(peer, "\n");
	char reply[32];
	(void)snprintf(reply, sizeof(reply), "%d\n", MIB + 3 * COUNT);
	peer_expect_text(peer, reply);
	free(start);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("strange peers");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, urgent_data_does_not_spin);
	tcase_add_loop_test(tcase, sends_of_nothing_do_not_spin, 0, FAMILIES);
	tcase_add_loop_test(tcase, resets_harm_nobody_else, 0, FAMILIES);
	tcase_add_loop_test(tcase, one_byte_at_a_time_takes_linear_time, 0, FAMILIES);
	return suite_run();
}
