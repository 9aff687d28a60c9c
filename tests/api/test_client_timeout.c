/* SPDX-License-Identifier: MIT
 *
 * mts_client_set_timeout() on the real clock: what it refuses, and crowds in which each client has its own.
 * To the moment, and for each kind: tests/fault/test_own_timeouts.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum { CROWD = 60, STEP = 5 }; /* clients; milliseconds */

static struct endings endings;

/* The request is the time that this one may be idle, in milliseconds, as it may not be whole. */
static int choose(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	(void)user;
	const unsigned chosen = (unsigned)strtoul(request, NULL, 10);
	const int result = mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, chosen);
	(void)mts_client_printf(client, "%d\n", result);
	return MTS_KEEP;
}

static int refusals[6];

static int misuse(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	refusals[0] = mts_client_set_timeout(NULL, MTS_TIMEOUT_IDLE, 1);
	refusals[1] = mts_client_set_timeout(client, MTS_TIMEOUT_STOP, 1);
	refusals[2] = mts_client_set_timeout(client, -1, 1);
	refusals[3] = mts_client_set_timeout(client, INT_MIN, MTS_TIMEOUT_INHERIT);
	refusals[4] = mts_client_set_timeout(client, INT_MAX, 0);
	refusals[5] = mts_client_set_timeout(client, MTS_TIMEOUT_STOP, MTS_TIMEOUT_INHERIT);
	(void)mts_client_puts(client, "done\n");
	return MTS_KEEP;
}

START_TEST(what_is_refused)
{
	endings = (struct endings){.all = GATE};
	mts_server *server = server_of_lines(misuse, NULL, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	peer_expect_text(peer, "done\n");
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(refusals[i], -EINVAL);
	}
	close(peer);
	server_end(server);
}
END_TEST

/* Nobody ends early; one that may stay for ever does. */
START_TEST(a_crowd_of_different_ones)
{
	static int peers[CROWD];
	static uint64_t asked[CROWD];
	endings = (struct endings){.all = GATE};
	mts_server *server = server_of_lines(choose, NULL, &endings);
	server_start(server);
	for (unsigned i = 0; i < CROWD; i++) {
		char request[16];
		(void)snprintf(request, sizeof(request), "%u\n", (i * 7 % CROWD) * STEP);
		peers[i] = peer_connect(server, 0);
		asked[i] = now_us();
		peer_puts(peers[i], request);
		peer_expect_text(peers[i], "0\n");
	}
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 1), 0);
	for (unsigned own = 1; own < CROWD; own++) {
		unsigned i = 0;
		while (i * 7 % CROWD != own) {
			i++;
		}
		peer_expect_end(peers[i]);
		ck_assert_uint_ge(now_us() - asked[i], own * STEP * 1000);
		close(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_IDLE, CROWD - 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), 1);
	peer_puts(peers[0], "4294967295\n"); /* the server's again */
	peer_expect_text(peers[0], "0\n");
	peer_expect_end(peers[0]);
	close(peers[0]);
	server_end(server);
}
END_TEST

/* All kinds, by each client for itself, while the server's change too, and clients come and go. */
static int shuffle(mts_client *client, const void *request, size_t size, void *user)
{
	static const unsigned values[] = {0, 1, 2, 5, 60000, MTS_TIMEOUT_INHERIT};
	const unsigned at = *(const unsigned char *)request;
	(void)mts_client_set_timeout(client, (int)(at % 5), values[at / 5 % 6]);
	return answer_echo(client, request, size, user);
}

static int choose_at_the_beginning(mts_client *client, void *user)
{
	(void)user;
	return mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, 5);
}

static void choose_at_the_end(mts_client *client, int reason, void *user)
{
	(void)reason;
	gate_add(user);
	(void)mts_client_set_timeout(client, MTS_TIMEOUT_LINGER, 1);
	(void)mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, 1);
}

START_TEST(changes_under_load)
{
	struct gate closed = GATE;
	mts_server *server = server_new(shuffle, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, 1), 0);
	ck_assert_int_eq(mts_server_on_open(server, choose_at_the_beginning, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, choose_at_the_end, &closed), 0);
	server_start(server);
	for (unsigned i = 0; i < 300; i++) {
		char reply;
		const int peer = peer_connect(server, 0);
		for (unsigned request = 0; request < 3; request++) {
			const unsigned char at = (unsigned char)(i * 3 + request);
			if (send(peer, &at, 1, MSG_NOSIGNAL) != 1 || recv(peer, &reply, 1, 0) != 1) {
				break;
			}
		}
		const int which = (int)(i % 5);
		ck_assert_int_eq(mts_server_set_timeout(server, which, i % 3 == 0 ? 0 : 1 + i % 7), 0);
		close(peer);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	gate_wait(&closed, 1);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("client timeout");
	tcase_add_test(cases, what_is_refused);
	tcase_add_test(cases, a_crowd_of_different_ones);
	tcase_add_test(cases, changes_under_load);
	return suite_run();
}
