/* SPDX-License-Identifier: MIT
 *
 * A log hook that does not return: its pipe is full, or it wants a mutex that the program holds over a call
 * of the library. Nobody but the messages waits for it. Clients come, are served and leave; the stop has its
 * deadline; and when the hook is let go, what it has missed comes in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

enum { TIMEOUT = 200, OUTPUT = 64 * 1024, MUCH = 4 * 1024 * 1024, LINES = 64 };

static struct watch watch;
static struct gate inside; /* the hook has been called */
static struct gate go; /* it may go on */
static struct gate said; /* it has returned */
static char lines[LINES][256];
static pthread_mutex_t mutex; /* the program's */
static struct gate holding; /* a handler has that, and is about to call the library */
static struct gate hanging;
static struct gate release;
static int threads_before;

static void remember(void)
{
	inside = go = said = holding = hanging = release = (struct gate)GATE;
	pthread_mutex_init(&mutex, NULL);
	threads_before = settled_threads();
}

static void nothing_left(void)
{
	wait_threads(threads_before);
}

/* One of the program's calls of the library that wait, or may have something to say. */
static int call(mts_client *client, const char *which)
{
	static char zeros[MUCH];
	const void *request;
	size_t size;
	if (strcmp(which, "next") == 0) {
		return mts_client_next(client, &request, &size) == 1 ? 0 : -EIO;
	} else if (strcmp(which, "read") == 0) {
		return mts_client_read(client, zeros, 1) == 1 ? 0 : -EIO;
	}
	small_buffers(mts_client_fd(client)); /* as its peer's, so that it waits */
	return mts_client_write(client, zeros, sizeof(zeros));
}

static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	(void)user;
	if (strcmp(line, "fail") == 0) {
		return -EIO;
	} else if (strcmp(line, "hang") == 0) {
		gate_add(&hanging);
		gate_wait(&release, 1);
	} else if (strcmp(line, "echo") != 0) {
		pthread_mutex_lock(&mutex);
		gate_add(&holding);
		const int result = call(client, line); /* the line may be gone after that */
		pthread_mutex_unlock(&mutex);
		(void)mts_client_printf(client, "done: %d\n", result);
		return MTS_KEEP;
	}
	(void)mts_client_write(client, line, size);
	(void)mts_client_puts(client, "\n");
	return MTS_KEEP;
}

static void keep(const char *message)
{
	snprintf(lines[gate_count(&said) % LINES], sizeof(lines[0]), "%s", message);
	gate_add(&said);
}

/* Blocks until the test lets it go, once and for all. */
static void blocking(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	gate_add(&inside);
	gate_wait(&go, 1);
	keep(message);
}

static void locking(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	gate_add(&inside);
	pthread_mutex_lock(&mutex);
	keep(message);
	pthread_mutex_unlock(&mutex);
}

static mts_server *new_server(mts_log_hook hook, unsigned timeout)
{
	mts_server *server = watch_server(&watch, obey, timeout, 0);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, OUTPUT), 0);
	ck_assert_int_eq(mts_server_on_log(server, hook, MTS_LOG_INFO, NULL), 0);
	return server;
}

static void ask(int peer)
{
	peer_ask(peer, "echo\n");
}

static int visit(mts_server *server)
{
	const int peer = peer_connect(server, 0);
	ask(peer);
	return peer;
}

/* Its handler fails, which is said in the log. */
static void be_failed(mts_server *server)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "fail\n");
	peer_expect_gone(peer);
	close(peer);
}

/* Old clients and new ones are served, and clients whose end is logged do end. */
static void expect_service(mts_server *server, int old)
{
	for (int i = 0; i < 3; i++) {
		be_failed(server);
		const int young = visit(server);
		ask(old);
		close(young);
	}
}

static void expect_line(int i, const char *start)
{
	gate_wait(&said, i + 1);
	ck_assert_msg(strstr(lines[i], start) != NULL, "%d: %s", i, lines[i]);
}

/* From its first line to beyond the end of the run. */
START_TEST(for_ever)
{
	mts_server *server = new_server(blocking, TIMEOUT);
	server_start(server);
	gate_wait(&inside, 1);
	const int old = visit(server);
	expect_service(server, old);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_HUNG), 0);
	watch_stop(server, TIMEOUT, -EBUSY);
	peer_expect_end(old);
	close(old);
	ck_assert_int_eq(gate_count(&watch.opened), gate_count(&watch.closed));
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	server_wait_stat(server, MTS_STAT_HUNG, 1);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	server_wait_stat(server, MTS_STAT_HUNG, 1);
	ck_assert_int_eq(gate_count(&inside), 1);
	gate_add(&go);
	server_wait_stat(server, MTS_STAT_HUNG, 0);
	watch_destroy_at_last(server);
	ck_assert_int_eq(gate_count(&said), 6);
	expect_line(0, "serving");
	for (int i = 1; i <= 3; i++) {
		expect_line(i, "the handler returned");
	}
	expect_line(4, "stopping");
	expect_line(5, "stopped");
}
END_TEST

/* A handler hangs as well: both count, and the line about it comes in the end. */
START_TEST(beside_a_hung_handler)
{
	mts_server *server = new_server(blocking, TIMEOUT);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hang\n");
	gate_wait(&hanging, 1);
	watch_stop(server, TIMEOUT, -EBUSY);
	server_wait_stat(server, MTS_STAT_HUNG, 2);
	gate_add(&go);
	expect_line(2, "a callback still runs");
	server_wait_stat(server, MTS_STAT_HUNG, 1);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	gate_add(&release);
	watch_destroy_at_last(server);
	ck_assert_int_eq(gate_count(&said), 3);
	close(peer);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* What a handler that has hung says when it is back is said still: run has not answered 0. */
START_TEST(after_a_hung_handler)
{
	mts_server *server = new_server(blocking, TIMEOUT);
	gate_add(&go);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hang\n");
	gate_wait(&hanging, 1);
	watch_stop(server, TIMEOUT, -EBUSY);
	expect_line(2, "a callback still runs");
	gate_add(&release);
	watch_destroy_at_last(server);
	close(peer);
}
END_TEST

/* It has returned before the deadline: then it was merely slow, and all is well. */
START_TEST(until_the_stop)
{
	mts_server *server = new_server(blocking, PATIENCE * 1000);
	server_start(server);
	gate_wait(&inside, 1);
	const int old = visit(server);
	expect_service(server, old);
	mts_server_stop(server);
	peer_expect_end(old);
	close(old);
	gate_add(&go);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(gate_count(&said), 6);
	expect_line(5, "stopped");
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_HUNG), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(gate_count(&said), 6);
}
END_TEST

static int pipe_ends[2];

static void write_to_pipe(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	gate_add(&inside);
	(void)!write(pipe_ends[1], message, strlen(message));
	(void)!write(pipe_ends[1], "\n", 1);
	gate_add(&said);
}

/* The pipe takes nothing more, and blocks. */
static void fill_pipe(void)
{
	static const char zeros[4096];
	ck_assert_int_eq(pipe(pipe_ends), 0);
	ck_assert_int_eq(fcntl(pipe_ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(pipe_ends[1], zeros, sizeof(zeros)) > 0) {
	}
	ck_assert_int_eq(fcntl(pipe_ends[1], F_SETFL, 0), 0);
}

/* Takes all that comes, to the end; what comes after the zeros. */
static size_t drain_pipe(char *text, size_t size)
{
	char bytes[4096];
	size_t kept = 0;
	ssize_t count;
	while ((count = read(pipe_ends[0], bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			if (bytes[i] != '\0' && kept < size - 1) {
				text[kept++] = bytes[i];
			}
		}
	}
	text[kept] = '\0';
	return kept;
}

static void *destroy_and_close(void *server)
{
	watch_destroy_at_last(server);
	close(pipe_ends[1]);
	return NULL;
}

/* Nobody reads any more what the program logs, then somebody does. */
START_TEST(a_full_pipe)
{
	static char text[8192];
	pthread_t thread;
	fill_pipe();
	mts_server *server = new_server(write_to_pipe, TIMEOUT);
	server_start(server);
	gate_wait(&inside, 1);
	const int old = visit(server);
	expect_service(server, old);
	watch_stop(server, TIMEOUT, -EBUSY);
	peer_expect_end(old);
	close(old);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	ck_assert_int_eq(gate_count(&said), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, destroy_and_close, server), 0);
	(void)drain_pipe(text, sizeof(text));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	close(pipe_ends[0]);
	ck_assert_int_eq(strncmp(text, "serving", 7), 0);
	ck_assert_ptr_nonnull(strstr(text, "the handler returned"));
	ck_assert_str_eq(text + strlen(text) - 8, "stopped\n");
	ck_assert_int_eq(gate_count(&said), 6);
}
END_TEST

static const char *const calls[] = {"next", "read", "write"};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static void let_it_return(int peer, int i)
{
	static char bytes[MUCH];
	if (strcmp(calls[i], "write") == 0) {
		peer_expect(peer, bytes, sizeof(bytes));
	} else {
		peer_puts(peer, "x\n");
	}
	peer_expect_text(peer, "done: 0\n");
}

/* A handler holds a mutex over a call that waits, and the hook wants it. */
START_TEST(on_a_mutex_of_a_handler)
{
	mts_server *server = new_server(locking, PATIENCE * 1000);
	server_start(server);
	gate_wait(&said, 1); /* "serving": no mutex yet */
	const int old = visit(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, calls[_i]);
	peer_puts(peer, "\n");
	gate_wait(&holding, 1);
	be_failed(server);
	gate_wait(&inside, 2);
	expect_service(server, old);
	let_it_return(peer, _i);
	close(old);
	close(peer);
	server_end(server);
	ck_assert_int_eq(gate_count(&said), 7);
	expect_line(6, "stopped");
}
END_TEST

/* The program holds it over calls from a thread of its own. */
START_TEST(on_a_mutex_of_the_program)
{
	mts_server *server = new_server(locking, PATIENCE * 1000);
	pthread_mutex_lock(&mutex);
	server_start(server);
	gate_wait(&inside, 1);
	const int old = visit(server);
	const int other = visit(server);
	pthread_mutex_lock(&watch.mutex);
	const uint64_t first = watch.entries[0].id;
	const uint64_t last = watch.entries[1].id;
	pthread_mutex_unlock(&watch.mutex);
	be_failed(server);
	ck_assert_int_eq(mts_server_send(server, first, "sent\n", 5), 0);
	ck_assert_int_ge((int)mts_server_broadcast(server, "all\n", 4), 2);
	ck_assert_int_eq(mts_server_set_max_clients(server, 100), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 30000), 0);
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_OPEN), 2);
	peer_expect_text(old, "sent\nall\n");
	ck_assert_int_eq(mts_server_kick(server, last), 0);
	peer_expect_text(other, "all\n");
	peer_expect_gone(other);
	expect_service(server, old);
	mts_server_stop(server);
	peer_expect_end(old);
	ck_assert_int_eq(gate_count(&said), 0);
	pthread_mutex_unlock(&mutex);
	ck_assert_int_eq(mts_server_join(server), 0);
	expect_line(gate_count(&said) - 1, "stopped");
	ck_assert_int_eq(mts_server_destroy(server), 0);
	close(old);
	close(other);
}
END_TEST

static void stop_from_hook(int level, const char *message, void *user)
{
	mts_server *server = *(mts_server **)user;
	(void)level;
	if (strstr(message, "the handler returned") != NULL) {
		mts_server_stop(server);
		gate_add(&inside);
		gate_wait(&go, 1);
	}
	keep(message);
}

/* The hook asks for the stop, and the stop waits for the hook. */
START_TEST(it_stops_the_server)
{
	static mts_server *server;
	server = new_server(stop_from_hook, PATIENCE * 1000);
	ck_assert_int_eq(mts_server_on_log(server, stop_from_hook, MTS_LOG_INFO, &server), 0);
	server_start(server);
	const int old = visit(server);
	be_failed(server);
	gate_wait(&inside, 1);
	peer_expect_end(old);
	gate_add(&go);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(gate_count(&said), 4);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	close(old);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("log, a hook that blocks");
	tcase_add_checked_fixture(cases, remember, nothing_left);
	tcase_add_test(cases, for_ever);
	tcase_add_test(cases, beside_a_hung_handler);
	tcase_add_test(cases, after_a_hung_handler);
	tcase_add_test(cases, until_the_stop);
	tcase_add_test(cases, a_full_pipe);
	tcase_add_loop_test(cases, on_a_mutex_of_a_handler, 0, CALLS);
	tcase_add_test(cases, on_a_mutex_of_the_program);
	tcase_add_test(cases, it_stops_the_server);
	return suite_run();
}
