/* SPDX-License-Identifier: MIT
 *
 * Threads on demand, with clients that are parked and found again at every moment: some hundred of them,
 * requests in random pieces with tiny pauses in between, handlers that wait now and then, conversations,
 * peers that come and go. Every request carries its number, so the handler sees that they come in order,
 * one at a time and whole; and each peer waits for all its answers in the end, so one that is forgotten in
 * its parking place is noticed.
 *
 * Goes on for MTS_TEST_SECONDS, 4 unless set, over several limits of threads. The seed is printed;
 * MTS_TEST_SEED sets it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chance.h"
#include "support.h"

enum { VISITORS = 6, TALKS = 50, MOST_BURST = 100, HEAD = 5, MOST_PAD = 3000, MOST_RAW = 97 };
enum { BURST_BYTES = MOST_BURST * (2 + HEAD + MOST_PAD + MOST_RAW) };

struct round {
	mts_server *server;
	int limit; /* of threads; 0: none */
	_Atomic bool over;
	_Atomic int opened;
	_Atomic int closed;
	_Atomic int handled;
	_Atomic int threads;
	_Atomic int most_threads;
};

/* What the server's side knows of a client. */
struct state {
	_Atomic int busy;
	uint32_t next; /* the number of its next request */
};

static int open_one(mts_client *client, void *user)
{
	struct round *round = user;
	struct state *state = calloc(1, sizeof(*state));
	ck_assert_ptr_nonnull(state);
	mts_client_set_data(client, state);
	round->opened++;
	return 0;
}

static void close_one(mts_client *client, int reason, void *user)
{
	struct round *round = user;
	struct state *state = mts_client_data(client);
	ck_assert_ptr_nonnull(state);
	ck_assert_int_eq(atomic_exchange(&state->busy, 1), 0);
	ck_assert_int_le(reason, MTS_CLOSED_PROTOCOL); /* by the peer, or the handler that missed it */
	mts_client_set_data(client, NULL);
	free(state);
	round->closed++;
}

static void thread_begins(void *user)
{
	struct round *round = user;
	const int now = ++round->threads;
	int most = round->most_threads;
	while (now > most && !atomic_compare_exchange_weak(&round->most_threads, &most, now)) {
	}
}

static void thread_ends(void *user)
{
	((struct round *)user)->threads--;
}

/* Takes a request as the next one, and answers with its number. */
static uint32_t answer(mts_client *client, const char *request, size_t size)
{
	struct state *state = mts_client_data(client);
	uint32_t number;
	ck_assert_uint_ge(size, HEAD);
	memcpy(&number, request + 1, sizeof(number));
	if (number != state->next) {
		ck_abort_msg("request %u came instead of %u", number, state->next);
	}
	state->next++;
	for (size_t i = HEAD; i < size; i++) {
		if (request[i] != (char)number) {
			ck_abort_msg("byte %zu of request %u is another one's", i, number);
		}
	}
	(void)mts_client_write(client, &number, sizeof(number));
	return number;
}

/* Reads the bytes that follow the request as they are; false when the peer has gone. */
static bool read_raw(mts_client *client, uint32_t number)
{
	char raw[MOST_RAW + 1];
	const size_t size = number % MOST_RAW + 1;
	size_t have = 0;
	while (have < size) {
		const ssize_t count = mts_client_read(client, raw + have, size - have);
		if (count <= 0) {
			return false;
		}
		have += (size_t)count;
	}
	for (size_t i = 0; i < size; i++) {
		ck_assert_int_eq(raw[i], (char)number);
	}
	return true;
}

/* The first byte says how it is handled. */
static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	struct round *round = user;
	struct state *state = mts_client_data(client);
	const char kind = *(const char *)request;
	bool whole = true;
	if (atomic_exchange(&state->busy, 1) != 0) {
		ck_abort_msg("two threads serve one client");
	}
	const uint32_t number = answer(client, request, size);
	round->handled++;
	if (kind == 'b') {
		poll(NULL, 0, 1);
	} else if (kind == 'f') {
		(void)mts_client_flush(client);
	} else if (kind == 'n') {
		whole = mts_client_next(client, &request, &size) == 1;
		if (whole) {
			(void)answer(client, request, size);
		}
	} else if (kind == 'r') {
		whole = read_raw(client, number);
	}
	atomic_store(&state->busy, 0);
	return whole ? MTS_KEEP : MTS_CLOSE;
}

/* A peer's side of a client. */
struct talk {
	int peer;
	uint32_t sent; /* requests */
	uint32_t answered;
};

struct visitor {
	struct round *round;
	pthread_t thread;
	uint64_t random;
	struct talk talks[TALKS];
	char *burst;
	size_t size;
};

static void put_request(struct visitor *visitor, struct talk *talk, char kind)
{
	const uint32_t number = talk->sent++;
	const size_t pad = chance_below(&visitor->random, 20) == 0
		? chance_below(&visitor->random, MOST_PAD)
		: chance_below(&visitor->random, 40);
	char *at = visitor->burst + visitor->size;
	at[0] = (char)((HEAD + pad) >> 8);
	at[1] = (char)(HEAD + pad);
	at[2] = kind;
	memcpy(at + 3, &number, sizeof(number));
	memset(at + 2 + HEAD, (char)number, pad);
	visitor->size += 2 + HEAD + pad;
	if (kind == 'r') {
		const size_t raw = number % MOST_RAW + 1;
		memset(visitor->burst + visitor->size, (char)number, raw);
		visitor->size += raw;
	}
}

static void make_burst(struct visitor *visitor, struct talk *talk)
{
	static const char kinds[] = "eeeeeeeeeefbnr";
	const size_t most = chance_below(&visitor->random, 20) == 0 ? MOST_BURST - 1 : 10;
	size_t count = 1 + chance_below(&visitor->random, most);
	visitor->size = 0;
	for (; count > 0; count--) {
		const char kind = kinds[chance_below(&visitor->random, sizeof(kinds) - 1)];
		put_request(visitor, talk, kind);
		if (kind == 'n') {
			put_request(visitor, talk, 'e');
		}
	}
}

/* Nothing, or a moment, about as long as it takes to serve a request and to park its client. */
static void pause_a_moment(uint64_t *random)
{
	const size_t choice = chance_below(random, 16);
	if (choice == 0) {
		poll(NULL, 0, 1);
	} else if (choice < 4) {
		sched_yield();
	} else if (choice < 8) {
		for (volatile size_t i = chance_below(random, 20000); i > 0; i--) {
		}
	}
}

static void send_burst(struct visitor *visitor, const struct talk *talk, size_t size)
{
	size_t done = 0;
	while (done < size) {
		const size_t left = size - done;
		size_t step = chance_below(&visitor->random, 3) == 0
			? left
			: 1 + chance_below(&visitor->random, 60);
		step = step < left ? step : left;
		peer_send(talk->peer, visitor->burst + done, step);
		done += step;
		pause_a_moment(&visitor->random);
	}
}

static void await_answers(struct talk *talk)
{
	for (; talk->answered < talk->sent; talk->answered++) {
		peer_expect(talk->peer, &talk->answered, sizeof(talk->answered));
	}
}

static void begin_talk(struct visitor *visitor, struct talk *talk)
{
	talk->peer = peer_connect(visitor->round->server, 0);
	talk->sent = 0;
	talk->answered = 0;
}

static void end_talk(struct visitor *visitor, struct talk *talk)
{
	switch (chance_below(&visitor->random, 4)) {
	case 0: /* as one should */
		peer_finish(talk->peer);
		await_answers(talk);
		peer_expect_end(talk->peer);
		close(talk->peer);
		break;
	case 1: /* at once */
		await_answers(talk);
		close(talk->peer);
		break;
	case 2: /* with answers unread */
		peer_reset(talk->peer);
		break;
	default: /* in the middle of a request */
		make_burst(visitor, talk);
		send_burst(visitor, talk, 1 + chance_below(&visitor->random, visitor->size));
		close(talk->peer);
	}
	talk->peer = -1;
}

static void *visit(void *argument)
{
	struct visitor *visitor = argument;
	for (int i = 0; i < TALKS; i++) {
		begin_talk(visitor, &visitor->talks[i]);
	}
	while (!visitor->round->over) {
		struct talk *talk = &visitor->talks[chance_below(&visitor->random, TALKS)];
		make_burst(visitor, talk);
		send_burst(visitor, talk, visitor->size);
		const size_t choice = chance_below(&visitor->random, 40);
		if (choice == 0) {
			end_talk(visitor, talk);
			begin_talk(visitor, talk);
		} else if (choice < 20 || talk->sent - talk->answered > 1000) {
			await_answers(talk);
		}
	}
	for (int i = 0; i < TALKS; i++) {
		struct talk *talk = &visitor->talks[i];
		await_answers(talk);
		ck_assert_uint_eq(talk->answered, talk->sent);
		close(talk->peer);
	}
	return NULL;
}

static void check_books(const struct round *round)
{
	const mts_server *server = round->server;
	const int limit = round->limit;
	ck_assert_int_eq(round->opened, round->closed);
	ck_assert_int_eq(round->threads, 0);
	ck_assert(limit == 0 || round->most_threads <= limit);
	ck_assert(limit == 0 || mts_server_stat(server, MTS_STAT_THREADS_PEAK) <= (uint64_t)limit);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), (uint64_t)round->opened);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CLOSED), (uint64_t)round->closed);
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_REQUESTS), (uint64_t)round->handled);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS), 0);
}

static int play_round(uint64_t *random, int limit, uint64_t milliseconds)
{
	struct round round = {.limit = limit};
	struct visitor *visitors = calloc(VISITORS, sizeof(*visitors));
	ck_assert_ptr_nonnull(visitors);
	round.server = server_new(handle, &round);
	ck_assert_int_eq(mts_server_frame_prefixed(round.server, 2, MTS_BIG_ENDIAN), 0);
	ck_assert_int_eq(mts_server_on_open(round.server, open_one, &round), 0);
	ck_assert_int_eq(mts_server_on_close(round.server, close_one, &round), 0);
	ck_assert_int_eq(mts_server_on_thread(round.server, thread_begins, thread_ends, &round), 0);
	ck_assert_int_eq(mts_server_set_max_threads(round.server, (unsigned)limit), 0);
	server_start(round.server);
	for (int i = 0; i < VISITORS; i++) {
		visitors[i].round = &round;
		visitors[i].random = chance_next(random) | 1;
		visitors[i].burst = malloc(2 * BURST_BYTES);
		ck_assert_ptr_nonnull(visitors[i].burst);
		ck_assert_int_eq(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
	}
	poll(NULL, 0, (int)milliseconds);
	round.over = true;
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_join(visitors[i].thread, NULL), 0);
		free(visitors[i].burst);
	}
	server_wait_stat(
		round.server, MTS_STAT_OPEN, 0); /* so that none of them is closed by the stop */
	mts_server_stop(round.server);
	ck_assert_int_eq(mts_server_join(round.server), 0);
	check_books(&round);
	ck_assert_int_eq(mts_server_destroy(round.server), 0);
	free(visitors);
	return round.handled;
}

START_TEST(parked_and_found_again)
{
	static const int limits[] = {0, 1, 2, 4, 0};
	enum { ROUNDS = sizeof(limits) / sizeof(limits[0]) };
	const uint64_t seed = chance_variable("MTS_TEST_SEED", now_ms() * 1000003 + (uint64_t)getpid());
	const uint64_t span = 1000 * chance_variable("MTS_TEST_SECONDS", 4) / ROUNDS;
	const int before = count_descriptors();
	uint64_t random = seed | 1;
	printf("MTS_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	for (int i = 0; i < ROUNDS; i++) {
		const int handled = play_round(&random, limits[i], span);
		printf("limit %d: %d requests\n", limits[i], handled);
		ck_assert_int_gt(handled, 0);
	}
	ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("on demand, stress");
	tcase_set_timeout(tcase, 120.0 + (double)chance_variable("MTS_TEST_SECONDS", 4));
	tcase_add_test(tcase, parked_and_found_again);
	return suite_run_once();
}
