/* SPDX-License-Identifier: MIT
 *
 * Deadlines on a clock that the test moves: none passes early, none is missed, each ends what it is for
 * and nothing else, and the close hook is told the true reason.
 */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/deadline.h"
#include "engine/keeper.h"
#include "engine/server.h"
#include "os/clock.h"
#include "os/socket.h"

enum { IDLE = 60, REQUEST = 30, WRITE = 30 }; /* the defaults, in seconds */

static struct scene scene;

/* The library's clock stands still, or goes on. */
static void stand_still(bool still)
{
	static bool stands;
	if (still != stands) {
		fault_clock_stop(still);
		stands = still;
	}
}

static uint64_t clock_now(void)
{
	fault_inside(true);
	const uint64_t now = mtsi_clock_now();
	fault_inside(false);
	return now;
}

/* The scene's only client; its id is the first that the server gives. */
static struct mts_client *client(void)
{
	struct mts_client *found = NULL;
	wait_until((found = mtsi_clients_find(scene.server, MTSI_FIRST_ID)) != NULL);
	return found;
}

/* Waits until the client is waited for, in this way. */
static void wait_until_waited_for(enum mtsi_wait kind)
{
	wait_until((atomic_load(&client()->waits) & 3) == (uint64_t)kind);
}

static uint64_t since(void)
{
	return atomic_load(&client()->waits) & ~UINT64_C(15);
}

static uint64_t stuck_since(void)
{
	return atomic_load(&client()->stuck_since);
}

static void wait_until_stuck(void)
{
	wait_until(stuck_since() != 0);
}

/* Sets the clock to that moment, and has the keeper look. */
static void go_to(uint64_t moment)
{
	const uint64_t now = clock_now();
	ck_assert_uint_ge(moment, now);
	fault_clock_ahead(moment - now);
	for (int i = 0; i < 3; i++) {
		fault_clear(scene_sleep());
		mtsi_keeper_wake(scene.server);
		fault_wait_count(scene_sleep(), 1);
	}
}

/* Goes to the last moment before the deadline, at which all is well, and then to the deadline. */
static void pass(uint64_t deadline)
{
	go_to(deadline - 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	go_to(deadline);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
}

/* Whether its handler waits in a write. */
static bool writes(void)
{
	mtsi_lock_take(&client()->lock);
	const bool writing = client()->writing;
	mtsi_lock_release(&client()->lock);
	return writing;
}

/* The same for output; what the kernel has still on its way counts as progress at first. */
static void pass_write(uint64_t timeouts, bool handler)
{
	for (int i = 0; i < 10 && mts_server_stat(scene.server, MTS_STAT_TIMEOUTS) == timeouts; i++) {
		if (handler) {
			wait_until(writes());
		}
		const uint64_t deadline = stuck_since() + WRITE * MTSI_SECOND;
		go_to(deadline - 1);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), timeouts);
		go_to(deadline);
	}
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, timeouts + 1);
}

static void begin(mts_handler handler)
{
	scene_make(&scene, handler);
	scene_start(&scene);
}

static void end(int peer, int reason)
{
	gate_wait(&scene.closed, 1);
	ck_assert_int_eq(gate_count(&scene.reasons[reason]), 1);
	close(peer);
	stand_still(false);
	scene_end(&scene);
}

START_TEST(idle)
{
	begin(scene_echo);
	const int peer = scene_visit(&scene);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	stand_still(true);
	pass(since() + IDLE * MTSI_SECOND);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_IDLE);
}
END_TEST

/* One that never says anything. */
START_TEST(idle_from_the_start)
{
	begin(scene_echo);
	const int peer = peer_connect(scene.server, 0);
	gate_wait(&scene.opened, 1);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	stand_still(true);
	pass(since() + IDLE * MTSI_SECOND);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(each_request_begins_anew)
{
	begin(scene_echo);
	const int peer = scene_visit(&scene);
	for (int i = 0; i < 5; i++) {
		wait_until_waited_for(MTSI_WAIT_IDLE);
		stand_still(true);
		const uint64_t last = since();
		go_to(last + IDLE * MTSI_SECOND - 1);
		scene_ask(peer, "still here");
		stand_still(false);
		wait_until(since() != last);
	}
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	peer_finish(peer);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* It has come in time; that nobody has looked is not the peer's fault. */
START_TEST(a_request_that_is_here_is_served)
{
	if (test_model != MTS_THREAD_ON_DEMAND) {
		return; /* there the worker takes it the moment that it comes */
	}
	begin(scene_echo);
	const int peer = scene_visit(&scene);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	fault_clock_ahead(2 * IDLE * MTSI_SECOND); /* and the keeper sleeps on */
	scene_ask(peer, "in time");
	mtsi_keeper_wake(scene.server);
	scene_ask(peer, "in time");
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	peer_finish(peer);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* However often a byte comes, the whole must come in time. */
START_TEST(a_request_that_drips)
{
	begin(scene_echo);
	const int peer = scene_visit(&scene);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	peer_puts(peer, "a");
	wait_until_waited_for(MTSI_WAIT_REQUEST);
	stand_still(true);
	const uint64_t first = since();
	for (unsigned i = 1; i < REQUEST; i++) {
		peer_puts(peer, "b");
		go_to(first + i * MTSI_SECOND);
	}
	ck_assert_uint_eq(since(), first);
	pass(first + REQUEST * MTSI_SECOND);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_REQUEST_TIMEOUT);
}
END_TEST

/* A large one, whose bytes never pause for long enough to be parked. */
START_TEST(a_request_in_time_stays)
{
	begin(scene_echo);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "a");
	wait_until_waited_for(MTSI_WAIT_REQUEST);
	stand_still(true);
	go_to(since() + REQUEST * MTSI_SECOND - 1);
	peer_puts(peer, "b\n");
	peer_expect_text(peer, "ab\n");
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	peer_finish(peer);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

static struct gate told; /* a handler has been told of a deadline */
static int answer;

static int pour(mts_client *peer, const void *request, size_t size, void *user)
{
	char piece[SCENE_PIECE] = {0};
	(void)request;
	(void)size;
	(void)user;
	int result;
	do {
		result = mts_client_write(peer, piece, sizeof(piece));
	} while (result == 0);
	answer = result;
	gate_add(&told);
	return MTS_KEEP;
}

static void begin_small(mts_handler handler)
{
	told = (struct gate)GATE;
	scene_make(&scene, handler);
	scene.small = true;
	scene_start(&scene);
}

/* A handler that waits for room is told so. */
START_TEST(a_write_without_progress)
{
	begin_small(pour);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "go on\n");
	wait_until_stuck();
	stand_still(true);
	pass_write(0, true);
	gate_wait(&told, 1);
	ck_assert_int_eq(answer, -ETIMEDOUT);
	end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* Replies that are left behind when the handler has returned. */
START_TEST(queued_output_without_progress)
{
	enum { PIECE = 4096 };
	begin_small(scene_pour);
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 64 * 1024 * 1024), 0);
	const int peer = peer_connect(scene.server, 0);
	small_buffers(peer);
	peer_puts(peer, "30000000\n");
	wait_until_stuck();
	wait_until_waited_for(MTSI_WAIT_IDLE);
	stand_still(true);
	const uint64_t begun = stuck_since();
	go_to(begun + 20 * MTSI_SECOND);
	/* What is read is progress, as soon as the kernel has told of room. */
	for (size_t position = 0; stuck_since() == begun; position += PIECE) {
		peer_expect_pattern(peer, PIECE, position);
	}
	ck_assert_uint_eq(stuck_since(), begun + 20 * MTSI_SECOND);
	pass_write(0, false);
	end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* One deadline of a client does not make the others forgotten. */
START_TEST(idle_passes_while_output_is_stuck)
{
	static const char much[8 * 1024 * 1024];
	begin_small(scene_echo);
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 64 * 1024 * 1024), 0);
	const int peer = scene_visit(&scene);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	stand_still(true);
	const uint64_t begun = since();
	go_to(begun + 40 * MTSI_SECOND);
	fault_inside(true); /* on the library's clock */
	const int result = mts_server_send(scene.server, MTSI_FIRST_ID, much, sizeof(much));
	fault_inside(false);
	ck_assert_int_eq(result, 0);
	go_to(begun + IDLE * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
	pass_write(1, false);
	/* With a thread of its own it is told of the first one. */
	end(peer, test_model == MTS_THREAD_ON_DEMAND ? MTS_CLOSED_WRITE_TIMEOUT : MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(a_handler_overruns_while_it_writes)
{
	begin_small(pour);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_HANDLER, 1000), 0);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "go on\n");
	wait_until_stuck();
	stand_still(true);
	go_to(clock_now() + 2 * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
	pass_write(1, true);
	gate_wait(&told, 1);
	ck_assert_int_eq(answer, -ETIMEDOUT);
	end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* A peer that takes a little at a time: the kernel tells of room only when there is much. */
START_TEST(a_slow_reader_stays)
{
	char piece[2000];
	begin_small(pour);
	const int peer = peer_connect(scene.server, 0);
	small_buffers(peer);
	peer_puts(peer, "go on\n");
	wait_until_stuck();
	stand_still(true);
	for (int i = 0; i < 20; i++) {
		const uint64_t stuck = stuck_since();
		go_to(stuck + (WRITE - 1) * MTSI_SECOND);
		const size_t before = mtsi_socket_unacknowledged(client()->fd);
		while (mtsi_socket_unacknowledged(client()->fd) >= before && stuck_since() == stuck) {
			(void)recv(peer, piece, sizeof(piece), MSG_DONTWAIT);
		}
		go_to(stuck + WRITE * MTSI_SECOND);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	}
	pass_write(0, true);
	end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* Inside a handler: "next" and "read" wait, are told, and can still say good-bye. */
static int converse(mts_client *peer, const void *request, size_t size, void *user)
{
	char byte;
	const bool read = memcmp(request, "read", 4) == 0;
	(void)user;
	fault_inside(true);
	answer = read ? (int)mts_client_read(peer, &byte, 1) : mts_client_next(peer, &request, &size);
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
};

START_TEST(inside_a_handler)
{
	told = (struct gate)GATE;
	begin(converse);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, conversations[_i].request);
	server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
	wait_until_waited_for(conversations[_i].kind);
	stand_still(true);
	pass(since() + conversations[_i].seconds * MTSI_SECOND);
	gate_wait(&told, 1);
	ck_assert_int_eq(answer, -ETIMEDOUT);
	peer_puts(peer, "more\n"); /* is not listened to any more */
	peer_expect_text(peer, "good-bye\n");
	peer_expect_gone(peer);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_REQUESTS), 1);
	end(peer, conversations[_i].reason);
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
	stand_still(true);
	pass(since() + MTSI_SECOND);
	gate_wait(&scene.logs[MTS_LOG_WARNING], 1);
	gate_add(&scene.release);
	peer_puts(peer, "second\n");
	peer_expect_text(peer, "second\n");
	ck_assert_int_eq(gone[0], 0);
	ck_assert_int_eq(gone[1], MTS_GONE_DEADLINE);
	ck_assert_int_eq(gone[2], MTS_GONE_DEADLINE);
	/* The next call is another one. */
	gate_add(&scene.release);
	scene_ask(peer, "third");
	ck_assert_int_eq(gone[1], 0);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 1);
	ck_assert_int_eq(gate_count(&scene.logs[MTS_LOG_WARNING]), 1);
	peer_finish(peer);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_BY_PEER);
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
	stand_still(true);
	const uint64_t start = clock_now();
	peer_puts(peer, "first\n");
	server_wait_stat(scene.server, MTS_STAT_BUSY, 1);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	go_to(start + 5 * MTSI_SECOND);
	peer_puts(peer, "second\n");
	gate_wait(&scene.entered, 1);
	pass((start + 15) / 16 * 16 + 10 * MTSI_SECOND);
	gate_add(&scene.release);
	peer_puts(peer, "third\n");
	peer_expect_text(peer, "third\n");
	ck_assert_int_eq(gone[1], MTS_GONE_DEADLINE);
	peer_finish(peer);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_BY_PEER);
}
END_TEST

START_TEST(shortened_while_it_waits)
{
	begin(scene_echo);
	const int peer = scene_visit(&scene);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	stand_still(true);
	const uint64_t begun = since();
	go_to(begun + 10 * MTSI_SECOND);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 20000), 0);
	pass(begun + 20 * MTSI_SECOND);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(shortened_to_what_has_passed)
{
	begin(scene_echo);
	const int peer = scene_visit(&scene);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	fault_clock_ahead(10 * MTSI_SECOND);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 5000), 0);
	peer_expect_end(peer); /* nobody has to wake the keeper */
	end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(lengthened_and_ended)
{
	begin(scene_echo);
	const int peer = scene_visit(&scene);
	wait_until_waited_for(MTSI_WAIT_IDLE);
	stand_still(true);
	const uint64_t begun = since();
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 0), 0);
	go_to(begun + 10000 * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 20000000), 0);
	pass(begun + 20000 * MTSI_SECOND);
	peer_expect_end(peer);
	end(peer, MTS_CLOSED_IDLE);
}
END_TEST

START_TEST(lingering)
{
	scene_make(&scene, scene_hold);
	scene.held = scene_close;
	scene_start(&scene);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_LINGER, 0), 0);
	stand_still(true);
	const int peer = scene_linger(&scene);
	go_to(clock_now() + 3600 * MTSI_SECOND);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_LINGERING), 1);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_LINGER, 3601000), 0);
	pass(clock_now() + MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_LINGERING, 0);
	end(peer, MTS_CLOSED_BY_HANDLER);
}
END_TEST

/* Many clients, each with a beginning of its own: each ends at its own time. */
START_TEST(one_after_the_other)
{
	enum { MANY = 50 };
	int peers[MANY];
	begin(scene_echo);
	for (int i = 0; i < MANY; i++) {
		peers[i] = scene_visit(&scene);
		fault_clock_ahead(MTSI_SECOND);
	}
	for (int i = 0; i < MANY; i++) {
		fault_clock_ahead((i == 0 ? IDLE - MANY + 1 : 1) * MTSI_SECOND);
		mtsi_keeper_wake(scene.server);
		peer_expect_end(peers[i]);
		ck_assert_int_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS) >= (uint64_t)i + 1, true);
		close(peers[i]);
	}
	server_wait_stat(scene.server, MTS_STAT_OPEN, 0);
	ck_assert_int_eq(gate_count(&scene.reasons[MTS_CLOSED_IDLE]), MANY);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("deadline");
	TCase *cases = tcase_create("deadline");
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, idle);
	tcase_add_test(cases, idle_from_the_start);
	tcase_add_test(cases, each_request_begins_anew);
	tcase_add_test(cases, a_request_that_is_here_is_served);
	tcase_add_test(cases, a_request_that_drips);
	tcase_add_test(cases, a_request_in_time_stays);
	tcase_add_test(cases, a_write_without_progress);
	tcase_add_test(cases, queued_output_without_progress);
	tcase_add_test(cases, idle_passes_while_output_is_stuck);
	tcase_add_test(cases, a_handler_overruns_while_it_writes);
	tcase_add_test(cases, a_slow_reader_stays);
	tcase_add_loop_test(cases, inside_a_handler, 0, 3);
	tcase_add_test(cases, a_handler_that_runs_long);
	tcase_add_test(cases, a_handler_that_has_waited);
	tcase_add_test(cases, shortened_while_it_waits);
	tcase_add_test(cases, shortened_to_what_has_passed);
	tcase_add_test(cases, lengthened_and_ended);
	tcase_add_test(cases, lingering);
	tcase_add_test(cases, one_after_the_other);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
