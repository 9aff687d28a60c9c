/* SPDX-License-Identifier: MIT
 *
 * Threads on demand: whatever a callback waits for, and however long, nobody else waits with it. Not for
 * a handler in sleep, at a lock or in read(2); not for the hooks; and not for one that waits in a call of
 * the library, for its peer to speak or to listen: there the thread is relieved at once.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

enum { OTHERS = 200 };

static struct gate entered;
static struct gate left;
static struct gate leave;
static struct gate done;
static int pipe_ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool over;

static void setup(void)
{
	entered = (struct gate)GATE;
	left = (struct gate)GATE;
	leave = (struct gate)GATE;
	done = (struct gate)GATE;
	over = false;
	ck_assert_int_eq(pipe(pipe_ends), 0);
	ck_assert_int_eq(pthread_mutex_lock(&mutex), 0);
}

/* Everything that was waited for has come. */
static void let_all_go(void)
{
	over = true;
	gate_add(&leave);
	ck_assert_int_eq(write(pipe_ends[1], "x", 1), 1);
	ck_assert_int_eq(pthread_mutex_unlock(&mutex), 0);
}

static void teardown(void)
{
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

/* What a handler may wait for. Each ends when all are let go. */
static void at_a_gate(mts_client *client)
{
	(void)client;
	gate_wait(&leave, 1);
}

static void in_sleep(mts_client *client)
{
	const struct timespec while_it_lasts = {.tv_nsec = 5000000};
	(void)client;
	while (!over) {
		(void)nanosleep(&while_it_lasts, NULL);
	}
}

static void at_a_lock(mts_client *client)
{
	(void)client;
	(void)pthread_mutex_lock(&mutex);
	(void)pthread_mutex_unlock(&mutex);
}

static void in_read(mts_client *client)
{
	char byte;
	(void)client;
	(void)!read(pipe_ends[0], &byte, 1);
}

static void (*const waits[])(mts_client *) = {at_a_gate, in_sleep, at_a_lock, in_read};
enum { WAITS = sizeof(waits) / sizeof(waits[0]) };

static void (*wait_for_it)(mts_client *client);

static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	(void)size;
	if (strcmp(request, "wait") == 0) {
		gate_add(&entered);
		wait_for_it(client);
		gate_add(&left);
		return mts_client_puts(client, "wait\n") == 0 ? MTS_KEEP : MTS_CLOSE;
	}
	return mts_client_printf(client, "%s\n", (const char *)request) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static mts_server *obeying_server(void)
{
	mts_server *server = server_new(obey, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	return server;
}

static void ask(int peer, const char *line)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "%s\n", line);
	peer_puts(peer, text); /* in one piece: the second of two would wait for the peer (RFC 896) */
	peer_expect_text(peer, line);
	peer_expect_text(peer, "\n");
}

/* So many others come, are served twice, and go. */
static void others_are_served(const mts_server *server, int count)
{
	int peers[OTHERS];
	for (int i = 0; i < count; i++) {
		peers[i] = peer_connect(server, 0);
		ask(peers[i], "hello");
	}
	for (int i = 0; i < count; i++) {
		ask(peers[i], "still here");
		close(peers[i]);
	}
}

START_TEST(a_handler_that_waits_holds_up_nobody)
{
	mts_server *server = obeying_server();
	wait_for_it = waits[_i];
	server_start(server);
	const int early = peer_connect(server, 0);
	ask(early, "hello"); /* parked, on the thread that blocks next */
	const int slow = peer_connect(server, 0);
	peer_puts(slow, "wait\n");
	gate_wait(&entered, 1);
	ask(early, "hello again");
	others_are_served(server, OTHERS);
	ck_assert_int_eq(gate_count(&left), 0);
	let_all_go();
	peer_expect_text(slow, "wait\n");
	close(slow);
	close(early);
	server_end(server);
}
END_TEST

/* What came with the one that blocks, in the same moment, is served by others. */
START_TEST(nobody_is_stranded_behind_it)
{
	int peers[OTHERS];
	mts_server *server = obeying_server();
	wait_for_it = waits[_i];
	for (int i = 0; i < OTHERS; i++) {
		peers[i] = peer_connect(server, 0); /* the kernel holds them until the start */
		peer_puts(peers[i], i == OTHERS / 2 || i == 0 ? "wait\n" : "hello\n");
	}
	server_start(server);
	for (int i = 0; i < OTHERS; i++) {
		if (i != OTHERS / 2 && i != 0) {
			peer_expect_text(peers[i], "hello\n");
		}
	}
	gate_wait(&entered, 2);
	ck_assert_int_eq(gate_count(&left), 0);
	let_all_go();
	ck_assert_int_eq(write(pipe_ends[1], "x", 1), 1);
	for (int i = 0; i < OTHERS; i++) {
		if (i == OTHERS / 2 || i == 0) {
			peer_expect_text(peers[i], "wait\n");
		}
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/* Hooks that wait the first time that they are called. */
static _Atomic bool first;

static void wait_the_first_time(void)
{
	if (!atomic_exchange(&first, true)) {
		gate_add(&entered);
		gate_wait(&leave, 1);
		gate_add(&left);
	}
}

static int open_slowly(mts_client *client, void *user)
{
	(void)client;
	(void)user;
	wait_the_first_time();
	return 0;
}

static void close_slowly(mts_client *client, int reason, void *user)
{
	(void)client;
	(void)reason;
	(void)user;
	wait_the_first_time();
}

static void begin_slowly(void *user)
{
	(void)user;
	wait_the_first_time();
}

START_TEST(an_open_hook_that_waits)
{
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_on_open(server, open_slowly, NULL), 0);
	server_start(server);
	const int slow = peer_connect(server, 0);
	peer_puts(slow, "hello\n");
	gate_wait(&entered, 1);
	others_are_served(server, OTHERS);
	ck_assert_int_eq(gate_count(&left), 0);
	let_all_go();
	peer_expect_text(slow, "hello\n");
	close(slow);
	server_end(server);
}
END_TEST

START_TEST(a_close_hook_that_waits)
{
	mts_server *server = obeying_server();
	ck_assert_int_eq(mts_server_on_close(server, close_slowly, NULL), 0);
	server_start(server);
	const int slow = peer_connect(server, 0);
	ask(slow, "hello");
	close(slow);
	gate_wait(&entered, 1);
	others_are_served(server, OTHERS);
	ck_assert_int_eq(gate_count(&left), 0);
	server_wait_stat(server, MTS_STAT_CLOSED, OTHERS);
	ck_assert_int_eq(gate_count(&left), 0);
	let_all_go();
	server_wait_stat(server, MTS_STAT_CLOSED, OTHERS + 1);
	server_end(server);
}
END_TEST

/* The very first thread waits in its hook; the next one, too, that is made while a handler blocks. */
START_TEST(a_thread_hook_that_waits)
{
	mts_server *server = obeying_server();
	wait_for_it = at_a_gate;
	ck_assert_int_eq(mts_server_on_thread(server, begin_slowly, NULL, NULL), 0);
	server_start(server);
	gate_wait(&entered, 1);
	others_are_served(server, OTHERS);
	first = false;
	const int slow = peer_connect(server, 0);
	peer_puts(slow, "wait\n");
	gate_wait(&entered, 2);
	others_are_served(server, OTHERS);
	ck_assert_int_eq(gate_count(&left), 0);
	let_all_go();
	peer_expect_text(slow, "wait\n");
	close(slow);
	server_end(server);
}
END_TEST

/* Waits in the library's calls. */
static void for_the_next(mts_client *client)
{
	const void *request;
	size_t size;
	const int result = mts_client_next(client, &request, &size);
	ck_assert_int_eq(result, 1);
	ck_assert_str_eq(request, "and this");
}

static void for_bytes(mts_client *client)
{
	char bytes[9];
	size_t have = 0;
	while (have < sizeof(bytes)) {
		const ssize_t count = mts_client_read(client, bytes + have, sizeof(bytes) - have);
		ck_assert_int_gt(count, 0);
		have += (size_t)count;
	}
	ck_assert_mem_eq(bytes, "and this\n", sizeof(bytes));
}

enum { LARGE = 8000000 };

/* More than the limit of output lets wait, with a peer that does not read yet. */
static void for_its_reader(mts_client *client)
{
	static char bytes[LARGE];
	pattern_fill(bytes, sizeof(bytes), 0);
	small_buffers(mts_client_fd(client));
	ck_assert_int_eq(mts_client_write(client, bytes, sizeof(bytes)), 0);
}

static void (*const library_waits[])(mts_client *) = {for_the_next, for_bytes, for_its_reader};
enum { LIBRARY_WAITS = sizeof(library_waits) / sizeof(library_waits[0]) };

/* With two threads at most: the one that is left serves all the others, as soon as it is needed. */
START_TEST(a_call_of_the_library_hands_over_at_once)
{
	mts_server *server = obeying_server();
	wait_for_it = library_waits[_i];
	ck_assert_int_eq(mts_server_set_max_threads(server, 2), 0);
	server_start(server);
	const int slow = peer_connect(server, 0);
	small_buffers(slow);
	peer_puts(slow, "wait\n");
	gate_wait(&entered, 1);
	others_are_served(server, OTHERS);
	ck_assert_int_eq(gate_count(&left), 0);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_THREADS_PEAK), 2);
	if (wait_for_it == for_its_reader) {
		peer_expect_pattern(slow, LARGE, 0);
	} else {
		peer_puts(slow, "and this\n");
	}
	peer_expect_text(slow, "wait\n");
	ask(slow, "hello");
	close(slow);
	let_all_go();
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("on demand, blocking");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_handler_that_waits_holds_up_nobody, 0, WAITS);
	tcase_add_loop_test(tcase, nobody_is_stranded_behind_it, 0, WAITS);
	tcase_add_test(tcase, an_open_hook_that_waits);
	tcase_add_test(tcase, a_close_hook_that_waits);
	tcase_add_test(tcase, a_thread_hook_that_waits);
	tcase_add_loop_test(tcase, a_call_of_the_library_hands_over_at_once, 0, LIBRARY_WAITS);
	return suite_run_once();
}
