/* SPDX-License-Identifier: MIT
 *
 * Threads on demand: output that waits for a slow reader holds no thread, whether its client stays or
 * ends; it goes out whole, and only then is the client closed, once.
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum { PEERS = 50, LARGE = 1000000, MOST_OUTPUT = 4000000 };

static struct endings endings;
static struct gate handled;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
	handled = (struct gate)GATE;
}

/* The request says how much to write, and, behind it, whether that was all. */
static int pour(mts_client *client, const void *request, size_t size, void *user)
{
	static const char end[] = " and close";
	char *rest;
	const size_t count = strtoul(request, &rest, 10);
	char *bytes = malloc(count + 1);
	(void)size;
	(void)user;
	ck_assert_ptr_nonnull(bytes);
	pattern_fill(bytes, count, 0);
	ck_assert_int_eq(mts_client_write(client, bytes, count), 0);
	free(bytes);
	gate_add(&handled);
	return strcmp(rest, end) == 0 ? MTS_CLOSE : MTS_KEEP;
}

static mts_server *pouring_server(size_t most_output, unsigned threads)
{
	mts_server *server = server_new(pour, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, most_output), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, threads), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	server_start(server);
	return server;
}

/* Their handlers are done, and no thread is left but the one that polls; much of it still waits. */
static void let_them_wait(mts_server *server, int *peers, const char *request)
{
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect_small(server);
		peer_puts(peers[i], request);
	}
	gate_wait(&handled, PEERS);
	server_wait_stat(server, MTS_STAT_BUSY, 0);
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_BYTES_OUT), (uint64_t)PEERS * LARGE / 4 * 3);
	ck_assert_int_eq(gate_count(&endings.all), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), PEERS);
}

START_TEST(it_waits_without_a_thread)
{
	int peers[PEERS];
	mts_server *server = pouring_server(MOST_OUTPUT, _i == 0 ? 0 : 1);
	let_them_wait(server, peers, "1000000\n");
	for (int i = 0; i < PEERS; i++) {
		peer_expect_pattern(peers[i], LARGE, 0);
		peer_puts(peers[i], "10\n");
		peer_expect_pattern(peers[i], 10, 0);
		close(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS);
	server_end(server);
}
END_TEST

START_TEST(it_waits_without_a_thread_at_the_end)
{
	int peers[PEERS];
	mts_server *server = pouring_server(MOST_OUTPUT, _i == 0 ? 0 : 1);
	let_them_wait(server, peers, "1000000 and close\n");
	for (int i = 0; i < PEERS; i++) {
		peer_expect_pattern(peers[i], LARGE, 0);
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_BY_HANDLER, PEERS);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), PEERS);
}
END_TEST

/* The peer has finished sending, and has all its replies to come. */
START_TEST(it_waits_for_one_that_has_finished)
{
	int peers[PEERS];
	mts_server *server = pouring_server(MOST_OUTPUT, _i == 0 ? 0 : 1);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect_small(server);
		peer_puts(peers[i], "1000000\n500000\n");
		peer_finish(peers[i]);
	}
	gate_wait(&handled, 2 * PEERS);
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	ck_assert_int_eq(gate_count(&endings.all), 0);
	for (int i = 0; i < PEERS; i++) {
		peer_expect_pattern(peers[i], LARGE, 0);
		peer_expect_pattern(peers[i], LARGE / 2, 0);
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS);
	server_end(server);
}
END_TEST

/* They go away instead of reading. */
START_TEST(nobody_reads_it)
{
	int peers[PEERS];
	mts_server *server = pouring_server(MOST_OUTPUT, 0);
	let_them_wait(server, peers, _i == 0 ? "1000000\n" : "1000000 and close\n");
	for (int i = 0; i < PEERS; i++) {
		peer_reset(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), PEERS);
}
END_TEST

/* At the limit of threads, with all of them in handlers, it still goes out, and the others get in. */
static struct gate entered = GATE;
static struct gate leave = GATE;

static int pour_or_wait(mts_client *client, const void *request, size_t size, void *user)
{
	if (strcmp(request, "wait") != 0) {
		return pour(client, request, size, user);
	}
	gate_add(&entered);
	gate_wait(&leave, 1);
	return mts_client_puts(client, "waited") == 0 ? MTS_CLOSE : MTS_KEEP;
}

START_TEST(it_goes_out_while_all_threads_are_busy)
{
	enum { LIMIT = 2 };
	int busy[LIMIT];
	mts_server *server = server_new(pour_or_wait, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, MOST_OUTPUT), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, LIMIT), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	server_start(server);
	const int stays = peer_connect_small(server);
	const int ends = peer_connect_small(server);
	peer_puts(stays, "1000000\n");
	peer_puts(ends, "1000000 and close\n");
	gate_wait(&handled, 2);
	for (int i = 0; i < LIMIT; i++) {
		busy[i] = peer_connect(server, 0);
		peer_puts(busy[i], "wait\n");
	}
	gate_wait(&entered, LIMIT);
	peer_expect_pattern(stays, LARGE, 0);
	peer_expect_pattern(ends, LARGE, 0);
	ck_assert_int_eq(gate_count(&leave), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), LIMIT);
	gate_add(&leave);
	peer_expect_end(ends);
	for (int i = 0; i < LIMIT; i++) {
		peer_expect_text(busy[i], "waited");
		peer_expect_end(busy[i]);
		close(busy[i]);
	}
	close(stays);
	close(ends);
	server_end(server);
}
END_TEST

/* Replies that are above the limit together: no further turn until they are not, and nothing is lost. */
START_TEST(more_replies_than_the_limit)
{
	enum { REQUESTS = 3000, REPLY = 1000 };
	mts_server *server = pouring_server(1, _i == 0 ? 0 : 2);
	const int slow = peer_connect_small(server);
	const int other = peer_connect(server, 0);
	for (int i = 0; i < REQUESTS; i++) {
		peer_puts(slow, "1000\n");
	}
	for (int i = 0; i < 100; i++) {
		peer_puts(other, "10\n");
		peer_expect_pattern(other, 10, 0);
	}
	for (int i = 0; i < REQUESTS; i++) {
		peer_expect_pattern(slow, REPLY, 0);
	}
	close(slow);
	close(other);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 2);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("on demand, output");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, it_waits_without_a_thread, 0, 2);
	tcase_add_loop_test(tcase, it_waits_without_a_thread_at_the_end, 0, 2);
	tcase_add_loop_test(tcase, it_waits_for_one_that_has_finished, 0, 2);
	tcase_add_loop_test(tcase, nobody_reads_it, 0, 2);
	tcase_add_test(tcase, it_goes_out_while_all_threads_are_busy);
	tcase_add_loop_test(tcase, more_replies_than_the_limit, 0, 2);
	return suite_run_once();
}
