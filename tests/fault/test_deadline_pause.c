/* SPDX-License-Identifier: MIT
 *
 * A pause of the process across a deadline: it was stopped, or starved, or the machine was suspended. What
 * has come meanwhile is taken, whoever comes first to look, the keeper or the owner; and what has not come
 * whole by then ends the client as ever.
 *
 * The owner is held right before its receive, as if it had no CPU, and the clock stands still.
 */
#include "moment.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "engine/client/wait.h"
#include "engine/run/keeper.h"
#include "engine/run/server.h"
#include "os/clock.h"
#include "os/socket.h"

enum { IDLE = 60, REQUEST = 30 }; /* the defaults, in seconds */
enum { KIND = MTSI_WORD_KIND, BLOCKED = MTSI_WORD_BLOCKED };

static _Atomic uint64_t held_kind; /* who begins such a wait is held; 0: nobody is */
static struct gate held;
static struct gate let_go;

/* On the thread of each receive: the first one that is about to wait in this way is held. */
static void hold(void)
{
	const struct mts_client *client = moment_client();
	const uint64_t word = atomic_load(&client->waits);
	uint64_t kind = word & KIND;
	if ((word & BLOCKED) != 0 && kind != 0
		&& atomic_compare_exchange_strong(&held_kind, &kind, 0)) {
		gate_add(&held);
		scene_wait(&let_go, 1);
	}
}

/* How a client is waited for: by a thread of its own, or in a call of its handler. */
enum way { OWN, NEXT, READ, WAYS };

static int answers[2];
static struct gate answered;

/* "next": echoes the next two requests as long as there are any; "read": one byte, then one more. */
static int converse(mts_client *peer, const void *request, size_t size, void *user)
{
	const bool next = size == 4 && memcmp(request, "next", 4) == 0;
	const bool read = size == 4 && memcmp(request, "read", 4) == 0;
	char byte;
	for (int i = 0; i < 2 && (next || read); i++) {
		answers[i] = next ? mts_client_next(peer, &request, &size)
						  : (int)mts_client_read(peer, &byte, 1);
		gate_add(&answered);
		if (answers[i] <= 0) {
			return answers[i];
		}
		(void)scene_echo(peer, next ? request : &byte, next ? size : 1, user);
		(void)mts_client_flush(peer);
	}
	return next || read ? MTS_KEEP : scene_echo(peer, request, size, user);
}

static bool can(enum way way)
{
	/* On demand nobody waits for a client between its requests: it is parked (test_deadline.c). */
	return way != OWN || test_model == MTS_THREAD_PER_CLIENT;
}

/* A client whose owner is held as it begins to wait in this way, after it has got `begun`. */
static int begin(enum way way, const char *begun, enum mtsi_wait kind)
{
	held = let_go = answered = (struct gate)GATE;
	scene_make(&scene, converse);
	scene_start(&scene);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	library_rests(); /* that wait has begun, so it is not the one that is held */
	moment_stop(true);
	atomic_store(&held_kind, kind);
	fault_hook(FAULT_RECV, hold);
	fault_fail(FAULT_RECV, FAULT_NOTHING, 0, FAULT_FOREVER);
	if (way == OWN) {
		peer_ask(peer, "now\n");
	} else {
		peer_puts(peer, way == NEXT ? "next\n" : "read\n");
	}
	peer_puts(peer, begun);
	gate_wait(&held, 1);
	return peer;
}

static void go_on(void)
{
	gate_add(&let_go);
}

/* Sends to the client whose owner is held; it is in its socket afterwards. */
static void put(int peer, const char *text)
{
	peer_puts(peer, text);
	wait_until(mtsi_socket_unread(moment_client()->fd) == strlen(text));
}

static void end(int peer, int reason)
{
	moment_end(peer, reason);
	ck_assert_int_eq(gate_count(&scene.logs[MTS_LOG_ERR]), 0);
	fault_clear(FAULT_RECV);
	fault_hook(FAULT_RECV, NULL);
}

static uint64_t due(enum mtsi_wait kind)
{
	return moment_since() + (kind == MTSI_WAIT_IDLE ? IDLE : REQUEST) * MTSI_SECOND;
}

static const struct {
	enum way way;
	const char *begun; /* what the owner has got before it is held */
	enum mtsi_wait kind; /* in this wait */
	const char *rest; /* makes it whole */
	const char *echo;
	int reason;
} waits[] = {
	{OWN, "", MTSI_WAIT_IDLE, "whole\n", "whole\n", MTS_CLOSED_IDLE},
	{OWN, "half ", MTSI_WAIT_REQUEST, "a line\n", "half a line\n", MTS_CLOSED_REQUEST_TIMEOUT},
	{NEXT, "", MTSI_WAIT_IDLE, "whole\n", "whole\n", MTS_CLOSED_IDLE},
	{NEXT, "half ", MTSI_WAIT_REQUEST, "a line\n", "half a line\n", MTS_CLOSED_REQUEST_TIMEOUT},
	{READ, "", MTSI_WAIT_REQUEST, "b", "b\n", MTS_CLOSED_REQUEST_TIMEOUT},
};
enum { WAITS = sizeof(waits) / sizeof(waits[0]) };

/* It has come before anybody looks, however late they do: the client is served, and stays. */
START_TEST(it_came_in_the_pause)
{
	static const uint64_t late[] = {0, 5, 3600};
	for (int i = 0; i < 3 && can(waits[_i].way); i++) {
		const int peer = begin(waits[_i].way, waits[_i].begun, waits[_i].kind);
		put(peer, waits[_i].rest);
		moment_go_to(due(waits[_i].kind) + late[i] * MTSI_SECOND);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
		go_on();
		peer_expect_text(peer, waits[_i].echo);
		peer_puts(peer, waits[_i].rest); /* that was not its last wait */
		peer_expect_text(peer, waits[_i].way == READ ? "b\n" : waits[_i].rest);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
		peer_finish(peer);
		peer_expect_end(peer);
		end(peer, MTS_CLOSED_BY_PEER);
	}
}
END_TEST

/* It comes when the keeper has looked, and before the owner does: it is served, and the last one. */
START_TEST(it_came_behind_the_mark)
{
	if (!can(waits[_i].way)) {
		return;
	}
	const int peer = begin(waits[_i].way, waits[_i].begun, waits[_i].kind);
	moment_pass(due(waits[_i].kind));
	put(peer, waits[_i].rest);
	go_on();
	peer_expect_text(peer, waits[_i].echo);
	peer_expect_end(peer);
	if (waits[_i].way != OWN) {
		gate_wait(&answered, 2);
		ck_assert_int_eq(answers[0], 1);
		ck_assert_int_eq(answers[1], -ETIMEDOUT);
	}
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 1);
	end(peer, waits[_i].reason);
}
END_TEST

/* A part of it comes in the pause. A request that had begun ends; one that begins now has its own time. */
START_TEST(a_part_came_in_the_pause)
{
	const bool begins = waits[_i].kind == MTSI_WAIT_IDLE;
	if (!can(waits[_i].way) || waits[_i].way == READ) {
		return;
	}
	const int peer = begin(waits[_i].way, waits[_i].begun, waits[_i].kind);
	const uint64_t ends = due(waits[_i].kind);
	put(peer, "a");
	moment_go_to(ends + 5 * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	go_on();
	if (begins) {
		moment_waits_for(MTSI_WAIT_REQUEST);
		ck_assert_uint_ge(moment_since(), ends + 5 * MTSI_SECOND);
		moment_pass(due(MTSI_WAIT_REQUEST));
	}
	peer_expect_end(peer);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 1);
	end(peer, MTS_CLOSED_REQUEST_TIMEOUT);
}
END_TEST

/* More than one receive takes lies there, whole: the client is served, and stays. */
START_TEST(a_large_request_came_in_the_pause)
{
	enum { SIZE = 60000 };
	static char large[SIZE + 1];
	if (!can((enum way)_i)) {
		return;
	}
	memset(large, 'x', SIZE - 1);
	large[SIZE - 1] = '\n';
	const int peer = begin((enum way)_i, "b", MTSI_WAIT_REQUEST);
	put(peer, large);
	moment_go_to(due(MTSI_WAIT_REQUEST) + 5 * MTSI_SECOND);
	go_on();
	peer_expect_text(peer, "b");
	peer_expect_text(peer, large);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	peer_finish(peer);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

static int want_many(mts_client *client, void *user)
{
	const int many = 100;
	(void)user;
	return setsockopt(mts_client_fd(client), SOL_SOCKET, SO_RCVLOWAT, &many, sizeof(many));
}

/* Few bytes do not wake an owner whose socket waits for many; that does not save it. */
START_TEST(what_wakes_nobody)
{
	static const unsigned pauses[] = {0, 10, 100, 1000}; /* milliseconds */
	answered = (struct gate)GATE;
	scene_make(&scene, converse);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "next\n");
	server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
	moment_waits_for(MTSI_WAIT_IDLE);
	wait_until((atomic_load(&moment_client()->waits) & BLOCKED) != 0);
	library_rests(); /* in its receive: one that begins later takes the few, and waits for the rest */
	moment_stop(true);
	ck_assert_int_eq(want_many(moment_client(), NULL), 0);
	put(peer, "few");
	moment_go_to(due(MTSI_WAIT_IDLE));
	for (int i = 1; i < 4; i++) {
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
		moment_go_to(moment_now() + pauses[i] * MTSI_MILLISECOND);
	}
	gate_wait(&answered, 1);
	ck_assert_int_eq(answers[0], -ETIMEDOUT);
	peer_expect_end(peer);
	moment_end(peer, MTS_CLOSED_IDLE);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("deadlines and pauses");
	tcase_add_loop_test(cases, it_came_in_the_pause, 0, WAITS);
	tcase_add_loop_test(cases, it_came_behind_the_mark, 0, WAITS);
	tcase_add_loop_test(cases, a_part_came_in_the_pause, 0, WAITS);
	tcase_add_loop_test(cases, a_large_request_came_in_the_pause, 0, READ);
	tcase_add_test(cases, what_wakes_nobody);
	return suite_run();
}
