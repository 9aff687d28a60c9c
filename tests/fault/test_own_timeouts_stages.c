/* SPDX-License-Identifier: MIT
 *
 * Timeouts of single clients that are chosen, or changed at the server, while the client is in the midst of
 * what they bound: its output waits, it lingers, its reply is deferred. On a clock that the test moves.
 */
#include "moment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/run/server.h"
#include "os/clock.h"

enum {
	IDLE = 60,
	LINGER = 2,
	LATER = 60,
	OWN = 5
}; /* the server's defaults, and another one, in seconds */

static void set_server(int which, unsigned milliseconds)
{
	ck_assert_int_eq(mts_server_set_timeout(scene.server, which, milliseconds), 0);
}

/* "pour" leaves output that waits; "write N" chooses that timeout. */
static int pour_or_choose(mts_client *client, const void *request, size_t size, void *user)
{
	const char *text = request;
	if (strcmp(text, "pour") == 0) {
		return scene_pour(client, "8000000", size, user);
	}
	const unsigned chosen = (unsigned)strtoul(text + strlen("write "), NULL, 10);
	if (mts_client_set_timeout(client, MTS_TIMEOUT_WRITE, chosen) == 0) {
		gate_add(&scene.entered);
	}
	return MTS_KEEP;
}

/* A client of which much output waits, and that is stuck for ever. */
static int begin_stuck(unsigned server)
{
	scene_make(&scene, pour_or_choose);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 64 * 1024 * 1024), 0);
	set_server(MTS_TIMEOUT_IDLE, 0);
	set_server(MTS_TIMEOUT_WRITE, server);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "pour\n");
	(void)moment_is_stuck();
	moment_waits_for(MTSI_WAIT_IDLE);
	return peer;
}

static void choose_write(int peer, const char *line)
{
	const int before = gate_count(&scene.entered);
	peer_puts(peer, line);
	gate_wait(&scene.entered, before + 1);
	moment_waits_for(MTSI_WAIT_IDLE);
}

/* What the kernel still had on its way at the first look counts as progress. */
static void pass_stuck(uint64_t timeout)
{
	for (int i = 0; i < 10 && mts_server_stat(scene.server, MTS_STAT_TIMEOUTS) == 0; i++) {
		const uint64_t deadline = moment_is_stuck() + timeout;
		if (deadline - 1 > moment_now()) {
			moment_go_to(deadline - 1);
		}
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
		moment_go_to(deadline);
	}
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
}

static const struct {
	unsigned server;
	const char *first; /* NULL: it has none at first */
	const char *then;
	unsigned expected;
} outputs[] = {
	{30000, NULL, "write 5000\n", 5000},
	{1000, NULL, "write 5000\n", 5000},
	{0, NULL, "write 5000\n", 5000},
	{30000, "write 5000\n", "write 60000\n", 60000},
	{30000, "write 5000\n", "write 4294967295\n", 30000},
	{30000, "write 0\n", "write 7000\n", 7000},
};
enum { OUTPUTS = sizeof(outputs) / sizeof(outputs[0]) };

/* By a later request, which it gets as less waits than may. The wait has begun before, and is measured so. */
START_TEST(while_output_waits)
{
	moment_stop(true);
	const int peer = begin_stuck(outputs[_i].server);
	if (outputs[_i].first != NULL) {
		choose_write(peer, outputs[_i].first);
	}
	choose_write(peer, outputs[_i].then);
	pass_stuck(outputs[_i].expected * MTSI_MILLISECOND);
	moment_end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* What changes at the server reaches one that has none of its own, and no other. */
START_TEST(the_server_s_while_output_waits)
{
	moment_stop(true);
	const int peer = begin_stuck(30000);
	if (_i == 1) {
		choose_write(peer, "write 8000\n");
	}
	set_server(MTS_TIMEOUT_WRITE, OWN * 1000);
	pass_stuck((_i == 1 ? 8 : OWN) * MTSI_SECOND);
	moment_end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

static unsigned chosen_at_the_end;

static void choose_in_close(mts_client *client, int reason, void *user)
{
	struct scene *its = user;
	if (mts_client_set_timeout(client, MTS_TIMEOUT_LINGER, chosen_at_the_end) == 0) {
		gate_add(&its->reasons[reason]);
	}
	gate_add(&its->closed);
}

static void expect_lingering_until(uint64_t moment)
{
	moment_go_to(moment - 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 1);
	moment_go_to(moment);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
}

static const unsigned lingers[] = {1, OWN * 1000, MTS_TIMEOUT_INHERIT};

/* In its last callback; and whatever the server's is, before or while it lingers. */
START_TEST(in_the_close_hook)
{
	const unsigned chosen = lingers[_i % 3];
	const bool inherits = chosen == MTS_TIMEOUT_INHERIT;
	chosen_at_the_end = chosen;
	scene_make(&scene, scene_hold);
	ck_assert_int_eq(mts_server_on_close(scene.server, choose_in_close, &scene), 0);
	scene.held = scene_close;
	moment_stop(true);
	scene_start(&scene);
	const int peer = scene_linger(&scene);
	const uint64_t now = moment_now();
	unsigned expected = inherits ? LINGER * 1000 : chosen;
	if (_i >= 3) {
		set_server(MTS_TIMEOUT_LINGER, 9 * 1000);
		expected = inherits ? 9 * 1000 : chosen;
	}
	expect_lingering_until(now + expected * MTSI_MILLISECOND);
	ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_BY_HANDLER]), 1);
	moment_stop(false);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* It never ends by itself: its peer goes. */
START_TEST(lingering_without_end)
{
	chosen_at_the_end = 0;
	scene_make(&scene, scene_hold);
	ck_assert_int_eq(mts_server_on_close(scene.server, choose_in_close, &scene), 0);
	scene.held = scene_close;
	moment_stop(true);
	scene_start(&scene);
	const int peer = scene_linger(&scene);
	set_server(MTS_TIMEOUT_LINGER, 1);
	moment_go_to(moment_now() + 1000 * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 1);
	moment_stop(false);
	close(peer);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
	scene_end(&scene);
}
END_TEST

static _Atomic int64_t ticket;

/* "before N", "after N": its own timeout, and the ticket after or before that; "none": only a ticket. */
static int defer(mts_client *client, const void *request, size_t size, void *user)
{
	const char *text = request;
	const char *number = strchr(text, ' ');
	if (strcmp(text, "echo") == 0) {
		return scene_echo(client, request, size, user);
	}
	if (text[0] == 'b') {
		(void)mts_client_set_timeout(
			client, MTS_TIMEOUT_LATER, (unsigned)strtoul(number, NULL, 10));
	}
	ticket = mts_client_defer(client);
	if (text[0] == 'a') {
		(void)mts_client_set_timeout(
			client, MTS_TIMEOUT_LATER, (unsigned)strtoul(number, NULL, 10));
	}
	(void)mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, 1); /* does not matter meanwhile */
	return MTS_LATER;
}

static int begin_deferred(const char *line)
{
	moment_begin(defer);
	moment_stop(true);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, line);
	moment_waits_for(MTSI_WAIT_LATER);
	return peer;
}

static const struct {
	const char *line;
	unsigned server; /* is set once the reply is owed; 0: is not */
	unsigned expected;
} deferrals[] = {
	{"before 5000\n", 0, 5000},
	{"before 100000\n", 0, 100000},
	{"before 5000\n", 1000, 5000},
	{"before 4294967295\n", 0, LATER * 1000},
	{"after 5000\n", 0, 5000},
	{"after 100000\n", 0, 100000},
	{"after 5000\n", 300000, 5000},
	{"none\n", 3000, 3000},
	{"none\n", 90000, 90000},
};
enum { DEFERRALS = sizeof(deferrals) / sizeof(deferrals[0]) };

START_TEST(while_deferred)
{
	const int peer = begin_deferred(deferrals[_i].line);
	if (deferrals[_i].server != 0) {
		set_server(MTS_TIMEOUT_LATER, deferrals[_i].server);
	}
	moment_pass(moment_since() + deferrals[_i].expected * MTSI_MILLISECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_LATER_TIMEOUT);
}
END_TEST

/* For ever, whatever the server's is; and then its own idle timeout holds again. */
START_TEST(deferred_without_end)
{
	const int peer = begin_deferred("before 0\n");
	set_server(MTS_TIMEOUT_LATER, 1);
	moment_go_to(moment_now() + 1000 * LATER * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	const uint64_t id = atomic_load(&moment_client()->id);
	ck_assert_int_eq(mts_server_send(scene.server, id, "at last\n", 8), 0);
	ck_assert_int_eq(mts_server_complete(scene.server, id, ticket, MTS_KEEP), 0);
	peer_expect_text(peer, "at last\n");
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_pass(moment_since() + MTSI_MILLISECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_IDLE);
}
END_TEST

/* The next reply that is deferred has the same timeout; the time counts anew. */
START_TEST(deferred_again)
{
	const int peer = begin_deferred("before 5000\n");
	const uint64_t first = moment_since();
	moment_go_to(first + 4 * MTSI_SECOND);
	const uint64_t id = atomic_load(&moment_client()->id);
	peer_puts(peer, "none\n");
	ck_assert_int_eq(mts_server_complete(scene.server, id, ticket, MTS_KEEP), 0);
	wait_until(moment_since() > first);
	moment_waits_for(MTSI_WAIT_LATER);
	moment_pass(moment_since() + OWN * MTSI_SECOND);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_LATER_TIMEOUT);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("own timeouts, stages");
	tcase_add_loop_test(cases, while_output_waits, 0, OUTPUTS);
	tcase_add_loop_test(cases, the_server_s_while_output_waits, 0, 2);
	tcase_add_loop_test(cases, in_the_close_hook, 0, 6);
	tcase_add_test(cases, lingering_without_end);
	tcase_add_loop_test(cases, while_deferred, 0, DEFERRALS);
	tcase_add_test(cases, deferred_without_end);
	tcase_add_test(cases, deferred_again);
	return suite_run();
}
