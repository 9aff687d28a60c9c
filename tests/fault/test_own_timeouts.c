/* SPDX-License-Identifier: MIT
 *
 * Timeouts of single clients, on a clock that the test moves: they hold instead of the server's, to the
 * moment, whenever they are chosen, and for this client alone.
 */
#include "moment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/run/server.h"
#include "os/clock.h"

enum { IDLE = 60, OWN = 5 }; /* the server's default, and another one, in seconds */

/* The request says which, and how many milliseconds; the reply is the result. */
static int choose(mts_client *client, const void *request, size_t size, void *user)
{
	char *rest;
	const int which = (int)strtol(request, &rest, 10);
	const int result = mts_client_set_timeout(client, which, (unsigned)strtoul(rest, NULL, 10));
	(void)size;
	(void)user;
	(void)mts_client_printf(client, "%d\n", result);
	return MTS_KEEP;
}

static void ask_for(int peer, int which, unsigned milliseconds)
{
	char request[32];
	(void)snprintf(request, sizeof(request), "%d %u\n", which, milliseconds);
	peer_puts(peer, request);
	peer_expect_text(peer, "0\n");
}

static void set_server(int which, unsigned milliseconds)
{
	ck_assert_int_eq(mts_server_set_timeout(scene.server, which, milliseconds), 0);
}

/* A client that waits for its next request, by the server's timeout so far. */
static int begin_idle(void)
{
	moment_begin(choose);
	const int peer = peer_connect(scene.server, 0);
	ask_for(peer, MTS_TIMEOUT_REQUEST, MTS_TIMEOUT_INHERIT);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	return peer;
}

/* It asks for a timeout, and waits again. Returns since when. */
static uint64_t idle_by(int peer, int which, unsigned milliseconds)
{
	moment_go_to(moment_now() + MTSI_SECOND); /* so this wait can be told from the one before */
	const uint64_t before = moment_since();
	ask_for(peer, which, milliseconds);
	wait_until(moment_since() > before);
	moment_waits_for(MTSI_WAIT_IDLE);
	return moment_since();
}

static void end_idle(int peer, uint64_t deadline)
{
	moment_pass(deadline);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_IDLE);
}

/* The client is in the heap, for much later or much earlier. */
static const unsigned choices[] = {1, OWN * 1000, 59999, 60001, 600 * 1000};

START_TEST(idle)
{
	const int peer = begin_idle();
	const uint64_t since = idle_by(peer, MTS_TIMEOUT_IDLE, choices[_i]);
	end_idle(peer, since + choices[_i] * MTSI_MILLISECOND);
}
END_TEST

START_TEST(idle_never_and_inherited_again)
{
	const int peer = begin_idle();
	const uint64_t since = idle_by(peer, MTS_TIMEOUT_IDLE, 0);
	moment_go_to(since + 1000 * IDLE * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	end_idle(peer, idle_by(peer, MTS_TIMEOUT_IDLE, MTS_TIMEOUT_INHERIT) + IDLE * MTSI_SECOND);
}
END_TEST

/* What changes at the server meanwhile is nothing to it, until it inherits again. */
START_TEST(the_server_s_changes_meanwhile)
{
	const int peer = begin_idle();
	uint64_t since = idle_by(peer, MTS_TIMEOUT_IDLE, OWN * 1000);
	set_server(MTS_TIMEOUT_IDLE, 1000);
	moment_go_to(since + 3 * MTSI_SECOND);
	since = idle_by(peer, MTS_TIMEOUT_IDLE, 2 * OWN * 1000);
	set_server(MTS_TIMEOUT_IDLE, 0);
	moment_go_to(since + (2 * OWN - 2) * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	since = idle_by(peer, MTS_TIMEOUT_IDLE, MTS_TIMEOUT_INHERIT);
	moment_go_to(since + 100 * IDLE * MTSI_SECOND);
	set_server(MTS_TIMEOUT_IDLE, 1000 * 1000 * 1000);
	end_idle(peer, since + 1000 * 1000 * MTSI_SECOND);
}
END_TEST

START_TEST(a_request)
{
	const int peer = begin_idle();
	ask_for(peer, MTS_TIMEOUT_REQUEST, choices[_i]);
	peer_puts(peer, "half");
	moment_waits_for(MTSI_WAIT_REQUEST);
	moment_pass(moment_since() + choices[_i] * MTSI_MILLISECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_REQUEST_TIMEOUT);
}
END_TEST

/* In one call of the handler: a wait that the client is in the heap for already, then by its own. */
static int choose_and_wait(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	(void)mts_client_next(client, &request, &size);
	(void)mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, OWN * 1000);
	(void)mts_client_puts(client, "now\n");
	return mts_client_next(client, &request, &size) == -ETIMEDOUT ? MTS_CLOSE : -EINVAL;
}

START_TEST(idle_in_a_handler)
{
	moment_begin(choose_and_wait);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "first\n");
	server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	const uint64_t before = moment_since();
	moment_go_to(before + MTSI_SECOND);
	peer_puts(peer, "second\n");
	peer_expect_text(peer, "now\n");
	wait_until(moment_since() > before);
	moment_waits_for(MTSI_WAIT_IDLE);
	end_idle(peer, moment_since() + OWN * MTSI_SECOND);
}
END_TEST

/* Each call is told its new timeout, and goes on by the one with which it began. */
static unsigned next_timeout;
static int gone;

static int choose_and_hold(mts_client *client, const void *request, size_t size, void *user)
{
	(void)mts_client_set_timeout(client, MTS_TIMEOUT_HANDLER, next_timeout);
	scene_wait(&scene.release, gate_add(&scene.entered));
	gone = mts_client_gone(client);
	return scene_echo(client, request, size, user);
}

static void hold(int peer, int call, unsigned next)
{
	next_timeout = next;
	peer_puts(peer, "hold\n");
	gate_wait(&scene.entered, call);
}

static void let_go(int peer, int expected)
{
	gate_add(&scene.release);
	peer_expect_text(peer, "hold\n");
	ck_assert_int_eq(gone, expected);
}

START_TEST(handler)
{
	scene_make(&scene, choose_and_hold);
	set_server(MTS_TIMEOUT_HANDLER, 10 * 1000);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	moment_stop(true);
	hold(peer, 1, OWN * 1000);
	moment_pass(moment_since() + 10 * MTSI_SECOND); /* the server's, with which it began */
	let_go(peer, MTS_GONE_DEADLINE);
	hold(peer, 2, 0);
	const uint64_t since = moment_since();
	moment_go_to(since + OWN * MTSI_SECOND - 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 1);
	moment_go_to(since + OWN * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 2);
	let_go(peer, MTS_GONE_DEADLINE);
	hold(peer, 3, MTS_TIMEOUT_INHERIT);
	moment_go_to(moment_now() + 1000 * MTSI_SECOND);
	let_go(peer, 0);
	hold(peer, 4, 0);
	moment_go_to(moment_since() + 10 * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 3);
	let_go(peer, MTS_GONE_DEADLINE);
	peer_finish(peer);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

START_TEST(handler_though_the_server_has_none)
{
	moment_begin(choose_and_hold);
	const int peer = peer_connect(scene.server, 0);
	moment_stop(true);
	hold(peer, 1, 1000);
	moment_go_to(moment_now() + 10 * MTSI_SECOND);
	let_go(peer, 0);
	hold(peer, 2, 1000);
	moment_pass(moment_since() + MTSI_SECOND);
	let_go(peer, MTS_GONE_DEADLINE);
	peer_finish(peer);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* Output that waits already. */
static int pour_and_choose(mts_client *client, const void *request, size_t size, void *user)
{
	(void)scene_pour(client, "8000000", 0, user);
	return choose(client, request, size, user);
}

static const struct {
	unsigned server;
	unsigned own;
} writes[] = {{30 * 1000, OWN * 1000}, {1000, OWN * 1000}, {0, OWN * 1000}};

START_TEST(write_while_output_waits)
{
	scene_make(&scene, pour_and_choose);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 64 * 1024 * 1024), 0);
	set_server(MTS_TIMEOUT_IDLE, 0);
	set_server(MTS_TIMEOUT_WRITE, writes[_i].server);
	moment_stop(true);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	char request[32];
	(void)snprintf(request, sizeof(request), "%d %u\n", MTS_TIMEOUT_WRITE, writes[_i].own);
	peer_puts(peer, request);
	(void)moment_is_stuck();
	moment_waits_for(MTSI_WAIT_IDLE);
	for (int i = 0; i < 10 && mts_server_stat(scene.server, MTS_STAT_TIMEOUTS) == 0; i++) {
		const uint64_t deadline = moment_is_stuck() + writes[_i].own * MTSI_MILLISECOND;
		moment_go_to(deadline - 1);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
		moment_go_to(deadline);
	}
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
	moment_end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* For scene_hold(). */
static int linger_for_long(mts_client *client)
{
	return mts_client_set_timeout(client, MTS_TIMEOUT_LINGER, 10 * 1000) == 0 ? MTS_CLOSE : -1;
}

START_TEST(linger)
{
	scene_make(&scene, scene_hold);
	scene.held = linger_for_long;
	moment_stop(true);
	scene_start(&scene);
	const int long_one = scene_linger(&scene);
	scene.held = scene_close;
	const int usual_one = scene_linger(&scene);
	const uint64_t now = moment_now();
	moment_go_to(now + 2 * MTSI_SECOND - 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 2);
	moment_go_to(now + 2 * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 1);
	set_server(MTS_TIMEOUT_LINGER, 1);
	moment_go_to(now + 10 * MTSI_SECOND - 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 1);
	moment_go_to(now + 10 * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
	moment_stop(false);
	close(long_one);
	close(usual_one);
	scene_end(&scene);
}
END_TEST

/* Who gets the slot of one that is gone has nothing of it. */
START_TEST(the_next_client_in_its_place)
{
	moment_begin(choose);
	const int before = peer_connect(scene.server, 0);
	ask_for(before, MTS_TIMEOUT_IDLE, OWN * 1000);
	ask_for(before, MTS_TIMEOUT_REQUEST, 1);
	close(before);
	server_wait_stat(scene.server, MTS_STAT_OPEN, 0);
	gate_wait(&scene.closed, 1);
	const uint64_t id = 2 * MTSI_FIRST_ID; /* the same slot, if it was free by then */
	int peer = -1;
	for (int i = 0; i < 100 && mtsi_clients_find(scene.server, id) == NULL; i++) {
		peer = peer_connect(scene.server, 0);
		ask_for(peer, MTS_TIMEOUT_WRITE, MTS_TIMEOUT_INHERIT);
	}
	const struct mts_client *client = mtsi_clients_find(scene.server, id);
	ck_assert_ptr_nonnull(client);
	wait_until((atomic_load(&client->waits) & 3) == MTSI_WAIT_IDLE);
	moment_stop(true);
	const uint64_t since = atomic_load(&client->waits) & ~UINT64_C(255);
	moment_go_to(since + IDLE * MTSI_SECOND - 1 - MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	moment_go_to(since + IDLE * MTSI_SECOND);
	peer_expect_end(peer);
	moment_stop(false);
	close(peer);
	scene_end(&scene);
}
END_TEST

static int choose_without_memory(mts_client *client, const void *request, size_t size, void *user)
{
	fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
	const int result = mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, 1);
	/* To have none of its own takes no memory. */
	const int none = mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, MTS_TIMEOUT_INHERIT);
	fault_clear(FAULT_MEMORY);
	(void)request;
	(void)size;
	(void)user;
	(void)mts_client_printf(client, "%d %d\n", result == -ENOMEM, none);
	return MTS_KEEP;
}

START_TEST(without_memory)
{
	moment_begin(choose_without_memory);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "go on\n");
	peer_expect_text(peer, "1 0\n");
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	end_idle(peer, moment_since() + IDLE * MTSI_SECOND);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("own timeouts");
	tcase_add_loop_test(cases, idle, 0, 5);
	tcase_add_test(cases, idle_never_and_inherited_again);
	tcase_add_test(cases, the_server_s_changes_meanwhile);
	tcase_add_loop_test(cases, a_request, 0, 5);
	tcase_add_test(cases, idle_in_a_handler);
	tcase_add_test(cases, handler);
	tcase_add_test(cases, handler_though_the_server_has_none);
	tcase_add_loop_test(cases, write_while_output_waits, 0, 3);
	tcase_add_test(cases, linger);
	tcase_add_test(cases, the_next_client_in_its_place);
	tcase_add_test(cases, without_memory);
	return suite_run();
}
