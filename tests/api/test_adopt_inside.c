/* SPDX-License-Identifier: MIT
 *
 * Connections that are handed over by callbacks, of the same server: a handler, hooks, a task. They are
 * served by whoever has time, also while the callback waits for that, and are refused as ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stage.h"

enum { MANY = 20 };

/* Which callback hands over. */
enum place { HANDLER, OPEN_HOOK, CLOSE_HOOK, FAULT_HOOK, THREAD_HOOK, TASK, PLACES };

static struct {
	mts_server *server;
	enum place place;
	_Atomic int left; /* how often it is still done */
	int given[MANY]; /* the server's ends */
	int peers[MANY]; /* and the others */
	struct gate done;
	_Atomic int results[MANY];
	bool waits; /* for the reply, still in that callback */
} inside;

static void setup(void)
{
	stage_setup();
	inside.server = NULL;
	inside.left = 0;
	inside.waits = false;
	inside.done = (struct gate)GATE;
	for (int i = 0; i < MANY; i++) {
		int ends[2];
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		inside.given[i] = ends[0];
		inside.peers[i] = ends[1];
	}
}

static void teardown(void)
{
	for (int i = 0; i < MANY; i++) {
		close(inside.peers[i]);
	}
}

/* In the callback. */
static void hand_over(enum place here)
{
	if (here != inside.place) {
		return;
	}
	const int number = atomic_fetch_sub(&inside.left, 1) - 1;
	if (number < 0) {
		return;
	}
	inside.results[number] = mts_server_adopt(inside.server, inside.given[number], &inside);
	if (inside.waits) {
		char reply[3] = "";
		(void)send(inside.peers[number], "hi\n", 3, MSG_NOSIGNAL);
		(void)recv(inside.peers[number], reply, 2, MSG_WAITALL);
		inside.results[number] += memcmp(reply, "hi", 2) == 0 ? 0 : 1;
	}
	gate_add(&inside.done);
}

static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	const bool hands_over = strcmp(request, "now") == 0;
	if (hands_over) {
		hand_over(HANDLER);
	}
	return strcmp(request, "fail") == 0 ? -EIO : answer_echo(client, request, size, user);
}

static int on_open(mts_client *client, void *user)
{
	(void)user;
	if (mts_client_data(client) == NULL) {
		hand_over(OPEN_HOOK);
	}
	return 0;
}

static void on_close(mts_client *client, int reason, void *user)
{
	if (mts_client_data(client) == NULL) {
		hand_over(CLOSE_HOOK);
	}
	endings_note(client, reason, user);
}

static void on_fault(mts_client *client, int reason, void *user)
{
	(void)client;
	(void)reason;
	(void)user;
	hand_over(FAULT_HOOK);
}

static void on_thread(void *user)
{
	(void)user;
	hand_over(THREAD_HOOK);
}

static void task(mts_server *server, void *user)
{
	(void)server;
	(void)user;
	hand_over(TASK);
}

static mts_server *new_server(enum place place)
{
	mts_server *server = server_of_lines(handler, NULL, &endings);
	ck_assert_int_eq(mts_server_on_open(server, on_open, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, on_close, &endings), 0);
	ck_assert_int_eq(mts_server_on_fault(server, on_fault, NULL), 0);
	if (place == THREAD_HOOK) {
		ck_assert_int_eq(mts_server_on_thread(server, on_thread, NULL, NULL), 0);
	}
	inside.place = place;
	inside.server = server;
	return server;
}

/* Has the callback hand over so many. */
static void bring_about(mts_server *server, int count)
{
	const int before = gate_count(&inside.done);
	inside.left = count;
	for (int i = 0; i < count; i++) {
		if (inside.place == TASK) {
			ck_assert_int_gt(mts_server_after(server, 0, task, NULL), 0);
		} else {
			const int peer = peer_connect(server, 0);
			peer_puts(peer, inside.place == FAULT_HOOK ? "fail\n" : "now\n");
			if (inside.place == CLOSE_HOOK) {
				peer_expect_text(peer, "now");
			} else if (inside.place != THREAD_HOOK) {
				gate_wait(&inside.done, before + i + 1);
			}
			close(peer);
		}
	}
	gate_wait(&inside.done, before + count);
}

static void expect_served(int first, int count)
{
	for (int i = first; i < first + count; i++) {
		ck_assert_int_eq(inside.results[i], 0);
		peer_puts(inside.peers[i], "hello\n");
		peer_expect_text(inside.peers[i], "hello");
	}
}

/* One after the other. With a hook for threads: as the first one begins. */
START_TEST(from_each_callback)
{
	const enum place place = (enum place)_i;
	const int count = place == THREAD_HOOK ? 1 : MANY;
	mts_server *server = new_server(place);
	if (place == THREAD_HOOK && test_model == MTS_THREAD_ON_DEMAND) {
		inside.left = 1; /* with the start, which may be sooner than the server takes any */
		server_start(server);
		gate_wait(&inside.done, 1);
	} else {
		server_start(server);
		bring_about(server, count);
	}
	expect_served(0, count);
	for (int i = count; i < MANY; i++) {
		close(inside.given[i]);
	}
	server_end(server);
}
END_TEST

/* It waits for the reply to what it has handed over, so another thread has to serve that. */
START_TEST(and_waits_for_it)
{
	mts_server *server = new_server((enum place)_i);
	inside.waits = true;
	server_start(server);
	bring_about(server, MANY);
	expect_served(0, MANY);
	server_end(server);
}
END_TEST

/* With one thread it comes later, when the callback has returned; but that does not wait for it. */
START_TEST(with_one_thread)
{
	mts_server *server = new_server((enum place)_i);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	bring_about(server, 1);
	expect_served(0, 1);
	for (int i = 1; i < MANY; i++) {
		close(inside.given[i]);
	}
	server_end(server);
}
END_TEST

/* A client counts until its close hook has returned, so there is no room for another. */
START_TEST(there_is_no_room)
{
	const enum place place = (enum place)_i;
	mts_server *server = new_server(place);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	if (place != TASK) {
		/* Whoever calls is not idle, and so does not go for it. */
		ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_EVICT), 0);
	}
	server_start(server);
	int peer = -1;
	if (place == TASK) {
		peer = peer_connect(server, 0);
		peer_puts(peer, "hello\n");
		peer_expect_text(peer, "hello");
	}
	bring_about(server, 1);
	ck_assert_int_eq(inside.results[0], -EAGAIN);
	if (place == TASK) {
		close(peer);
	}
	/* It has left its place only a moment after it counts as closed. */
	int result = -EAGAIN;
	wait_until((result = mts_server_adopt(server, inside.given[0], &inside)) != -EAGAIN);
	ck_assert_int_eq(result, 0);
	peer_puts(inside.peers[0], "hello\n");
	peer_expect_text(inside.peers[0], "hello");
	for (int i = 1; i < MANY; i++) {
		close(inside.given[i]);
	}
	server_end(server);
}
END_TEST

static int stop_and_hand_over(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	mts_server_stop(inside.server);
	hand_over(HANDLER);
	return MTS_KEEP;
}

static void stop_in_task(mts_server *server, void *user)
{
	(void)user;
	mts_server_stop(server);
	hand_over(TASK);
}

/* It is too late in callbacks too, whoever has stopped the server. */
START_TEST(after_a_stop)
{
	mts_server *server = server_of_lines(stop_and_hand_over, NULL, &endings);
	inside.server = server;
	inside.left = 1;
	inside.place = _i == 0 ? HANDLER : TASK;
	server_start(server);
	const int peer = peer_connect(server, 0);
	if (_i == 0) {
		peer_puts(peer, "stop\n");
	} else {
		ck_assert_int_gt(mts_server_after(server, 0, stop_in_task, NULL), 0);
	}
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(inside.results[0], -ECANCELED);
	ck_assert_int_ge(fcntl(inside.given[0], F_GETFL), 0); /* it stays the caller's */
	close(peer);
	for (int i = 0; i < MANY; i++) {
		close(inside.given[i]);
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("adopted in callbacks");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, from_each_callback, 0, PLACES);
	tcase_add_loop_test(tests, and_waits_for_it, HANDLER, FAULT_HOOK + 1);
	tcase_add_loop_test(tests, and_waits_for_it, TASK, TASK + 1);
	tcase_add_loop_test(tests, with_one_thread, HANDLER, FAULT_HOOK + 1);
	tcase_add_loop_test(tests, with_one_thread, TASK, TASK + 1);
	tcase_add_loop_test(tests, there_is_no_room, HANDLER, FAULT_HOOK + 1);
	tcase_add_loop_test(tests, there_is_no_room, TASK, TASK + 1);
	tcase_add_loop_test(tests, after_a_stop, 0, 2);
	return suite_run();
}
