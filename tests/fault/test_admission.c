/* SPDX-License-Identifier: MIT
 *
 * Limits under faults: a shortage that lasts costs next to no CPU; where clients are refused that goes on
 * without descriptors; no memory to count a client costs that client, or the change of a limit, and
 * nothing else; and a limit that is lowered in the moment of an accept still holds.
 */
#include "scene.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "engine/run/server.h"
#include "os/clock.h"

static const int shortages[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
enum { SHORTAGES = sizeof(shortages) / sizeof(shortages[0]) };

static struct scene scene;

static void start(int policy, size_t clients)
{
	scene_make(&scene, scene_echo);
	ck_assert_int_eq(mts_server_set_overload(scene.server, policy), 0);
	ck_assert_int_eq(mts_server_set_max_clients(scene.server, clients), 0);
	scene_alone(&scene);
	scene_start(&scene);
}

static void want_stat(int which, uint64_t value)
{
	ck_assert_uint_eq(mts_server_stat(scene.server, which), value);
}

/* With each policy in turn; one that evicts evicts nobody for that. */
START_TEST(a_lasting_shortage_costs_little)
{
	const int error = shortages[_i];
	start(_i % (MTS_OVERLOAD_EVICT + 1), 10);
	const int inside = scene_visit(&scene);
	fault_fail(FAULT_ACCEPT, error, 0, FAULT_FOREVER);
	const int outside = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_ACCEPT, 1);
	const uint64_t start = now_ms();
	const uint64_t cpu = cpu_ms();
	poll(NULL, 0, 1000);
	const uint64_t passed = now_ms() - start;
	ck_assert_uint_le((cpu_ms() - cpu) * 50, passed); /* 2 % */
	ck_assert_uint_ge(mts_server_stat(scene.server, MTS_STAT_ACCEPT_ERRORS), 4);
	ck_assert_uint_le(fault_hits(FAULT_ACCEPT), 40);
	ck_assert_int_le(gate_count(&scene.logs[MTS_LOG_ERR]), (int)(passed / 1000) + 2);
	scene_ask(inside, "still here");
	want_stat(MTS_STAT_EVICTED, 0);
	fault_clear(FAULT_ACCEPT);
	scene_ask(outside, "in after all");
	close(inside);
	close(outside);
	scene_end(&scene);
}
END_TEST

static void expect_no_pause(void)
{
	ck_assert_uint_eq(mtsi_door_resume(scene.server, 0), MTSI_NEVER);
}

/* With the clock stopped a pause would never end. */
START_TEST(refused_without_a_descriptor)
{
	start(MTS_OVERLOAD_REFUSE, 10);
	const int descriptors = settled_descriptors();
	fault_clock_stop(true);
	for (int i = 1; i <= 5; i++) {
		fault_fail(FAULT_ACCEPT, shortages[_i], 0, 1);
		const int peer = peer_connect(scene.server, 0);
		peer_expect_gone(peer);
		close(peer);
		/* It failed, and took the one that waited in the place of the spare descriptor. */
		fault_wait_count(FAULT_ACCEPT, 2);
		want_stat(MTS_STAT_ACCEPT_ERRORS, (uint64_t)i);
		want_stat(MTS_STAT_REFUSED, (uint64_t)i);
	}
	expect_no_pause();
	want_stat(MTS_STAT_ACCEPTED, 0);
	const int peer = scene_visit(&scene);
	fault_clock_stop(false);
	close(peer);
	server_wait_stat(scene.server, MTS_STAT_OPEN, 0);
	wait_until(count_descriptors() == descriptors);
	scene_end(&scene);
}
END_TEST

static atomic_int spare;

static void note_spare(void)
{
	atomic_store(&spare, mtsi_door_floor(scene.server)->listeners.spare);
}

/* Somebody else gets the spare one: the listeners rest as ever, and it is taken back before the next one. */
START_TEST(the_spare_descriptor_is_lost)
{
	start(MTS_OVERLOAD_REFUSE, 10);
	fault_fail(FAULT_EVENTFD, EMFILE, 0, FAULT_FOREVER);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int first = peer_connect(scene.server, 0);
	peer_expect_gone(first);
	fault_wait_hits(FAULT_EVENTFD, 1);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 3);
	const int second = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_ACCEPT, 3);
	want_stat(MTS_STAT_REFUSED, 1);
	scene_ask(second, "after the pause");
	want_stat(MTS_STAT_REFUSED, 1);
	fault_clear(FAULT_EVENTFD);
	atomic_store(&spare, -1);
	fault_hook(FAULT_ACCEPT, note_spare);
	fault_fail(FAULT_ACCEPT, FAULT_NOTHING, 0, 1);
	const int third = scene_visit(&scene);
	ck_assert_int_ge(atomic_load(&spare), 0);
	fault_hook(FAULT_ACCEPT, NULL);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int fourth = peer_connect(scene.server, 0);
	peer_expect_gone(fourth);
	want_stat(MTS_STAT_REFUSED, 2);
	close(first);
	close(second);
	close(third);
	close(fourth);
	scene_end(&scene);
}
END_TEST

/* A shortage of memory is no reason to refuse: that has to wait. */
START_TEST(refused_for_want_of_memory)
{
	start(MTS_OVERLOAD_REFUSE, 10);
	fault_fail(FAULT_ACCEPT, ENOBUFS, 0, 2);
	const int peer = scene_visit(&scene);
	want_stat(MTS_STAT_REFUSED, 0);
	want_stat(MTS_STAT_ACCEPT_ERRORS, 2);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* The entry, and then its place in the tree. */
START_TEST(no_memory_to_count_a_client)
{
	start(MTS_OVERLOAD_WAIT, 10);
	const int first = scene_visit(&scene);
	close(first);
	server_wait_stat(scene.server, MTS_STAT_OPEN, 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(scene.server, 1), 0);
	const int descriptors = settled_descriptors();
	fault_fail(FAULT_MEMORY, ENOMEM, (uint32_t)_i, 1);
	const int second = peer_connect(scene.server, 0);
	peer_expect_gone(second);
	ck_assert_uint_eq(fault_hits(FAULT_MEMORY), 1);
	fault_clear(FAULT_MEMORY);
	want_stat(MTS_STAT_REFUSED, 1);
	want_stat(MTS_STAT_ACCEPT_ERRORS, 0);
	const int third = scene_visit(&scene);
	const int fourth = peer_connect(scene.server, 0);
	peer_expect_gone(fourth);
	want_stat(MTS_STAT_REFUSED, 2);
	close(second);
	close(third);
	close(fourth);
	server_wait_stat(scene.server, MTS_STAT_OPEN, 0);
	ck_assert_int_eq(settled_descriptors(), descriptors);
	scene_end(&scene);
}
END_TEST

/* Then there is no limit still, whoever has been counted by then. */
START_TEST(no_memory_to_count_those_who_are_there)
{
	start(MTS_OVERLOAD_WAIT, 10);
	const int first = scene_visit(&scene);
	const int second = scene_visit(&scene);
	fault_fail(FAULT_MEMORY, ENOMEM, (uint32_t)_i, 1);
	fault_inside(true);
	const int result = mts_server_set_max_clients_per_address(scene.server, 1);
	fault_inside(false);
	fault_clear(FAULT_MEMORY);
	ck_assert_int_eq(result, -ENOMEM);
	ck_assert_uint_eq(mtsi_address_book_limit(scene.server), 0);
	const int third = scene_visit(&scene);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(scene.server, 3), 0);
	const int fourth = peer_connect(scene.server, 0);
	peer_expect_gone(fourth);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(scene.server, 4), 0);
	const int fifth = scene_visit(&scene);
	close(first);
	close(second);
	close(third);
	close(fourth);
	close(fifth);
	scene_end(&scene);
	ck_assert_int_eq(gate_count(&scene.opened), 4);
}
END_TEST

static void lower(void)
{
	ck_assert_int_eq(mts_server_set_max_clients(scene.server, 1), 0);
}

/* Room for two, one is inside, another one is being accepted; and then there is room for one only. */
START_TEST(the_limit_is_lowered_in_that_moment)
{
	start(_i, 2);
	const int first = scene_visit(&scene);
	fault_hook(FAULT_ACCEPT, lower);
	fault_fail(FAULT_ACCEPT, ECONNABORTED, 0, 1);
	const int second = peer_connect(scene.server, 0);
	fault_wait_hits(FAULT_ACCEPT, 1);
	fault_hook(FAULT_ACCEPT, NULL);
	if (_i == MTS_OVERLOAD_REFUSE) {
		peer_expect_gone(second);
		want_stat(MTS_STAT_REFUSED, 1);
	} else if (_i == MTS_OVERLOAD_EVICT) {
		scene_ask(second, "its turn");
		peer_expect_gone(first);
		want_stat(MTS_STAT_EVICTED, 1);
	} else {
		peer_puts(second, "from the door\n");
		while (mtsi_door_clients(scene.server) != 1) {
		}
		ck_assert_int_eq(gate_count(&scene.opened), 1);
		ck_assert_int_eq(mts_server_set_max_clients(scene.server, 2), 0);
		peer_expect_text(second, "from the door\n");
		scene_ask(first, "still here");
	}
	close(first);
	close(second);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("admission");
	tcase_add_loop_test(cases, a_lasting_shortage_costs_little, 0, SHORTAGES);
	/* There a descriptor that is given up may not be had again at once. */
	if (!under_valgrind()) {
		tcase_add_loop_test(cases, refused_without_a_descriptor, 0, 2);
	}
	tcase_add_test(cases, the_spare_descriptor_is_lost);
	tcase_add_test(cases, refused_for_want_of_memory);
	tcase_add_loop_test(cases, no_memory_to_count_a_client, 0, 2);
	tcase_add_loop_test(cases, no_memory_to_count_those_who_are_there, 0, 2);
	tcase_add_loop_test(
		cases, the_limit_is_lowered_in_that_moment, MTS_OVERLOAD_WAIT, MTS_OVERLOAD_EVICT + 1);
	return suite_run();
}
