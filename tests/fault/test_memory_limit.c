/* SPDX-License-Identifier: MIT
 *
 * The memory of all clients together has a limit: it is kept, and when nothing gets better the largest are
 * cut off; nobody else notices.
 */
#include "weigh.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct gate entered;
static struct gate leave;

static void setup(void)
{
	weigh_setup();
	entered = (struct gate)GATE;
	leave = (struct gate)GATE;
}

START_TEST(what_is_in_use_is_counted)
{
	mts_server *server = weigh_server(weigh_request, LIMIT);
	server_start(server);
	const int idle = peer_connect(server, 0);
	weigh_ask(idle, 100, 1);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	weigh_ask(idle, 300 * KIB, 1);
	weigh_ask(idle, 0, 0);
	const int partial = peer_connect(server, 0);
	weigh_prefix(partial, 100 * KIB);
	weigh_body(partial, 60 * KIB, 2);
	weigh_until(server, 60 * KIB);
	weigh_body(partial, 40 * KIB, 2);
	weigh_expect(partial, 100 * KIB, 2);
	if (test_model == MTS_THREAD_ON_DEMAND) {
		server_wait_stat(server, MTS_STAT_MEMORY, 0);
	}
	ck_assert_uint_gt(mts_server_stat(server, MTS_STAT_MEMORY_PEAK), 300 * KIB);
	close(idle);
	close(partial);
	gate_wait(&weigh_endings.all, 2);
	weigh_finish(server, LIMIT);
}
END_TEST

/* Nothing gets better: one of the others is cut off, and then it goes on. */
START_TEST(the_largest_is_cut_off)
{
	struct weigh_sender fourth;
	int others[3];
	mts_server *server = weigh_server(weigh_request, LIMIT);
	server_start(server);
	const int small = peer_connect(server, 0);
	for (int i = 0; i < 3; i++) {
		others[i] = weigh_occupy(server, i);
	}
	weigh_begin(&fourth, peer_connect(server, 0));
	weigh_end(&fourth);
	gate_wait(&weigh_cuts, 1);
	gate_wait(&weigh_endings.all, 1);
	ck_assert_int_eq(weigh_endings.reasons[MTS_CLOSED_EVICTED], 1);
	weigh_ask(small, 1000, 5);
	for (int i = 0; i < 3; i++) {
		close(others[i]);
	}
	close(fourth.peer);
	close(small);
	gate_wait(&weigh_endings.all, 5);
	weigh_finish(server, LIMIT);
}
END_TEST

START_TEST(what_is_larger_than_the_limit)
{
	mts_server *server = weigh_server(weigh_request, 128 * KIB);
	server_start(server);
	const int small = peer_connect(server, 0);
	const int large = peer_connect(server, 0);
	const uint64_t begin = now_ms();
	weigh_prefix(large, LARGEST);
	weigh_send_until_gone(large);
	endings_expect(&weigh_endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_uint_ge(now_ms() - begin, 100);
	gate_wait(&weigh_cuts, 1);
	weigh_ask(small, 1000, 5);
	close(small);
	close(large);
	gate_wait(&weigh_endings.all, 2);
	weigh_finish(server, 128 * KIB);
}
END_TEST

START_TEST(the_limit_is_live)
{
	enum { MANY = 16, STAY = 7 };
	int peers[MANY];
	mts_server *server = weigh_server(weigh_request, 8 * MIB);
	server_start(server);
	const int small = peer_connect(server, 0);
	for (int i = 0; i < MANY; i++) {
		peers[i] = weigh_occupy(server, i);
	}
	ck_assert_int_eq(mts_server_set_max_memory(server, 2 * MIB), 0);
	gate_wait(&weigh_endings.all, MANY - STAY);
	ck_assert_int_eq(weigh_endings.reasons[MTS_CLOSED_EVICTED], MANY - STAY);
	server_wait_stat(server, MTS_STAT_MEMORY, STAY * TAKEN);
	weigh_ask(small, 1000, 5);
	ck_assert_int_eq(mts_server_set_max_memory(server, 8 * MIB), 0);
	const int another = weigh_occupy(server, STAY);
	weigh_complete(another);
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
	close(another);
	close(small);
	gate_wait(&weigh_endings.all, MANY + 2);
	weigh_finish(server, 8 * MIB);
}
END_TEST

/* Writes more than memory allows, in one call. */
static int pour(mts_client *client, const void *request, size_t size, void *user)
{
	static _Thread_local char bytes[2 * MIB];
	(void)request;
	(void)size;
	(void)user;
	fault_inside(false);
	pattern_fill(bytes, sizeof(bytes), 0);
	gate_add(&entered);
	fault_inside(true);
	const int result = mts_client_write(client, bytes, sizeof(bytes));
	gate_add(&leave);
	return result == 0 ? MTS_KEEP : MTS_CLOSE;
}

/* Writes wait for their peers; nobody is cut off, however long that takes. */
START_TEST(a_write_waits_for_its_peer)
{
	enum { MANY = 6 };
	int peers[MANY];
	mts_server *server = weigh_server(pour, LIMIT);
	server_start(server);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(server, 0);
		small_buffers(peers[i]);
		weigh_prefix(peers[i], 1);
		weigh_body(peers[i], 1, 1);
	}
	gate_wait(&entered, MANY);
	poll(NULL, 0, 300);
	ck_assert_int_eq(gate_count(&leave), 0);
	for (int i = MANY - 1; i >= 0; i--) {
		peer_expect_pattern(peers[i], 2 * MIB, 0);
	}
	gate_wait(&leave, MANY);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
	gate_wait(&weigh_endings.all, MANY);
	weigh_finish(server, LIMIT);
}
END_TEST

/* Who is cut off for want of memory makes room for nobody at the door. */
START_TEST(evictions_go_on_afterwards)
{
	int peers[4];
	mts_server *server = weigh_server(weigh_request, 64 * KIB);
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_EVICT), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 3), 0);
	server_start(server);
	const int large = peer_connect(server, 0);
	weigh_prefix(large, LARGEST - 4);
	(void)send(large, (const char[70 * KIB]){0}, 70 * KIB, MSG_NOSIGNAL);
	server_wait_stat(server, MTS_STAT_MEMORY_CUTS, 1);
	close(large);
	gate_wait(&weigh_endings.all, 1);
	for (int i = 0; i < 4; i++) {
		peers[i] = peer_connect(server, 0);
		weigh_ask(peers[i], 5, i);
	}
	server_wait_stat(server, MTS_STAT_EVICTED, 1);
	for (int i = 0; i < 4; i++) {
		close(peers[i]);
	}
	gate_wait(&weigh_endings.all, 5);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("memory limit");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, what_is_in_use_is_counted);
	tcase_add_test(tcase, the_largest_is_cut_off);
	tcase_add_test(tcase, what_is_larger_than_the_limit);
	tcase_add_test(tcase, the_limit_is_live);
	tcase_add_test(tcase, a_write_waits_for_its_peer);
	tcase_add_test(tcase, evictions_go_on_afterwards);
	return suite_run();
}
