/* SPDX-License-Identifier: MIT
 *
 * Sets of networks as programs use them: in any order, the smallest network counts; what is added again is
 * replaced; and several threads may look into one at a time. What is read and what is refused is in
 * unit/wire/test_network_text.c, and sets of many networks in unit/wire/test_networks.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#include "support.h"

static const struct {
	const char *network;
	int verdict;
} lines[] = {
	{"192.0.2.0/24", MTS_ALLOW},
	{"192.0.2.66", MTS_DENY},
	{"192.0.2.128/25", MTS_DENY},
	{"192.0.2.200/32", MTS_ALLOW},
	{"10.0.0.0/8", MTS_DENY},
	{"10.0.0.0/9", MTS_ALLOW},
	{"2001:db8::/32", MTS_ALLOW},
	{"2001:db8:7::/48", MTS_DENY},
	{"fe80::/10", MTS_DENY},
	{"::ffff:198.51.100.0/120", MTS_DENY},
	{"unix", MTS_ALLOW},
};
enum { LINES = sizeof(lines) / sizeof(lines[0]) };

static const struct {
	const char *address;
	int answer;
} questions[] = {
	{"192.0.2.1", MTS_ALLOW},
	{"192.0.2.65:5000", MTS_ALLOW},
	{"192.0.2.66", MTS_DENY},
	{"192.0.2.66:5000", MTS_DENY},
	{"192.0.2.199", MTS_DENY},
	{"192.0.2.200", MTS_ALLOW},
	{"192.0.3.0", -ENOENT},
	{"10.127.255.255", MTS_ALLOW},
	{"10.128.0.0", MTS_DENY},
	{"::ffff:192.0.2.66", MTS_DENY},
	{"[::ffff:192.0.2.1]:80", MTS_ALLOW},
	{"198.51.100.7", MTS_DENY},
	{"2001:db8::1", MTS_ALLOW},
	{"[2001:db8:6:ffff::]:5", MTS_ALLOW},
	{"[2001:db8:7::1]:5", MTS_DENY},
	{"2001:db9::", -ENOENT},
	{"[fe80::1%2]:5", MTS_DENY},
	{"::1", -ENOENT},
	{"unix", MTS_ALLOW},
	{"unix:/run/socket", MTS_ALLOW},
	{"nonsense", -EINVAL},
	{"", -EINVAL},
	{NULL, -EINVAL},
};
enum { QUESTIONS = sizeof(questions) / sizeof(questions[0]) };

/* All lines, beginning at one of them, forwards or backwards. */
static mts_networks *in_order(size_t first, bool back)
{
	mts_networks *networks = mts_networks_create();
	ck_assert_ptr_nonnull(networks);
	for (size_t i = 0; i < LINES; i++) {
		const size_t line = (back ? first + LINES - i : first + i) % LINES;
		ck_assert_int_eq(mts_networks_add(networks, lines[line].network, lines[line].verdict), 0);
	}
	return networks;
}

static void *ask(void *networks)
{
	for (size_t i = 0; i < QUESTIONS; i++) {
		const int answer = mts_networks_test(networks, questions[i].address);
		ck_assert_msg(answer == questions[i].answer, "%s: %d instead of %d", questions[i].address,
			answer, questions[i].answer);
	}
	return NULL;
}

START_TEST(in_any_order)
{
	for (size_t first = 0; first < LINES; first++) {
		for (int back = 0; back < 2; back++) {
			mts_networks *networks = in_order(first, back != 0);
			ask(networks);
			mts_networks_destroy(networks);
		}
	}
}
END_TEST

START_TEST(added_again)
{
	static const char *const forms[] = {"10.0.0.0/8", "::ffff:10.0.0.0/104", "10.0.0.0/8"};
	mts_networks *networks = mts_networks_create();
	for (size_t i = 0; i < 3; i++) {
		const int verdict = i % 2 == 0 ? MTS_ALLOW : MTS_DENY;
		ck_assert_int_eq(mts_networks_add(networks, forms[i], verdict), 0);
		ck_assert_int_eq(mts_networks_test(networks, "10.1.2.3"), verdict);
		ck_assert_int_eq(mts_networks_add(networks, "unix", verdict), 0);
		ck_assert_int_eq(mts_networks_test(networks, "unix"), verdict);
		ck_assert_int_eq(mts_networks_add(networks, "10.0.0.0/8", 7), -EINVAL);
		ck_assert_int_eq(mts_networks_test(networks, "10.1.2.3"), verdict);
	}
	mts_networks_destroy(networks);
}
END_TEST

/* Each family by itself: all of one says nothing of the others. */
START_TEST(all_of_a_kind)
{
	static const char *const all[] = {"0.0.0.0/0", "::/0", "unix"};
	static const char *const some[] = {"255.255.255.255:1", "[::1]:1", "unix"};
	for (int i = 0; i < 3; i++) {
		mts_networks *networks = mts_networks_create();
		for (int j = 0; j < 3; j++) {
			ck_assert_int_eq(mts_networks_test(networks, some[j]), -ENOENT);
		}
		ck_assert_int_eq(mts_networks_add(networks, all[i], MTS_DENY), 0);
		for (int j = 0; j < 3; j++) {
			ck_assert_int_eq(mts_networks_test(networks, some[j]), i == j ? MTS_DENY : -ENOENT);
		}
		mts_networks_destroy(networks);
	}
}
END_TEST

START_TEST(by_several_threads)
{
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	mts_networks *networks = in_order(0, false);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, networks), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	mts_networks_destroy(networks);
}
END_TEST

/* A client's peer, as its callbacks are told it. */
static int answer_verdict(mts_client *client, const void *request, size_t size, void *networks)
{
	(void)request;
	(void)size;
	(void)mts_client_printf(client, "%d", mts_networks_test(networks, mts_client_peer(client)));
	return MTS_CLOSE;
}

static int answer_peer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	(void)mts_client_puts(client, mts_client_peer(client));
	return MTS_CLOSE;
}

static void expect_answer(int family, mts_handler handler, void *user, const char *answer)
{
	mts_server *server = server_on(family, handler, user);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "x");
	peer_expect_text(peer, answer);
	close(peer);
	server_end(server);
}

START_TEST(a_client_s_peer)
{
	mts_networks *networks = mts_networks_create();
	ck_assert_int_eq(mts_networks_add(networks, "127.0.0.0/8", MTS_DENY), 0);
	ck_assert_int_eq(mts_networks_add(networks, "unix", MTS_DENY), 0);
	expect_answer(TCP, answer_verdict, networks, "1");
	expect_answer(UNIX, answer_verdict, networks, "1");
	expect_answer(UNIX, answer_peer, NULL, "unix");
	mts_networks_destroy(networks);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("networks");
	tcase_add_test(cases, in_any_order);
	tcase_add_test(cases, added_again);
	tcase_add_test(cases, all_of_a_kind);
	tcase_add_test(cases, by_several_threads);
	tcase_add_test(cases, a_client_s_peer);
	return suite_run();
}
