/* SPDX-License-Identifier: MIT
 *
 * The numbers, each compared with what the test knows to have happened.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static struct gate entered;
static struct gate leave;

static void setup(void)
{
	entered = (struct gate)GATE;
	leave = (struct gate)GATE;
}

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (strcmp(request, "wait") == 0) {
		gate_add(&entered);
		gate_wait(&leave, 1);
	}
	return mts_client_printf(client, "%.*s\n", (int)size, (const char *)request) == 0 ? MTS_KEEP
																					  : MTS_CLOSE;
}

static mts_server *echo_server(void)
{
	mts_server *server = server_new(echo, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	return server;
}

static uint64_t stat_of(const mts_server *server, int which)
{
	return mts_server_stat(server, which);
}

START_TEST(every_number_has_a_name)
{
	int count = 0;
	mts_server *server = echo_server();
	for (const char *name; (name = mts_stat_name(count)) != NULL; count++) {
		ck_assert_str_ne(name, "");
		ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		for (int i = 0; i < count; i++) {
			ck_assert_str_ne(mts_stat_name(i), name);
		}
		ck_assert_uint_eq(stat_of(server, count), 0);
	}
	ck_assert_int_eq(count, MTS_STAT_PROXY_ERRORS + 1);
	ck_assert_str_eq(mts_stat_name(MTS_STAT_ACCEPTED), "accepted");
	ck_assert_str_eq(mts_stat_name(MTS_STAT_LINGERING), "lingering");
	ck_assert_ptr_null(mts_stat_name(-1));
	ck_assert_uint_eq(stat_of(server, -1), 0);
	ck_assert_uint_eq(stat_of(server, count), 0);
	ck_assert_uint_eq(mts_server_stat(NULL, MTS_STAT_OPEN), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static void expect_clients(const mts_server *server, uint64_t open, uint64_t closed)
{
	ck_assert_uint_eq(stat_of(server, MTS_STAT_OPEN), open);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_CLOSED), closed);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_ACCEPTED), open + closed);
}

START_TEST(clients_are_counted)
{
	enum { PEERS = 12 };
	int peers[PEERS];
	mts_server *server = echo_server();
	server_start(server);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
		server_wait_stat(server, MTS_STAT_ACCEPTED, (uint64_t)i + 1);
		expect_clients(server, (uint64_t)i + 1, 0);
	}
	for (int i = 0; i < PEERS; i++) {
		close(peers[i]);
		server_wait_stat(server, MTS_STAT_CLOSED, (uint64_t)i + 1);
		expect_clients(server, (uint64_t)(PEERS - 1 - i), (uint64_t)i + 1);
	}
	ck_assert_uint_eq(stat_of(server, MTS_STAT_REFUSED), 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	expect_clients(server, 0, PEERS); /* they outlive the threads that counted */
	ck_assert_uint_eq(stat_of(server, MTS_STAT_THREADS), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

START_TEST(bytes_and_requests_are_exact)
{
	static char line[100001];
	mts_server *server = echo_server();
	ck_assert_int_eq(mts_server_set_max_request(server, sizeof(line)), 0);
	server_start(server);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "one\ntwo\r\n\n");
	peer_expect_text(peer, "one\ntwo\n\n");
	peer_send(peer, line, sizeof(line));
	peer_expect(peer, line, sizeof(line));
	server_wait_stat(server, MTS_STAT_BYTES_OUT, 9 + sizeof(line));
	ck_assert_uint_eq(stat_of(server, MTS_STAT_BYTES_IN), 10 + sizeof(line));
	ck_assert_uint_eq(stat_of(server, MTS_STAT_REQUESTS), 4);
	const int another = peer_connect(server, 0);
	peer_puts(another, "and the last");
	peer_finish(another);
	peer_expect_text(another, "and the last\n");
	peer_expect_end(another);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_BYTES_IN), 22 + sizeof(line));
	ck_assert_uint_eq(stat_of(server, MTS_STAT_BYTES_OUT), 22 + sizeof(line));
	ck_assert_uint_eq(stat_of(server, MTS_STAT_REQUESTS), 5);
	close(peer);
	close(another);
	server_end(server);
}
END_TEST

START_TEST(busy_and_threads)
{
	enum { PEERS = 9 };
	int peers[PEERS];
	mts_server *server = echo_server();
	server_start(server);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "wait\n");
		gate_wait(&entered, i + 1);
		ck_assert_uint_eq(stat_of(server, MTS_STAT_BUSY), (uint64_t)i + 1);
		server_expect_threads(server, MTS_STAT_THREADS, i + 1);
		server_expect_threads(server, MTS_STAT_THREADS_PEAK, i + 1);
	}
	gate_add(&leave);
	server_wait_stat(server, MTS_STAT_BUSY, 0);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_OPEN), PEERS);
	if (test_model == MTS_THREAD_PER_CLIENT) { /* idle clients have theirs */
		ck_assert_uint_eq(stat_of(server, MTS_STAT_THREADS), PEERS);
	} else {
		server_wait_stat(server, MTS_STAT_THREADS, 1);
	}
	for (int i = 0; i < PEERS; i++) {
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	server_expect_threads(server, MTS_STAT_THREADS_PEAK, PEERS);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_REQUESTS), PEERS);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_THREAD_WAITS), 0);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_uint_eq(stat_of(server, MTS_STAT_STALLS), 0);
	} else {
		/*
		 * Each handler blocked, and the first one at least came as a surprise. A turn is relieved once at
		 * most; each client had one to begin, one for its request and one to end, and in any of them a
		 * slow machine may be found waiting for a lock.
		 */
		ck_assert_uint_ge(stat_of(server, MTS_STAT_STALLS), 1);
		ck_assert_uint_le(stat_of(server, MTS_STAT_STALLS), 3 * PEERS);
	}
	server_end(server);
}
END_TEST

START_TEST(waiting_for_a_thread_is_counted)
{
	int peers[3];
	mts_server *server = echo_server();
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	peers[0] = peer_connect(server, 0);
	peer_puts(peers[0], "wait\n");
	gate_wait(&entered, 1);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_THREAD_WAITS), 0);
	for (int i = 1; i < 3; i++) {
		peers[i] = peer_connect(server, 0);
		server_wait_stat(server, MTS_STAT_THREAD_WAITS, (uint64_t)i);
	}
	expect_clients(server, 1, 0);
	gate_add(&leave);
	for (int i = 0; i < 3; i++) {
		peer_puts(peers[i], "served\n");
		peer_expect_text(peers[i], i == 0 ? "wait\nserved\n" : "served\n");
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_CLOSED, 3);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_THREADS_PEAK), 1);
	server_end(server);
}
END_TEST

START_TEST(waiting_in_a_burst_is_counted)
{
	enum { PEERS = 20, THREADS = 3 };
	int peers[PEERS];
	mts_server *server = echo_server();
	ck_assert_int_eq(mts_server_set_max_threads(server, THREADS), 0);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0); /* the kernel holds them until the start */
		peer_puts(peers[i], "wait\n");
	}
	server_start(server);
	gate_wait(&entered, THREADS);
	const uint64_t start = now_ms();
	while (stat_of(server, MTS_STAT_THREAD_WAITS) < PEERS - THREADS) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "%llu of %d that wait were counted",
			(unsigned long long)stat_of(server, MTS_STAT_THREAD_WAITS), PEERS - THREADS);
		poll(NULL, 0, 1);
	}
	gate_add(&leave);
	for (int i = 0; i < PEERS; i++) {
		peer_expect_text(peers[i], "wait\n");
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_CLOSED, PEERS);
	if (test_model == MTS_THREAD_PER_CLIENT) { /* on demand one may wait for each of its turns */
		ck_assert_uint_eq(stat_of(server, MTS_STAT_THREAD_WAITS), PEERS - THREADS);
	}
	server_end(server);
}
END_TEST

START_TEST(a_cut_at_the_stop_is_counted)
{
	mts_server *server = echo_server();
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 1000), 0);
	server_start(server);
	const int busy = peer_connect(server, 0);
	const int idle = peer_connect(server, 0);
	peer_puts(busy, "wait\n");
	gate_wait(&entered, 1);
	server_wait_stat(server, MTS_STAT_OPEN, 2);
	mts_server_stop(server);
	peer_expect_end(idle); /* an idle one just ends */
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_CUT_OFF), 1);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_DRAINED), 1);
	server_wait_stat(server, MTS_STAT_HUNG, 1);
	gate_add(&leave);
	peer_expect_gone(busy);
	close(busy);
	close(idle);
	server_wait_stat(server, MTS_STAT_CLOSED, 2);
	server_wait_stat(server, MTS_STAT_HUNG, 0);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_DRAINED), 1);
	while (mts_server_destroy(server) != 0) {
		poll(NULL, 0, 1);
	}
}
END_TEST

START_TEST(accept_errors_are_counted)
{
	mts_server *server = echo_server();
	server_start(server);
	const int peer = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 1);
	const int another = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 2);
	ck_assert_uint_eq(stat_of(server, MTS_STAT_ACCEPT_ERRORS), 0);
	const int late = peer_socket();
	starve_descriptors(true);
	peer_connect_socket(late, server);
	const uint64_t start = now_ms();
	while (stat_of(server, MTS_STAT_ACCEPT_ERRORS) == 0) {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		poll(NULL, 0, 1);
	}
	expect_clients(server, 2, 0);
	starve_descriptors(false);
	peer_ask(late, "here\n");
	expect_clients(server, 3, 0);
	close(late);
	close(another);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("stats");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, every_number_has_a_name);
	tcase_add_test(tcase, clients_are_counted);
	tcase_add_test(tcase, bytes_and_requests_are_exact);
	tcase_add_test(tcase, busy_and_threads);
	tcase_add_test(tcase, waiting_for_a_thread_is_counted);
	tcase_add_test(tcase, waiting_in_a_burst_is_counted);
	tcase_add_test(tcase, a_cut_at_the_stop_is_counted);
	if (!under_valgrind()) {
		tcase_add_test(tcase, accept_errors_are_counted);
	}
	return suite_run();
}
