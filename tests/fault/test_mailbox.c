/* SPDX-License-Identifier: MIT
 *
 * Messages by id, when the system gives little or nothing: each arrives whole or not at all, its sender is
 * told which, and the client is none the worse for what could not be sent.
 */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "engine/client/clients.h"
#include "engine/run/server.h"

enum { MESSAGES = 100, SIZE = 3000 };

static struct scene scene;
static int peer;
static uint64_t id;

/* A client; with its id. */
static void visit(mts_handler handler)
{
	scene_make(&scene, handler);
	scene_start(&scene);
	peer = peer_connect(scene.server, 0);
	server_wait_stat(scene.server, MTS_STAT_ACCEPTED, 1);
	/* The first one has the first slot. */
	id = MTSI_FIRST_ID;
}

static void end(void)
{
	close(peer);
	scene_end(&scene);
}

/* Sends as the library: its calls count. */
static int post(const void *data, size_t size)
{
	fault_inside(true);
	const int result = mts_server_send(scene.server, id, data, size);
	fault_inside(false);
	return result;
}

static uint64_t unsent(void)
{
	return mts_server_stat(scene.server, MTS_STAT_UNSENT);
}

static const struct {
	size_t most;
	uint32_t interrupted;
} ways[] = {{1, 0}, {2, 3}, {7, 0}, {1000, 2}, {0, 2}};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* However little a send takes, and however often it is interrupted. */
START_TEST(the_stream_is_the_same)
{
	static char bytes[SIZE];
	visit(scene_echo);
	scene_ask(peer, "are you there?");
	fault_short(ways[_i].most);
	if (ways[_i].interrupted > 0) {
		fault_every(FAULT_SEND, EINTR, ways[_i].interrupted);
	}
	for (size_t i = 0; i < 20; i++) {
		pattern_fill(bytes, SIZE, i * SIZE);
		ck_assert_int_eq(post(bytes, SIZE), 0);
	}
	peer_expect_pattern(peer, 20 * SIZE, 0);
	scene_ask(peer, "and now?");
	ck_assert_uint_ge(mts_server_stat(scene.server, MTS_STAT_BYTES_OUT), 20 * SIZE);
	end();
}
END_TEST

/* The socket takes nothing from the sender: whoever polls sends it, and what comes after it behind it. */
START_TEST(the_socket_takes_nothing)
{
	visit(scene_echo);
	scene_ask(peer, "are you there?");
	for (int i = 0; i < MESSAGES; i++) {
		fault_fail(FAULT_SEND, EAGAIN, 0, 1);
		ck_assert_int_eq(post("one", 3), 0);
		fault_clear(FAULT_SEND);
		ck_assert_int_eq(post("two", 3), 0);
		peer_expect_text(peer, "onetwo");
	}
	scene_ask(peer, "and now?");
	end();
}
END_TEST

/* Nothing is sent, and the next message, and the client, know nothing of it. */
START_TEST(memory_is_short)
{
	visit(scene_echo);
	scene_ask(peer, "are you there?");
	fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
	for (int i = 0; i < MESSAGES; i++) {
		ck_assert_int_eq(post("lost", 4), -ENOMEM);
	}
	fault_inside(true);
	const int reached = mts_server_broadcast(scene.server, "lost", 4);
	fault_inside(false);
	ck_assert_int_eq(reached, 0);
	ck_assert_uint_eq(unsent(), MESSAGES + 1);
	fault_clear(FAULT_MEMORY);
	ck_assert_int_eq(post("found\n", 6), 0);
	peer_expect_text(peer, "found\n");
	scene_ask(peer, "and now?");
	ck_assert_int_eq(gate_count(&scene.closed), 0);
	end();
}
END_TEST

/* In the queue of one that has something waiting already, too. */
START_TEST(memory_is_short_behind_another)
{
	static char bytes[SIZE];
	visit(scene_hold);
	fault_fail(FAULT_SEND, EAGAIN, 0, FAULT_FOREVER);
	pattern_fill(bytes, SIZE, 0);
	ck_assert_int_eq(post(bytes, SIZE), 0);
	fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
	ck_assert_int_eq(post(bytes, SIZE), -ENOMEM);
	ck_assert_uint_eq(unsent(), 1);
	fault_clear(FAULT_MEMORY);
	fault_clear(FAULT_SEND);
	/* Whoever polls has been told to come again, in vain: the handler sends it all. */
	gate_add(&scene.release);
	peer_puts(peer, "reply\n");
	peer_expect_pattern(peer, SIZE, 0);
	peer_expect_text(peer, "reply\n");
	end();
}
END_TEST

/* Whoever polls could not be told about the rest, so nothing is begun. */
START_TEST(epoll_has_no_memory)
{
	visit(scene_echo);
	scene_ask(peer, "are you there?");
	if (test_model == MTS_THREAD_ON_DEMAND) {
		/* The reply goes out before epoll is told of the client; it has been when that is parked. */
		const struct mts_client *client = mtsi_clients_find(scene.server, id);
		wait_until(atomic_load(&client->claim) == 0);
	}
	fault_watch_only(0);
	fault_fail(FAULT_EPOLL_CTL, _i == 0 ? ENOMEM : ENOSPC, 0, FAULT_FOREVER);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_int_eq(post("lost", 4), -ENOMEM);
		ck_assert_uint_eq(unsent(), 1);
		fault_clear(FAULT_EPOLL_CTL);
	}
	ck_assert_int_eq(post("found\n", 6), 0);
	peer_expect_text(peer, "found\n");
	fault_fail(FAULT_EPOLL_CTL, ENOMEM, 0, FAULT_FOREVER);
	ck_assert_int_eq(post("again\n", 6), 0); /* once is enough */
	peer_expect_text(peer, "again\n");
	fault_clear(FAULT_EPOLL_CTL);
	scene_ask(peer, "and now?");
	end();
}
END_TEST

static const int errors[] = {EPIPE, ECONNRESET, ENOBUFS, ETIMEDOUT};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

/* A sender is the one who finds the connection lost: the client ends, parked or not. */
START_TEST(a_send_fails)
{
	visit(scene_hold);
	const bool busy = _i % 2 == 0;
	if (busy) {
		peer_puts(peer, "hold\n");
		gate_wait(&scene.entered, 1);
	}
	fault_fail(FAULT_SEND, errors[_i / 2], 0, 1);
	ck_assert_int_eq(post("lost", 4), -ENOENT);
	ck_assert_int_eq(post("lost", 4), -ENOENT);
	ck_assert_int_eq(mts_server_kick(scene.server, id), -ENOENT);
	if (busy) {
		ck_assert_int_eq(gate_count(&scene.closed), 0);
		gate_add(&scene.release);
	}
	peer_expect_gone(peer);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_PEER], 1);
	ck_assert_uint_eq(unsent(), 0);
	end();
}
END_TEST

static void peer_goes(void)
{
	fault_inside(false);
	peer_reset(peer);
	fault_inside(true);
}

/* The peer goes at the very moment of the send. */
START_TEST(the_peer_goes_meanwhile)
{
	visit(scene_echo);
	scene_ask(peer, "are you there?");
	fault_hook(FAULT_SEND, peer_goes);
	fault_fail(FAULT_SEND, EINTR, 0, 1);
	const int result = post("too late", 8);
	ck_assert(result == 0 || result == -ENOENT);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_PEER], 1);
	ck_assert_int_eq(post("too late", 8), -ENOENT);
	scene_end(&scene);
}
END_TEST

static void handler_returns(void)
{
	gate_add(&scene.release);
}

/* Its handler returns and ends it while a message is being sent: what was taken comes before the end. */
START_TEST(the_client_ends_meanwhile)
{
	for (int i = 0; i < 20; i++) {
		visit(scene_hold);
		scene.held = scene_close;
		peer_puts(peer, "last words\n");
		gate_wait(&scene.entered, 1);
		fault_hook(FAULT_SEND, handler_returns);
		fault_fail(FAULT_SEND, EAGAIN, 0, 1);
		ck_assert_int_eq(post("message\n", 8), 0);
		fault_hook(FAULT_SEND, NULL);
		int late = 0;
		while (post("late\n", 5) == 0) {
			late++;
		}
		peer_expect_text(peer, "message\n");
		for (int k = 0; k < late; k++) {
			peer_expect_text(peer, "late\n");
		}
		peer_expect_text(peer, "last words\n");
		peer_expect_end(peer);
		gate_wait(&scene.reasons[MTS_CLOSED_BY_HANDLER], 1);
		end();
	}
}
END_TEST

static void kick_it(void)
{
	ck_assert_int_eq(mts_server_kick(scene.server, id), 0);
}

/* What had come is received all the same, after the kick; nobody handles it. */
START_TEST(kicked_right_before_a_receive)
{
	visit(scene_hold);
	peer_puts(peer, "one\n");
	gate_wait(&scene.entered, 1);
	peer_puts(peer, "two\n");
	fault_hook(FAULT_RECV, kick_it);
	fault_fail(FAULT_RECV, FAULT_NOTHING, 0, 1);
	gate_add(&scene.release);
	gate_wait(&scene.closed, 1);
	ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_KICKED]), 1);
	ck_assert_int_eq(gate_count(&scene.entered), 1);
	fault_hook(FAULT_RECV, NULL);
	end();
}
END_TEST

static void close_it(void)
{
	ck_assert_int_eq(mts_server_close(scene.server, id), 0);
}

/*
 * So it is when it is closed then, with a whole request there, or with half of one; but what was
 * written for the one before arrives, and then the end.
 */
START_TEST(closed_right_before_a_receive)
{
	visit(scene_hold);
	peer_puts(peer, "one\n");
	gate_wait(&scene.entered, 1);
	peer_puts(peer, _i == 0 ? "two\n" : "tw");
	fault_hook(FAULT_RECV, close_it);
	fault_fail(FAULT_RECV, FAULT_NOTHING, 0, 1);
	gate_add(&scene.release);
	peer_expect_text(peer, "one\n");
	peer_expect_end(peer);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_HANDLER], 1);
	ck_assert_int_eq(gate_count(&scene.entered), 1);
	fault_hook(FAULT_RECV, NULL);
	end();
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("post");
	tcase_add_loop_test(cases, the_stream_is_the_same, 0, WAYS);
	tcase_add_test(cases, the_socket_takes_nothing);
	tcase_add_test(cases, memory_is_short);
	tcase_add_test(cases, memory_is_short_behind_another);
	tcase_add_loop_test(cases, epoll_has_no_memory, 0, 2);
	tcase_add_loop_test(cases, a_send_fails, 0, 2 * ERRORS);
	tcase_add_test(cases, the_peer_goes_meanwhile);
	tcase_add_test(cases, the_client_ends_meanwhile);
	tcase_add_test(cases, kicked_right_before_a_receive);
	tcase_add_loop_test(cases, closed_right_before_a_receive, 0, 2);
	return suite_run();
}
