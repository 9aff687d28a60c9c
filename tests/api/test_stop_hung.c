/* SPDX-License-Identifier: MIT
 *
 * Callbacks that do not return when the server is to stop: run gives up at the deadline and says who it
 * was, destroy refuses as long as it must, and once the callback is let go everything comes to its proper
 * end after all, the close hook included.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

enum { TIMEOUT = 200 };
enum place { HANDLER, OPEN, CLOSE, FRAMER, THREAD_START, THREAD_END, PLACES };

static struct watch watch;
static struct gate hanging;
static struct gate go;
static enum place hangs;

/* What the log had to say about it; written before it is counted. */
static char report[8][256];
static struct gate reports;

static void remember(void)
{
	hanging = go = reports = (struct gate)GATE;
	remember_what_there_is();
}

static void reach(enum place place)
{
	if (place == hangs) {
		gate_add(&hanging);
		gate_wait(&go, 1);
	}
}

static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	reach(HANDLER);
	mts_client_write(client, request, size);
	return MTS_KEEP;
}

static int on_open(mts_client *client, void *user)
{
	(void)watch_open(client, user);
	reach(OPEN);
	return 0;
}

static void on_close(mts_client *client, int reason, void *user)
{
	reach(CLOSE);
	watch_close(client, reason, user);
}

static ssize_t framer(const void *data, size_t size, size_t scanned, void *user)
{
	(void)data;
	(void)scanned;
	(void)user;
	reach(FRAMER);
	return (ssize_t)size;
}

static void on_thread_start(void *user)
{
	(void)user;
	reach(THREAD_START);
}

static void on_thread_end(void *user)
{
	(void)user;
	reach(THREAD_END);
}

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	if (level <= MTS_LOG_ERR) {
		const int count = gate_count(&reports);
		snprintf(report[count % 8], sizeof(report[0]), "%s", message);
		gate_add(&reports);
	}
}

/* So many and no more; on a machine that is late the log may be a little later than run. */
static void expect_reports(int count)
{
	gate_wait(&reports, count);
	ck_assert_int_eq(gate_count(&reports), count);
}

static mts_server *hanging_server(enum place place)
{
	hangs = place;
	mts_server *server = watch_server(&watch, handler, TIMEOUT, 0);
	ck_assert_int_eq(mts_server_on_open(server, on_open, &watch), 0);
	ck_assert_int_eq(mts_server_on_close(server, on_close, &watch), 0);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_on_thread(server, on_thread_start, on_thread_end, NULL), 0);
	ck_assert_int_eq(mts_server_frame_custom(server, framer, NULL), 0);
	return server;
}

/* A client that makes it hang, where it does not hang only at the end. */
static int connect_to_hang(const mts_server *server)
{
	const int peer = peer_connect(server, 0);
	if (hangs != THREAD_END) {
		peer_puts(peer, "hello");
	}
	if (hangs == CLOSE) {
		peer_finish(peer);
	}
	if (hangs == THREAD_END) {
		gate_wait(&watch.opened, 1);
	} else {
		gate_wait(&hanging, 1);
	}
	return peer;
}

static const int reasons[PLACES] = {
	[HANDLER] = MTS_CLOSED_STOP,
	[OPEN] = MTS_CLOSED_STOP,
	[CLOSE] = MTS_CLOSED_BY_PEER,
	[FRAMER] = MTS_CLOSED_STOP,
	[THREAD_START] = MTS_CLOSED_STOP,
	[THREAD_END] = MTS_CLOSED_STOP,
};

START_TEST(hung_callback)
{
	mts_server *server = hanging_server((enum place)_i);
	server_start(server);
	const int peer = connect_to_hang(server);
	const uint64_t took = watch_stop(server, TIMEOUT, -EBUSY);
	ck_assert_uint_ge(took, _i == THREAD_END ? 0 : TIMEOUT);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	ck_assert_int_eq(mts_server_run(server), -EALREADY);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	expect_reports(1);
	peer_expect_gone(peer);
	close(peer);
	ck_assert_int_eq(gate_count(&watch.closed), _i == THREAD_END ? 1 : 0);
	gate_add(&go);
	watch_destroy_at_last(server);
	expect_reports(1);
	/* The start hook of its thread comes before the client's own, which may be called or not. */
	watch_expect(&watch, reasons[_i], _i == THREAD_START ? gate_count(&watch.opened) : 1);
}
END_TEST

/* Named by its number and its address, with how long it has hung. */
START_TEST(report_names_the_client)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	char start[128];
	mts_server *server = hanging_server(HANDLER);
	server_start(server);
	const int peer = connect_to_hang(server);
	const uint64_t since = now_ms();
	ck_assert_int_eq(getsockname(peer, (struct sockaddr *)&address, &size), 0);
	watch_stop(server, TIMEOUT, -EBUSY);
	const uint64_t most = now_ms() - since + 1000;
	expect_reports(1);
	pthread_mutex_lock(&watch.mutex);
	snprintf(start, sizeof(start), "client %llu from 127.0.0.1:%u: a callback still runs, since ",
		(unsigned long long)watch.entries[0].id, ntohs(address.sin_port));
	pthread_mutex_unlock(&watch.mutex);
	ck_assert_msg(strncmp(report[0], start, strlen(start)) == 0, "%s", report[0]);
	char *end = NULL;
	const unsigned long long age = strtoull(report[0] + strlen(start), &end, 10);
	ck_assert_str_eq(end, " ms");
	ck_assert_uint_ge(age, TIMEOUT);
	ck_assert_uint_le(age, most);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 1);
	gate_add(&go);
	watch_destroy_at_last(server);
	close(peer);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* All that hang are named, and the client that waited for their only threads is turned away. */
START_TEST(several_hang)
{
	enum { HUNG = 3 };
	int peers[HUNG];
	mts_server *server = hanging_server(HANDLER);
	ck_assert_int_eq(mts_server_set_max_threads(server, HUNG), 0);
	server_start(server);
	for (int i = 0; i < HUNG; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "hello");
	}
	gate_wait(&hanging, HUNG);
	const int waits = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_THREAD_WAITS, 1);
	watch_stop(server, TIMEOUT, -EBUSY);
	expect_reports(HUNG);
	peer_expect_gone(waits);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), HUNG);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 1);
	gate_add(&go);
	watch_destroy_at_last(server);
	for (int i = 0; i < HUNG; i++) {
		close(peers[i]);
	}
	close(waits);
	watch_expect(&watch, MTS_CLOSED_STOP, HUNG);
}
END_TEST

/* Nobody stops it but destroy, which then has the same deadline. */
START_TEST(destroy_alone)
{
	mts_server *server = hanging_server(HANDLER);
	server_start(server);
	const int peer = connect_to_hang(server);
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	expect_reports(1);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	gate_add(&go);
	watch_destroy_at_last(server);
	close(peer);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* A program may leave although a callback hangs. */
START_TEST(exit_with_a_hung_handler)
{
	const pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		static mts_server *server;
		server = hanging_server(HANDLER);
		server_start(server);
		connect_to_hang(server);
		mts_server_stop(server);
		exit(mts_server_join(server) == -EBUSY && mts_server_destroy(server) == -EBUSY ? 0 : 1);
	}
	int status = -1;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stop, hung callbacks");
	tcase_add_checked_fixture(cases, remember, expect_nothing_left);
	tcase_add_loop_test(cases, hung_callback, 0, PLACES);
	tcase_add_test(cases, report_names_the_client);
	tcase_add_test(cases, several_hang);
	tcase_add_test(cases, destroy_alone);
	tcase_add_test(cases, exit_with_a_hung_handler);
	return suite_run();
}
