/* SPDX-License-Identifier: MIT
 *
 * Threads on demand: a stop finds clients that no thread serves, in every state that they can be in. What
 * had come whole is served, output that waits goes out, and each is closed once.
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

enum { EACH = 20, LARGE = 1000000, TIMEOUT = 30000 };

static struct watch watch;
static struct gate entered = GATE;
static struct gate leave = GATE;

static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[LARGE];
	(void)user;
	(void)size;
	if (strcmp(request, "wait") == 0) {
		gate_add(&entered);
		gate_wait(&leave, 1);
	} else if (strcmp(request, "pour") == 0) {
		mts_client_write(client, bytes, sizeof(bytes));
		return MTS_KEEP;
	} else if (strcmp(request, "pour and close") == 0) {
		mts_client_write(client, bytes, sizeof(bytes));
		return MTS_CLOSE;
	}
	mts_client_printf(client, "%s\n", (const char *)request);
	return MTS_KEEP;
}

static int open_watched_small(mts_client *client, void *user)
{
	small_buffers(mts_client_fd(client));
	return watch_open(client, user);
}

static mts_server *parking_server(unsigned timeout, unsigned threads)
{
	mts_server *server = watch_server(&watch, obey, timeout, 0);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, 4 * LARGE), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, threads), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_watched_small, &watch), 0);
	server_start(server);
	return server;
}

/* Clients of each kind, all but those in handlers parked. */
struct crowd {
	int silent[EACH];
	int served[EACH];
	int half[EACH];
	int pouring[EACH];
	int ending[EACH];
};

static void gather(mts_server *server, struct crowd *crowd)
{
	for (int i = 0; i < EACH; i++) {
		crowd->silent[i] = peer_connect_small(server);
		crowd->served[i] = peer_connect_small(server);
		crowd->half[i] = peer_connect_small(server);
		crowd->pouring[i] = peer_connect_small(server);
		crowd->ending[i] = peer_connect_small(server);
		peer_ask(crowd->served[i], "hello\n");
		peer_puts(crowd->half[i], "hello\nhalf");
		peer_expect_text(crowd->half[i], "hello\n");
		peer_puts(crowd->pouring[i], "pour\n");
		peer_puts(crowd->ending[i], "pour and close\n");
	}
	gate_wait(&watch.opened, 5 * EACH);
	server_wait_stat(server, MTS_STAT_REQUESTS, 4 * EACH);
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	ck_assert_int_eq(gate_count(&watch.closed), 0);
}

/* Reads what has been poured, which the stop has not cut short, and the end. */
static void expect_all_of_it(const int *peers)
{
	static const char bytes[LARGE];
	for (int i = 0; i < EACH; i++) {
		peer_expect(peers[i], bytes, sizeof(bytes));
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
}

static void expect_ends(const int *peers)
{
	for (int i = 0; i < EACH; i++) {
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
}

START_TEST(parked_in_every_way)
{
	struct crowd crowd;
	mts_server *server = parking_server(TIMEOUT, _i == 0 ? 0 : 1);
	gather(server, &crowd);
	mts_server_stop(server);
	expect_ends(crowd.silent);
	expect_ends(crowd.served);
	expect_ends(crowd.half);
	expect_all_of_it(crowd.pouring);
	expect_all_of_it(crowd.ending);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	watch_expect_some(&watch, MTS_CLOSED_STOP, 4 * EACH);
	watch_expect_some(&watch, MTS_CLOSED_BY_HANDLER, EACH);
	watch_destroy(server);
}
END_TEST

/* Nobody reads: at the deadline they are cut off, parked as they are. */
START_TEST(parked_and_cut_off)
{
	struct crowd crowd;
	mts_server *server = parking_server(200, _i == 0 ? 0 : 1);
	gather(server, &crowd);
	watch_stop_by_cut(server, 200, 2 * EACH);
	expect_ends(crowd.silent);
	expect_ends(crowd.served);
	expect_ends(crowd.half);
	for (int i = 0; i < EACH; i++) {
		peer_expect_gone(crowd.pouring[i]);
		peer_expect_gone(crowd.ending[i]);
		close(crowd.pouring[i]);
		close(crowd.ending[i]);
	}
	watch_expect(&watch, MTS_CLOSED_STOP, 5 * EACH);
	watch_destroy(server);
}
END_TEST

/* All threads there may be are in handlers; what came meanwhile to those parked is served after them. */
START_TEST(received_while_nobody_could_serve_it)
{
	enum { LIMIT = 2 };
	struct crowd crowd;
	int busy[LIMIT];
	mts_server *server = parking_server(TIMEOUT, LIMIT);
	gather(server, &crowd);
	for (int i = 0; i < LIMIT; i++) {
		busy[i] = peer_connect(server, 0);
		peer_puts(busy[i], "wait\n");
		gate_wait(&entered, i + 1);
	}
	for (int i = 0; i < EACH; i++) {
		peer_puts(crowd.silent[i], "first words\nand half");
		peer_puts(crowd.half[i], " is whole\nhalf");
	}
	mts_server_stop(server);
	gate_wait(&watch.stopping, 1);
	ck_assert_int_eq(gate_count(&watch.closed), 0);
	gate_add(&leave);
	for (int i = 0; i < EACH; i++) {
		peer_expect_text(crowd.silent[i], "first words\n");
		peer_expect_text(crowd.half[i], "half is whole\n");
	}
	expect_ends(crowd.silent);
	expect_ends(crowd.half);
	expect_ends(crowd.served);
	for (int i = 0; i < LIMIT; i++) {
		peer_expect_text(busy[i], "wait\n");
		peer_expect_end(busy[i]);
		close(busy[i]);
	}
	expect_all_of_it(crowd.pouring);
	expect_all_of_it(crowd.ending);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	watch_expect_some(&watch, MTS_CLOSED_STOP, 4 * EACH + LIMIT);
	watch_expect_some(&watch, MTS_CLOSED_BY_HANDLER, EACH);
	watch_destroy(server);
}
END_TEST

/* More requests than a turn has room for: all of them had come, so all of them are served. */
START_TEST(more_than_a_turn)
{
	enum { REQUESTS = 500, PEERS = 10 };
	static char lines[REQUESTS * 5 + 1];
	int peers[PEERS];
	mts_server *server = parking_server(TIMEOUT, 1);
	for (int i = 0; i < REQUESTS; i++) {
		memcpy(lines + (size_t)i * 5, "ping\n", 5);
	}
	const int busy = peer_connect(server, 0);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	gate_wait(&watch.opened, PEERS + 1);
	peer_puts(busy, "wait\n");
	gate_wait(&entered, 1);
	for (int i = 0; i < PEERS; i++) {
		peer_puts(peers[i], lines);
	}
	mts_server_stop(server);
	gate_wait(&watch.stopping, 1);
	gate_add(&leave);
	for (int i = 0; i < PEERS; i++) {
		peer_expect_text(peers[i], lines);
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	ck_assert_int_eq(mts_server_join(server), 0);
	watch_expect(&watch, MTS_CLOSED_STOP, PEERS + 1);
	watch_destroy(server);
	close(busy);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("on demand, stop");
	tcase_add_loop_test(tcase, parked_in_every_way, 0, 2);
	tcase_add_loop_test(tcase, parked_and_cut_off, 0, 2);
	tcase_add_test(tcase, received_while_nobody_could_serve_it);
	tcase_add_test(tcase, more_than_a_turn);
	return suite_run_once();
}
