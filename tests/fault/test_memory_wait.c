/* SPDX-License-Identifier: MIT
 *
 * Who needs more memory than is left waits, without a thread on demand, and goes on when there is some; what
 * ends it meanwhile ends it as ever.
 */
#include "weigh.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/run/server.h"

/* One has to wait; when another one is done it goes on. Small ones do not notice. */
START_TEST(a_request_waits_for_memory)
{
	struct weigh_sender fourth;
	mts_server *server = weigh_server(weigh_request, LIMIT);
	server_start(server);
	fault_clock_stop(true);
	const int small = peer_connect(server, 0);
	const int first = weigh_occupy(server, 0);
	const int second = weigh_occupy(server, 1);
	for (int round = 1; round <= 5; round++) {
		const int third = weigh_occupy(server, 2);
		weigh_begin(&fourth, peer_connect(server, 0));
		weigh_until(server, 3 * TAKEN + WAITING);
		weigh_ask(small, 1000, 5);
		weigh_complete(third);
		close(third);
		weigh_end(&fourth);
		weigh_ask(small, 20 * KIB, 6);
		close(fourth.peer);
		gate_wait(&weigh_endings.all, 2 * round);
	}
	fault_clock_stop(false);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	weigh_complete(first);
	weigh_complete(second);
	close(first);
	close(second);
	close(small);
	gate_wait(&weigh_endings.all, 13);
	weigh_finish(server, LIMIT);
}
END_TEST

/* Many who wait hold no threads on demand, cost next to nothing, and all get their turn. */
START_TEST(those_who_wait_are_parked)
{
	enum { MANY = 30, EACH = 20 * KIB }; /* in the end there is room for all */
	int peers[MANY];
	int others[3];
	mts_server *server = weigh_server(weigh_request, LIMIT);
	server_start(server);
	fault_clock_stop(true);
	for (int i = 0; i < 3; i++) {
		others[i] = weigh_occupy(server, i);
	}
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(server, 0);
		weigh_prefix(peers[i], EACH);
		weigh_body(peers[i], EACH - 1, 7);
	}
	const bool parks = test_model == MTS_THREAD_ON_DEMAND;
	weigh_until(server, parks ? LIMIT - LIMIT / 16 - BUFFER : LIMIT - LIMIT / 8 - 2 * BUFFER);
	const uint64_t cpu = cpu_ms();
	poll(NULL, 0, 500);
	const uint64_t used = cpu_ms() - cpu;
	if (parks) {
		ck_assert(used < 100 || under_valgrind());
		ck_assert_uint_le(mts_server_stat(server, MTS_STAT_THREADS), 4);
	}
	for (int i = 0; i < 3; i++) {
		weigh_complete(others[i]);
		close(others[i]);
	}
	for (int i = 0; i < MANY; i++) {
		weigh_body(peers[i], 1, 7);
		weigh_expect(peers[i], EACH, 7);
		close(peers[i]);
	}
	fault_clock_stop(false);
	gate_wait(&weigh_endings.all, MANY + 3);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	weigh_finish(server, LIMIT);
}
END_TEST

static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	int result = 0;
	const bool begins = size > 0 && *(const char *)request == 'c';
	(void)weigh_request(client, request, size, user);
	while (begins && (result = mts_client_next(client, &request, &size)) == 1) {
		(void)weigh_request(client, request, size, user);
	}
	return begins && result == -EPIPE ? MTS_CLOSE : MTS_KEEP;
}

/* A callback that waits for its next request goes on as well; it, too, may be the one to be cut off. */
START_TEST(a_conversation_waits_too)
{
	struct weigh_sender fourth;
	int others[3];
	mts_server *server = weigh_server(converse, LIMIT);
	server_start(server);
	fault_clock_stop(true);
	const int talker = peer_connect(server, 0);
	weigh_ask(talker, 10, 'c');
	for (int i = 0; i < 3; i++) {
		others[i] = weigh_occupy(server, i);
	}
	weigh_begin(&fourth, talker);
	weigh_until(server, 3 * TAKEN + WAITING);
	for (int i = 0; i < 3; i++) {
		weigh_complete(others[i]);
		close(others[i]);
	}
	weigh_end(&fourth);
	fault_clock_stop(false);
	gate_wait(&weigh_endings.all, 3);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, 128 * KIB), 0);
	weigh_prefix(talker, LARGEST);
	weigh_send_until_gone(talker);
	close(talker);
	gate_wait(&weigh_endings.all, 4);
	ck_assert_int_eq(weigh_endings.reasons[MTS_CLOSED_EVICTED], 1);
	weigh_finish(server, LIMIT);
}
END_TEST

/* Three that hold all there is, and one that waits. */
static mts_server *waiting_server(int *peers)
{
	static char bytes[LARGEST];
	weigh_setup();
	mts_server *server = weigh_server(weigh_request, LIMIT);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 200), 0);
	server_start(server);
	fault_clock_stop(true);
	for (int i = 0; i < 3; i++) {
		peers[i] = weigh_occupy(server, i);
	}
	peers[3] = peer_connect(server, 0);
	weigh_prefix(peers[3], WHOLE);
	size_t sent = 0;
	while (weigh_used(server) < 3 * TAKEN + WAITING) {
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
	gate_wait(&weigh_endings.all, 4);
	weigh_finish(server, LIMIT);
}

START_TEST(a_peer_that_is_gone_while_it_waits)
{
	int peers[4];
	mts_server *server = waiting_server(peers);
	peer_reset(peers[3]);
	peers[3] = -1;
	gate_wait(&weigh_endings.all, 1);
	ck_assert_int_eq(weigh_endings.reasons[MTS_CLOSED_BY_PEER], 1);
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
	gate_wait(&weigh_endings.all, 4);
	ck_assert_int_eq(weigh_endings.reasons[MTS_CLOSED_REQUEST_TIMEOUT]
			+ weigh_endings.reasons[MTS_CLOSED_EVICTED],
		4);
	ck_assert_int_ge(weigh_endings.reasons[MTS_CLOSED_REQUEST_TIMEOUT], 1);
	end_waiting(server, peers);
}
END_TEST

/* All memory is taken by what waits for a peer that does not read. */
static void use_all(mts_server *server)
{
	static const char much[900 * KIB];
	ck_assert_int_eq(mts_server_set_max_output(server, 4 * MIB), 0);
	ck_assert_int_eq(mts_server_send(server, MTSI_FIRST_ID + 1, much, sizeof(much)), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, weigh_used(server)), 0);
}

static void wait_until_starved(mts_server *server)
{
	wait_until(test_model == MTS_THREAD_PER_CLIENT
		|| atomic_load(&mtsi_client_floor(server)->memory.waiting) > 0);
}

START_TEST(nothing_of_a_request_is_here_yet)
{
	mts_server *server = weigh_server(weigh_request, LIMIT);
	fault_clock_stop(true);
	server_start(server);
	const int asks = peer_connect(server, 0);
	weigh_ask(asks, 5, 1);
	const int deaf = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 2);
	use_all(server);
	weigh_prefix(asks, 5);
	weigh_body(asks, 5, 2);
	wait_until_starved(server);
	ck_assert_int_eq(mts_server_set_max_memory(server, 4 * MIB), 0);
	weigh_expect(asks, 5, 2);
	/* Who has nothing to keep does not wait for memory, and costs nobody else theirs. */
	ck_assert_int_eq(mts_server_set_max_memory(server, weigh_used(server)), 0);
	peer_finish(asks);
	peer_expect_end(asks);
	gate_wait(&weigh_endings.all, 1);
	ck_assert_int_eq(weigh_endings.reasons[MTS_CLOSED_BY_PEER], 1);
	ck_assert_uint_eq(atomic_load(&mtsi_client_floor(server)->memory.waiting), 0);
	fault_clock_stop(false);
	close(asks);
	close(deaf);
	gate_wait(&weigh_endings.all, 2);
	weigh_finish(server, 4 * MIB);
}
END_TEST

START_TEST(a_stop_while_it_waits)
{
	int peers[4];
	mts_server *server = waiting_server(peers);
	fault_clock_stop(false);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(
		weigh_endings.reasons[MTS_CLOSED_STOP] + weigh_endings.reasons[MTS_CLOSED_EVICTED], 4);
	ck_assert_int_ge(weigh_endings.reasons[MTS_CLOSED_STOP], 3);
	end_waiting(server, peers);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("waiting for memory");
	tcase_add_checked_fixture(tcase, weigh_setup, NULL);
	tcase_add_test(tcase, a_request_waits_for_memory);
	tcase_add_test(tcase, those_who_wait_are_parked);
	tcase_add_test(tcase, a_conversation_waits_too);
	tcase_add_test(tcase, a_peer_that_is_gone_while_it_waits);
	tcase_add_test(tcase, it_waits_for_too_long);
	tcase_add_test(tcase, nothing_of_a_request_is_here_yet);
	tcase_add_test(tcase, a_stop_while_it_waits);
	return suite_run();
}
