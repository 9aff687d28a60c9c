/* SPDX-License-Identifier: MIT
 *
 * A stop at any step of anything: in the midst of the first call that the library makes into the system,
 * of the second, and so on, from the thread that makes it, whatever it holds at that moment; until the
 * session is over before. And another thread that destroys the server from that step on.
 *
 * In the session there is a client that is idle, one with half a request, one whose reply is larger than
 * the socket takes, and one that leaves; peers take what comes, the end of the stream too. So no stop has
 * a reason to wait for its deadline, and none does.
 */
#include "scene.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_STEPS = 5000, REPLY = 300000 };

static struct scene scene;
static mts_server *server;
static struct gate reached;
static uint16_t port; /* the server may be gone */

/* "p" pours, "c" closes, everything else is echoed. */
static int play(mts_client *client, const void *request, size_t size, void *user)
{
	const char *text = request;
	if (text[0] == 'p') {
		return scene_pour(client, "300000", 6, user);
	}
	(void)scene_echo(client, request, size, user);
	return text[0] == 'c' ? MTS_CLOSE : MTS_KEEP;
}

static int small(mts_client *client, void *user)
{
	small_buffers(mts_client_fd(client));
	gate_add(&((struct scene *)user)->opened);
	return 0;
}

/* A peer, or -1 when the server is not there any more. */
static int connect_to_port(void)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int peer = peer_socket();
	if (connect(peer, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		close(peer);
		return -1;
	}
	return peer;
}

static void say(int peer, const char *text)
{
	if (peer >= 0) {
		(void)send(peer, text, strlen(text), MSG_NOSIGNAL);
	}
}

/* Takes so many bytes, or less up to the end or a reset. It fails only when neither comes. */
static void take(int peer, size_t most)
{
	char bytes[16384];
	ssize_t count = 1;
	while (peer >= 0 && most > 0 && count > 0) {
		count = recv(peer, bytes, most < sizeof(bytes) ? most : sizeof(bytes), 0);
		ck_assert_msg(count >= 0 || errno != EAGAIN, "neither a reply nor an end");
		most -= count > 0 ? (size_t)count : 0;
	}
}

static void leave(int peer)
{
	if (peer >= 0) {
		close(peer);
	}
}

static void have_a_session(void)
{
	const int idle = connect_to_port();
	const int half = connect_to_port();
	const int pours = connect_to_port();
	const int leaves = connect_to_port();
	say(half, "one\nhalf of");
	say(pours, "pour\n");
	say(leaves, "one\ntwo\nclose\n");
	take(half, 4);
	take(leaves, SIZE_MAX);
	say(half, " a line\n");
	take(half, 15);
	take(pours, REPLY);
	leave(leaves);
	leave(half);
	leave(idle);
	leave(pours);
}

static void make(void)
{
	scene_make(&scene, play);
	server = scene.server;
	ck_assert_int_eq(mts_server_on_open(server, small, &scene), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, PATIENCE * 1000), 0);
	port = (uint16_t)strtoul(strrchr(mts_server_address(server, 0), ':') + 1, NULL, 10);
	reached = (struct gate)GATE;
}

static void start(void)
{
	fault_inside(true);
	ck_assert_int_eq(mts_server_start(server), 0);
	fault_inside(false);
}

static void expect_closed(void)
{
	ck_assert_int_eq(gate_count(&scene.opened), gate_count(&scene.closed));
}

static void stop_here(void)
{
	gate_add(&reached); /* first: the stop may end the session before this thread goes on */
	mts_server_stop(server);
}

/*
 * Whether the step was reached, be it by the stop itself. That is known when all threads of the server
 * have ended: before, one may have come to the step and not have said so.
 */
static bool stopped_at(uint32_t n)
{
	make();
	fault_at_step(n, stop_here);
	start();
	have_a_session();
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	const bool was_reached = gate_count(&reached) > 0;
	fault_at_step(0, NULL);
	expect_closed();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	return was_reached;
}

START_TEST(stopped_at_any_step)
{
	const int descriptors = count_descriptors();
	uint32_t n = 0;
	while (stopped_at(n)) {
		ck_assert_int_eq(count_descriptors(), descriptors);
		ck_assert_uint_lt(++n, MOST_STEPS);
	}
	ck_assert_uint_ge(n, 20);
}
END_TEST

static void note_step(void)
{
	gate_add(&reached);
}

static void *destroy_it(void *result)
{
	gate_wait(&reached, 1);
	*(int *)result = mts_server_destroy(server);
	return NULL;
}

/* The same. */
static bool destroyed_from(uint32_t n)
{
	pthread_t destroyer;
	int result = 1;
	make();
	ck_assert_int_eq(pthread_create(&destroyer, NULL, destroy_it, &result), 0);
	start();
	fault_at_step(n, note_step);
	have_a_session();
	gate_add(&reached); /* the destroyer goes on in any case */
	ck_assert_int_eq(pthread_join(destroyer, NULL), 0);
	const bool was_reached = gate_count(&reached) > 1;
	fault_at_step(0, NULL);
	ck_assert_int_eq(result, 0);
	expect_closed();
	return was_reached;
}

/* Once it is started: a server that is gone cannot be. */
START_TEST(destroyed_from_any_step_on)
{
	const int descriptors = count_descriptors();
	uint32_t n = 0;
	while (destroyed_from(n)) {
		ck_assert_int_eq(count_descriptors(), descriptors);
		ck_assert_uint_lt(++n, MOST_STEPS);
	}
	ck_assert_uint_ge(n, 20);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("steps");
	tcase_set_timeout(cases, 240);
	tcase_add_test(cases, stopped_at_any_step);
	tcase_add_test(cases, destroyed_from_any_step_on);
	return suite_run();
}
