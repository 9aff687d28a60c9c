/* SPDX-License-Identifier: MIT
 *
 * The limit of threads, changed while the server runs: who waits for a thread gets one when it is
 * raised; when it is lowered threads leave as they become free, and nobody is forgotten.
 */
#include <pthread.h>
#include <unistd.h>

#include "full.h"

enum { MANY = 6 };

static int hold(mts_server *server, int entered)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hold\n");
	if (entered > 0) {
		gate_wait(&full.entered, entered);
	}
	return peer;
}

static void release_all(int *peers, int count)
{
	for (int i = 0; i < count; i++) {
		gate_add(&full.release);
	}
	for (int i = 0; i < count; i++) {
		peer_expect_text(peers[i], "hold\n");
		close(peers[i]);
	}
}

START_TEST(raised)
{
	int peers[MANY];
	mts_server *server = full_server(MTS_OVERLOAD_WAIT, 100);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	peers[0] = hold(server, 1);
	for (int i = 1; i < MANY; i++) {
		peers[i] = hold(server, 0);
	}
	library_rests();
	ck_assert_int_eq(gate_count(&full.entered), 1);
	ck_assert_int_eq(mts_server_set_max_threads(server, 3), 0);
	gate_wait(&full.entered, 3);
	library_rests();
	ck_assert_int_eq(gate_count(&full.entered), 3);
	ck_assert_int_eq(mts_server_set_max_threads(server, 0), 0);
	gate_wait(&full.entered, MANY);
	release_all(peers, MANY);
	server_end(server);
}
END_TEST

/* How many handlers run at once, of many that want to: those that the limit allows. */
static void expect_at_once(mts_server *server, int limit)
{
	int peers[MANY];
	const int before = gate_count(&full.entered);
	for (int i = 0; i < MANY; i++) {
		peers[i] = hold(server, 0);
	}
	gate_wait(&full.entered, before + limit);
	library_rests();
	ck_assert_int_eq(gate_count(&full.entered), before + limit);
	release_all(peers, MANY);
}

/* Each has a thread, and as many wait for one: of those only so many are served at once. */
START_TEST(lowered_while_others_wait)
{
	enum { LIMIT = 2 };
	int peers[2 * MANY];
	mts_server *server = full_server(MTS_OVERLOAD_WAIT, 100);
	ck_assert_int_eq(mts_server_set_max_threads(server, MANY), 0);
	server_start(server);
	for (int i = 0; i < 2 * MANY; i++) {
		peers[i] = hold(server, i < MANY ? i + 1 : 0);
	}
	library_rests();
	ck_assert_int_eq(mts_server_set_max_threads(server, LIMIT), 0);
	for (int i = 0; i < MANY; i++) {
		gate_add(&full.release);
	}
	for (int i = 0; i < MANY; i++) {
		peer_expect_text(peers[i], "hold\n");
		close(peers[i]);
	}
	gate_wait(&full.entered, MANY + LIMIT);
	library_rests();
	ck_assert_int_eq(gate_count(&full.entered), MANY + LIMIT);
	release_all(peers + MANY, MANY);
	server_end(server);
}
END_TEST

START_TEST(lowered)
{
	int peers[MANY];
	mts_server *server = full_server(MTS_OVERLOAD_WAIT, 100);
	server_start(server);
	for (int i = 0; i < MANY; i++) {
		peers[i] = hold(server, i + 1);
	}
	if (_i == 0) {
		ck_assert_int_eq(mts_server_set_max_threads(server, 2), 0); /* while all are in use */
		release_all(peers, MANY);
	} else {
		release_all(peers, MANY); /* while all rest */
		ck_assert_int_eq(mts_server_set_max_threads(server, 2), 0);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	wait_until(mts_server_stat(server, MTS_STAT_THREADS) <= 2);
	expect_at_once(server, 2);
	ck_assert_int_eq(mts_server_set_max_threads(server, 4), 0);
	expect_at_once(server, 4);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	wait_until(mts_server_stat(server, MTS_STAT_THREADS) <= 1);
	expect_at_once(server, 1);
	server_end(server);
}
END_TEST

static _Atomic bool over;

static void *ask_often(void *argument)
{
	mts_server *server = argument;
	for (int i = 0; i < 30; i++) {
		const int peer = peer_connect(server, 0);
		for (int j = 0; j < 10; j++) {
			full_ask(peer);
		}
		close(peer);
	}
	return NULL;
}

static void *change_often(void *argument)
{
	mts_server *server = argument;
	for (unsigned i = 0; !over; i++) {
		if (mts_server_set_max_threads(server, 1 + i * 7 % 5) != 0) {
			break;
		}
	}
	return NULL;
}

/* However it changes, each client gets its replies. */
START_TEST(changed_all_the_time)
{
	pthread_t askers[MANY];
	pthread_t changer;
	over = false;
	mts_server *server = full_start(MTS_OVERLOAD_WAIT, 100);
	ck_assert_int_eq(pthread_create(&changer, NULL, change_often, server), 0);
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(pthread_create(&askers[i], NULL, ask_often, server), 0);
	}
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(pthread_join(askers[i], NULL), 0);
	}
	over = true;
	ck_assert_int_eq(pthread_join(changer, NULL), 0);
	server_end(server);
}
END_TEST

static struct gate changed;
static struct gate leave;
static _Atomic int answer;

/*
 * "N hold" sets the limit to N, waits to be released, and answers; "hold M" does so behind that; "hold"
 * only waits.
 */
static int change_inside(mts_client *client, const void *request, size_t size, void *user)
{
	const char *text = request;
	(void)size;
	(void)user;
	if (text[0] != 'h') {
		answer = mts_server_set_max_threads(mts_client_server(client), (unsigned)(text[0] - '0'));
		gate_add(&changed);
	}
	gate_add(&full.entered);
	gate_wait(&full.release, gate_count(&full.entered));
	if (text[0] == 'h' && size > 5) {
		answer = mts_server_set_max_threads(mts_client_server(client), (unsigned)(text[5] - '0'));
		gate_add(&changed);
		gate_wait(&leave, 1);
	}
	(void)mts_client_puts(client, "hold\n");
	return MTS_KEEP;
}

static mts_server *start_of_changers(unsigned threads)
{
	changed = leave = (struct gate)GATE;
	answer = 1;
	mts_server *server = server_of_lines(change_inside, NULL, &full.endings);
	ck_assert_int_eq(mts_server_set_max_threads(server, threads), 0);
	server_start(server);
	return server;
}

static int ask_for(const mts_server *server, const char *line)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, line);
	return peer;
}

/* By a handler that then blocks, as others do already: who blocks goes on, and then there are fewer. */
START_TEST(lowered_in_a_handler)
{
	int peers[MANY];
	mts_server *server = start_of_changers(0);
	for (int i = 0; i < MANY; i++) {
		peers[i] = ask_for(server, i < MANY - 1 ? "hold\n" : "2 hold\n");
		gate_wait(&full.entered, i + 1);
	}
	ck_assert_int_eq(gate_count(&changed), 1);
	ck_assert_int_eq(answer, 0);
	release_all(peers, MANY);
	wait_until(mts_server_stat(server, MTS_STAT_THREADS) <= 2);
	expect_at_once(server, 2);
	server_end(server);
}
END_TEST

/* By the handler that has the only thread, and keeps it: the others get theirs at once. */
START_TEST(raised_in_a_handler)
{
	int peers[MANY];
	mts_server *server = start_of_changers(1);
	const int first = ask_for(server, "hold 4\n");
	gate_wait(&full.entered, 1);
	for (int i = 0; i < MANY; i++) {
		peers[i] = ask_for(server, "hold\n");
	}
	library_rests();
	ck_assert_int_eq(gate_count(&full.entered), 1);
	gate_add(&full.release);
	gate_wait(&changed, 1);
	ck_assert_int_eq(answer, 0);
	gate_wait(&full.entered, 4);
	library_rests();
	ck_assert_int_eq(gate_count(&full.entered), 4); /* three, and the first one still */
	gate_add(&leave);
	peer_expect_text(first, "hold\n");
	close(first);
	release_all(peers, MANY);
	server_end(server);
}
END_TEST

/* Up and down by those who hold threads, while more wait than may be: all are answered. */
START_TEST(changed_in_handlers)
{
	static const char *const lines[MANY] = {
		"3 hold\n", "1 hold\n", "2 hold\n", "0 hold\n", "hold\n", "4 hold\n"};
	int peers[5 * MANY];
	mts_server *server = start_of_changers(2);
	for (int i = 0; i < 5 * MANY; i++) {
		peers[i] = ask_for(server, lines[i % MANY]);
	}
	release_all(peers, 5 * MANY);
	ck_assert_int_eq(gate_count(&full.entered), 5 * MANY);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("the limit of threads, live");
	tcase_add_checked_fixture(tests, full_setup, NULL);
	tcase_add_test(tests, raised);
	tcase_add_loop_test(tests, lowered, 0, 2);
	tcase_add_test(tests, lowered_while_others_wait);
	tcase_add_test(tests, changed_all_the_time);
	tcase_add_test(tests, lowered_in_a_handler);
	tcase_add_test(tests, raised_in_a_handler);
	tcase_add_test(tests, changed_in_handlers);
	return suite_run();
}
