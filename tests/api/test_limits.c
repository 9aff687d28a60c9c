/* SPDX-License-Identifier: MIT
 *
 * How many may come in, and what happens to those who may not: they wait, nobody is lost, and the
 * server does not fret meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static struct gate entered;
static struct endings endings;

static void setup(void)
{
	entered = (struct gate)GATE;
	endings = (struct endings){.all = GATE};
}

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (size == 5 && memcmp(request, "close", 5) == 0) {
		return MTS_CLOSE;
	}
	return mts_client_write(client, request, size) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static mts_server *echo_server(size_t max_clients)
{
	mts_server *server = server_new(echo, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, max_clients), 0);
	return server;
}

/* As many as that are in, and nobody comes or goes for a moment. */
static void expect_in(mts_server *server, uint64_t accepted, uint64_t open)
{
	server_wait_stat(server, MTS_STAT_ACCEPTED, accepted);
	server_wait_stat(server, MTS_STAT_OPEN, open);
	poll(NULL, 0, 30);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), accepted);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), open);
}

START_TEST(the_rest_waits_outside)
{
	enum { PEERS = 10 };
	int peers[PEERS];
	mts_server *server = echo_server(3);
	server_start(server);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	expect_in(server, 3, 3);
	close(peers[0]);
	expect_in(server, 4, 3); /* one out, one in */
	peer_ask(peers[3], "hello");
	ck_assert_int_eq(mts_server_set_max_clients(server, 5), 0);
	expect_in(server, 6, 5);
	peer_ask(peers[5], "hello");
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	expect_in(server, 6, 5); /* nobody is cut off */
	for (int i = 1; i < 6; i++) {
		peer_ask(peers[i], "hello");
	}
	close(peers[1]);
	close(peers[2]);
	close(peers[3]);
	expect_in(server, 6, 2);
	close(peers[4]);
	expect_in(server, 7, 2);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1000), 0);
	expect_in(server, PEERS, 5);
	for (int i = 5; i < PEERS; i++) {
		peer_ask(peers[i], "hello");
		close(peers[i]);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	server_end(server);
}
END_TEST

START_TEST(refused_clients_leave_room)
{
	mts_server *server = echo_server(1);
	server_start(server);
	const int first = peer_connect(server, 0);
	peer_ask(first, "hello");
	const int second = peer_connect(server, 0);
	const int third = peer_connect(server, 0);
	peer_reset(second); /* gone while it waited outside */
	peer_puts(third, "third");
	peer_puts(first, "close");
	peer_expect_end(first);
	peer_expect_text(third, "third");
	close(first);
	close(third);
	server_end(server);
}
END_TEST

/* Many come and go through a narrow door. One lost wake-up, and nobody comes in any more. */
struct crowd {
	mts_server *server;
	int visits; /* of each visitor */
};

static void *visit(void *argument)
{
	const struct crowd *crowd = argument;
	for (int i = 0; i < crowd->visits; i++) {
		const int peer = peer_connect(crowd->server, 0);
		peer_ask(peer, "hello");
		if (i % 16 == 0) {
			peer_puts(peer, "close");
			peer_expect_end(peer);
		}
		peer_reset(peer); /* leaves no port behind that is in use for a minute */
	}
	gate_add(&entered);
	return NULL;
}

static int visits(void)
{
	const char *wanted = getenv("MTS_TEST_VISITS");
	const int usual = under_valgrind() ? 1000 : 10000;
	return wanted != NULL ? atoi(wanted) : usual;
}

static void check_door(size_t max_clients, bool live)
{
	enum { VISITORS = 4 };
	pthread_t threads[VISITORS];
	mts_server *server = echo_server(max_clients);
	struct crowd crowd = {server, visits() / 2 / VISITORS};
	setup();
	server_start(server);
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, visit, &crowd), 0);
	}
	for (size_t limit = 1; live && gate_count(&entered) < VISITORS; limit = limit % 5 + 1) {
		ck_assert_int_eq(mts_server_set_max_clients(server, limit), 0);
		poll(NULL, 0, 1);
	}
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	const int all = crowd.visits * VISITORS;
	gate_wait(&endings.all, all);
	server_wait_stat(server, MTS_STAT_CLOSED, (uint64_t)all);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), (uint64_t)all);
	server_end(server);
}

START_TEST(no_wakeup_is_lost_at_the_door)
{
	check_door(1, false);
	check_door(2, false);
	check_door(3, true);
}
END_TEST

/* Counts messages about accept. */
static void count_complaints(int level, const char *message, void *user)
{
	struct gate *complaints = user;
	if (level == MTS_LOG_ERR && strstr(message, "accept") != NULL) {
		gate_add(complaints);
	}
}

START_TEST(without_descriptors_the_listeners_rest)
{
	struct gate complaints = GATE;
	mts_server *server = echo_server(1000);
	ck_assert_int_eq(mts_server_on_log(server, count_complaints, MTS_LOG_ERR, &complaints), 0);
	server_start(server);
	const int inside = peer_connect(server, 0);
	peer_ask(inside, "hello");
	const int outside = peer_socket();
	const int last = peer_socket();
	starve_descriptors(true);
	peer_connect_socket(outside, server);
	peer_connect_socket(last, server);
	gate_wait(&complaints, 1);
	const uint64_t start = now_ms();
	const uint64_t cpu = cpu_ms();
	poll(NULL, 0, 1400);
	const uint64_t passed = now_ms() - start;
	ck_assert_uint_le((cpu_ms() - cpu) * 50, passed); /* 2 % */
	ck_assert_int_le(gate_count(&complaints), (int)(passed / 1000) + 2);
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS), 2);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), 1);
	peer_ask(inside, "hello"); /* those who are in notice nothing */
	peer_puts(inside, "close");
	peer_expect_end(inside);
	peer_ask(outside, "hello");
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), 1);
	starve_descriptors(false);
	peer_ask(last, "hello"); /* also without anybody leaving */
	close(inside);
	close(outside);
	close(last);
	server_end(server);
}
END_TEST

START_TEST(accept_is_tried_again_by_itself)
{
	mts_server *server = echo_server(1000);
	const int outside = peer_socket();
	server_start(server);
	starve_descriptors(true);
	peer_connect_socket(outside, server);
	while (mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS) < 3) {
		poll(NULL, 0, 1);
	}
	starve_descriptors(false);
	peer_ask(outside, "hello");
	close(outside);
	server_end(server);
}
END_TEST

START_TEST(a_server_stops_while_it_is_starved)
{
	mts_server *server = echo_server(1000);
	const int outside = peer_socket();
	server_start(server);
	starve_descriptors(true);
	peer_connect_socket(outside, server);
	while (mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS) == 0) {
		poll(NULL, 0, 1);
	}
	server_end(server);
	starve_descriptors(false);
	peer_expect_gone(outside);
	close(outside);
}
END_TEST

START_TEST(a_silent_peer_is_not_accepted_when_deferred)
{
	mts_server *server = echo_server(1000);
	ck_assert_int_eq(mts_server_set_defer_accept(server, 30), 0);
	server_start(server);
	const int silent = peer_connect(server, 0);
	const int talking = peer_connect(server, 0);
	peer_ask(talking, "hello");
	expect_in(server, 1, 1);
	peer_ask(silent, "hello");
	expect_in(server, 2, 2);
	close(silent);
	close(talking);
	server_end(server);
}
END_TEST

START_TEST(deferring_does_not_matter_to_unix_sockets)
{
	char address[64];
	(void)snprintf(address, sizeof(address), "unix:@mts-test-limits-%ld", (long)getpid());
	mts_server *server = server_create(echo, NULL);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(mts_server_listen(server, address), 0);
	ck_assert_int_eq(mts_server_set_defer_accept(server, 30), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 1);
	peer_ask(peer, "hello");
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(bad_memory_limits_are_refused_with_a_sentence)
{
	static const size_t bad[] = {0, 1, 65535, SIZE_MAX / 2 + 1, SIZE_MAX};
	char number[32];
	mts_server *server = echo_server(10);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(mts_server_set_max_memory(server, bad[i]), -EINVAL);
		(void)snprintf(number, sizeof(number), "%zu ", bad[i]);
		ck_assert_ptr_nonnull(strstr(mts_server_error(server), number));
		ck_assert_ptr_nonnull(strstr(mts_server_error(server), "memory"));
	}
	ck_assert_int_eq(mts_server_set_max_memory(server, 65536), 0);
	server_start(server);
	ck_assert_int_eq(mts_server_set_max_memory(server, 65535), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_memory(server, SIZE_MAX / 2), 0);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("limits");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, the_rest_waits_outside);
	tcase_add_test(tcase, refused_clients_leave_room);
	tcase_add_test(tcase, no_wakeup_is_lost_at_the_door);
	if (!under_valgrind()) {
		tcase_add_test(tcase, without_descriptors_the_listeners_rest);
		tcase_add_test(tcase, accept_is_tried_again_by_itself);
		tcase_add_test(tcase, a_server_stops_while_it_is_starved);
	}
	tcase_add_test(tcase, bad_memory_limits_are_refused_with_a_sentence);
	tcase_add_test(tcase, a_silent_peer_is_not_accepted_when_deferred);
	tcase_add_test(tcase, deferring_does_not_matter_to_unix_sockets);
	return suite_run();
}
