/* SPDX-License-Identifier: MIT
 *
 * A full server: who comes waits, is refused, or makes an idle client go (test_overload_evict.c). Whatever
 * the policy, there are never more clients than the limit, also while that changes; and nobody waits for
 * ever.
 */
#include "full.h"

#include <poll.h>
#include <unistd.h>

static void expect_refused(mts_server *server, int count)
{
	const uint64_t before = mts_server_stat(server, MTS_STAT_REFUSED);
	for (int i = 0; i < count; i++) {
		const int peer = peer_connect(server, 0);
		peer_expect_gone(peer);
		close(peer);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), before + (uint64_t)count);
}

START_TEST(refused_at_once)
{
	mts_server *server = full_start(MTS_OVERLOAD_REFUSE, 2);
	const int first = full_visit(server);
	const int second = full_visit(server);
	const uint64_t start = now_ms();
	expect_refused(server, 20);
	gate_wait(&full.refusals, 1);
	const int messages = gate_count(&full.refusals);
	ck_assert_int_le(messages, 2 + (int)((now_ms() - start) / 1000));
	full_ask(first);
	full_ask(second);
	close(first);
	const int third = full_get_in(server);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	full_ask(second);
	full_ask(third);
	expect_refused(server, 2);
	ck_assert_int_eq(mts_server_set_max_clients(server, 3), 0);
	const int fourth = full_visit(server);
	expect_refused(server, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	ck_assert_int_eq(full.most_inside, 3);
	close(second);
	close(third);
	close(fourth);
	server_end(server);
}
END_TEST

/* No descriptor can be had: those who come are told still, and who is inside notices nothing. */
START_TEST(refused_without_descriptors)
{
	enum { COMERS = 5 };
	int peers[COMERS];
	mts_server *server = full_start(MTS_OVERLOAD_REFUSE, 1000);
	const int first = full_visit(server);
	for (int i = 0; i < COMERS; i++) {
		peers[i] = peer_socket();
	}
	starve_descriptors(true);
	for (int i = 0; i < COMERS; i++) {
		peer_connect_socket(peers[i], server);
	}
	for (int i = 0; i < COMERS; i++) {
		peer_expect_gone(peers[i]);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), COMERS);
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS), 1);
	full_ask(first);
	/*
	 * When there are descriptors again they are let in; but for one that comes while a thread, having just
	 * met the shortage, looks for others to refuse. Two may poll.
	 */
	starve_descriptors(false);
	const int second = full_get_in(server);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_REFUSED), COMERS + 2);
	for (int i = 0; i < COMERS; i++) {
		close(peers[i]);
	}
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Those who wait at the door when the server stops are told. */
START_TEST(a_stop_with_some_at_the_door)
{
	enum { COMERS = 8 };
	int peers[COMERS];
	mts_server *server = full_start(_i, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&full.entered, 1);
	for (int i = 0; i < COMERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	full_patience(1);
	mts_server_stop(server);
	for (int i = 0; i < COMERS; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	gate_add(&full.release);
	peer_expect_text(first, "hold\n");
	ck_assert_int_eq(mts_server_join(server), 0);
	endings_expect(&full.endings, MTS_CLOSED_STOP, 1);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	close(first);
}
END_TEST

enum { VISITORS = 4, MOST = 5 };

struct crowd {
	mts_server *server;
	int visits;
	struct gate done;
	_Atomic int served;
};

static void *keep_coming(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < crowd->visits; i++) {
		const int peer = peer_connect(crowd->server, 0);
		if (full_try(peer)) {
			crowd->served++;
		}
		peer_reset(peer); /* leaves no port behind that is in use for a minute */
	}
	gate_add(&crowd->done);
	return NULL;
}

/* Comers and goers while the limit changes; those who are idle stay until they are sent away. */
static void check_crowd(int policy, bool per_address)
{
	pthread_t threads[VISITORS];
	mts_server *server = full_start(policy, MOST);
	struct crowd crowd = {.server = server, .visits = under_valgrind() ? 100 : 1000, .done = GATE};
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, keep_coming, &crowd), 0);
	}
	for (size_t i = 0; gate_count(&crowd.done) < VISITORS; i++) {
		ck_assert_int_eq(mts_server_set_max_clients(server, i % MOST + 1), 0);
		if (per_address) {
			ck_assert_int_eq(mts_server_set_max_clients_per_address(server, i % 3), 0);
		}
		poll(NULL, 0, 1);
	}
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	const uint64_t all = (uint64_t)crowd.visits * VISITORS;
	server_wait_stat(server, MTS_STAT_ACCEPTED, all - mts_server_stat(server, MTS_STAT_REFUSED));
	ck_assert_int_gt(crowd.served, 0);
	ck_assert_int_le(full.most_inside, MOST);
	if (policy == MTS_OVERLOAD_WAIT && !per_address) {
		ck_assert_int_eq(crowd.served, crowd.visits * VISITORS);
	}
	/* And it is as good as new. */
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 2), 0);
	const int first = full_get_in(server);
	const int second = full_get_in(server);
	close(first);
	close(second);
	server_end(server);
}

START_TEST(a_crowd_while_limits_change)
{
	check_crowd(_i, false);
	full_setup();
	check_crowd(_i, true);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("overload");
	tcase_add_checked_fixture(tcase, full_setup, NULL);
	tcase_add_test(tcase, refused_at_once);
	if (!under_valgrind()) {
		tcase_add_test(tcase, refused_without_descriptors);
	}
	tcase_add_loop_test(
		tcase, a_stop_with_some_at_the_door, MTS_OVERLOAD_WAIT, MTS_OVERLOAD_EVICT + 1);
	tcase_add_loop_test(
		tcase, a_crowd_while_limits_change, MTS_OVERLOAD_WAIT, MTS_OVERLOAD_EVICT + 1);
	return suite_run();
}
