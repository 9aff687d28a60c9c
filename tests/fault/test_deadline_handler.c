/* SPDX-License-Identifier: MIT
 *
 * Deadlines inside a handler: of the calls in which it waits, and of the handler itself.
 */
#include "moment.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "engine/run/server.h"
#include "os/clock.h"

enum { IDLE = 60, REQUEST = 30 }; /* the defaults, in seconds */

static struct gate told; /* a handler has been told of a deadline */
static int answer;

/* Each of these waits. */
static int wait_in(mts_client *peer, const char *what)
{
	const void *bytes;
	size_t size;
	char buffer[8];
	switch (what[0]) {
	case 'n':
		return mts_client_next(peer, &bytes, &size);
	case 'l':
		return mts_client_read_line(peer, &bytes, &size);
	case 'e':
		return (int)mts_client_read_exact(peer, buffer, sizeof(buffer));
	default:
		return (int)mts_client_read(peer, buffer, 1);
	}
}

/* Inside a handler: they are told, and can still say good-bye. */
static int converse(mts_client *peer, const void *request, size_t size, void *user)
{
	const bool read = memcmp(request, "read", 4) == 0;
	(void)size;
	(void)user;
	fault_inside(true);
	answer = wait_in(peer, request);
	gate_add(&told);
	(void)mts_client_puts(peer, "good-bye\n");
	return read ? MTS_KEEP : MTS_CLOSE;
}

static const struct {
	const char *request;
	enum mtsi_wait kind;
	uint64_t seconds;
	int reason;
} conversations[] = {
	{"next\n", MTSI_WAIT_IDLE, IDLE, MTS_CLOSED_IDLE},
	{"next\nhalf", MTSI_WAIT_REQUEST, REQUEST, MTS_CLOSED_REQUEST_TIMEOUT},
	{"read\n", MTSI_WAIT_REQUEST, REQUEST, MTS_CLOSED_REQUEST_TIMEOUT},
	{"line\n", MTSI_WAIT_REQUEST, REQUEST, MTS_CLOSED_REQUEST_TIMEOUT},
	{"line\nhalf", MTSI_WAIT_REQUEST, REQUEST, MTS_CLOSED_REQUEST_TIMEOUT},
	{"exact\n", MTSI_WAIT_REQUEST, REQUEST, MTS_CLOSED_REQUEST_TIMEOUT},
	{"exact\nhalf", MTSI_WAIT_REQUEST, REQUEST, MTS_CLOSED_REQUEST_TIMEOUT},
};

START_TEST(inside_a_handler)
{
	told = (struct gate)GATE;
	moment_begin(converse);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, conversations[_i].request);
	server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
	moment_waits_for(conversations[_i].kind);
	moment_stop(true);
	moment_pass(moment_since() + conversations[_i].seconds * MTSI_SECOND);
	gate_wait(&told, 1);
	ck_assert_int_eq(answer, -ETIMEDOUT);
	peer_puts(peer, "more\n"); /* is not listened to any more */
	peer_expect_text(peer, "good-bye\n");
	peer_expect_gone(peer);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_REQUESTS), 1);
	moment_end(peer, conversations[_i].reason);
}
END_TEST

static int gone[3];

/* It runs for too long, and learns so; and so it does after a call that waits. */
static int ask_and_hold(mts_client *peer, const void *request, size_t size, void *user)
{
	gone[0] = mts_client_gone(peer);
	gate_add(&scene.entered);
	scene_wait(&scene.release, gate_count(&scene.entered));
	gone[1] = mts_client_gone(peer);
	if (gone[1] != 0) {
		(void)mts_client_next(peer, &request, &size);
	}
	gone[2] = mts_client_gone(peer);
	(void)user;
	return scene_echo(peer, request, size, user);
}

START_TEST(a_handler_that_runs_long)
{
	scene_make(&scene, ask_and_hold);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_HANDLER, 1000), 0);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "first\n");
	gate_wait(&scene.entered, 1);
	moment_stop(true);
	moment_pass(moment_since() + MTSI_SECOND);
	gate_wait(&scene.logs[MTS_LOG_WARNING], 1);
	gate_add(&scene.release);
	peer_ask(peer, "second\n");
	ck_assert_int_eq(gone[0], 0);
	ck_assert_int_eq(gone[1], MTS_GONE_DEADLINE);
	ck_assert_int_eq(gone[2], MTS_GONE_DEADLINE);
	/* The next call is another one. */
	gate_add(&scene.release);
	scene_ask(peer, "third");
	ck_assert_int_eq(gone[1], 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 1);
	peer_finish(peer);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_BY_PEER);
	ck_assert_int_eq(gate_count(&scene.logs[MTS_LOG_WARNING]), 1);
}
END_TEST

/* The handler's time counts from its beginning, also when it has waited in a call meanwhile. */
static int wait_then_hold(mts_client *peer, const void *request, size_t size, void *user)
{
	(void)mts_client_next(peer, &request, &size);
	return ask_and_hold(peer, request, size, user);
}

START_TEST(a_handler_that_has_waited)
{
	scene_make(&scene, wait_then_hold);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_HANDLER, 10000), 0);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	moment_stop(true);
	const uint64_t start = moment_now();
	peer_puts(peer, "first\n");
	server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_go_to(start + 5 * MTSI_SECOND);
	peer_puts(peer, "second\n");
	gate_wait(&scene.entered, 1);
	moment_pass((start + 511) / 512 * 512 + 10 * MTSI_SECOND);
	gate_add(&scene.release);
	peer_ask(peer, "third\n");
	ck_assert_int_eq(gone[1], MTS_GONE_DEADLINE);
	peer_finish(peer);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

static _Atomic int gone_in_open;

static int open_and_look(mts_client *client, void *user)
{
	atomic_store(&gone_in_open, mts_client_gone(client));
	gate_add(user);
	return 0;
}

/* The thread of a handler that was late serves another client next, which is not. */
START_TEST(the_next_client_is_not_late)
{
	scene_make(&scene, ask_and_hold);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_HANDLER, 1000), 0);
	ck_assert_int_eq(mts_server_set_max_threads(scene.server, 1), 0);
	ck_assert_int_eq(mts_server_on_open(scene.server, open_and_look, &scene.opened), 0);
	scene_start(&scene);
	const int first = peer_connect(scene.server, 0);
	peer_puts(first, "first\n");
	gate_wait(&scene.entered, 1);
	moment_stop(true);
	moment_pass(moment_since() + MTSI_SECOND);
	gate_add(&scene.release);
	peer_ask(first, "second\n");
	ck_assert_int_eq(gone[2], MTS_GONE_DEADLINE);
	close(first);
	gate_wait(&scene.closed, 1);
	atomic_store(&gone_in_open, -1);
	const int second = peer_connect(scene.server, 0);
	gate_wait(&scene.opened, 2);
	ck_assert_int_eq(atomic_load(&gone_in_open), 0);
	close(second);
	gate_wait(&scene.closed, 2);
	moment_stop(false);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("deadline of handlers");
	tcase_add_loop_test(cases, inside_a_handler, 0, 7);
	tcase_add_test(cases, a_handler_that_runs_long);
	tcase_add_test(cases, a_handler_that_has_waited);
	tcase_add_test(cases, the_next_client_is_not_late);
	return suite_run();
}
