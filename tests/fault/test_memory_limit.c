/* SPDX-License-Identifier: MIT
 *
 * The memory of all clients together has a limit: who needs more waits, goes on when there is some, and
 * ends when it is one of the largest and nothing gets better; nobody else notices. Where nobody is to be
 * cut off, the library's clock stands: its patience does not end then.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scene.h"

#include "engine/server.h"

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
	LIMIT = 1152 * KIB,
	WHOLE = 256 * KIB - 4, /* a request that fills its memory, with its prefix */
	PART = 200 * KIB, /* so much of it needs as much */
	TAKEN = 256 * KIB + 1, /* what that is charged with; three of them leave no room for a fourth */
	WAITING = 128 * KIB + 1, /* what the fourth has by then */
	LARGEST = 512 * KIB,
	BUFFER = 16 * KIB + 1 /* by so much for each thread the limit may be exceeded */
};

static struct gate entered;
static struct gate leave;
static struct gate cuts; /* messages about memory */
static struct endings endings;

static void setup(void)
{
	entered = (struct gate)GATE;
	leave = (struct gate)GATE;
	cuts = (struct gate)GATE;
	endings = (struct endings){.all = GATE};
}

static int shrink(mts_client *client, void *user)
{
	(void)user;
	small_buffers(mts_client_fd(client));
	return 0;
}

static void count_cuts(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_WARNING && strstr(message, "memory is short") != NULL) {
		gate_add(&cuts);
	}
}

/* Requests have a prefix of four bytes. */
static mts_server *memory_server(mts_handler handler, size_t limit)
{
	mts_server *server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, LARGEST), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, LARGEST), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, limit), 0);
	ck_assert_int_eq(mts_server_on_open(server, shrink, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_on_log(server, count_cuts, MTS_LOG_WARNING, NULL), 0);
	return server;
}

static uint64_t memory(const mts_server *server)
{
	return mts_server_stat(server, MTS_STAT_MEMORY);
}

static void wait_memory(const mts_server *server, uint64_t least)
{
	wait_until(memory(server) >= least);
}

/* Everything is given back, and the limit was kept. */
static void finish(mts_server *server, uint64_t limit)
{
	const uint64_t threads = mts_server_stat(server, MTS_STAT_THREADS_PEAK);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_MEMORY_PEAK), limit + threads * BUFFER);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS),
		(uint64_t)endings.reasons[MTS_CLOSED_EVICTED]);
	server_end(server);
}

/* Answers with the size of the request, its first bytes and its last. */
static int weigh(mts_client *client, const void *request, size_t size, void *user)
{
	const unsigned char *bytes = request;
	(void)user;
	(void)mts_client_printf(
		client, "%zu %d %d.", size, size > 0 ? bytes[0] : 0, size > 0 ? bytes[size - 1] : 0);
	return MTS_KEEP;
}

static void send_prefix(int peer, size_t size)
{
	const unsigned char prefix[4] = {(unsigned char)(size >> 24), (unsigned char)(size >> 16),
		(unsigned char)(size >> 8), (unsigned char)size};
	peer_send(peer, prefix, sizeof(prefix));
}

/* So many of its bytes, each of which is `fill`. */
static void send_body(int peer, size_t size, int fill)
{
	static _Thread_local char bytes[LARGEST];
	memset(bytes, fill, size);
	peer_send(peer, bytes, size);
}

static void expect_weight(int peer, size_t size, int fill)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "%zu %d %d.", size, fill, fill);
	peer_expect_text(peer, text);
}

static void ask(int peer, size_t size, int fill)
{
	send_prefix(peer, size);
	send_body(peer, size, fill);
	expect_weight(peer, size, fill);
}

START_TEST(what_is_in_use_is_counted)
{
	mts_server *server = memory_server(weigh, LIMIT);
	server_start(server);
	const int idle = peer_connect(server, 0);
	ask(idle, 100, 1);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	ask(idle, 300 * KIB, 1);
	ask(idle, 0, 0);
	const int partial = peer_connect(server, 0);
	send_prefix(partial, 100 * KIB);
	send_body(partial, 60 * KIB, 2);
	wait_memory(server, 60 * KIB);
	send_body(partial, 40 * KIB, 2);
	expect_weight(partial, 100 * KIB, 2);
	if (test_model == MTS_THREAD_ON_DEMAND) {
		server_wait_stat(server, MTS_STAT_MEMORY, 0);
	}
	ck_assert_uint_gt(mts_server_stat(server, MTS_STAT_MEMORY_PEAK), 300 * KIB);
	close(idle);
	close(partial);
	gate_wait(&endings.all, 2);
	finish(server, LIMIT);
}
END_TEST

/* Sends the most of a request, and waits until it is kept, beside so many others. */
static int occupy(mts_server *server, int others)
{
	const int peer = peer_connect(server, 0);
	send_prefix(peer, WHOLE);
	send_body(peer, PART, 3);
	server_wait_stat(server, MTS_STAT_MEMORY, (uint64_t)(others + 1) * TAKEN);
	return peer;
}

static void complete(int peer)
{
	send_body(peer, WHOLE - PART, 3);
	expect_weight(peer, WHOLE, 3);
}

static void *send_whole(void *argument)
{
	fault_inside(false);
	send_body(*(int *)argument, WHOLE, 4);
	return NULL;
}

/* A request that is sent by a thread of its own. */
struct sender {
	int peer;
	pthread_t thread;
};

static void begin_whole(struct sender *sender, int peer)
{
	sender->peer = peer;
	send_prefix(peer, WHOLE);
	ck_assert_int_eq(pthread_create(&sender->thread, NULL, send_whole, &sender->peer), 0);
}

static void end_whole(struct sender *sender)
{
	expect_weight(sender->peer, WHOLE, 4);
	ck_assert_int_eq(pthread_join(sender->thread, NULL), 0);
}

/* One has to wait; when another one is done it goes on. Small ones do not notice. */
START_TEST(a_request_waits_for_memory)
{
	struct sender fourth;
	mts_server *server = memory_server(weigh, LIMIT);
	server_start(server);
	fault_clock_stop(true);
	const int small = peer_connect(server, 0);
	const int first = occupy(server, 0);
	const int second = occupy(server, 1);
	for (int round = 1; round <= 5; round++) {
		const int third = occupy(server, 2);
		begin_whole(&fourth, peer_connect(server, 0));
		wait_memory(server, 3 * TAKEN + WAITING);
		ask(small, 1000, 5);
		complete(third);
		close(third);
		end_whole(&fourth);
		ask(small, 20 * KIB, 6);
		close(fourth.peer);
		gate_wait(&endings.all, 2 * round);
	}
	fault_clock_stop(false);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	complete(first);
	complete(second);
	close(first);
	close(second);
	close(small);
	gate_wait(&endings.all, 13);
	finish(server, LIMIT);
}
END_TEST

/* Nothing gets better: one of the others is cut off, and then it goes on. */
START_TEST(the_largest_is_cut_off)
{
	struct sender fourth;
	int others[3];
	mts_server *server = memory_server(weigh, LIMIT);
	server_start(server);
	const int small = peer_connect(server, 0);
	for (int i = 0; i < 3; i++) {
		others[i] = occupy(server, i);
	}
	begin_whole(&fourth, peer_connect(server, 0));
	end_whole(&fourth);
	gate_wait(&cuts, 1);
	gate_wait(&endings.all, 1);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_EVICTED], 1);
	ask(small, 1000, 5);
	for (int i = 0; i < 3; i++) {
		close(others[i]);
	}
	close(fourth.peer);
	close(small);
	gate_wait(&endings.all, 5);
	finish(server, LIMIT);
}
END_TEST

static void send_until_gone(int peer)
{
	static char bytes[LARGEST];
	while (send(peer, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0) {
	}
}

START_TEST(what_is_larger_than_the_limit)
{
	mts_server *server = memory_server(weigh, 128 * KIB);
	server_start(server);
	const int small = peer_connect(server, 0);
	const int large = peer_connect(server, 0);
	const uint64_t begin = now_ms();
	send_prefix(large, LARGEST);
	send_until_gone(large);
	endings_expect(&endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_uint_ge(now_ms() - begin, 100);
	gate_wait(&cuts, 1);
	ask(small, 1000, 5);
	close(small);
	close(large);
	gate_wait(&endings.all, 2);
	finish(server, 128 * KIB);
}
END_TEST

START_TEST(the_limit_is_live)
{
	enum { MANY = 16, STAY = 7 };
	int peers[MANY];
	mts_server *server = memory_server(weigh, 8 * MIB);
	server_start(server);
	const int small = peer_connect(server, 0);
	for (int i = 0; i < MANY; i++) {
		peers[i] = occupy(server, i);
	}
	ck_assert_int_eq(mts_server_set_max_memory(server, 2 * MIB), 0);
	gate_wait(&endings.all, MANY - STAY);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_EVICTED], MANY - STAY);
	server_wait_stat(server, MTS_STAT_MEMORY, STAY * TAKEN);
	ask(small, 1000, 5);
	ck_assert_int_eq(mts_server_set_max_memory(server, 8 * MIB), 0);
	const int another = occupy(server, STAY);
	complete(another);
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
	close(another);
	close(small);
	gate_wait(&endings.all, MANY + 2);
	finish(server, 8 * MIB);
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
	mts_server *server = memory_server(pour, LIMIT);
	server_start(server);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(server, 0);
		small_buffers(peers[i]);
		send_prefix(peers[i], 1);
		send_body(peers[i], 1, 1);
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
	gate_wait(&endings.all, MANY);
	finish(server, LIMIT);
}
END_TEST

/* Many who wait hold no threads on demand, cost next to nothing, and all get their turn. */
START_TEST(those_who_wait_are_parked)
{
	enum { MANY = 30, EACH = 20 * KIB }; /* in the end there is room for all */
	int peers[MANY];
	int others[3];
	mts_server *server = memory_server(weigh, LIMIT);
	server_start(server);
	fault_clock_stop(true);
	for (int i = 0; i < 3; i++) {
		others[i] = occupy(server, i);
	}
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(server, 0);
		send_prefix(peers[i], EACH);
		send_body(peers[i], EACH - 1, 7);
	}
	const bool parks = test_model == MTS_THREAD_ON_DEMAND;
	wait_memory(server, parks ? LIMIT - LIMIT / 16 - BUFFER : LIMIT - LIMIT / 8 - 2 * BUFFER);
	const uint64_t cpu = cpu_ms();
	poll(NULL, 0, 500);
	const uint64_t used = cpu_ms() - cpu;
	if (parks) {
		ck_assert(used < 100 || under_valgrind());
		ck_assert_uint_le(mts_server_stat(server, MTS_STAT_THREADS), 4);
	}
	for (int i = 0; i < 3; i++) {
		complete(others[i]);
		close(others[i]);
	}
	for (int i = 0; i < MANY; i++) {
		send_body(peers[i], 1, 7);
		expect_weight(peers[i], EACH, 7);
		close(peers[i]);
	}
	fault_clock_stop(false);
	gate_wait(&endings.all, MANY + 3);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	finish(server, LIMIT);
}
END_TEST

static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	int result = 0;
	const bool begins = size > 0 && *(const char *)request == 'c';
	(void)weigh(client, request, size, user);
	while (begins && (result = mts_client_next(client, &request, &size)) == 1) {
		(void)weigh(client, request, size, user);
	}
	return begins && result == -EPIPE ? MTS_CLOSE : MTS_KEEP;
}

/* A callback that waits for its next request goes on as well; it, too, may be the one to be cut off. */
START_TEST(a_conversation_waits_too)
{
	struct sender fourth;
	int others[3];
	mts_server *server = memory_server(converse, LIMIT);
	server_start(server);
	fault_clock_stop(true);
	const int talker = peer_connect(server, 0);
	ask(talker, 10, 'c');
	for (int i = 0; i < 3; i++) {
		others[i] = occupy(server, i);
	}
	begin_whole(&fourth, talker);
	wait_memory(server, 3 * TAKEN + WAITING);
	for (int i = 0; i < 3; i++) {
		complete(others[i]);
		close(others[i]);
	}
	end_whole(&fourth);
	fault_clock_stop(false);
	gate_wait(&endings.all, 3);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, 128 * KIB), 0);
	send_prefix(talker, LARGEST);
	send_until_gone(talker);
	close(talker);
	gate_wait(&endings.all, 4);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_EVICTED], 1);
	finish(server, LIMIT);
}
END_TEST

/* Three that hold all there is, and one that waits. */
static mts_server *waiting_server(int *peers)
{
	static char bytes[LARGEST];
	setup();
	mts_server *server = memory_server(weigh, LIMIT);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 200), 0);
	server_start(server);
	fault_clock_stop(true);
	for (int i = 0; i < 3; i++) {
		peers[i] = occupy(server, i);
	}
	peers[3] = peer_connect(server, 0);
	send_prefix(peers[3], WHOLE);
	size_t sent = 0;
	while (memory(server) < 3 * TAKEN + WAITING) {
		const ssize_t count = send(peers[3], bytes, PART - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		sent += count > 0 ? (size_t)count : 0;
	}
	return server;
}

static void end_waiting(mts_server *server, const int *peers)
{
	for (int i = 0; i < 4; i++) {
		if (peers[i] >= 0) {
			close(peers[i]);
		}
	}
	gate_wait(&endings.all, 4);
	finish(server, LIMIT);
}

START_TEST(a_peer_that_is_gone_while_it_waits)
{
	int peers[4];
	mts_server *server = waiting_server(peers);
	peer_reset(peers[3]);
	peers[3] = -1;
	gate_wait(&endings.all, 1);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_BY_PEER], 1);
	server_wait_stat(server, MTS_STAT_MEMORY, 3 * TAKEN);
	fault_clock_stop(false);
	end_waiting(server, peers);
}
END_TEST

/* The deadline of a request runs while it waits for memory. */
START_TEST(it_waits_for_too_long)
{
	int peers[4];
	mts_server *server = waiting_server(peers);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, 1), 0);
	fault_clock_ahead(UINT64_C(50000000)); /* less than the patience with memory */
	fault_clock_stop(false);
	gate_wait(&endings.all, 4);
	ck_assert_int_eq(
		endings.reasons[MTS_CLOSED_REQUEST_TIMEOUT] + endings.reasons[MTS_CLOSED_EVICTED], 4);
	ck_assert_int_ge(endings.reasons[MTS_CLOSED_REQUEST_TIMEOUT], 1);
	end_waiting(server, peers);
}
END_TEST

/* All memory is taken by what waits for a peer that does not read. */
static void use_all(mts_server *server)
{
	static const char much[900 * KIB];
	ck_assert_int_eq(mts_server_set_max_output(server, 4 * MIB), 0);
	ck_assert_int_eq(mts_server_send(server, MTSI_FIRST_ID + 1, much, sizeof(much)), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, memory(server)), 0);
}

static void wait_until_starved(mts_server *server)
{
	wait_until(test_model == MTS_THREAD_PER_CLIENT || atomic_load(&server->memory.waiting) > 0);
}

START_TEST(nothing_of_a_request_is_here_yet)
{
	mts_server *server = memory_server(weigh, LIMIT);
	fault_clock_stop(true);
	server_start(server);
	const int asks = peer_connect(server, 0);
	ask(asks, 5, 1);
	const int deaf = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 2);
	use_all(server);
	send_prefix(asks, 5);
	send_body(asks, 5, 2);
	wait_until_starved(server);
	ck_assert_int_eq(mts_server_set_max_memory(server, 4 * MIB), 0);
	expect_weight(asks, 5, 2);
	/* Who has nothing to keep does not wait for memory, and costs nobody else theirs. */
	ck_assert_int_eq(mts_server_set_max_memory(server, memory(server)), 0);
	peer_finish(asks);
	peer_expect_end(asks);
	gate_wait(&endings.all, 1);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_BY_PEER], 1);
	ck_assert_uint_eq(atomic_load(&server->memory.waiting), 0);
	fault_clock_stop(false);
	close(asks);
	close(deaf);
	gate_wait(&endings.all, 2);
	finish(server, 4 * MIB);
}
END_TEST

/* Who is cut off for want of memory makes room for nobody at the door. */
START_TEST(evictions_go_on_afterwards)
{
	int peers[4];
	mts_server *server = memory_server(weigh, 64 * KIB);
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_EVICT), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 3), 0);
	server_start(server);
	const int large = peer_connect(server, 0);
	send_prefix(large, LARGEST - 4);
	(void)send(large, (const char[70 * KIB]){0}, 70 * KIB, MSG_NOSIGNAL);
	server_wait_stat(server, MTS_STAT_MEMORY_CUTS, 1);
	close(large);
	gate_wait(&endings.all, 1);
	for (int i = 0; i < 4; i++) {
		peers[i] = peer_connect(server, 0);
		ask(peers[i], 5, i);
	}
	server_wait_stat(server, MTS_STAT_EVICTED, 1);
	for (int i = 0; i < 4; i++) {
		close(peers[i]);
	}
	gate_wait(&endings.all, 5);
	server_end(server);
}
END_TEST

START_TEST(a_stop_while_it_waits)
{
	int peers[4];
	mts_server *server = waiting_server(peers);
	fault_clock_stop(false);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_STOP] + endings.reasons[MTS_CLOSED_EVICTED], 4);
	ck_assert_int_ge(endings.reasons[MTS_CLOSED_STOP], 3);
	end_waiting(server, peers);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory limit");
	TCase *tcase = tcase_create("memory limit");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, what_is_in_use_is_counted);
	tcase_add_test(tcase, a_request_waits_for_memory);
	tcase_add_test(tcase, the_largest_is_cut_off);
	tcase_add_test(tcase, what_is_larger_than_the_limit);
	tcase_add_test(tcase, the_limit_is_live);
	tcase_add_test(tcase, a_write_waits_for_its_peer);
	tcase_add_test(tcase, those_who_wait_are_parked);
	tcase_add_test(tcase, a_conversation_waits_too);
	tcase_add_test(tcase, a_peer_that_is_gone_while_it_waits);
	tcase_add_test(tcase, it_waits_for_too_long);
	tcase_add_test(tcase, nothing_of_a_request_is_here_yet);
	tcase_add_test(tcase, evictions_go_on_afterwards);
	tcase_add_test(tcase, a_stop_while_it_waits);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
