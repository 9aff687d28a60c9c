/* SPDX-License-Identifier: MIT
 *
 * A server's life as the program's own threads see it: made, run or started, waited for, stopped, freed,
 * in every order that is allowed and some that are not. Callbacks' points of view are in
 * test_life_inside.c, what threads and signals look like in test_life_threads.c.
 *
 * Whatever a test does, nothing of the server may be left afterwards: threads and descriptors are counted
 * before the first call and after the last.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

enum { CROWD = 4 };

static struct watch watch;

/* A thread that runs or joins a server, and what it got. */
struct caller {
	pthread_t thread;
	mts_server *server;
	int (*call)(mts_server *server);
	_Atomic pid_t number; /* of the thread, set right before the call */
	int result;
};

static void *call_it(void *argument)
{
	struct caller *caller = argument;
	atomic_store(&caller->number, gettid());
	caller->result = caller->call(caller->server);
	return NULL;
}

static void caller_start(struct caller *caller, mts_server *server, int (*call)(mts_server *))
{
	caller->server = server;
	caller->call = call;
	atomic_init(&caller->number, 0);
	caller->result = 1;
	ck_assert_int_eq(pthread_create(&caller->thread, NULL, call_it, caller), 0);
}

/* The state of a thread as proc(5) has it: S when it sleeps. */
static char state_of(pid_t number)
{
	char path[64];
	char line[256] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)number);
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	fclose(file);
	const char *end = strrchr(line, ')');
	return end == NULL ? '?' : end[2];
}

/* Waits until it waits: it is seen asleep so many times in a row, although others let it run. */
static void caller_asleep(const struct caller *caller)
{
	for (int seen = 0; seen < 20; poll(NULL, 0, 1)) {
		const pid_t number = atomic_load(&caller->number);
		seen = number != 0 && state_of(number) == 'S' ? seen + 1 : 0;
	}
}

static int caller_end(struct caller *caller)
{
	ck_assert_int_eq(pthread_join(caller->thread, NULL), 0);
	return caller->result;
}

START_TEST(never_started)
{
	const int threads = count_threads();
	ck_assert_int_eq(mts_server_destroy(server_create(answer_echo, NULL)), 0);
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_listen(server, "localhost:0"), 0);
	ck_assert_int_eq(count_threads(), threads);
	ck_assert_int_eq(mts_server_join(server), -EINVAL);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(mts_server_destroy(NULL), 0);
}
END_TEST

START_TEST(runs_in_a_thread)
{
	struct caller caller;
	mts_server *server = server_new(answer_echo, NULL);
	watch_install(&watch, server);
	caller_start(&caller, server, mts_server_run);
	peer_visit(server, 0);
	gate_wait(&watch.closed, 1);
	mts_server_stop(server);
	ck_assert_int_eq(caller_end(&caller), 0);
	ck_assert_int_eq(mts_server_run(server), -EALREADY);
	ck_assert_int_eq(mts_server_start(server), -EALREADY);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	watch_expect(&watch, MTS_CLOSED_BY_PEER, 1);
}
END_TEST

START_TEST(served_when_start_returns)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	peer_visit(server, 0);
	ck_assert_int_eq(mts_server_start(server), -EALREADY);
	ck_assert_int_eq(mts_server_run(server), -EALREADY);
	peer_visit(server, 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

START_TEST(joined_by_many)
{
	struct caller callers[CROWD];
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	for (int i = 0; i < CROWD; i++) {
		caller_start(&callers[i], server, mts_server_join);
	}
	peer_visit(server, 0);
	mts_server_stop(server);
	for (int i = 0; i < CROWD; i++) {
		ck_assert_int_eq(caller_end(&callers[i]), 0);
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Whoever comes first runs it, and all others are told so. */
START_TEST(run_by_many)
{
	struct caller callers[CROWD];
	mts_server *server = server_new(answer_echo, NULL);
	for (int i = 0; i < CROWD; i++) {
		caller_start(&callers[i], server, mts_server_run);
	}
	peer_visit(server, 0);
	mts_server_stop(server);
	int ran = 0;
	for (int i = 0; i < CROWD; i++) {
		const int result = caller_end(&callers[i]);
		ck_assert(result == 0 || result == -EALREADY);
		ran += result == 0;
	}
	ck_assert_int_eq(ran, 1);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* A start that fails changes nothing: what was missing can be supplied. */
START_TEST(start_that_fails)
{
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_run(server), -EINVAL);
	ck_assert_str_eq(mts_server_error(server), "cannot start: the server listens nowhere");
	ck_assert_int_eq(mts_server_start(server), -EINVAL);
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_frame_fixed(server, 100), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 99), 0);
	ck_assert_int_eq(mts_server_start(server), -EINVAL);
	ck_assert_ptr_nonnull(strstr(mts_server_error(server), "size of requests"));
	ck_assert_int_eq(mts_server_join(server), -EINVAL);
	ck_assert_int_eq(mts_server_frame_raw(server), 0);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

static int refused_hook(mts_client *client, void *user)
{
	(void)client;
	gate_add(user);
	return 0;
}

/* Who connected before is not served any more either. */
START_TEST(stopped_before_run)
{
	struct gate opened = GATE;
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_open(server, refused_hook, &opened), 0);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hello");
	mts_server_stop(server);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_run(server), 0);
	peer_expect_gone(peer);
	close(peer);
	ck_assert_int_eq(gate_count(&opened), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), 0);
	ck_assert_int_eq(mts_server_run(server), -EALREADY);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

START_TEST(stopped_before_start)
{
	mts_server *server = server_new(answer_echo, NULL);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_start(server), 0);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Freeing stops first, and closes every client. */
START_TEST(destroyed_while_running)
{
	int peers[CROWD];
	mts_server *server = server_new(answer_echo, NULL);
	watch_install(&watch, server);
	server_start(server);
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(server, 0);
		peer_ask(peers[i], "hello");
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
	watch_expect(&watch, MTS_CLOSED_STOP, CROWD);
	for (int i = 0; i < CROWD; i++) {
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
}
END_TEST

START_TEST(destroyed_at_once)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	server = server_new(answer_echo, NULL);
	server_start(server);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/*
 * Threads that wait in run are let go before the server is freed. Nothing tells when a thread has begun
 * to wait but that its server serves, so that moment is met many times over.
 */
START_TEST(destroyed_while_run)
{
	for (int i = 0; i < 200; i++) {
		struct caller caller;
		mts_server *server = server_new(answer_echo, NULL);
		caller_start(&caller, server, mts_server_run);
		peer_visit(server, 0);
		ck_assert_int_eq(mts_server_destroy(server), 0);
		ck_assert_int_eq(caller_end(&caller), 0);
	}
}
END_TEST

static int gated_echo(mts_client *client, const void *request, size_t size, void *user)
{
	gate_wait(user, 1);
	return answer_echo(client, request, size, NULL);
}

/* Threads that wait in join are let go before the server is freed. */
START_TEST(destroyed_while_joined)
{
	struct gate go = GATE;
	struct caller joiners[CROWD];
	struct caller destroyer;
	mts_server *server = server_new(gated_echo, &go);
	watch_install(&watch, server);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hello");
	server_wait_stat(server, MTS_STAT_BUSY, 1);
	for (int i = 0; i < CROWD; i++) {
		caller_start(&joiners[i], server, mts_server_join);
		caller_asleep(&joiners[i]);
	}
	caller_start(&destroyer, server, mts_server_destroy);
	caller_asleep(&destroyer);
	ck_assert_int_eq(gate_count(&watch.closed), 0);
	gate_add(&go);
	for (int i = 0; i < CROWD; i++) {
		ck_assert_int_eq(caller_end(&joiners[i]), 0);
	}
	ck_assert_int_eq(caller_end(&destroyer), 0);
	peer_expect_text(peer, "hello");
	peer_expect_end(peer);
	close(peer);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* A request in progress is finished, and its reply arrives, also when only destroy ends the server. */
START_TEST(destroyed_with_a_handler)
{
	struct gate go = GATE;
	struct caller destroyer;
	mts_server *server = server_new(gated_echo, &go);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hello");
	server_wait_stat(server, MTS_STAT_BUSY, 1);
	caller_start(&destroyer, server, mts_server_destroy);
	caller_asleep(&destroyer);
	gate_add(&go);
	peer_expect_text(peer, "hello");
	peer_expect_end(peer);
	ck_assert_int_eq(caller_end(&destroyer), 0);
	close(peer);
}
END_TEST

/* Leaving by exit() in the midst of everything is no crime. */
START_TEST(exit_under_load)
{
	struct gate never = GATE;
	const pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		static mts_server *server;
		server = server_new(gated_echo, &never);
		server_start(server);
		for (int i = 0; i < CROWD; i++) {
			peer_puts(peer_connect(server, 0), "hello");
		}
		server_wait_stat(server, MTS_STAT_BUSY, CROWD);
		exit(0);
	}
	int status = -1;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("life");
	tcase_add_checked_fixture(cases, remember_what_there_is, expect_nothing_left);
	tcase_add_test(cases, never_started);
	tcase_add_test(cases, runs_in_a_thread);
	tcase_add_test(cases, served_when_start_returns);
	tcase_add_test(cases, joined_by_many);
	tcase_add_test(cases, run_by_many);
	tcase_add_test(cases, start_that_fails);
	tcase_add_test(cases, stopped_before_run);
	tcase_add_test(cases, stopped_before_start);
	tcase_add_test(cases, destroyed_while_running);
	tcase_add_test(cases, destroyed_at_once);
	tcase_add_test(cases, destroyed_while_run);
	tcase_add_test(cases, destroyed_while_joined);
	tcase_add_test(cases, destroyed_with_a_handler);
	tcase_add_test(cases, exit_under_load);
	return suite_run();
}
