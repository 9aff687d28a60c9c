/* SPDX-License-Identifier: MIT
 *
 * How many clients one address may have: IPv4 addresses, IPv6 networks and users of Unix sockets each
 * for themselves; exactly, also when the limit comes later, and among many who come and go.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static struct endings endings;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
}

static mts_server *new_server(const char *address, size_t per_address)
{
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	const int result = mts_server_listen(server, address);
	ck_assert_msg(result == 0, "%s", mts_server_error(server));
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, per_address), 0);
	return server;
}

static mts_server *start_server(const char *address, size_t per_address)
{
	mts_server *server = new_server(address, per_address);
	server_start(server);
	return server;
}

static bool is_served(int peer)
{
	char answer[5];
	if (send(peer, "hello", 5, MSG_NOSIGNAL) != 5) {
		return false;
	}
	const ssize_t count = recv(peer, answer, sizeof(answer), MSG_WAITALL);
	ck_assert(count >= 0 || errno == ECONNRESET || errno == EPIPE);
	return count == 5;
}

static int served_from(const mts_server *server, unsigned char host)
{
	const int peer = peer_connect_from(server, host);
	ck_assert(is_served(peer));
	return peer;
}

static void refused_from(const mts_server *server, unsigned char host)
{
	const uint64_t before = mts_server_stat(server, MTS_STAT_REFUSED);
	const int peer = peer_connect_from(server, host);
	ck_assert(!is_served(peer));
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), before + 1);
	close(peer);
}

/* Comes again until it gets in: whoever leaves counts for a moment after its end is seen. */
static int get_in(const mts_server *server, unsigned char host)
{
	const uint64_t start = now_ms();
	for (;;) {
		const int peer = peer_connect_from(server, host);
		if (is_served(peer)) {
			return peer;
		}
		close(peer);
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
	}
}

START_TEST(each_address_for_itself)
{
	mts_server *server = start_server("127.0.0.1:0", 2);
	const int first = served_from(server, 1);
	const int second = served_from(server, 1);
	refused_from(server, 1);
	const int other = served_from(server, 2);
	refused_from(server, 1);
	close(first);
	const int third = get_in(server, 1);
	refused_from(server, 1);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 3), 0);
	const int fourth = served_from(server, 1);
	refused_from(server, 1);
	/* Below the present number: nobody is cut off. */
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	refused_from(server, 1);
	refused_from(server, 2);
	ck_assert(is_served(second) && is_served(third) && is_served(fourth) && is_served(other));
	close(second);
	close(third);
	server_wait_stat(server, MTS_STAT_CLOSED, 3);
	refused_from(server, 1);
	close(fourth);
	const int fifth = get_in(server, 1);
	close(fifth);
	close(other);
	server_end(server);
}
END_TEST

/* The limit comes when there are clients already: they count, from the first. */
START_TEST(those_who_are_there_count)
{
	mts_server *server = start_server("127.0.0.1:0", 0);
	int peers[6];
	for (int i = 0; i < 6; i++) {
		peers[i] = served_from(server, i < 4 ? 1 : 2);
	}
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 4), 0);
		refused_from(server, 1);
		const int other = served_from(server, 2);
		ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 0), 0);
		const int more = served_from(server, 1);
		ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 5), 0);
		refused_from(server, 1);
		ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 0), 0);
		close(more);
		close(other);
		server_wait_stat(server, MTS_STAT_OPEN, 6);
	}
	/* Some leave while nobody counts. */
	for (int i = 0; i < 3; i++) {
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 3);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 2), 0);
	peers[0] = get_in(server, 1);
	refused_from(server, 1);
	refused_from(server, 2);
	close(peers[0]);
	for (int i = 3; i < 6; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/* Whoever has enough already costs nobody else its place, and does not wait in front of others. */
START_TEST(it_comes_before_the_overload_policy)
{
	mts_server *server = new_server("127.0.0.1:0", 2);
	ck_assert_int_eq(mts_server_set_max_clients(server, 3), 0);
	ck_assert_int_eq(mts_server_set_overload(server, _i), 0);
	server_start(server);
	const int first = served_from(server, 1);
	const int second = served_from(server, 1);
	for (int i = 0; i < 10; i++) {
		refused_from(server, 1);
	}
	const int third = served_from(server, 2);
	if (_i == MTS_OVERLOAD_EVICT) {
		for (int i = 0; i < 10; i++) {
			refused_from(server, 1);
		}
		ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
		close(served_from(server, 2));
		ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 1);
		ck_assert(is_served(third));
		ck_assert_int_eq(is_served(first) + is_served(second), 1);
	}
	close(first);
	close(second);
	close(third);
	server_end(server);
}
END_TEST

START_TEST(ipv4_and_ipv6_count_apart)
{
	mts_server *server = start_server("localhost:0", 1);
	int peers[2];
	size_t addresses = 0;
	for (; addresses < 2 && mts_server_address(server, addresses) != NULL; addresses++) {
		peers[addresses] = peer_connect(server, addresses);
		ck_assert(is_served(peers[addresses]));
	}
	for (size_t i = 0; i < addresses; i++) {
		const int peer = peer_connect(server, i);
		ck_assert(!is_served(peer));
		close(peer);
		ck_assert(is_served(peers[i]));
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

START_TEST(users_of_unix_sockets)
{
	char address[64];
	(void)snprintf(address, sizeof(address), "unix:@mts-test-address-%ld-%d", (long)getpid(), _i);
	mts_server *server = start_server(address, _i == 0 ? 1 : 0);
	const int first = peer_connect(server, 0);
	ck_assert(is_served(first));
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	const int second = peer_connect(server, 0);
	ck_assert(!is_served(second));
	ck_assert(is_served(first));
	close(first);
	close(second);
	server_end(server);
}
END_TEST

enum { VISITORS = 4, PER_ADDRESS = 2 };

struct crowd {
	mts_server *server;
	unsigned char host;
	int visits;
	struct gate *done;
	_Atomic int *inside; /* how many of that address have been served, and not gone */
	_Atomic int *full; /* how often that was as many as may be */
	_Atomic int *too_many;
};

/* Two visitors for each of two addresses, with two peers each: four where two may be. */
static void *keep_coming(void *argument)
{
	const struct crowd *crowd = argument;
	for (int i = 0; i < crowd->visits; i++) {
		int peers[2];
		for (int j = 0; j < 2; j++) {
			peers[j] = peer_connect_from(crowd->server, crowd->host);
			if (is_served(peers[j])) {
				const int now = ++*crowd->inside;
				*crowd->full += now == PER_ADDRESS ? 1 : 0;
				*crowd->too_many += now > PER_ADDRESS ? 1 : 0;
			} else {
				peer_reset(peers[j]);
				peers[j] = -1;
			}
		}
		for (int j = 0; j < 2; j++) {
			if (peers[j] >= 0) {
				--*crowd->inside;
				peer_reset(peers[j]);
			}
		}
	}
	gate_add(crowd->done);
	return NULL;
}

START_TEST(exact_in_a_crowd)
{
	mts_server *server = start_server("127.0.0.1:0", PER_ADDRESS);
	struct gate done = GATE;
	_Atomic int inside[2] = {0, 0};
	_Atomic int full = 0;
	_Atomic int too_many = 0;
	pthread_t threads[VISITORS];
	struct crowd crowds[VISITORS];
	for (int i = 0; i < VISITORS; i++) {
		crowds[i] = (struct crowd){server, (unsigned char)(1 + i % 2), under_valgrind() ? 50 : 500,
			&done, &inside[i % 2], &full, &too_many};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, keep_coming, &crowds[i]), 0);
	}
	/* Turned off and on again in between; what is exact is what comes after that. */
	for (size_t i = 0; _i == 1 && gate_count(&done) < VISITORS; i++) {
		ck_assert_int_eq(mts_server_set_max_clients_per_address(server, i % 2 * PER_ADDRESS), 0);
		poll(NULL, 0, 1);
	}
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	if (_i == 0) {
		ck_assert_int_gt(full, 0);
		ck_assert_int_eq(too_many, 0);
		ck_assert_uint_gt(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	}
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, PER_ADDRESS), 0);
	for (unsigned char host = 1; host <= 2; host++) {
		const int first = get_in(server, host);
		const int second = get_in(server, host);
		refused_from(server, host);
		close(first);
		close(second);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("clients of an address");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, each_address_for_itself);
	tcase_add_test(tcase, those_who_are_there_count);
	tcase_add_loop_test(
		tcase, it_comes_before_the_overload_policy, MTS_OVERLOAD_WAIT, MTS_OVERLOAD_EVICT + 1);
	tcase_add_test(tcase, ipv4_and_ipv6_count_apart);
	tcase_add_loop_test(tcase, users_of_unix_sockets, 0, 2);
	tcase_add_loop_test(tcase, exact_in_a_crowd, 0, 2);
	return suite_run();
}
