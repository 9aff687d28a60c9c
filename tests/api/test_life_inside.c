/* SPDX-License-Identifier: MIT
 *
 * A server's life as its callbacks see it: from every one of them the server can be asked to stop, and
 * from none of them can it be run, joined or freed, which is answered at once instead of waiting for
 * oneself for ever. Other servers are no business of that rule: a callback may drive them through a whole
 * life.
 *
 * All callbacks of a test lead to one probe, which acts in the callback that is under test and nowhere
 * else. It only notes the answers; the test's thread judges them.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

enum place { HANDLER, OPEN, CLOSE, LOG, THREAD_START, THREAD_END, FRAMER, PLACES };

static struct {
	enum place place;
	mts_server *_Atomic server;
	void (*action)(mts_server *server);
	atomic_flag begun; /* on demand another thread may reach the place meanwhile */
	struct gate done;
	struct gate handled;
} probe;

static struct {
	int run;
	int start;
	int join;
	int destroy;
} answers;

/* Acts the first time that its place is reached. */
static void reach(enum place place)
{
	if (place == probe.place && !atomic_flag_test_and_set(&probe.begun)) {
		probe.action(atomic_load(&probe.server));
		gate_add(&probe.done);
	}
}

static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	reach(HANDLER);
	mts_client_write(client, request, size);
	gate_add(&probe.handled);
	return MTS_KEEP;
}

static int on_open(mts_client *client, void *user)
{
	const int result = watch_open(client, user);
	reach(OPEN);
	return result;
}

static void on_close(mts_client *client, int reason, void *user)
{
	reach(CLOSE);
	watch_close(client, reason, user);
}

static void on_log(int level, const char *message, void *user)
{
	(void)level;
	(void)message;
	(void)user;
	reach(LOG);
}

static void on_thread_start(void *user)
{
	(void)user;
	reach(THREAD_START);
}

static void on_thread_end(void *user)
{
	(void)user;
	reach(THREAD_END);
}

static ssize_t framer(const void *data, size_t size, size_t scanned, void *user)
{
	(void)data;
	(void)scanned;
	(void)user;
	reach(FRAMER);
	return (ssize_t)size;
}

static struct watch watch;

static mts_server *probed_server(enum place place, void (*action)(mts_server *))
{
	mts_server *server = server_new(handler, NULL);
	probe.place = place;
	probe.action = action;
	atomic_flag_clear(&probe.begun);
	probe.done = (struct gate)GATE;
	probe.handled = (struct gate)GATE;
	atomic_store(&probe.server, server);
	watch_install(&watch, server);
	ck_assert_int_eq(mts_server_on_open(server, on_open, &watch), 0);
	ck_assert_int_eq(mts_server_on_close(server, on_close, &watch), 0);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_on_thread(server, on_thread_start, on_thread_end, NULL), 0);
	ck_assert_int_eq(mts_server_frame_custom(server, framer, NULL), 0);
	return server;
}

static void call_everything(mts_server *server)
{
	answers.run = mts_server_run(server);
	answers.start = mts_server_start(server);
	answers.join = mts_server_join(server);
	answers.destroy = mts_server_destroy(server);
}

/* Refused, and the server is none the worse for it. */
START_TEST(life_from_inside)
{
	mts_server *server = probed_server((enum place)_i, call_everything);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	close(peer);
	gate_wait(&watch.closed, 1);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(gate_count(&probe.done), 1);
	ck_assert_int_eq(answers.run, -EDEADLK);
	ck_assert_int_eq(answers.start, -EDEADLK);
	ck_assert_int_eq(answers.join, -EDEADLK);
	ck_assert_int_eq(answers.destroy, -EDEADLK);
	watch_expect(&watch, MTS_CLOSED_BY_PEER, 1);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static void stop_twice(mts_server *server)
{
	mts_server_stop(server);
	mts_server_stop(server);
}

/* From the end of a thread it comes too late to be the first, and that changes nothing. */
START_TEST(stop_from_inside)
{
	mts_server *server = probed_server((enum place)_i, stop_twice);
	server_start(server);
	const int peer = _i == LOG ? -1 : peer_connect(server, 0);
	if (_i == OPEN || _i == HANDLER || _i == CLOSE || _i == FRAMER) {
		peer_puts(peer, "hello");
	}
	if (_i == CLOSE) {
		peer_expect_text(peer, "hello");
		peer_finish(peer);
	}
	if (_i == THREAD_END) {
		gate_wait(&watch.opened, 1);
		mts_server_stop(server);
	}
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(gate_count(&probe.done), 1);
	const int reason = _i == CLOSE ? MTS_CLOSED_BY_PEER : MTS_CLOSED_STOP;
	watch_expect(&watch, reason, gate_count(&watch.opened));
	if (_i == HANDLER || _i == FRAMER) {
		peer_expect_text(peer, "hello");
	}
	if (peer >= 0) {
		peer_expect_gone(peer);
		close(peer);
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* What any thread may call, any callback may call. */
static uint64_t seen_threads;

static void look_around(mts_server *server)
{
	seen_threads = mts_server_stat(server, MTS_STAT_THREADS_PEAK);
	answers.run = mts_server_set_max_clients(server, 100);
	answers.start = mts_server_set_max_output(server, 4096);
	answers.join = mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 4000);
	answers.destroy = mts_server_address(server, 0) == NULL;
}

START_TEST(anything_from_inside)
{
	mts_server *server = probed_server((enum place)_i, look_around);
	server_start(server);
	if (_i == LOG) { /* before there is a client */
		gate_wait(&probe.done, 1);
	}
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	close(peer);
	gate_wait(&watch.closed, 1);
	server_end(server);
	ck_assert_int_eq(gate_count(&probe.done), 1);
	ck_assert_int_eq(answers.run, 0);
	ck_assert_int_eq(answers.start, 0);
	ck_assert_int_eq(answers.join, 0);
	ck_assert_int_eq(answers.destroy, 0);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_uint_eq(seen_threads, _i == LOG ? 0 : 1);
	}
}
END_TEST

/* A whole life of another server. */
static void live_another(mts_server *server)
{
	(void)server;
	mts_server *other = server_new(answer_echo, NULL);
	server_start(other);
	const int peer = peer_connect(other, 0);
	peer_ask(peer, "inner");
	mts_server_stop(other);
	answers.join = mts_server_join(other);
	answers.run = mts_server_run(other);
	answers.destroy = mts_server_destroy(other);
	close(peer);
}

START_TEST(another_life_from_inside)
{
	mts_server *server = probed_server((enum place)_i, live_another);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	close(peer);
	gate_wait(&watch.closed, 1);
	server_end(server);
	ck_assert_int_eq(gate_count(&probe.done), 1);
	ck_assert_int_eq(answers.join, 0);
	ck_assert_int_eq(answers.run, -EALREADY);
	ck_assert_int_eq(answers.destroy, 0);
	watch_expect(&watch, MTS_CLOSED_BY_PEER, 1);
}
END_TEST

static int end_other(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	mts_server *other = *(mts_server **)user;
	mts_client_printf(client, "%d", mts_server_destroy(other));
	return MTS_CLOSE;
}

/* Side by side, and one ends the other. */
START_TEST(several_servers)
{
	enum { SERVERS = 5 };
	mts_server *servers[SERVERS];
	int peers[SERVERS];
	for (int i = 0; i < SERVERS; i++) {
		servers[i] = i == 0 ? server_new(end_other, &servers[1]) : server_new(answer_echo, NULL);
		server_start(servers[i]);
		peers[i] = peer_connect(servers[i], 0);
	}
	for (int i = 1; i < SERVERS; i++) {
		peer_ask(peers[i], "hello");
	}
	peer_puts(peers[0], "end the other");
	peer_expect_text(peers[0], "0");
	peer_expect_end(peers[0]);
	peer_expect_end(peers[1]);
	for (int i = 2; i < SERVERS; i++) {
		peer_ask(peers[i], "still");
	}
	for (int i = 0; i < SERVERS; i++) {
		close(peers[i]);
		if (i != 1) {
			server_end(servers[i]);
		}
	}
}
END_TEST

/* A handler may make a process and wait for it. */
static int fork_and_exec(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	int status = -1;
	const pid_t child = fork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
		_exit(127);
	}
	(void)waitpid(child, &status, 0);
	mts_client_printf(client, "%d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return MTS_CLOSE;
}

START_TEST(exec_from_a_handler)
{
	/* The child's end is news for this thread otherwise, and interrupts what it waits for. */
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &child, NULL), 0);
	mts_server *server = server_new(fork_and_exec, NULL);
	server_start(server);
	for (int i = 0; i < 10; i++) {
		const int peer = peer_connect(server, 0);
		peer_puts(peer, "go");
		peer_expect_text(peer, "7");
		peer_expect_end(peer);
		close(peer);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("life, from inside");
	tcase_add_loop_test(cases, life_from_inside, 0, PLACES);
	tcase_add_loop_test(cases, stop_from_inside, 0, PLACES);
	tcase_add_loop_test(cases, anything_from_inside, 0, PLACES);
	tcase_add_loop_test(cases, another_life_from_inside, 0, PLACES);
	tcase_add_test(cases, several_servers);
	tcase_add_test(cases, exec_from_a_handler);
	return suite_run();
}
