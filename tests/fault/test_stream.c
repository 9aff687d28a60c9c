/* SPDX-License-Identifier: MIT
 *
 * Sends and receives that take little, nothing, or fail. As long as the connection lives the stream is
 * the same, byte for byte; when it does not, that client ends and nothing else.
 *
 * On demand a call that does not wait is never told to come again in vain: the kernel says so only when an
 * event is going to follow, and the library takes it at its word.
 */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/wake.h"
#include "engine/run/poller.h"
#include "engine/run/server.h"

enum { LINES = 200, REPLY = 60000 };

/* How the calls behave. */
static const struct {
	size_t most; /* bytes at once; 0: as many as they like */
	uint32_t interrupted; /* every n-th is; 0: none */
	uint32_t refused; /* every n-th non-blocking one is told to come again; 0: none */
} ways[] = {
	{1, 0, 0},
	{2, 3, 0},
	{7, 0, 3},
	{1000, 2, 0},
	{1000, 0, 2},
	{0, 2, 0},
	{0, 0, 2},
	{4096, 5, 0},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static void behave(int way)
{
	fault_short(ways[way].most);
	if (ways[way].interrupted > 0) {
		fault_every(FAULT_RECV, EINTR, ways[way].interrupted);
		fault_every(FAULT_SEND, EINTR, ways[way].interrupted);
	}
	if (ways[way].refused > 0 && test_model == MTS_THREAD_PER_CLIENT) {
		fault_every(FAULT_RECV, EAGAIN, ways[way].refused);
		fault_every(FAULT_SEND, EAGAIN, ways[way].refused);
	}
}

/* Many requests that come together are answered one by one, in order. */
START_TEST(lines_are_the_same)
{
	struct scene scene;
	char lines[LINES * 8];
	size_t size = 0;
	for (int i = 0; i < LINES; i++) {
		size += (size_t)snprintf(lines + size, sizeof(lines) - size, "%d\n", i * i);
	}
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	behave(_i);
	const int peer = peer_connect(scene.server, 0);
	peer_send(peer, lines, size);
	peer_finish(peer);
	peer_expect(peer, lines, size);
	peer_expect_end(peer);
	close(peer);
	scene_end(&scene);
	ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_BY_PEER]), 1);
}
END_TEST

/* A reply that is longer than what the socket takes: gathered, queued, sent on by the keeper. */
START_TEST(long_replies_are_the_same)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	scene_start(&scene);
	behave(_i);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "60000\n100\n3000\n");
	peer_finish(peer);
	peer_expect_pattern(peer, REPLY, 0);
	peer_expect_pattern(peer, 100, 0);
	peer_expect_pattern(peer, 3000, 0);
	peer_expect_end(peer);
	close(peer);
	scene_end(&scene);
	ck_assert_uint_eq(fault_count(FAULT_SEND) > 0, 1);
}
END_TEST

/* A stop finds such a reply on its way, and it arrives. */
START_TEST(stopped_on_the_way)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	scene_start(&scene);
	behave(_i);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "60000\n");
	peer_expect_pattern(peer, 1, 0);
	mts_server_stop(scene.server);
	peer_expect_pattern(peer, REPLY - 1, 1);
	peer_expect_gone(peer);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* Among them all that a call of the library says for reasons of its own. */
static const int errors[] = {EPIPE, ECONNRESET, ENOBUFS, ENOMEM, ETIMEDOUT, EHOSTUNREACH, ECANCELED,
	EMSGSIZE, EPROTO, ENOSPC};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

/* Whoever sees that another client is served while this one fails. */
static void want_other_served(struct scene *scene)
{
	const int other = peer_connect(scene->server, 0);
	peer_puts(other, "10\n");
	peer_expect_pattern(other, 10, 0);
	close(other);
}

/* The worker's send fails for good: this client ends, as lost; the peer is told. */
START_TEST(a_workers_send_fails)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene_start(&scene);
	fault_fail(FAULT_SEND, errors[_i], 0, 1);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "60000\n");
	peer_expect_gone(peer);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_PEER], 1);
	want_other_served(&scene);
	close(peer);
	scene_end(&scene);
}
END_TEST

static int next_error;

static void fail_next(void)
{
	fault_hook(FAULT_SEND, NULL);
	fault_fail(FAULT_SEND, next_error, 0, 1);
}

/* The keeper's send fails, while the worker waits for the peer's next request. */
START_TEST(the_keepers_send_fails)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	next_error = errors[_i];
	fault_hook(FAULT_SEND, fail_next);
	fault_fail(FAULT_SEND, EAGAIN, 1, 1);
	peer_puts(peer, "50000\n");
	peer_expect_gone(peer);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_PEER], 1);
	want_other_served(&scene);
	close(peer);
	scene_end(&scene);
}
END_TEST

START_TEST(a_receive_fails)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "60000\n");
	peer_expect_pattern(peer, REPLY, 0);
	fault_fail(FAULT_RECV, errors[_i], 0, 1);
	peer_puts(peer, "1\n"); /* a thread of its own waits in the call before this one already */
	peer_expect_gone(peer);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_PEER], 1);
	want_other_served(&scene);
	close(peer);
	scene_end(&scene);
}
END_TEST

static struct gate answered;
static ssize_t answers[2];

/* Says what a call answers that waits for the peer, and returns that; "next" or "read". */
static int ask_and_tell(mts_client *client, const void *request, size_t size, void *user)
{
	const bool next = memcmp(request, "next", 4) == 0;
	char byte;
	(void)user;
	for (int i = 0; i < 2; i++) {
		answers[i] = next ? mts_client_next(client, &request, &size)
						  : mts_client_read(client, &byte, 1);
	}
	gate_add(&answered);
	return (int)answers[0];
}

/* The kernel's own ETIMEDOUT, after keepalive say, is no deadline of ours, nor its ECANCELED a stop. */
START_TEST(a_receive_of_a_handler_fails)
{
	static const char *const requests[] = {"next\n", "read\n"};
	for (int i = 0; i < 2; i++) {
		struct scene scene;
		answered = (struct gate)GATE;
		scene_make(&scene, ask_and_tell);
		scene_start(&scene);
		const int peer = peer_connect(scene.server, 0);
		peer_puts(peer, requests[i]);
		server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
		fault_fail(FAULT_RECV, errors[_i], 0, 1);
		/* It may wait in the call before this one already; or be reset before more could be sent. */
		peer_puts(peer, i == 0 ? "1\n" : "1");
		wait_until(fault_hits(FAULT_RECV) == 1 || gate_count(&answered) == 1);
		peer_expect_gone(peer);
		gate_wait(&scene.closed, 1);
		ck_assert_int_eq(answers[1], -EPIPE);
		ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_BY_PEER]), 1);
		ck_assert_int_eq(gate_count(&scene.logs[MTS_LOG_ERR]), 0);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
		fault_clear(FAULT_RECV);
		close(peer);
		scene_end(&scene);
	}
}
END_TEST

static int write_until_lost(mts_client *client)
{
	static char bytes[8192];
	int result = 0;
	while (result == 0) {
		result = mts_client_write(client, bytes, sizeof(bytes));
	}
	return result;
}

static int lose_and_stay(mts_client *client, const void *request, size_t size, void *user)
{
	struct scene *scene = user;
	(void)request;
	(void)size;
	(void)write_until_lost(client);
	gate_add(&scene->entered);
	scene_wait(&scene->release, 1);
	return MTS_KEEP;
}

static const struct {
	enum fault_call call;
	int error;
	uint32_t skip;
} losses[] = {
	{FAULT_SEND, ECONNRESET, 4},
	{FAULT_SEND, ENOBUFS, 5},
	{FAULT_MEMORY, ENOMEM, 2},
};

enum { LOSSES = sizeof(losses) / sizeof(losses[0]), PEEKS = 20 };

/*
 * A client is lost, with output waiting and epoll watching its socket, and its handler works on for
 * long: the keeper must not be kept busy by it. It waits, so its wake-ups can be counted.
 */
START_TEST(a_lost_client_costs_nothing)
{
	struct scene scene;
	scene_make(&scene, lose_and_stay);
	scene.small = true;
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	fault_fail(losses[_i].call, losses[_i].error, losses[_i].skip, FAULT_FOREVER);
	peer_puts(peer, "go on\n");
	if (losses[_i].call == FAULT_MEMORY) {
		close(peer);
	}
	gate_wait(&scene.entered, 1);
	fault_clear(losses[_i].call);
	fault_clear(FAULT_EPOLL_WAIT);
	for (int i = 0; i < PEEKS; i++) {
		mtsi_wake_poller(scene.server);
		fault_wait_count(FAULT_EPOLL_WAIT, (uint32_t)i + 1);
	}
	ck_assert_uint_le(fault_count(FAULT_EPOLL_WAIT), 2 * PEEKS + 2);
	gate_add(&scene.release);
	gate_wait(&scene.closed, 1);
	if (losses[_i].call != FAULT_MEMORY) {
		close(peer);
	}
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stream");
	tcase_add_loop_test(cases, lines_are_the_same, 0, WAYS);
	tcase_add_loop_test(cases, long_replies_are_the_same, 0, WAYS);
	tcase_add_loop_test(cases, stopped_on_the_way, 0, WAYS);
	tcase_add_loop_test(cases, a_workers_send_fails, 0, ERRORS);
	tcase_add_loop_test(cases, the_keepers_send_fails, 0, ERRORS);
	tcase_add_loop_test(cases, a_receive_fails, 0, ERRORS);
	tcase_add_loop_test(cases, a_receive_of_a_handler_fails, 0, ERRORS);
	tcase_add_loop_test(cases, a_lost_client_costs_nothing, 0, LOSSES);
	return suite_run();
}
