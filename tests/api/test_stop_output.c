/* SPDX-License-Identifier: MIT
 *
 * A stop with output that waits, or input that does not end: a peer that does not read is cut off at the
 * deadline, one that reads gets everything, one that never stops sending is not waited for, and neither
 * is one that never closes. Every test runs over TCP and over a Unix socket.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

enum { LONG = 20000, SHORT = 300 }; /* stop timeouts: one that is not reached, and one that is */

enum { QUEUED = 800 * 1024, MOST_OUTPUT = 1024 * 1024 };

static struct watch watch;
static struct gate waiting; /* handlers that have begun to wait */
static struct gate go; /* what "linger" waits for */
static _Atomic int served; /* the descriptor of the latest client that waits */
static _Atomic int answer; /* what the call under test has returned */
static mts_server *server;

/* Writes until the peer's not reading or a failure ends it. */
static int flood(mts_client *client)
{
	enum { PIECE = 1024 * 1024 };
	char *piece = calloc(1, PIECE);
	int result = 0;
	atomic_store(&served, mts_client_fd(client));
	gate_add(&waiting);
	while (result == 0) {
		result = mts_client_write(client, piece, PIECE);
	}
	free(piece);
	atomic_store(&answer, result);
	return MTS_KEEP;
}

/* Writes more than the kernel takes, and less than the limit: it waits, but the handler does not. */
static int queue(mts_client *client)
{
	char *piece = calloc(1, QUEUED);
	small_buffers(mts_client_fd(client));
	atomic_store(&answer, mts_client_write(client, piece, QUEUED));
	free(piece);
	gate_add(&waiting);
	return MTS_KEEP;
}

/* Leaves input unread. */
static int linger(mts_client *client)
{
	atomic_store(&served, mts_client_fd(client));
	gate_add(&waiting);
	gate_wait(&go, 1);
	mts_client_puts(client, "linger\n");
	return MTS_CLOSE;
}

static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	(void)user;
	if (strcmp(line, "flood") == 0) {
		return flood(client);
	}
	if (strcmp(line, "queue") == 0) {
		return queue(client);
	}
	if (strcmp(line, "linger") == 0) {
		return linger(client);
	}
	mts_client_write(client, line, size);
	mts_client_puts(client, "\n");
	return MTS_KEEP;
}

static void prepare(unsigned timeout, int family)
{
	waiting = go = (struct gate)GATE;
	atomic_store(&answer, 0);
	server = watch_server(&watch, handler, timeout, family);
	ck_assert_int_eq(mts_server_set_max_output(server, MOST_OUTPUT), 0);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
}

static int connect_with(const char *text)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, text);
	return peer;
}

/* A handler that is held up by a peer that never reads is let go at the deadline. */
START_TEST(writer_waits)
{
	prepare(SHORT, _i);
	server_start(server);
	const int peer = connect_with("flood\n");
	gate_wait(&waiting, 1);
	watch_stop_by_cut(server, SHORT, 1);
	ck_assert_int_eq(atomic_load(&answer), -EPIPE);
	peer_expect_gone(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* Output that waits when the handler has long returned: the peer never reads, */
START_TEST(output_waits)
{
	prepare(SHORT, _i);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "queue\n");
	gate_wait(&waiting, 1);
	watch_stop_by_cut(server, SHORT, 1);
	ck_assert_int_eq(atomic_load(&answer), 0);
	peer_expect_gone(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

static void *read_all(void *peer)
{
	static const char nothing[QUEUED];
	gate_wait(&watch.stopping, 1);
	peer_expect(*(int *)peer, nothing, sizeof(nothing));
	peer_expect_end(*(int *)peer);
	return NULL;
}

/* or begins to read when the stop has begun, and gets it all. */
START_TEST(output_goes_out)
{
	pthread_t reader;
	prepare(LONG, _i);
	server_start(server);
	int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "queue\n");
	gate_wait(&waiting, 1);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &peer), 0);
	watch_stop_well(server, LONG);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

static void *send_for_ever(void *peer)
{
	static const char lines[] = "0123456789\n0123456789\n0123456789\n";
	char replies[4096];
	while (send(*(int *)peer, lines, sizeof(lines) - 1, MSG_NOSIGNAL) > 0) {
		(void)recv(*(int *)peer, replies, sizeof(replies), MSG_DONTWAIT);
	}
	return NULL;
}

/*
 * There is always more to come, and that is no reason to go on. The sender does not read to the end, and it
 * may wait for room when the server closes: the kernel, for a minute, would go on saying that there is none.
 */
START_TEST(sender_never_stops)
{
	pthread_t sender;
	prepare(LONG, _i);
	server_start(server);
	int peer = connect_with("hello\n");
	peer_expect_text(peer, "hello\n");
	ck_assert_int_eq(pthread_create(&sender, NULL, send_for_ever, &peer), 0);
	while (mts_server_stat(server, MTS_STAT_REQUESTS) < 1000) {
		sched_yield();
	}
	watch_stop_well(server, LONG);
	(void)shutdown(peer, SHUT_RDWR);
	ck_assert_int_eq(pthread_join(sender, NULL), 0);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* Its callbacks are over; the socket only waits for the peer to finish, which it never does. */
START_TEST(lingering)
{
	prepare(SHORT, _i);
	server_start(server);
	const int peer = connect_with("linger\n");
	gate_wait(&waiting, 1);
	peer_puts(peer, "unread");
	wait_unread(atomic_load(&served), 6);
	gate_add(&go);
	gate_wait(&watch.closed, 1);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	watch_stop(server, SHORT, 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 0);
	peer_expect_text(peer, "linger\n");
	peer_expect_gone(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_BY_HANDLER, 1);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stop, output");
	tcase_add_loop_test(cases, writer_waits, 0, 2);
	tcase_add_loop_test(cases, output_waits, 0, 2);
	tcase_add_loop_test(cases, output_goes_out, 0, 2);
	tcase_add_loop_test(cases, sender_never_stops, 0, 2);
	tcase_add_loop_test(cases, lingering, 0, 2);
	return suite_run();
}
