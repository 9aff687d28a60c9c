/* SPDX-License-Identifier: MIT
 *
 * A reply on its way when its client ends by a deadline, or has stopped listening in another way: the peer
 * gets all of it, also when it sends something just then, which nobody reads any more.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum { REPLY = 100000, MORE = 100000 };

static char reply[REPLY];
static struct endings endings;
static _Atomic int told; /* what the call has answered in which the handler waited */

static void setup(void)
{
	endings = (struct endings){.all = GATE};
	told = 0;
	pattern_fill(reply, REPLY, 0);
}

/* The kernel takes all of the reply, far more than the peer does: so the socket can linger. */
static int give_room(mts_client *client, void *user)
{
	const int size = 4 * REPLY;
	(void)user;
	return setsockopt(mts_client_fd(client), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* The handlers reply at length: at once, or when they have waited in vain; and then keep, or close. */
static int keeps(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	return mts_client_write(client, reply, REPLY);
}

static int waits_for_next(mts_client *client, const void *request, size_t size, void *user)
{
	told = mts_client_next(client, &request, &size);
	(void)user;
	(void)mts_client_write(client, reply, REPLY);
	return MTS_CLOSE;
}

static int waits_for_next_and_says_so(
	mts_client *client, const void *request, size_t size, void *user)
{
	(void)waits_for_next(client, request, size, user);
	return told;
}

static int reads(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)request;
	(void)size;
	(void)user;
	told = (int)mts_client_read(client, &byte, 1);
	(void)mts_client_write(client, reply, REPLY);
	return MTS_KEEP;
}

/* The program may use the client's socket in this way. */
static int stops_listening(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	ck_assert_int_eq(shutdown(mts_client_fd(client), SHUT_RD), 0);
	(void)mts_client_write(client, reply, REPLY);
	return MTS_CLOSE;
}

static const struct {
	mts_handler handler;
	const char *request;
	int timeout; /* that ends the client */
	int told;
	int reason;
} ways[] = {
	{keeps, "now\n", MTS_TIMEOUT_IDLE, 0, MTS_CLOSED_IDLE},
	{keeps, "now\nha", MTS_TIMEOUT_REQUEST, 0, MTS_CLOSED_REQUEST_TIMEOUT},
	{waits_for_next, "now\n", MTS_TIMEOUT_IDLE, -ETIMEDOUT, MTS_CLOSED_IDLE},
	{waits_for_next, "now\nha", MTS_TIMEOUT_REQUEST, -ETIMEDOUT, MTS_CLOSED_REQUEST_TIMEOUT},
	{waits_for_next_and_says_so, "now\n", MTS_TIMEOUT_IDLE, -ETIMEDOUT, MTS_CLOSED_IDLE},
	{reads, "now\n", MTS_TIMEOUT_REQUEST, -ETIMEDOUT, MTS_CLOSED_REQUEST_TIMEOUT},
	{stops_listening, "now\n", MTS_TIMEOUT_IDLE, 0, MTS_CLOSED_BY_HANDLER},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* When the client is no more, and its socket lingers with the reply, the peer sends, and then reads. */
static void check(int way, size_t more)
{
	static const char zeros[MORE];
	static const int little = 8192;
	mts_server *server = server_new(ways[way].handler, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, give_room, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, ways[way].timeout, 50), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LINGER, PATIENCE * 1000), 0);
	server_start(server);
	const int peer = peer_socket();
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
	peer_connect_socket(peer, server);
	peer_puts(peer, ways[way].request);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	endings_expect(&endings, ways[way].reason, 1);
	ck_assert_int_eq(told, ways[way].told);
	for (size_t sent = 0; sent < more; sent += MORE) {
		peer_send(peer, zeros, more < MORE ? more : MORE);
	}
	peer_expect_pattern(peer, REPLY, 0);
	peer_expect_end(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	server_end(server);
}

START_TEST(a_late_request)
{
	check(_i, 1);
}
END_TEST

START_TEST(many_of_them)
{
	check(_i, 6 * MORE);
}
END_TEST

START_TEST(silence)
{
	check(_i, 0);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("farewell");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, a_late_request, 0, WAYS);
	tcase_add_loop_test(tcase, many_of_them, 0, WAYS);
	tcase_add_loop_test(tcase, silence, 0, WAYS);
	return suite_run();
}
