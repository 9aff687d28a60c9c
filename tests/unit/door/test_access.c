/* SPDX-License-Identifier: MIT
 *
 * The verdicts of a server that does not run: on peers of all kinds, also of such that no network can name;
 * and which proxies are trusted.
 */
#include "engine/door/access.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

#include "../../api/support.h"
#include "engine/run/server.h"
#include "wire/address.h"
#include "wire/network_text.h"
#include "wire/networks.h"

static mts_server *server;

static const struct mtsi_peer unknown = {.family = AF_UNSPEC};

static void setup(void)
{
	server = server_create(answer_close, NULL);
}

static void teardown(void)
{
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

static struct mtsi_peer peer_of(const char *text)
{
	struct mtsi_peer peer;
	ck_assert_int_eq(mtsi_peer_parse(text, &peer), 0);
	return peer;
}

typedef int (*setter)(mts_server *server, const mts_networks *networks);

/* Gives a set of two networks; a network that is NULL is left out. */
static void give(setter set, const char *first, int verdict, const char *second, int other)
{
	mts_networks *networks = mts_networks_create();
	ck_assert(first == NULL || mts_networks_add(networks, first, verdict) == 0);
	ck_assert(second == NULL || mts_networks_add(networks, second, other) == 0);
	ck_assert_int_eq(set(server, networks), 0);
	mts_networks_destroy(networks);
}

static void expect_verdict(const char *text, int verdict)
{
	const struct mtsi_peer peer = peer_of(text);
	ck_assert_int_eq(mtsi_access_verdict(server, &peer), verdict);
}

static void expect_trust(const char *text, bool trusted)
{
	const struct mtsi_peer peer = peer_of(text);
	ck_assert_int_eq(mtsi_access_trusts(server, &peer), trusted);
}

START_TEST(who_may_connect)
{
	ck_assert(!mtsi_access_is_limited(server));
	expect_verdict("10.0.0.1", MTS_ALLOW);
	give(mts_server_set_access, "10.0.0.0/8", MTS_DENY, "10.0.0.1", MTS_ALLOW);
	ck_assert(mtsi_access_is_limited(server));
	expect_verdict("10.0.0.1", MTS_ALLOW);
	expect_verdict("10.0.0.2", MTS_DENY);
	expect_verdict("::ffff:10.0.0.2", MTS_DENY);
	expect_verdict("192.0.2.1", MTS_ALLOW);
	expect_verdict("::1", MTS_ALLOW);
	expect_verdict("unix", MTS_ALLOW);
	give(mts_server_set_access, NULL, 0, NULL, 0);
	expect_verdict("10.0.0.2", MTS_ALLOW);
	ck_assert_int_eq(mts_server_set_access(server, NULL), 0);
	ck_assert(!mtsi_access_is_limited(server));
	expect_verdict("10.0.0.2", MTS_ALLOW);
}
END_TEST

/* A set that denies all of a kind is meant to let in nobody but those who are named. */
START_TEST(of_another_kind)
{
	static const char *const all[] = {"0.0.0.0/0", "::/0", "unix"};
	ck_assert_int_eq(mtsi_access_verdict(server, &unknown), MTS_ALLOW);
	give(mts_server_set_access, "10.0.0.0/8", MTS_DENY, "::/1", MTS_DENY);
	ck_assert_int_eq(mtsi_access_verdict(server, &unknown), MTS_ALLOW);
	for (int i = 0; i < 3; i++) {
		give(mts_server_set_access, all[i], MTS_DENY, "10.0.0.0/8", MTS_ALLOW);
		ck_assert_int_eq(mtsi_access_verdict(server, &unknown), MTS_DENY);
		give(mts_server_set_access, all[i], MTS_ALLOW, "10.0.0.0/8", MTS_DENY);
		ck_assert_int_eq(mtsi_access_verdict(server, &unknown), MTS_ALLOW);
	}
}
END_TEST

START_TEST(which_proxies_are_trusted)
{
	ck_assert(!mtsi_access_has_trusted(server));
	expect_trust("10.0.0.1", false);
	give(mts_server_set_trusted_proxies, "10.0.0.0/8", MTS_ALLOW, "10.0.0.9", MTS_DENY);
	ck_assert(mtsi_access_has_trusted(server));
	ck_assert(!mtsi_access_is_limited(server));
	expect_trust("10.0.0.1", true);
	expect_trust("10.0.0.9", false);
	expect_trust("192.0.2.1", false);
	expect_trust("unix", false);
	expect_verdict("10.0.0.9", MTS_ALLOW);
	give(mts_server_set_trusted_proxies, "unix", MTS_ALLOW, "0.0.0.0/0", MTS_ALLOW);
	expect_trust("unix", true);
	expect_trust("192.0.2.1", true);
	ck_assert(!mtsi_access_trusts(server, &unknown));
	give(mts_server_set_trusted_proxies, NULL, 0, NULL, 0);
	ck_assert(mtsi_access_has_trusted(server));
	expect_trust("unix", false);
	ck_assert_int_eq(mts_server_set_trusted_proxies(server, NULL), 0);
	ck_assert(!mtsi_access_has_trusted(server));
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("access");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, who_may_connect);
	tcase_add_test(cases, of_another_kind);
	tcase_add_test(cases, which_proxies_are_trusted);
	return suite_run_once();
}
