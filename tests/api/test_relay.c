/* SPDX-License-Identifier: MIT
 *
 * A client is relayed to another socket: byte for byte both ways, what is pending first, and each side's end
 * is passed on.
 */
#include "route.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As much each way; a long run is told another number of MiB. */
static size_t much(void)
{
	const char *text = getenv("MTS_TEST_RELAY_MIB");
	const size_t few = under_valgrind() ? 8 : 64;
	return (text != NULL ? (size_t)strtoul(text, NULL, 10) : few) * REACH_MIB;
}

struct stream {
	int fd;
	size_t size;
};

/* Sends so much of the pattern, and then the end. */
static void *pour(void *user)
{
	static _Thread_local char bytes[64 * 1024];
	const struct stream *stream = user;
	for (size_t done = 0; done < stream->size; done += sizeof(bytes)) {
		pattern_fill(bytes, sizeof(bytes), done);
		peer_send(stream->fd, bytes, sizeof(bytes));
	}
	peer_finish(stream->fd);
	return NULL;
}

static void *drain(void *user)
{
	const struct stream *stream = user;
	peer_expect_pattern(stream->fd, stream->size, 0);
	peer_expect_end(stream->fd);
	return NULL;
}

START_TEST(both_ways_at_once)
{
	struct route route;
	pthread_t threads[4];
	route_make(&route, (enum route_kind)_i);
	const int flags = fcntl(route.near, F_GETFL);
	route_start(&route, "");
	struct stream streams[] = {{route.peer, much()}, {route.far, much()}};
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, i < 2 ? pour : drain, &streams[i % 2]), 0);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_BY_HANDLER), 0);
	ck_assert_int_eq(fcntl(route.near, F_GETFL), flags);
	ck_assert_uint_eq(mts_server_stat(route.server, MTS_STAT_BYTES_IN), much() + 3);
	ck_assert_uint_eq(mts_server_stat(route.server, MTS_STAT_BYTES_OUT), much() + 6);
	route_end(&route);
}
END_TEST

/* What has come with the request goes first; then each side ends in turn, and the other goes on. */
START_TEST(pending_first)
{
	struct route route;
	route_make(&route, (enum route_kind)(_i / 2));
	route_start(&route, "one\ntwo\nhalf of ");
	peer_expect_text(route.far, "one\ntwo\nhalf of ");
	peer_puts(route.peer, "three");
	peer_expect_text(route.far, "three");
	const int first = _i % 2 == 0 ? route.peer : route.far;
	const int second = _i % 2 == 0 ? route.far : route.peer;
	peer_finish(first);
	peer_expect_end(second);
	for (int i = 0; i < 3; i++) {
		library_rests();
		peer_puts(second, "still here");
		peer_expect_text(first, "still here");
	}
	peer_finish(second);
	peer_expect_end(first);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_BY_HANDLER), 0);
	route_end(&route);
}
END_TEST

static int unread_and_relay(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[15000];
	(void)request;
	(void)size;
	pattern_fill(bytes, sizeof(bytes), 0);
	reach.answers[1] = mts_client_unread(client, bytes, sizeof(bytes));
	reach.answers[0] = mts_client_relay(client, *(int *)user);
	reach.answers[2] = mts_client_write(client, "late", 4);
	reach.answers[3] = (int)mts_client_read(client, bytes, 1);
	reach.answers[4] = mts_client_relay(client, *(int *)user);
	return MTS_KEEP;
}

/* What was put back is pending too; afterwards nothing can be read or written. */
START_TEST(unread_first)
{
	int ends[2];
	route_pair(ends);
	mts_server *server = reach_server(unread_and_relay, &ends[0]);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nand more");
	peer_finish(peer);
	peer_expect_pattern(ends[1], 15000, 0);
	peer_expect_text(ends[1], "and more");
	peer_expect_end(ends[1]);
	close(ends[1]);
	peer_expect_end(peer);
	endings_expect(&reach.endings, MTS_CLOSED_BY_PEER, 1);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], 0);
	ck_assert_int_eq(reach.answers[2], -EPIPE);
	ck_assert_int_eq(reach.answers[3], 0);
	ck_assert_int_eq(reach.answers[4], -EPIPE);
	close(peer);
	close(ends[0]);
	server_end(server);
}
END_TEST

/* A proxy to itself: the client asks for a hop, and the handler connects to its own server. */
static int hop(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (size != 3 || memcmp(request, "hop", 3) != 0) {
		return reach_echo(client, request, size, user);
	}
	const int fd = peer_connect(mts_client_server(client), 0);
	const int result = mts_client_relay(client, fd);
	reach.answers[0] |= result;
	close(fd);
	return result < 0 ? result : MTS_CLOSE;
}

START_TEST(through_itself)
{
	mts_server *server = reach_server(hop, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hop\nhop\nhop\n"); /* each hop takes one of these */
	for (int i = 0; i < 5; i++) {
		peer_ask(peer, "hello\n");
	}
	peer_finish(peer);
	peer_expect_end(peer);
	ck_assert_int_eq(reach.answers[0], 0);
	gate_wait(&reach.endings.all, 4);
	ck_assert_int_eq(reach.endings.reasons[MTS_CLOSED_BY_HANDLER], 3);
	ck_assert_int_eq(reach.endings.reasons[MTS_CLOSED_BY_PEER], 1);
	close(peer);
	server_end(server);
}
END_TEST

/* An urgent byte does not stop it, nor does it get lost: the client's sockets keep it in the stream. */
START_TEST(urgent_bytes)
{
	struct route route;
	const int on = 1;
	route_make(&route, ROUTE_TCP);
	ck_assert_int_eq(setsockopt(route.near, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)), 0);
	route_start(&route, "");
	for (int i = 0; i < 2; i++) {
		const int from = i == 0 ? route.far : route.peer;
		const int to = i == 0 ? route.peer : route.far;
		peer_puts(from, "before");
		peer_expect_text(to, "before");
		ck_assert_int_eq(send(from, "!", 1, MSG_OOB), 1);
		peer_puts(from, "after");
		peer_expect_text(to, "!after");
	}
	peer_finish(route.peer);
	peer_finish(route.far);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_BY_HANDLER), 0);
	route_end(&route);
}
END_TEST

/* Its stream has ended already when the relay comes to the urgent byte, which looks like the end too. */
START_TEST(urgent_bytes_before_the_end)
{
	struct route route;
	route_make(&route, ROUTE_TCP);
	ck_assert_int_eq(setsockopt(route.near, SOL_SOCKET, SO_OOBINLINE, &_i, sizeof(_i)), 0);
	peer_puts(route.far, "before");
	ck_assert_int_eq(send(route.far, "!", 1, MSG_OOB), 1);
	peer_puts(route.far, "after");
	peer_finish(route.far);
	route_start(&route, "");
	peer_expect_text(route.peer, _i == 1 ? "before!after" : "beforeafter");
	peer_expect_end(route.peer);
	peer_finish(route.peer);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_BY_HANDLER), 0);
	route_end(&route);
}
END_TEST

static int misuse(mts_client *client, const void *request, size_t size, void *user)
{
	int pair[2];
	(void)request;
	(void)size;
	(void)user;
	const int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
	const int unconnected = socket(AF_INET, SOCK_STREAM, 0);
	reach.answers[0] = pipe(pair);
	reach.answers[1] = mts_client_relay(client, -1) == -EINVAL
		&& mts_client_relay(client, 100000) == -EINVAL
		&& mts_client_relay(client, pair[0]) == -EINVAL
		&& mts_client_relay(client, datagrams) == -EINVAL
		&& mts_client_relay(client, mts_client_fd(client)) == -EINVAL
		&& mts_client_relay(NULL, unconnected) == -EINVAL;
	reach.answers[2] = mts_client_relay(client, unconnected);
	close(pair[0]);
	close(pair[1]);
	close(datagrams);
	close(unconnected);
	(void)mts_client_puts(client, "here\n");
	return MTS_KEEP;
}

/* A socket that will not do: the client stays. */
START_TEST(bad_arguments)
{
	mts_server *server = reach_server(misuse, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "here\n");
	peer_ask(peer, "here\n");
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], 1);
	ck_assert_int_eq(reach.answers[2], -ENOTCONN);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("relay");
	tcase_add_checked_fixture(tests, reach_setup, NULL);
	tcase_add_loop_test(tests, both_ways_at_once, 0, ROUTE_KINDS);
	tcase_add_loop_test(tests, pending_first, 0, 2 * ROUTE_KINDS);
	tcase_add_test(tests, unread_first);
	tcase_add_test(tests, through_itself);
	tcase_add_test(tests, urgent_bytes);
	tcase_add_loop_test(tests, urgent_bytes_before_the_end, 0, 2);
	tcase_add_test(tests, bad_arguments);
	return suite_run();
}
