/* SPDX-License-Identifier: MIT
 *
 * What a program must not do to the threads that its callbacks run on, and what comes of it when it does:
 * detach them, end them, cancel them, in each callback that runs on them. None of that ends the process,
 * holds up another client, or keeps the server from being stopped and freed.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

enum { TIMEOUT = 200, LONG_TIMEOUT = 30000, VICTIMS = 8 };

/* Where the program does it. */
enum place { HANDLER, OPEN_HOOK, CLOSE_HOOK, FRAMER, START_HOOK, END_HOOK, PLACES, LOG_HOOK };

static struct watch watch;
static void (*deed)(void);
static enum place place;
static _Atomic int left; /* how often it is done still */
static struct gate done;
static struct gate entered;
static struct gate may_return;
static int threads_before;

static void do_it(enum place here)
{
	if (here == place && atomic_fetch_sub(&left, 1) > 0) {
		gate_add(&done);
		deed();
	}
}

static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	mts_client_write(client, request, size);
	do_it(HANDLER);
	return MTS_KEEP;
}

static int on_open(mts_client *client, void *user)
{
	do_it(OPEN_HOOK); /* one that is ended here was never opened */
	return watch_open(client, user);
}

static void on_close(mts_client *client, int reason, void *user)
{
	watch_close(client, reason, user);
	do_it(CLOSE_HOOK);
}

static ssize_t framer(const void *data, size_t size, size_t scanned, void *user)
{
	const char *end = memchr(data, '\n', size);
	(void)scanned;
	(void)user;
	do_it(FRAMER);
	return end == NULL ? 0 : end + 1 - (const char *)data;
}

static void on_thread_start(void *user)
{
	(void)user;
	do_it(START_HOOK);
}

static void on_thread_end(void *user)
{
	(void)user;
	do_it(END_HOOK);
}

static void on_log(int level, const char *message, void *user)
{
	(void)level;
	(void)message;
	(void)user;
	do_it(LOG_HOOK);
}

static mts_server *new_server(void (*what)(void), enum place where, int times)
{
	done = entered = may_return = (struct gate)GATE;
	deed = what;
	place = where;
	atomic_store(&left, times);
	threads_before = settled_threads();
	mts_server *server = watch_server(&watch, handler, LONG_TIMEOUT, 0);
	ck_assert_int_eq(mts_server_on_open(server, on_open, &watch), 0);
	ck_assert_int_eq(mts_server_on_close(server, on_close, &watch), 0);
	ck_assert_int_eq(mts_server_frame_custom(server, framer, NULL), 0);
	if (where == START_HOOK || where == END_HOOK) {
		ck_assert_int_eq(mts_server_on_thread(server, on_thread_start, on_thread_end, NULL), 0);
	}
	if (where == LOG_HOOK) {
		ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_DEBUG, NULL), 0);
	}
	server_start(server);
	return server;
}

static void serves_others(const mts_server *server)
{
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello\n");
	peer_ask(peer, "hello\n");
	peer_finish(peer);
	peer_expect_end(peer);
	close(peer);
}

/* Nobody is thought to be there still, and the server goes without a trace. */
static void ends_well(mts_server *server)
{
	const int opened = gate_count(&watch.opened);
	watch_stop_well(server, LONG_TIMEOUT);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_HUNG), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_THREADS), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(gate_count(&watch.closed), opened);
	ck_assert_int_eq(watch.faults, 0);
	wait_threads(threads_before);
}

static void detach(void)
{
	/* The second time in one thread it is an error, which is fine. */
	(void)pthread_detach(pthread_self());
}

/* The first line of many a handler that comes from a program with a thread for each connection. */
START_TEST(detached)
{
	int peers[VICTIMS];
	mts_server *server = new_server(detach, (enum place)_i, VICTIMS);
	for (int i = 0; i < VICTIMS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_ask(peers[i], "hello\n");
	}
	for (int i = 0; i < VICTIMS; i++) {
		peer_finish(peers[i]);
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	serves_others(server);
	ends_well(server);
	ck_assert_int_ge(gate_count(&done), 1);
}
END_TEST

static void end_the_thread(void)
{
	pthread_exit(NULL);
}

/* That it does not return has the address sanitizer give up what it knows of the frames it leaves. */
static _Noreturn __attribute__((noinline)) void be_cancelled(void)
{
	for (;;) {
		pthread_testcancel();
	}
}

/* Cancelling is off in callbacks; this is a program that turns it on. */
static void cancel_for_certain(void)
{
	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	(void)pthread_cancel(pthread_self());
	be_cancelled();
}

/* A client whose callback is ended is gone; what it had been told before may arrive or not. */
static void meet_the_end(mts_server *server)
{
	const int peer = peer_connect(server, 0);
	(void)send(peer, "hello\n", 6, MSG_NOSIGNAL);
	(void)shutdown(peer, SHUT_WR);
	peer_expect_gone(peer);
	close(peer);
}

static void check_ended(void (*how)(void), enum place where)
{
	mts_server *server = new_server(how, where, VICTIMS);
	const int stays = where == HANDLER || where == FRAMER ? -1 : peer_connect(server, 0);
	for (int i = 0; i < VICTIMS && where != END_HOOK; i++) {
		meet_the_end(server);
	}
	/* Each new thread until then was one that ended. */
	atomic_store(&left, where == END_HOOK ? VICTIMS : 0);
	serves_others(server);
	if (stays >= 0) {
		close(stays);
	}
	ends_well(server);
	ck_assert_int_ge(gate_count(&done), 1);
}

START_TEST(ended_by_exit)
{
	check_ended(end_the_thread, (enum place)_i);
}
END_TEST

START_TEST(ended_by_cancel)
{
	check_ended(cancel_for_certain, (enum place)_i);
}
END_TEST

/* It counts as a handler that has failed, and the others notice nothing. */
START_TEST(a_handler_that_ends_its_thread_has_failed)
{
	int peers[VICTIMS];
	mts_server *server = new_server(end_the_thread, HANDLER, 0);
	for (int i = 0; i < VICTIMS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_ask(peers[i], "hello\n");
	}
	const uint64_t before = mts_server_stat(server, MTS_STAT_CLOSED);
	atomic_store(&left, 1);
	peer_puts(peers[0], "hello\n");
	peer_expect_gone(peers[0]);
	gate_wait(&watch.closed, 1);
	server_wait_stat(server, MTS_STAT_CLOSED, before + 1);
	for (int i = 1; i < VICTIMS; i++) {
		peer_ask(peers[i], "hello\n");
	}
	for (int i = 0; i < VICTIMS; i++) {
		close(peers[i]);
	}
	ends_well(server);
	watch_expect_some(&watch, MTS_CLOSED_ERROR, 1);
}
END_TEST

/* Another one is made in its place, also where there may be one only. */
START_TEST(the_only_thread_is_ended)
{
	done = (struct gate)GATE;
	deed = end_the_thread;
	place = HANDLER;
	atomic_store(&left, VICTIMS);
	threads_before = settled_threads();
	mts_server *server = watch_server(&watch, handler, LONG_TIMEOUT, 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	for (int i = 0; i < VICTIMS; i++) {
		meet_the_end(server);
	}
	ck_assert_int_eq(gate_count(&done), VICTIMS);
	serves_others(server);
	ends_well(server);
	watch_expect_some(&watch, MTS_CLOSED_ERROR, VICTIMS);
}
END_TEST

/* It ends in the handler, then again in the close hook that follows from that, then in the end hook. */
static _Atomic int exits;

static int exit_here(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	atomic_fetch_add(&exits, 1);
	pthread_exit(NULL);
}

static void exit_in_close(mts_client *client, int reason, void *user)
{
	watch_close(client, reason, user);
	atomic_fetch_add(&exits, 1);
	pthread_exit(NULL);
}

static void exit_in_end(void *user)
{
	(void)user;
	atomic_fetch_add(&exits, 1);
	pthread_exit(NULL);
}

START_TEST(ended_in_all_of_them)
{
	threads_before = settled_threads();
	atomic_store(&exits, 0);
	mts_server *server = watch_server(&watch, exit_here, LONG_TIMEOUT, 0);
	ck_assert_int_eq(mts_server_on_close(server, exit_in_close, &watch), 0);
	ck_assert_int_eq(mts_server_on_thread(server, NULL, exit_in_end, NULL), 0);
	server_start(server);
	for (int i = 0; i < VICTIMS; i++) {
		meet_the_end(server);
	}
	gate_wait(&watch.closed, VICTIMS);
	watch_expect(&watch, MTS_CLOSED_ERROR, VICTIMS);
	ends_well(server);
	ck_assert_int_ge(atomic_load(&exits), 3 * VICTIMS);
}
END_TEST

static void cancel(void)
{
	(void)pthread_cancel(pthread_self());
}

/* Without turning it on it has no effect, wherever the thread goes afterwards. */
START_TEST(cancelled_in_vain)
{
	mts_server *server = new_server(cancel, (enum place)_i, VICTIMS);
	const int peer = peer_connect(server, 0);
	for (int i = 0; i < 3 * VICTIMS; i++) {
		peer_ask(peer, "hello\n");
		serves_others(server);
	}
	close(peer);
	ends_well(server);
	ck_assert_int_ge(gate_count(&done), 1);
}
END_TEST

static int hang_and_end(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	gate_wait(&may_return, 1);
	end_the_thread();
	return MTS_KEEP;
}

/* The run has ended without it; who is left in the line then is ended all the same, by destroy. */
START_TEST(ended_after_the_run)
{
	int peers[VICTIMS];
	done = entered = may_return = (struct gate)GATE;
	threads_before = settled_threads();
	mts_server *server = watch_server(&watch, hang_and_end, TIMEOUT, 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	for (int i = 0; i < VICTIMS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "hello\n");
	}
	gate_wait(&entered, 1);
	watch_stop(server, TIMEOUT, -EBUSY);
	gate_add(&may_return);
	int result;
	const uint64_t start = now_ms();
	while ((result = mts_server_destroy(server)) == -EBUSY) {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
	}
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(gate_count(&watch.closed), gate_count(&watch.opened));
	wait_threads(threads_before);
	for (int i = 0; i < VICTIMS; i++) {
		close(peers[i]);
	}
}
END_TEST

/* The log's thread is one of the library's too: what is lost by such a call are messages. */
START_TEST(in_the_log_hook)
{
	static void (*const deeds[])(void) = {detach, cancel, end_the_thread, cancel_for_certain};
	mts_server *server = new_server(deeds[_i], LOG_HOOK, 1);
	serves_others(server);
	gate_wait(&done, 1);
	serves_others(server);
	ends_well(server);
}
END_TEST

static pthread_t cancelled;

static int hang(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (size == 5 && memcmp(request, "hang\n", size) == 0) {
		cancelled = pthread_self();
		gate_add(&entered);
		gate_wait(&may_return, 1);
	}
	mts_client_write(client, request, size);
	return MTS_KEEP;
}

/* A watchdog of the program cancels who hangs, as it did when each connection had its thread. */
START_TEST(cancelled_from_outside)
{
	done = entered = may_return = (struct gate)GATE;
	threads_before = settled_threads();
	mts_server *server = watch_server(&watch, hang, TIMEOUT, 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hang\n");
	gate_wait(&entered, 1);
	ck_assert_int_eq(pthread_cancel(cancelled), 0);
	serves_others(server);
	watch_stop(server, TIMEOUT, -EBUSY);
	server_wait_stat(server, MTS_STAT_HUNG, 1); /* who only lacked a CPU hangs no more */
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	gate_add(&may_return);
	server_wait_stat(server, MTS_STAT_HUNG, 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	close(peer);
	wait_threads(threads_before);
}
END_TEST

static _Atomic int profiled;

static void profile(int number)
{
	(void)number;
	atomic_fetch_add(&profiled, 1);
}

static int use_time(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	ck_assert_int_eq(pthread_kill(pthread_self(), SIGPROF), 0);
	mts_client_write(client, request, size);
	return MTS_CLOSE;
}

static void unblock_profiler(void *user)
{
	sigset_t profiler;
	(void)user;
	sigemptyset(&profiler);
	sigaddset(&profiler, SIGPROF);
	ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &profiler, NULL), 0);
}

/* Signals are blocked, and whoever wants one unblocks it where threads begin. */
START_TEST(a_profiler_needs_the_hook)
{
	struct sigaction action = {.sa_handler = profile, .sa_flags = SA_RESTART};
	sigemptyset(&action.sa_mask);
	ck_assert_int_eq(sigaction(SIGPROF, &action, NULL), 0);
	atomic_store(&profiled, 0);
	mts_server *server = server_new(use_time, NULL);
	if (_i == 1) {
		ck_assert_int_eq(mts_server_on_thread(server, unblock_profiler, NULL, NULL), 0);
	}
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
	ck_assert_int_eq(atomic_load(&profiled), _i);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("thread calls");
	tcase_add_loop_test(cases, detached, 0, PLACES);
	tcase_add_loop_test(cases, ended_by_exit, 0, PLACES);
	tcase_add_loop_test(cases, ended_by_cancel, 0, PLACES);
	tcase_add_test(cases, a_handler_that_ends_its_thread_has_failed);
	tcase_add_test(cases, the_only_thread_is_ended);
	tcase_add_test(cases, ended_in_all_of_them);
	tcase_add_loop_test(cases, cancelled_in_vain, 0, PLACES);
	tcase_add_loop_test(cases, in_the_log_hook, 0, 4);
	tcase_add_test(cases, ended_after_the_run);
	tcase_add_test(cases, cancelled_from_outside);
	tcase_add_loop_test(cases, a_profiler_needs_the_hook, 0, 2);
	return suite_run();
}
