/* SPDX-License-Identifier: MIT
 *
 * A listener that others have as well, and may accept from. That accept(2) does not wait is a property of
 * the socket, which any of them can change. The server makes it non-blocking again, tells the log once,
 * and goes on serving, there and everywhere else; and it stops as ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "watch.h"

enum { STOP_TIMEOUT = 30000, OWN = 0, SHARED = 1 };

static struct watch watch;
static int other; /* somebody else's descriptor of the second listener */
static struct gate reports; /* errors in the log */
static char report[256];

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	if (level <= MTS_LOG_ERR) {
		snprintf(report, sizeof(report), "%s", message);
		gate_add(&reports);
	}
}

static mts_server *make_server(int family)
{
	const int fd = listening_socket(family, 200);
	other = dup(fd);
	ck_assert_int_ge(other, 0);
	reports = (struct gate)GATE;
	mts_server *server = watch_server(&watch, answer_echo, STOP_TIMEOUT, TCP);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	return server;
}

static void make_blocking(void)
{
	const int flags = fcntl(other, F_GETFL);
	ck_assert_int_eq(fcntl(other, F_SETFL, flags & ~O_NONBLOCK), 0);
}

static bool is_blocking(void)
{
	return (fcntl(other, F_GETFL) & O_NONBLOCK) == 0;
}

static int visit(mts_server *server, size_t listener)
{
	const int peer = peer_connect(server, listener);
	peer_ask(peer, "hello");
	return peer;
}

START_TEST(made_blocking)
{
	enum { TIMES = 10 };
	int peers[2 * TIMES];
	mts_server *server = make_server(_i);
	server_start(server);
	for (int i = 0; i < TIMES; i++) {
		make_blocking();
		peers[2 * i] = visit(server, SHARED);
		peers[2 * i + 1] = visit(server, OWN);
		ck_assert(!is_blocking());
	}
	for (int i = 0; i < 2 * TIMES; i++) {
		peer_ask(peers[i], "hello");
	}
	make_blocking();
	watch_stop_well(server, STOP_TIMEOUT);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 2 * TIMES);
	ck_assert_int_eq(gate_count(&reports), 1);
	ck_assert_msg(strstr(report, "blocking") != NULL, "%s", report);
	for (int i = 0; i < 2 * TIMES; i++) {
		close(peers[i]);
	}
	close(other);
}
END_TEST

/* Many at once; and more than there is room for, with each way to deal with them. */
START_TEST(made_blocking_before_a_crowd)
{
	enum { CROWD = 100, ROOM = 60 };
	int peers[CROWD];
	int served = 0;
	const int policy = _i / FAMILIES;
	mts_server *server = make_server(_i % FAMILIES);
	ck_assert_int_eq(mts_server_set_max_clients(server, ROOM), 0);
	ck_assert_int_eq(mts_server_set_overload(server, policy), 0);
	server_start(server);
	make_blocking();
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(server, SHARED);
		(void)send(peers[i], "hello", 5, MSG_NOSIGNAL);
	}
	for (int i = 0; i < CROWD; i++) {
		char answer[5];
		/* Without a policy those who have been served make room for the others. */
		if (recv(peers[i], answer, sizeof(answer), MSG_WAITALL) == (ssize_t)sizeof(answer)) {
			served++;
		}
		close(peers[i]);
	}
	ck_assert_int_ge(served, policy == MTS_OVERLOAD_WAIT ? CROWD : 1);
	make_blocking();
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	close(visit(server, SHARED));
	close(visit(server, OWN));
	watch_stop_well(server, STOP_TIMEOUT);
	watch_destroy(server);
	close(other);
}
END_TEST

/* Somebody who makes it blocking again and again, and takes connections from it. */
static atomic_bool enough;
static _Atomic int taken;

static void *take_too(void *user)
{
	(void)user;
	while (!atomic_load(&enough)) {
		(void)fcntl(other, F_SETFL, 0);
		const int fd = accept(other, NULL, NULL);
		if (fd >= 0) {
			taken++;
			close(fd);
		}
	}
	return NULL;
}

/* Served by the server, or closed by the other one. */
static void try_shared(mts_server *server)
{
	char answer[5];
	const int peer = peer_connect(server, SHARED);
	(void)send(peer, "hello", 5, MSG_NOSIGNAL);
	const ssize_t count = recv(peer, answer, sizeof(answer), MSG_WAITALL);
	ck_assert_msg(count == 5 || count == 0 || errno == ECONNRESET, "%s", strerror(errno));
	close(peer);
}

/* Those who came elsewhere are served all the time. */
START_TEST(somebody_takes_connections_too)
{
	enum { ROUNDS = 200 };
	pthread_t thread;
	mts_server *server = make_server(_i);
	server_start(server);
	const int inside = visit(server, OWN);
	atomic_store(&enough, false);
	atomic_store(&taken, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_too, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		try_shared(server);
		peer_ask(inside, "hello");
		close(visit(server, OWN));
	}
	/* The other one may sleep in accept, and so may the server: two more wake both. */
	atomic_store(&enough, true);
	for (int i = 0; i < 2; i++) {
		close(peer_connect(server, SHARED));
	}
	while (pthread_tryjoin_np(thread, NULL) != 0) {
		close(peer_connect(server, SHARED));
	}
	ck_assert_int_eq(fcntl(other, F_SETFL, O_NONBLOCK), 0);
	close(visit(server, SHARED));
	watch_stop_well(server, STOP_TIMEOUT);
	watch_destroy(server);
	close(inside);
	close(other);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("shared listeners");
	tcase_add_loop_test(cases, made_blocking, 0, FAMILIES);
	tcase_add_loop_test(
		cases, made_blocking_before_a_crowd, 0, FAMILIES * (MTS_OVERLOAD_EVICT + 1));
	tcase_add_loop_test(cases, somebody_takes_connections_too, 0, FAMILIES);
	return suite_run();
}
