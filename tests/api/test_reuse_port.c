/* SPDX-License-Identifier: MIT
 *
 * Several servers on one port: each must want that, then the kernel spreads connections over them, and one
 * that ends takes those with it that wait in its own queue.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "folder.h"
#include "support.h"

enum { ENOUGH = 64 }; /* connections: each of two servers gets one, but for luck of 1 in 2^63 */

static _Atomic int clients[2]; /* of each server */

static int count_client(mts_client *client, void *count)
{
	(void)client;
	atomic_fetch_add((_Atomic int *)count, 1);
	return 0;
}

/* One of the two, which listens there if it can: what that answers. */
static mts_server *make(int which, bool shares, const char *address, int *result)
{
	clients[which] = 0;
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_open(server, count_client, &clients[which]), 0);
	ck_assert_int_eq(mts_server_set_reuse_port(server, shares), 0);
	*result = mts_server_listen(server, address);
	return server;
}

static mts_server *make_well(int which, const char *address)
{
	int result;
	mts_server *server = make(which, true, address, &result);
	ck_assert_msg(result == 0, "%s", mts_server_error(server));
	return server;
}

/* Without one of them wanting it the port is taken, as ever. */
START_TEST(both_have_to_want_it)
{
	int result;
	const bool first_shares = (_i & 1) != 0;
	const bool second_shares = (_i & 2) != 0;
	mts_server *first = make(0, first_shares, "127.0.0.1:0", &result);
	ck_assert_int_eq(result, 0);
	mts_server *second = make(1, second_shares, mts_server_address(first, 0), &result);
	ck_assert_int_eq(result, first_shares && second_shares ? 0 : -EADDRINUSE);
	ck_assert_int_eq(mts_server_destroy(first), 0);
	ck_assert_int_eq(mts_server_destroy(second), 0);
}
END_TEST

START_TEST(both_serve)
{
	mts_server *first = make_well(0, "127.0.0.1:0");
	mts_server *second = make_well(1, mts_server_address(first, 0));
	server_start(first);
	server_start(second);
	for (int i = 0; i < ENOUGH; i++) {
		peer_visit(first, 0);
	}
	server_end(second);
	ck_assert_int_gt(clients[0], 0);
	ck_assert_int_gt(clients[1], 0);
	ck_assert_int_eq(clients[0] + clients[1], ENOUGH);
	/* Now all come to the one that is left. */
	peer_visit(first, 0);
	server_end(first);
	ck_assert_int_eq(clients[0] + clients[1], ENOUGH + 1);
}
END_TEST

/* What the documentation warns of. Nobody else loses anything. */
START_TEST(one_ends_and_its_queue_with_it)
{
	int peers[ENOUGH];
	char answer[5];
	int lost = 0;
	mts_server *first = make_well(0, "127.0.0.1:0");
	mts_server *second = make_well(1, mts_server_address(first, 0));
	server_start(first);
	ck_assert_int_eq(mts_server_suspend(second), 0);
	server_start(second);
	for (int i = 0; i < ENOUGH; i++) {
		peers[i] = peer_connect(first, 0);
		peer_puts(peers[i], "hello");
	}
	server_end(second);
	for (int i = 0; i < ENOUGH; i++) {
		const ssize_t got = recv(peers[i], answer, sizeof(answer), MSG_WAITALL);
		lost += got < 0;
		ck_assert_msg(got == 5 || (got < 0 && errno == ECONNRESET), "%zd, %d", got, errno);
		close(peers[i]);
	}
	ck_assert_int_eq(lost + clients[0], ENOUGH);
	ck_assert_int_gt(clients[0], 0);
	ck_assert_int_eq(clients[1], 0);
	server_end(first);
}
END_TEST

static const char *port_of(const mts_server *server, size_t index)
{
	return strrchr(mts_server_address(server, index), ':');
}

/* A free port is one that nobody has; and one for all addresses. */
START_TEST(a_free_port)
{
	mts_server *first = make_well(0, "localhost:0");
	mts_server *second = make_well(1, "localhost:0");
	ck_assert_str_ne(port_of(first, 0), port_of(second, 0));
	for (size_t i = 1; mts_server_address(first, i) != NULL; i++) {
		ck_assert_str_eq(port_of(first, i), port_of(first, 0));
	}
	ck_assert_int_eq(mts_server_destroy(first), 0);
	ck_assert_int_eq(mts_server_destroy(second), 0);
}
END_TEST

START_TEST(unix_sockets_are_not_shared)
{
	int result;
	folder_make();
	mts_server *first = make_well(0, folder_address);
	mts_server *second = make(1, true, folder_address, &result);
	ck_assert_int_eq(result, -EADDRINUSE);
	ck_assert_int_eq(mts_server_destroy(first), 0);
	ck_assert_int_eq(mts_server_destroy(second), 0);
	folder_remove();
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("ports that are shared");
	tcase_add_loop_test(tests, both_have_to_want_it, 0, 4);
	tcase_add_test(tests, both_serve);
	tcase_add_test(tests, one_ends_and_its_queue_with_it);
	tcase_add_test(tests, a_free_port);
	tcase_add_test(tests, unix_sockets_are_not_shared);
	return suite_run();
}
