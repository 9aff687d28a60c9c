/* SPDX-License-Identifier: MIT
 *
 * What a service manager is told, on a clock that the test moves, and when what it takes cannot be had:
 * to the moment, only once a thread is there, and later rather than never.
 */
#include "moment.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../api/service.h"
#include "engine/door/floor.h"
#include "engine/run/server.h"
#include "os/clock.h"

static int manager;
static int overload; /* what the scene does with clients for whom there is no room */

enum { PERIOD = 30 }; /* of the manager's watchdog, in seconds */

static void setup(void)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "@mts-notify-fault-%d", (int)getpid());
	manager = manager_open(name);
	overload = MTS_OVERLOAD_WAIT;
}

static void teardown(void)
{
	close(manager);
}

/* A scene that is told of; not started. */
static void make(mts_handler handler)
{
	scene_make(&scene, handler);
	ck_assert_int_eq(mts_server_set_overload(scene.server, overload), 0);
	ck_assert_int_eq(mts_server_set_notify(scene.server, 1), 0);
}

static void expect_ready(void)
{
	char text[256];
	(void)snprintf(
		text, sizeof(text), "READY=1\nSTATUS=serving on %s", mts_server_address(scene.server, 0));
	manager_expect(manager, text);
}

/* Starts a watched scene on a clock that stands still; returns its time. */
static uint64_t start_watched(mts_handler handler, unsigned threads)
{
	setenv("WATCHDOG_USEC", "30000000", 1);
	make(handler);
	ck_assert_int_eq(mts_server_set_max_threads(scene.server, threads), 0);
	moment_stop(true);
	const uint64_t now = moment_now();
	scene_start(&scene);
	expect_ready();
	manager_expect(manager, "WATCHDOG=1");
	return now;
}

static void end_watched(void)
{
	moment_stop(false);
	scene_end(&scene);
}

START_TEST(three_times_a_period)
{
	const uint64_t start = start_watched(scene_echo, 0);
	for (uint64_t i = 1; i <= 10; i++) {
		const uint64_t due = start + i * PERIOD * MTSI_SECOND / 3;
		moment_go_to(due - 1);
		ck_assert(manager_hears_nothing(manager, 0));
		moment_go_to(due);
		manager_expect(manager, "WATCHDOG=1");
		ck_assert(manager_hears_nothing(manager, 0));
	}
	/* The machine was suspended: it is told once, for all that was missed. */
	moment_go_to(start + 1000 * PERIOD * MTSI_SECOND);
	manager_expect(manager, "WATCHDOG=1");
	ck_assert(manager_hears_nothing(manager, 0));
	end_watched();
}
END_TEST

/* With the only thread held, a second client waits; returns some time after that, well below a second. */
static uint64_t have_one_wait(uint64_t now)
{
	for (int i = 0; i < 100 && mts_server_stat(scene.server, MTS_STAT_THREAD_WAITS) == 0; i++) {
		moment_go_to(now += 2 * MTSI_MILLISECOND); /* on demand a look has to find the first */
		(void)poll(NULL, 0, 10);
	}
	server_wait_stat(scene.server, MTS_STAT_THREAD_WAITS, 1);
	return now;
}

START_TEST(not_while_somebody_waits)
{
	const uint64_t third = PERIOD * MTSI_SECOND / 3;
	const uint64_t start = start_watched(scene_hold, 1);
	const int first = peer_connect(scene.server, 0);
	peer_puts(first, "one\n");
	gate_wait(&scene.entered, 1);
	const int second = peer_connect(scene.server, 0);
	peer_puts(second, "two\n");
	ck_assert_uint_lt(have_one_wait(start), start + MTSI_SECOND);
	moment_go_to(start + third);
	manager_expect(manager, "WATCHDOG=1"); /* it has waited for ten seconds of fifteen */
	for (uint64_t i = 0; i <= 4; i++) {
		moment_go_to(start + 2 * third + i * third / 4);
		ck_assert(manager_hears_nothing(manager, 0));
	}
	gate_wait(&scene.logs[MTS_LOG_WARNING], 1);
	gate_add(&scene.release);
	peer_expect_text(first, "one\n");
	peer_finish(first); /* per client the thread is free only then */
	gate_wait(&scene.entered, 2);
	moment_go_to(start + 3 * third + third / 4);
	manager_expect(manager, "WATCHDOG=1");
	gate_add(&scene.release);
	peer_expect_text(second, "two\n");
	close(first);
	close(second);
	end_watched();
}
END_TEST

static size_t count_held(void)
{
	struct mtsi_door *door = &mtsi_door_floor(scene.server)->door;
	mtsi_lock_take(&door->lock);
	const size_t held = door->held.count;
	mtsi_lock_release(&door->lock);
	return held;
}

/* Who waits for room, in the kernel or at the door, waits for others to go, and not for a thread. */
START_TEST(a_full_server_may_go_on)
{
	overload = _i == 0 ? MTS_OVERLOAD_WAIT : MTS_OVERLOAD_EVICT;
	const uint64_t start = start_watched(scene_hold, 0);
	ck_assert_int_eq(mts_server_set_max_clients(scene.server, 1), 0);
	const int first = peer_connect(scene.server, 0);
	peer_puts(first, "one\n");
	gate_wait(&scene.entered, 1);
	const int second = peer_connect(scene.server, 0);
	peer_puts(second, "two\n");
	for (uint64_t now = start; _i == 1 && count_held() == 0;) {
		ck_assert_uint_lt(now, start + 9 * MTSI_SECOND);
		moment_go_to(now += 2 * MTSI_MILLISECOND); /* on demand a look has to find the first */
		(void)poll(NULL, 0, 10);
	}
	for (uint64_t i = 1; i <= 10; i++) {
		moment_go_to(start + i * PERIOD * MTSI_SECOND / 3);
		manager_expect(manager, "WATCHDOG=1");
	}
	gate_add(&scene.release);
	peer_expect_text(first, "one\n");
	close(first);
	gate_add(&scene.release);
	peer_expect_text(second, "two\n");
	close(second);
	end_watched();
}
END_TEST

/* Threads cannot be made: with threads on demand nobody would be served, and so nothing is said. */
START_TEST(not_before_a_thread_is_there)
{
	make(scene_echo);
	fault_fail(FAULT_THREAD, EAGAIN, 0, FAULT_FOREVER); /* that the keeper makes: workers */
	scene_start(&scene);
	if (test_model == MTS_THREAD_ON_DEMAND) {
		fault_wait_hits(FAULT_THREAD, 3);
		ck_assert(manager_hears_nothing(manager, 0));
	}
	fault_clear(FAULT_THREAD);
	expect_ready();
	close(scene_visit(&scene));
	scene_end(&scene);
}
END_TEST

static const struct {
	int error;
	uint32_t times;
} shortages[] = {{EMFILE, 3}, {ENFILE, 1}, {ENOBUFS, 2}, {ENOMEM, 2}};

/* It is said as soon as there is a descriptor for it; clients need not wait for that. */
START_TEST(without_a_descriptor)
{
	make(scene_echo);
	fault_fail(FAULT_SOCKET, shortages[_i].error, 0, shortages[_i].times);
	scene_start(&scene);
	const int peer = scene_visit(&scene);
	expect_ready();
	ck_assert_uint_eq(fault_hits(FAULT_SOCKET), shortages[_i].times);
	close(peer);
	scene_end(&scene);
}
END_TEST

static const struct {
	enum fault_call call;
	int error;
} denials[] = {{FAULT_SOCKET, EACCES}, {FAULT_SOCKET, EAFNOSUPPORT}, {FAULT_CONNECT, EACCES},
	{FAULT_CONNECT, EPROTOTYPE}};

/* A sandbox denies it: the log is told, once for each message, and it is not tried again and again. */
START_TEST(it_is_denied)
{
	make(scene_echo);
	fault_fail(denials[_i].call, denials[_i].error, 0, FAULT_FOREVER);
	scene_start(&scene);
	gate_wait(&scene.logs[MTS_LOG_WARNING], 1);
	close(scene_visit(&scene));
	ck_assert_uint_eq(fault_hits(denials[_i].call), 1);
	fault_clear(denials[_i].call);
	scene_end(&scene);
	ck_assert(!manager_hears_nothing(manager, 0)); /* the stop */
}
END_TEST

/* What was chosen before holds on. */
START_TEST(no_memory)
{
	make(scene_echo);
	fault_fail(FAULT_MEMORY, ENOMEM, 0, 1);
	fault_inside(true);
	const int result = mts_server_set_notify(scene.server, 1);
	fault_inside(false);
	ck_assert_int_eq(result, -ENOMEM);
	ck_assert_str_eq(
		mts_server_error(scene.server), "cannot tell the service manager: Cannot allocate memory");
	scene_start(&scene);
	expect_ready();
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("service manager");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, three_times_a_period);
	tcase_add_test(cases, not_while_somebody_waits);
	tcase_add_loop_test(cases, a_full_server_may_go_on, 0, 2);
	tcase_add_test(cases, not_before_a_thread_is_there);
	tcase_add_loop_test(cases, without_a_descriptor, 0, 4);
	tcase_add_loop_test(cases, it_is_denied, 0, 4);
	tcase_add_test(cases, no_memory);
	return suite_run();
}
