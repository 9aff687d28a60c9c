/* SPDX-License-Identifier: MIT
 *
 * Many deferred replies, completed by many threads; and whatever may come at the same time.
 */
#include "later.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 8, PEERS = 16, ROUND = 25, REPLIES = 20000, CHAOS = 60, CROWD = 10000 };
enum { QUEUE = 4 * PEERS }; /* each client waits for one reply, which is in here twice at most */

/* Replies that are owed, in a ring. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct owed {
		struct later_ticket owed;
		int number; /* of its client's replies; below 0: it is sent already */
	} ring[QUEUE];
	size_t first;
	size_t count;
	bool over;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static mts_server *server;
static _Atomic int completed; /* replies */
static _Atomic int stale; /* that somebody else had completed */

static void put(struct owed owed)
{
	pthread_mutex_lock(&queue.mutex);
	ck_assert_uint_lt(queue.count, QUEUE);
	queue.ring[(queue.first + queue.count++) % QUEUE] = owed;
	pthread_cond_signal(&queue.changed);
	pthread_mutex_unlock(&queue.mutex);
}

static bool take(struct owed *owed)
{
	pthread_mutex_lock(&queue.mutex);
	while (queue.count == 0 && !queue.over) {
		pthread_cond_wait(&queue.changed, &queue.mutex);
	}
	const bool any = queue.count > 0;
	if (any) {
		*owed = queue.ring[queue.first++ % QUEUE];
		queue.count--;
	}
	pthread_mutex_unlock(&queue.mutex);
	return any;
}

static void finish(pthread_t *threads)
{
	pthread_mutex_lock(&queue.mutex);
	queue.over = true;
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.mutex);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
	}
}

/* Every second reply the handler writes itself, and two threads complete it. */
static int ask(mts_client *client, const void *request, size_t size, void *user)
{
	const int number = (int)(intptr_t)mts_client_data(client);
	const struct owed owed = {{mts_client_id(client), mts_client_defer(client)}, number};
	const struct owed sent = {owed.owed, -1};
	(void)request;
	(void)size;
	(void)user;
	mts_client_set_data(client, (void *)(intptr_t)(number + 1));
	if (number % 2 == 0) {
		put(owed);
		return MTS_LATER;
	}
	mts_client_printf(client, "%d\n", number);
	put(sent);
	put(sent);
	return MTS_LATER;
}

static void *complete_all(void *unused)
{
	struct owed one;
	char reply[16];
	while (take(&one)) {
		const int size = snprintf(reply, sizeof(reply), "%d\n", one.number);
		if (one.number >= 0 && mts_server_send(server, one.owed.id, reply, (size_t)size) != 0) {
			continue; /* counts as lost */
		}
		const int result = mts_server_complete(server, one.owed.id, one.owed.ticket, MTS_KEEP);
		completed += result == 0 ? 1 : 0;
		stale += result == -ESTALE ? 1 : 0;
	}
	return unused;
}

static int replies_wanted(void)
{
	const char *wanted = getenv("MTS_TEST_REPLIES");
	const int count = wanted != NULL ? atoi(wanted) : under_valgrind() ? REPLIES / 20 : REPLIES;
	return count < PEERS * ROUND ? PEERS * ROUND : count;
}

/* One round of requests of all peers; returns the number of the next. */
static int one_round(const int *peers, int number)
{
	char text[16];
	for (int i = 0; i < PEERS * ROUND; i++) {
		peer_puts(peers[i / ROUND], "later\n");
	}
	for (int i = 0; i < PEERS * ROUND; i++) {
		(void)snprintf(text, sizeof(text), "%d\n", number + i % ROUND);
		peer_expect_text(peers[i / ROUND], text);
	}
	return number + ROUND;
}

START_TEST(none_is_lost)
{
	const int rounds = replies_wanted() / (PEERS * ROUND);
	pthread_t threads[THREADS];
	int peers[PEERS];
	int number = 0;
	server = later_server_of(ask);
	server_start(server);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, complete_all, NULL), 0);
	}
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	while (number < rounds * ROUND) {
		number = one_round(peers, number);
	}
	finish(threads);
	ck_assert_int_eq(completed, rounds * PEERS * ROUND);
	ck_assert_int_eq(stale, rounds * PEERS * ROUND / 2);
	for (int i = 0; i < PEERS; i++) {
		peer_finish(peers[i]);
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	server_end(server);
	endings_expect(&later.endings, MTS_CLOSED_BY_PEER, PEERS);
}
END_TEST

/* Several threads do different things to the same client. */
static int ask_all(mts_client *client, const void *request, size_t size, void *user)
{
	const struct owed owed = {{mts_client_id(client), mts_client_defer(client)}, 0};
	(void)request;
	(void)size;
	(void)user;
	put(owed);
	put(owed);
	return owed.owed.ticket % 8 == 7 ? MTS_KEEP : MTS_LATER;
}

static void *do_anything(void *chance)
{
	unsigned seed = (unsigned)(uintptr_t)chance;
	struct owed one;
	while (take(&one)) {
		switch (rand_r(&seed) % 8) {
		case 0:
			(void)mts_server_kick(server, one.owed.id);
			break;
		case 1:
			(void)mts_server_close(server, one.owed.id);
			break;
		case 2:
			(void)mts_server_complete(server, one.owed.id, one.owed.ticket, -EIO);
			break;
		default:
			(void)mts_server_send(server, one.owed.id, "reply\n", 6);
		}
		(void)mts_server_complete(
			server, one.owed.id, one.owed.ticket, one.owed.id % 2 == 0 ? MTS_KEEP : MTS_CLOSE);
	}
	return NULL;
}

static void receive_all(int peer)
{
	char bytes[256];
	while (recv(peer, bytes, sizeof(bytes), 0) > 0) {
	}
	close(peer);
}

START_TEST(anything_at_the_same_time)
{
	pthread_t threads[THREADS];
	int peers[PEERS];
	server = later_server_of(ask_all);
	server_start(server);
	for (uintptr_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, do_anything, (void *)(i + 1)), 0);
	}
	for (int round = 0; round < CHAOS; round++) {
		(void)mts_server_set_timeout(server, MTS_TIMEOUT_LATER, round % 2 == 0 ? 1 : 0);
		for (int i = 0; i < PEERS; i++) {
			peers[i] = peer_connect(server, 0);
			peer_puts(peers[i], "later\nlater\nlater\n");
		}
		for (int i = 0; i < PEERS; i++) {
			if ((i + round) % 4 == 0) {
				peer_reset(peers[i]);
			} else {
				(void)shutdown(peers[i], SHUT_WR);
				receive_all(peers[i]);
			}
		}
	}
	gate_wait(&later.opened, 1);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	finish(threads);
	server_end(server);
	ck_assert_int_eq(gate_count(&later.endings.all), gate_count(&later.opened));
}
END_TEST

/* What the server's threads have done once none of them has anything to do, now or later. */
static struct library_threads threads_at_rest(void)
{
	struct library_threads before;
	const uint64_t start = now_ms();
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	do {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		before = library_threads();
		poll(NULL, 0, 300);
	} while (before.count > 4 || library_threads().switches != before.switches);
	return before;
}

/* Nobody wakes for them, whatever their peers send. */
START_TEST(a_crowd_waits)
{
	const size_t room = (most_descriptors() - 200) / 2;
	const int crowd = under_valgrind() ? 200 : room < CROWD ? (int)room : CROWD;
	int *peers = calloc((size_t)crowd, sizeof(*peers));
	ck_assert_ptr_nonnull(peers);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		free(peers);
		return; /* each of them has its thread */
	}
	server = later_server();
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LATER, 0), 0);
	server_start(server);
	for (int i = 0; i < crowd; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "later\n");
	}
	later_waits(crowd - 1);
	const struct library_threads before = threads_at_rest();
	for (int i = 0; i < crowd; i++) {
		peer_puts(peers[i], "more\n");
	}
	library_rests();
	const struct library_threads after = library_threads();
	ck_assert_int_le(after.count, 4);
	ck_assert_uint_eq(after.switches, before.switches);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY), 0);
	for (int i = 0; i < crowd; i++) {
		ck_assert_int_eq(later_complete(server, i, "reply\n", MTS_KEEP), 0);
	}
	for (int i = 0; i < crowd; i++) {
		peer_expect_text(peers[i], "reply\nmore\n");
		close(peers[i]);
	}
	free(peers);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("later_many");
	tcase_add_checked_fixture(tests, later_setup, NULL);
	tcase_add_test(tests, none_is_lost);
	tcase_add_test(tests, anything_at_the_same_time);
	tcase_add_test(tests, a_crowd_waits);
	return suite_run();
}
