/* SPDX-License-Identifier: MIT
 *
 * Everything at once: peers that do random things, a server that is stopped at a random moment, and
 * the books checked afterwards.
 *
 * Each round has a server of its own with a random shape, and visitors on threads of their own that
 * connect again and again until the server is gone. A visitor knows what it sent, and the server
 * echoes, so whatever comes back must be a beginning of that; the whole of it, when the visitor was
 * patient and no stop has come. Rounds go on for MTS_TEST_SECONDS, 4 unless set. The seed is printed;
 * MTS_TEST_SEED sets it, which repeats the visitors' choices, though not the order of the threads.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chance.h"
#include "support.h"

enum { VISITORS = 12, MOST = 60000 };

/* One server with its visitors. */
struct round {
	mts_server *server;
	_Atomic bool stopping; /* set before the stop: from then on anything may be cut short */
	_Atomic int opened;
	_Atomic int closed;
	_Atomic int refused;
	_Atomic int handled;
	_Atomic int inside; /* callbacks that run */
	_Atomic int threads;
};

/* Kept with each client: that its callbacks come in their order, one at a time. */
struct watch {
	int busy;
	int closed;
};

static int open_one(mts_client *client, void *user)
{
	struct round *round = user;
	round->inside++;
	int result = 0;
	if (mts_client_id(client) % 29 == 0) {
		round->refused++;
		result = 1;
	} else {
		struct watch *watch = calloc(1, sizeof(*watch));
		ck_assert_ptr_nonnull(watch);
		mts_client_set_data(client, watch);
		round->opened++;
	}
	round->inside--;
	return result;
}

/* Echoes; now and then after a talk, or slowly, or as the last thing. */
static int echo_one(mts_client *client, const void *request, size_t size, void *user)
{
	struct round *round = user;
	struct watch *watch = mts_client_data(client);
	const int number = round->handled++;
	round->inside++;
	ck_assert(watch != NULL && !watch->busy && !watch->closed);
	watch->busy = 1;
	int result = mts_client_write(client, request, size);
	if (number % 7 == 0) {
		poll(NULL, 0, 1);
	}
	if (number % 5 == 0 && result == 0) {
		result = mts_client_next(client, &request, &size);
		result = result == 1 ? mts_client_write(client, request, size) : result;
	}
	if (number % 11 == 0) {
		(void)mts_client_gone(client);
		(void)mts_client_flush(client);
	}
	watch->busy = 0;
	round->inside--;
	return MTS_KEEP;
}

static void close_one(mts_client *client, int reason, void *user)
{
	struct round *round = user;
	struct watch *watch = mts_client_data(client);
	ck_assert(watch != NULL && !watch->busy && !watch->closed);
	ck_assert(reason == MTS_CLOSED_BY_PEER || reason == MTS_CLOSED_STOP);
	watch->closed = 1;
	mts_client_set_data(client, NULL);
	free(watch);
	round->closed++;
}

static void thread_begins(void *user)
{
	((struct round *)user)->threads++;
}

static void thread_ends(void *user)
{
	((struct round *)user)->threads--;
}

/* Sends some bytes in random pieces, and reads what is there in between; how many came back. */
struct visit {
	struct round *round;
	uint64_t random;
	int peer;
	size_t sent;
	size_t got;
	bool lost; /* the connection has failed or ended */
	int error; /* why: 0, it has ended */
};

static void take(struct visit *visit, int flags)
{
	unsigned char bytes[4096];
	unsigned char expected[sizeof(bytes)];
	const ssize_t count = recv(visit->peer, bytes, sizeof(bytes), flags);
	if (count > 0) {
		pattern_fill(expected, (size_t)count, visit->got);
		if (memcmp(bytes, expected, (size_t)count) != 0) {
			ck_abort_msg("after %zu bytes something else came back", visit->got);
		}
		visit->got += (size_t)count;
		if (visit->got > visit->sent) {
			ck_abort_msg("%zu bytes came back of %zu", visit->got, visit->sent);
		}
	} else if (count == 0 || errno != EAGAIN || flags == 0) {
		if (count < 0 && errno == EAGAIN) {
			ck_abort_msg("nothing came for %d seconds", PATIENCE);
		}
		visit->error = count < 0 ? errno : 0;
		visit->lost = true;
	}
}

static void send_some(struct visit *visit)
{
	unsigned char bytes[2000];
	const size_t count = 1 + chance_below(&visit->random, sizeof(bytes));
	pattern_fill(bytes, count, visit->sent);
	const ssize_t sent = send(visit->peer, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent > 0) {
		visit->sent += (size_t)sent;
	} else if (errno != EAGAIN) {
		visit->error = errno;
		visit->lost = true;
	}
}

static void talk(struct visit *visit)
{
	const size_t total = chance_below(&visit->random, 4) == 0 ? chance_below(&visit->random, MOST)
															  : chance_below(&visit->random, 3000);
	const bool floods = chance_below(&visit->random, 3) == 0;
	while (visit->sent < total && !visit->lost) {
		send_some(visit);
		if (!floods) {
			take(visit, MSG_DONTWAIT);
		}
		if (chance_below(&visit->random, 50) == 0) {
			poll(NULL, 0, 1);
		}
	}
}

/* Ends the visit in one of several ways. */
static void go(struct visit *visit)
{
	bool refused_or_stopped;
	switch (chance_below(&visit->random, 5)) {
	case 0:
		peer_reset(visit->peer);
		return;
	case 1: /* silently, perhaps with replies unread */
		close(visit->peer);
		return;
	default: /* as one should: all that was sent must come back */
		(void)shutdown(visit->peer, SHUT_WR);
		while (!visit->lost) {
			take(visit, 0);
		}
		refused_or_stopped = visit->got == 0 || visit->round->stopping;
		if (visit->got != visit->sent && !refused_or_stopped) {
			ck_abort_msg("only %zu bytes came back of %zu: %s", visit->got, visit->sent,
				visit->error == 0 ? "end of stream" : strerror(visit->error));
		}
		peer_reset(visit->peer);
	}
}

static bool arrive(struct visit *visit)
{
	visit->peer = peer_socket();
	visit->sent = 0;
	visit->got = 0;
	visit->lost = false;
	visit->error = 0;
	if (!peer_try_connect(visit->peer, visit->round->server)) {
		ck_assert(visit->round->stopping);
		close(visit->peer);
		return false;
	}
	return true;
}

static void *visitor(void *argument)
{
	struct visit *visit = argument;
	while (!visit->round->stopping && arrive(visit)) {
		talk(visit);
		go(visit);
	}
	return NULL;
}

static mts_server *random_server(struct round *round, uint64_t *random)
{
	mts_server *server = server_new(echo_one, round);
	ck_assert_int_eq(mts_server_on_open(server, open_one, round), 0);
	ck_assert_int_eq(mts_server_on_close(server, close_one, round), 0);
	ck_assert_int_eq(mts_server_on_thread(server, thread_begins, thread_ends, round), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1 + chance_below(random, 2 * VISITORS)), 0);
	ck_assert_int_eq(
		mts_server_set_max_threads(server, (unsigned)chance_below(random, 2 * VISITORS)), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, 1 + chance_below(random, 100000)), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 1 + chance_below(random, 5000)), 0);
	if (chance_below(random, 3) == 0) {
		ck_assert_int_eq(mts_server_set_defer_accept(server, 1), 0);
	}
	return server;
}

static void check_books(const struct round *round)
{
	const mts_server *server = round->server;
	ck_assert_int_eq(round->inside, 0);
	ck_assert_int_eq(round->threads, 0);
	ck_assert_int_eq(round->opened, round->closed);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), (uint64_t)round->opened);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CLOSED), (uint64_t)round->closed);
	/* Those that were still waiting for a thread at the stop were turned away as well. */
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_REFUSED), (uint64_t)round->refused);
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_REQUESTS), (uint64_t)round->handled);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_THREADS), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS), 0);
}

static int play_round(uint64_t *random)
{
	struct round round = {0};
	struct visit visits[VISITORS];
	pthread_t threads[VISITORS];
	round.server = random_server(&round, random);
	server_start(round.server);
	for (int i = 0; i < VISITORS; i++) {
		visits[i] = (struct visit){.round = &round, .random = chance_next(random) | 1};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, visitor, &visits[i]), 0);
	}
	poll(NULL, 0, (int)chance_below(random, 300));
	round.stopping = true;
	mts_server_stop(round.server);
	ck_assert_int_eq(mts_server_join(round.server), 0);
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	check_books(&round);
	ck_assert_int_eq(mts_server_destroy(round.server), 0);
	return round.handled;
}

START_TEST(everything_at_once)
{
	const uint64_t seed = chance_variable("MTS_TEST_SEED", now_ms() * 1000003 + (uint64_t)getpid());
	const uint64_t end = now_ms() + 1000 * chance_variable("MTS_TEST_SECONDS", 4);
	const int before = count_descriptors();
	uint64_t random = seed | 1;
	int rounds = 0;
	int handled = 0;
	printf("MTS_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	do {
		handled += play_round(&random);
		rounds++;
	} while (now_ms() < end);
	printf("%d rounds, %d requests\n", rounds, handled);
	ck_assert_int_gt(handled, 0);
	ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("stress");
	tcase_set_timeout(tcase, 120.0 + (double)chance_variable("MTS_TEST_SECONDS", 4));
	tcase_add_test(tcase, everything_at_once);
	return suite_run();
}
