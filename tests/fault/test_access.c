/* SPDX-License-Identifier: MIT
 *
 * Who may connect, when the system gives little: a network that finds no memory, or a set that cannot be
 * copied, leaves all as it was; and who is denied is told nothing, also where no descriptor is left.
 */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static struct scene scene;

/* The i-th network, and an address in it. */
static int add_nth(mts_networks *networks, int i)
{
	char network[32];
	snprintf(network, sizeof(network), "10.0.%d.0/24", i);
	fault_inside(true);
	const int result = mts_networks_add(networks, network, MTS_DENY);
	fault_inside(false);
	return result;
}

static int test_nth(const mts_networks *networks, int i)
{
	char address[32];
	snprintf(address, sizeof(address), "10.0.%d.7", i);
	return mts_networks_test(networks, address);
}

START_TEST(no_memory_for_a_network)
{
	int failures = 0;
	fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
	fault_inside(true);
	mts_networks *networks = mts_networks_create();
	fault_inside(false);
	fault_clear(FAULT_MEMORY);
	ck_assert_ptr_null(networks);
	networks = mts_networks_create();
	for (int i = 0; i < 200; i++) {
		fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
		const int result = add_nth(networks, i);
		fault_clear(FAULT_MEMORY);
		if (result != 0) {
			failures++;
			ck_assert_int_eq(result, -ENOMEM);
			ck_assert_int_eq(test_nth(networks, i), -ENOENT);
			ck_assert_int_eq(add_nth(networks, i), 0);
		}
		for (int j = 0; j <= i; j++) {
			ck_assert_int_eq(test_nth(networks, j), MTS_DENY);
		}
	}
	ck_assert_int_ge(failures, 3);
	mts_networks_destroy(networks);
}
END_TEST

static mts_networks *loopback(int verdict)
{
	mts_networks *networks = mts_networks_create();
	ck_assert_int_eq(mts_networks_add(networks, "127.0.0.0/8", verdict), 0);
	return networks;
}

static void denied_once(void)
{
	const uint64_t before = mts_server_stat(scene.server, MTS_STAT_DENIED);
	const int peer = peer_connect(scene.server, 0);
	peer_expect_end(peer);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_DENIED), before + 1);
	close(peer);
}

static int try_to_allow(const mts_networks *networks, uint32_t skip)
{
	fault_fail(FAULT_MEMORY, ENOMEM, skip, FAULT_FOREVER);
	fault_inside(true);
	const int result = mts_server_set_access(scene.server, networks);
	fault_inside(false);
	fault_clear(FAULT_MEMORY);
	return result;
}

START_TEST(no_memory_for_a_copy)
{
	mts_networks *deny = loopback(MTS_DENY);
	mts_networks *allow = loopback(MTS_ALLOW);
	scene_make(&scene, scene_echo);
	scene_start(&scene);
	ck_assert_int_eq(mts_server_set_access(scene.server, deny), 0);
	for (uint32_t skip = 0; skip < 5; skip++) { /* it takes five */
		ck_assert_int_eq(try_to_allow(allow, skip), -ENOMEM);
		denied_once();
	}
	ck_assert_int_eq(try_to_allow(allow, 1000), 0);
	close(scene_visit(&scene));
	ck_assert_int_eq(try_to_allow(NULL, 0), 0);
	close(scene_visit(&scene));
	mts_networks_destroy(deny);
	mts_networks_destroy(allow);
	scene_end(&scene);
}
END_TEST

/* Who is refused then is told so; who is denied is not. */
START_TEST(no_descriptor)
{
	mts_networks *deny = loopback(MTS_DENY);
	scene_make(&scene, scene_echo);
	ck_assert_int_eq(mts_server_set_overload(scene.server, MTS_OVERLOAD_REFUSE), 0);
	ck_assert_int_eq(mts_server_set_refusal(scene.server, "busy", 4), 0);
	ck_assert_int_eq(mts_server_set_access(scene.server, deny), 0);
	scene_alone(&scene);
	scene_start(&scene);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	denied_once();
	ck_assert_uint_eq(fault_hits(FAULT_ACCEPT), 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_REFUSED), 0);
	ck_assert_int_eq(mts_server_set_access(scene.server, NULL), 0);
	fault_fail(FAULT_ACCEPT, EMFILE, 0, 1);
	const int peer = peer_connect(scene.server, 0);
	peer_expect_text(peer, "busy");
	peer_expect_end(peer);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_REFUSED), 1);
	close(peer);
	mts_networks_destroy(deny);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("access under faults");
	tcase_add_test(cases, no_memory_for_a_network);
	tcase_add_test(cases, no_memory_for_a_copy);
	tcase_add_test(cases, no_descriptor);
	return suite_run();
}
