/* SPDX-License-Identifier: MIT
 *
 * What clients are told for which there is no room: they get it whole, also when they have sent a request
 * already, and it may change at any time.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { PLACES = 16, MORE = 10, MOST = 1024 };

static const char busy[] = "busy, come again";
static _Atomic bool enough;

static mts_server *server_for_one(int policy)
{
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ck_assert_int_eq(mts_server_set_overload(server, policy), 0);
	ck_assert_int_eq(mts_server_set_refusal(server, busy, strlen(busy)), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LINGER, 0), 0);
	return server;
}

static void expect_words(int peer, const char *words)
{
	peer_expect_text(peer, words);
	peer_expect_end(peer);
}

/* All of it is there before the server begins. */
START_TEST(it_has_asked_already)
{
	static const char request[100000];
	mts_server *server = server_for_one(MTS_OVERLOAD_REFUSE);
	const int first = peer_connect(server, 0);
	const int second = peer_connect(server, 0);
	peer_send(second, request, sizeof(request));
	server_start(server);
	peer_ask(first, "hello");
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	peer_send(second, request, sizeof(request));
	expect_words(second, busy);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 1);
	close(second);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	close(first);
	server_end(server);
}
END_TEST

START_TEST(too_many_of_its_address)
{
	mts_server *server = server_for_one(MTS_OVERLOAD_WAIT);
	ck_assert_int_eq(mts_server_set_max_clients(server, 10), 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	server_start(server);
	const int first = peer_connect(server, 0);
	peer_ask(first, "hello");
	const int second = peer_connect(server, 0);
	expect_words(second, busy);
	close(second);
	close(first);
	server_end(server);
}
END_TEST

/* Those for which there is no place are told too, and closed. */
START_TEST(all_places_are_taken)
{
	int peers[PLACES + MORE];
	mts_server *server = server_for_one(MTS_OVERLOAD_REFUSE);
	server_start(server);
	const int first = peer_connect(server, 0);
	peer_ask(first, "hello");
	for (int i = 0; i < PLACES + MORE; i++) {
		peers[i] = peer_connect(server, 0);
		expect_words(peers[i], busy);
	}
	server_wait_stat(server, MTS_STAT_REFUSED, PLACES + MORE);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), PLACES);
	for (int i = 0; i < PLACES + MORE; i++) {
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	peer_ask(first, "hello");
	close(first);
	server_end(server);
}
END_TEST

START_TEST(no_descriptors)
{
	enum { COMERS = 5 };
	int peers[COMERS];
	mts_server *server = server_for_one(MTS_OVERLOAD_REFUSE);
	ck_assert_int_eq(mts_server_set_max_clients(server, 100), 0);
	server_start(server);
	const int first = peer_connect(server, 0);
	peer_ask(first, "hello");
	for (int i = 0; i < COMERS; i++) {
		peers[i] = peer_socket();
	}
	starve_descriptors(true);
	for (int i = 0; i < COMERS; i++) {
		peer_connect_socket(peers[i], server);
	}
	for (int i = 0; i < COMERS; i++) {
		expect_words(peers[i], busy);
	}
	for (int i = 0; i < COMERS; i++) {
		close(peers[i]); /* not before: there would be a descriptor for the next one */
	}
	starve_descriptors(false);
	close(first);
	server_end(server);
}
END_TEST

START_TEST(nothing_any_more)
{
	mts_server *server = server_for_one(MTS_OVERLOAD_REFUSE);
	char long_words[MOST + 1] = "";
	server_start(server);
	const int first = peer_connect(server, 0);
	peer_ask(first, "hello");
	ck_assert_int_eq(mts_server_set_refusal(NULL, busy, 1), -EINVAL);
	ck_assert_int_eq(mts_server_set_refusal(server, NULL, 1), -EINVAL);
	ck_assert_int_eq(mts_server_set_refusal(server, long_words, MOST + 1), -EINVAL);
	memset(long_words, 'x', MOST);
	int peer = peer_connect(server, 0);
	expect_words(peer, busy);
	close(peer);
	ck_assert_int_eq(mts_server_set_refusal(server, long_words, MOST), 0);
	peer = peer_connect(server, 0);
	expect_words(peer, long_words);
	close(peer);
	ck_assert_int_eq(mts_server_set_refusal(server, _i == 0 ? NULL : busy, 0), 0);
	peer = peer_connect(server, 0);
	peer_expect_end(peer);
	close(peer);
	close(first);
	server_end(server);
}
END_TEST

static void *change(void *server)
{
	char words[2][MOST];
	memset(words[0], 'a', MOST);
	memset(words[1], 'b', MOST);
	for (int i = 0; !enough; i++) {
		ck_assert_int_eq(mts_server_set_refusal(server, words[i % 2], MOST), 0);
	}
	return NULL;
}

/* Nobody gets a mixture. */
START_TEST(it_changes_meanwhile)
{
	mts_server *server = server_for_one(MTS_OVERLOAD_REFUSE);
	char words[MOST + 1] = "";
	pthread_t thread;
	memset(words, 'a', MOST);
	ck_assert_int_eq(mts_server_set_refusal(server, words, MOST), 0);
	server_start(server);
	const int first = peer_connect(server, 0);
	peer_ask(first, "hello");
	enough = false;
	ck_assert_int_eq(pthread_create(&thread, NULL, change, server), 0);
	for (int i = 0; i < 100; i++) {
		const int peer = peer_connect(server, 0);
		ck_assert_int_eq(read(peer, words, 1), 1);
		memset(words + 1, words[0], MOST - 1);
		expect_words(peer, words + 1);
		close(peer);
	}
	enough = true;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	close(first);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("refusal");
	tcase_add_test(tcase, it_has_asked_already);
	tcase_add_test(tcase, too_many_of_its_address);
	tcase_add_test(tcase, all_places_are_taken);
	if (!under_valgrind()) { /* where an accept that fails has lost its connection */
		tcase_add_test(tcase, no_descriptors);
	}
	tcase_add_loop_test(tcase, nothing_any_more, 0, 2);
	tcase_add_test(tcase, it_changes_meanwhile);
	return suite_run();
}
