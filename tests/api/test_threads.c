/* SPDX-License-Identifier: MIT
 *
 * A thread for each client that is served, as many as are needed, no more than are allowed, and used
 * again. With a thread per client an idle one is served too.
 *
 * Handlers stand at a gate until as many of them run at once as the test wants, so that "at the
 * same time" is a fact and not a guess.
 */
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stage.h"

enum { MANY = 1000, OWN_DESCRIPTORS = 40 };

static int stand_at_the_gate(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&entered);
	gate_wait(&leave, 1);
	return mts_client_write(client, request, size) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static mts_server *gate_server(void)
{
	mts_server *server = server_new(stand_at_the_gate, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

static void all_at_once(mts_server *server, int count)
{
	int *peers = calloc((size_t)count, sizeof(*peers));
	ck_assert_ptr_nonnull(peers);
	for (int i = 0; i < count; i++) {
		peers[i] = peer_connect(server, 0);
	}
	server_wait_stat(server, MTS_STAT_OPEN, (uint64_t)count);
	if (test_model == MTS_THREAD_PER_CLIENT) { /* a thread each, also when idle */
		ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_THREADS), (uint64_t)count);
	} else {
		server_wait_stat(server, MTS_STAT_THREADS, 1);
	}
	for (int i = 0; i < count; i++) {
		peer_send(peers[i], &i, sizeof(i));
	}
	gate_wait(&entered, count);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), (uint64_t)count);
	server_expect_threads(server, MTS_STAT_THREADS, count);
	gate_add(&leave);
	for (int i = 0; i < count; i++) {
		peer_expect(peers[i], &i, sizeof(i));
		close(peers[i]);
	}
	free(peers);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, count);
}

START_TEST(a_thousand_handlers_at_once)
{
	const size_t most = most_descriptors();
	const int count = most > 2 * MANY + OWN_DESCRIPTORS ? MANY : (int)(most - OWN_DESCRIPTORS) / 2;
	mts_server *server = gate_server();
	server_start(server);
	all_at_once(server, count);
	server_end(server);
}
END_TEST

START_TEST(as_many_as_the_usual_limit_of_files_allows)
{
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	mts_server *server = gate_server();
	server_start(server);
	all_at_once(server, (int)(limit.rlim_cur - OWN_DESCRIPTORS) / 2);
	server_end(server);
}
END_TEST

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	return mts_client_write(client, request, size) == 0 ? MTS_CLOSE : MTS_KEEP;
}

START_TEST(threads_are_used_again)
{
	mts_server *server = server_new(echo, NULL);
	server_start(server);
	for (uint64_t i = 1; i <= 2000; i++) {
		const int peer = peer_connect(server, 0);
		peer_send(peer, &i, sizeof(i));
		peer_expect(peer, &i, sizeof(i));
		peer_expect_end(peer);
		peer_reset(peer);
	}
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_THREADS_PEAK), 10);
	server_wait_stat(server, MTS_STAT_CLOSED, 2000);
	server_end(server);
}
END_TEST

static struct workers threads;

START_TEST(the_limit_of_threads_is_kept)
{
	enum { LIMIT = 4, PEERS = 100 };
	int peers[PEERS];
	mts_server *server = server_new(echo, NULL);
	ck_assert_int_eq(mts_server_set_max_threads(server, LIMIT), 0);
	ck_assert_int_eq(mts_server_on_thread(server, worker_begins, worker_ends, &threads), 0);
	server_start(server);
	for (int round = 1; round <= 10; round++) {
		for (int i = 0; i < PEERS; i++) {
			peers[i] = peer_connect(server, 0);
		}
		for (int i = PEERS - 1; i >= 0; i--) { /* the last ones wait longest for a thread */
			peer_send(peers[i], &i, sizeof(i));
		}
		for (int i = 0; i < PEERS; i++) {
			peer_expect(peers[i], &i, sizeof(i));
			peer_expect_end(peers[i]);
			close(peers[i]);
		}
	}
	server_wait_stat(server, MTS_STAT_CLOSED, 10 * PEERS);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_THREADS_PEAK), LIMIT);
	server_end(server);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_int_eq(threads.most, LIMIT);
	}
	ck_assert_int_le(threads.most, LIMIT);
	ck_assert_int_eq(threads.now, 0);
}
END_TEST

START_TEST(clients_beyond_the_threads_are_served_in_the_end)
{
	enum { PEERS = 20 };
	int peers[PEERS];
	mts_server *server = gate_server();
	ck_assert_int_eq(mts_server_set_max_threads(server, 3), 0);
	server_start(server);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_send(peers[i], &i, sizeof(i));
	}
	gate_wait(&entered, 3);
	poll(NULL, 0, 50); /* time for a fourth one to come, which is not to happen */
	ck_assert_int_eq(gate_count(&entered), 3);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_THREADS), 3);
	gate_add(&leave);
	for (int i = 0; i < PEERS; i++) { /* in their order: each thread's client must end first */
		peer_expect(peers[i], &i, sizeof(i));
		close(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS);
	server_end(server);
}
END_TEST

/* Lets `count` clients be served at once, and go; the threads rest then. */
static void employ(mts_server *server, int count)
{
	int peers[64];
	for (int i = 0; i < count; i++) {
		peers[i] = peer_connect(server, 0);
		peer_send(peers[i], &i, sizeof(i));
	}
	gate_wait(&entered, count);
	gate_add(&leave);
	for (int i = 0; i < count; i++) {
		peer_expect(peers[i], &i, sizeof(i));
		close(peers[i]);
	}
	gate_wait(&endings.all, count);
}

START_TEST(spare_threads_leave_after_a_second)
{
	mts_server *server = gate_server();
	server_start(server);
	const uint64_t start = now_ms();
	employ(server, 20);
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	ck_assert_uint_ge(now_ms() - start, 900);
	server_expect_threads(server, MTS_STAT_THREADS_PEAK, 20);
	poll(NULL, 0, 1300);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_THREADS), 1);
	stage_setup();
	employ(server, 1); /* and it still serves */
	server_expect_threads(server, MTS_STAT_THREADS, 1);
	server_end(server);
}
END_TEST

static _Atomic int threads_begun;
static _Atomic int threads_ended;

static void note_start(void *user)
{
	(void)user;
	threads_begun++;
}

/* The first one to leave takes its time. */
static void leave_slowly(void *user)
{
	(void)user;
	threads_ended++;
	gate_add(&entered);
	gate_wait(&leave, 2);
}

START_TEST(one_thread_stays)
{
	mts_server *server = gate_server();
	ck_assert_int_eq(mts_server_on_thread(server, note_start, leave_slowly, NULL), 0);
	server_start(server);
	employ(server, 5);
	int begun; /* on demand the one that polls may not have been there yet */
	const uint64_t start = now_ms();
	while ((begun = threads_begun) < 5 || threads_ended < begun - 1) {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		poll(NULL, 0, 1);
	}
	poll(NULL, 0, 1300); /* longer than a thread rests */
	ck_assert_int_eq(threads_begun, begun);
	ck_assert_int_eq(threads_ended, begun - 1);
	gate_add(&leave);
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	server_end(server);
	ck_assert_int_eq(threads_ended, begun);
}
END_TEST

static struct gate leaving;
static struct gate gone;

static void hesitate(void *user)
{
	(void)user;
	gate_add(&leaving);
	gate_wait(&gone, 1);
}

/* A thread that has decided to go counts until it has gone; who comes meanwhile is not forgotten. */
START_TEST(work_that_comes_as_a_thread_leaves)
{
	int peers[2];
	leaving = gone = (struct gate)GATE;
	mts_server *server = gate_server();
	ck_assert_int_eq(mts_server_set_max_threads(server, 2), 0);
	ck_assert_int_eq(mts_server_on_thread(server, NULL, hesitate, NULL), 0);
	server_start(server);
	employ(server, 2);
	gate_wait(&leaving, 1);
	stage_setup();
	const uint64_t before = mts_server_stat(server, MTS_STAT_THREAD_WAITS);
	for (int i = 0; i < 2; i++) {
		peers[i] = peer_connect(server, 0);
		peer_send(peers[i], &i, sizeof(i));
	}
	while (mts_server_stat(server, MTS_STAT_THREAD_WAITS) == before) {
		poll(NULL, 0, 1);
	}
	gate_wait(&entered, 1);
	ck_assert_int_eq(gate_count(&entered), 1);
	gate_add(&gone);
	gate_wait(&entered, 2); /* at once: the other thread has the place of the one that is gone */
	gate_add(&leave);
	for (int i = 0; i < 2; i++) {
		peer_expect(peers[i], &i, sizeof(i));
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

static int use_the_stack(mts_client *client, const void *request, size_t size, void *user)
{
	const size_t *stack = user;
	(void)request;
	(void)size;
	ck_assert_uint_eq(stack_descend(__builtin_frame_address(0), *stack / 10 * 9), 7);
	return mts_client_puts(client, "survived") == 0 ? MTS_CLOSE : MTS_KEEP;
}

START_TEST(the_stack_is_as_large_as_was_asked_for)
{
	static const size_t sizes[] = {16 * 1024, 100001, 1024 * 1024, 8 * 1024 * 1024};
	size_t stack = sizes[_i];
	mts_server *server = server_new(use_the_stack, &stack);
	ck_assert_int_eq(mts_server_set_stack_size(server, stack), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	peer_expect_text(peer, "survived");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

static _Atomic int warnings;
static struct gate told = GATE;

static void note_warning(int level, const char *message, void *user)
{
	(void)user;
	if (level <= MTS_LOG_WARNING) {
		atomic_fetch_add(&warnings, 1);
		ck_assert_ptr_nonnull(strstr(message, "mts_server_set_max_threads()"));
		gate_add(&told);
	}
}

/* That the limit is reached, as it was set to be, is said once, with its name, and counted each time. */
START_TEST(the_limit_is_told_once)
{
	enum { ROUNDS = 5, WAITING = 3 };
	mts_server *server = gate_server();
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	ck_assert_int_eq(mts_server_on_log(server, note_warning, MTS_LOG_DEBUG, NULL), 0);
	server_start(server);
	for (int round = 1; round <= ROUNDS; round++) {
		int peers[1 + WAITING];
		leave = (struct gate)GATE;
		peers[0] = peer_connect(server, 0);
		peer_puts(peers[0], "x");
		gate_wait(&entered, (round - 1) * (1 + WAITING) + 1);
		for (int i = 1; i <= WAITING; i++) {
			peers[i] = peer_connect(server, 0);
			peer_puts(peers[i], "x");
		}
		wait_until(mts_server_stat(server, MTS_STAT_THREAD_WAITS) >= (uint64_t)(round * WAITING));
		gate_add(&leave);
		for (int i = 0; i <= WAITING; i++) {
			peer_expect_text(peers[i], "x");
			close(peers[i]);
		}
		server_wait_stat(server, MTS_STAT_OPEN, 0);
	}
	gate_wait(&told, 1);
	server_end(server);
	ck_assert_int_eq(atomic_load(&warnings), 1);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("threads");
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_test(tcase, a_thousand_handlers_at_once);
	tcase_add_test(tcase, as_many_as_the_usual_limit_of_files_allows);
	tcase_add_test(tcase, threads_are_used_again);
	tcase_add_test(tcase, the_limit_of_threads_is_kept);
	tcase_add_test(tcase, the_limit_is_told_once);
	tcase_add_test(tcase, clients_beyond_the_threads_are_served_in_the_end);
	tcase_add_test(tcase, spare_threads_leave_after_a_second);
	tcase_add_test(tcase, one_thread_stays);
	tcase_add_test(tcase, work_that_comes_as_a_thread_leaves);
	tcase_add_loop_test(tcase, the_stack_is_as_large_as_was_asked_for, 0, 4);
	return suite_run();
}
