/* SPDX-License-Identifier: MIT
 *
 * Sockets that others have as well, through dup(2), a child, or whoever handed a listener down. What they do
 * to it the server finds done: a client's socket that does not block any more, or not for long, and a
 * listener that is shut down. None of it may cost a client, or a CPU. And what the server has closed may
 * live on in them: that raises no events for anybody.
 *
 * That nothing happens to an idle client is no event. So it is left idle for a bounded time, in which its
 * end would be seen, and the process's CPU time is taken: what others run meanwhile does not count.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

enum { BOTH_WAYS, RECEIVING, SHUTDOWNS };
enum { BY_DUP, BY_CHILD, BY_TIMEOUT, INHERITED };
enum { STOP_TIMEOUT = 30000, RECEIVE_TIMEOUT_MS = 10, IDLE_MS = 250, WATCHED_MS = 500 };

static struct watch watch;

static const struct timeval receive_timeout = {.tv_usec = RECEIVE_TIMEOUT_MS * 1000};

/*
 * What has just happened comes to its end: a look after a request, and the translation of code that runs
 * for the first time, under valgrind. Something that spins does not get through here.
 */
static void come_to_rest(void)
{
	const uint64_t start = now_ms();
	uint64_t before;
	do {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "it does not come to rest");
		before = cpu_ms();
		poll(NULL, 0, IDLE_MS / 5);
	} while (cpu_ms() != before);
}

/* While nothing happens for so long, the process uses less than 2 % of a CPU. */
static void expect_rest(int milliseconds)
{
	come_to_rest();
	const uint64_t start = now_ms();
	const uint64_t cpu = cpu_ms();
	poll(NULL, 0, milliseconds);
	const uint64_t used = cpu_ms() - cpu;
	const uint64_t passed = now_ms() - start;
	ck_assert_msg(used * 50 <= passed, "%llu ms of CPU in %llu ms", (unsigned long long)used,
		(unsigned long long)passed);
}

static void stop_blocking(int fd)
{
	const int flags = fcntl(fd, F_GETFL);
	(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static void stop_blocking_by_dup(int fd)
{
	const int other = dup(fd);
	ck_assert_int_ge(other, 0);
	stop_blocking(other);
	ck_assert_int_eq(close(other), 0);
}

static void stop_blocking_by_child(int fd)
{
	/* No assertion in the child: those take a lock, which another thread may have held at the fork. */
	const pid_t child = fork();
	if (child == 0) {
		stop_blocking(fd);
		_exit(0);
	}
	ck_assert_int_ge(child, 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

static void expect_receive_timeout(int fd)
{
	struct timeval now;
	socklen_t size = sizeof(now);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &now, &size), 0);
	ck_assert(now.tv_sec > 0 || now.tv_usec > 0);
}

/* Does to the client's socket what somebody else might. */
static int on_open(mts_client *client, void *way)
{
	const int fd = mts_client_fd(client);
	switch (*(const int *)way) {
	case BY_DUP:
		stop_blocking_by_dup(fd);
		break;
	case BY_CHILD:
		stop_blocking_by_child(fd);
		break;
	case BY_TIMEOUT:
		ck_assert_int_eq(
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive_timeout, sizeof(receive_timeout)), 0);
		break;
	default:
		break;
	}
	if (*(const int *)way == BY_DUP || *(const int *)way == BY_CHILD) {
		ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	} else {
		expect_receive_timeout(fd);
	}
	return watch_open(client, &watch);
}

/* Echoes; after a "?" it waits for the answer inside, byte by byte. */
static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)user;
	ck_assert_int_eq(mts_client_write(client, request, size), 0);
	if (memchr(request, '?', size) != NULL) {
		ck_assert_int_eq(mts_client_read(client, &byte, 1), 1);
		ck_assert_int_eq(mts_client_write(client, &byte, 1), 0);
	}
	return MTS_KEEP;
}

/* A client that is idle, between requests and inside one, stays; and a stop finds it. */
static void be_idle(mts_server *server, size_t index)
{
	const int peer = peer_connect(server, index);
	gate_wait(&watch.opened, 1);
	struct pollfd news = {.fd = peer, .events = POLLIN};
	expect_rest(IDLE_MS);
	ck_assert_int_eq(poll(&news, 1, 0), 0);
	peer_ask(peer, "hello");
	peer_ask(peer, "well?");
	expect_rest(IDLE_MS);
	ck_assert_int_eq(poll(&news, 1, 0), 0);
	peer_ask(peer, "!");
	peer_ask(peer, "hello");
	watch_stop_well(server, STOP_TIMEOUT);
	peer_expect_end(peer);
	close(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
}

static mts_server *shared_server(int family, int *way)
{
	mts_server *server = watch_server(&watch, handler, STOP_TIMEOUT, family);
	ck_assert_int_eq(mts_server_on_open(server, on_open, way), 0);
	return server;
}

START_TEST(client_does_not_block)
{
	int way = _i % INHERITED;
	mts_server *server = shared_server(_i / INHERITED, &way);
	server_start(server);
	be_idle(server, 0);
}
END_TEST

/* TCP sockets have it from the listener that accepted them. */
START_TEST(receive_timeout_of_the_listener)
{
	int way = INHERITED;
	const int listener = listening_socket(TCP, 5);
	ck_assert_int_eq(
		setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &receive_timeout, sizeof(receive_timeout)),
		0);
	mts_server *server = shared_server(TCP, &way);
	ck_assert_int_eq(mts_server_listen_fd(server, listener), 0);
	server_start(server);
	be_idle(server, 1);
}
END_TEST

/* What the log said at level ERR; written before it is counted. */
static char report[8][256];
static struct gate reports = GATE;

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	if (level <= MTS_LOG_ERR) {
		snprintf(report[gate_count(&reports) % 8], sizeof(report[0]), "%s", message);
		gate_add(&reports);
	}
}

/* One line, which names the listener. */
static void expect_report(const char *address)
{
	gate_wait(&reports, 1);
	const int count = gate_count(&reports);
	ck_assert_msg(count == 1, "%d lines: %s; %s", count, report[0], report[1]);
	ck_assert_msg(strstr(report[0], "shut down") != NULL, "%s", report[0]);
	ck_assert_msg(strstr(report[0], address) != NULL, "%s", report[0]);
}

/* The first listener is the server's own, the second one, of the i-th kind, is shared. */
static mts_server *server_of_two(int i, int *shared)
{
	const int fd = listening_socket(i % FAMILIES, 5);
	*shared = dup(fd);
	ck_assert_int_ge(*shared, 0);
	mts_server *server = watch_server(&watch, handler, STOP_TIMEOUT, 0);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	return server;
}

/* In one of the ways that make a listener useless. */
static void shut_down(int shared, int i)
{
	const int how = i / FAMILIES == BOTH_WAYS ? SHUT_RDWR : SHUT_RD;
	ck_assert_int_eq(shutdown(shared, how), 0);
}

START_TEST(listener_is_shut_down)
{
	int shared;
	mts_server *server = server_of_two(_i, &shared);
	server_start(server);
	const int earlier = peer_connect(server, 1);
	peer_ask(earlier, "hello");
	shut_down(shared, _i);
	const int later = peer_connect(server, 0);
	peer_ask(later, "hello");
	expect_rest(WATCHED_MS);
	expect_report(mts_server_address(server, 1));
	peer_ask(earlier, "hello");
	peer_ask(later, "hello");
	watch_stop_well(server, STOP_TIMEOUT);
	expect_report(mts_server_address(server, 1));
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 2);
	close(earlier);
	close(later);
	close(shared);
}
END_TEST

/* A server that is full does not ask for connections, but is told of this all the same. */
START_TEST(listener_of_a_full_server_is_shut_down)
{
	int shared;
	mts_server *server = server_of_two(_i, &shared);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	server_start(server);
	const int inside = peer_connect(server, 1);
	peer_ask(inside, "hello");
	shut_down(shared, _i);
	const int outside = peer_connect(server, 0);
	peer_puts(outside, "hello");
	peer_ask(inside, "hello");
	expect_rest(WATCHED_MS);
	close(inside);
	peer_expect_text(outside, "hello");
	watch_stop_well(server, STOP_TIMEOUT);
	expect_report(mts_server_address(server, 1));
	close(outside);
	close(shared);
	watch_destroy(server);
	watch_expect_some(&watch, MTS_CLOSED_STOP, 1);
}
END_TEST

/* What lives on, and how its client ends. */
static struct {
	int way; /* BY_DUP or BY_CHILD */
	int verdict; /* what the handler returns after its reply */
	int copy;
	pid_t child;
	int release[2]; /* the child lives until this is closed */
	struct gate made;
} copy;

static void hold_in_a_child(void)
{
	char byte;
	close(copy.release[1]);
	while (read(copy.release[0], &byte, 1) > 0) {
	}
	_exit(0);
}

static int make_a_copy(mts_client *client, const void *request, size_t size, void *user)
{
	const char *text = request;
	(void)user;
	(void)mts_client_write(client, text, size);
	if (text[0] != 'c') {
		return MTS_KEEP;
	}
	if (copy.way == BY_DUP) {
		copy.copy = dup(mts_client_fd(client));
	} else {
		copy.child = fork();
		if (copy.child == 0) {
			hold_in_a_child();
		}
	}
	gate_add(&copy.made);
	return copy.verdict;
}

static void let_go_of_the_copy(void)
{
	close(copy.release[1]);
	close(copy.release[0]);
	if (copy.way == BY_DUP) {
		ck_assert_int_eq(close(copy.copy), 0);
	} else {
		ck_assert_int_eq(waitpid(copy.child, NULL, 0), copy.child);
	}
}

static const int verdicts[] = {MTS_CLOSE, -EIO};
enum { VERDICTS = sizeof(verdicts) / sizeof(verdicts[0]), GHOSTS = 2 * VERDICTS };

/* The peer goes on as if nothing had happened, and the next client has its slot: none of it is heard. */
START_TEST(a_copy_of_a_closed_socket_raises_no_events)
{
	copy.way = _i < VERDICTS ? BY_DUP : BY_CHILD;
	copy.verdict = verdicts[_i % VERDICTS];
	copy.made = (struct gate)GATE;
	ck_assert_int_eq(pipe2(copy.release, O_CLOEXEC), 0);
	mts_server *server = watch_server(&watch, make_a_copy, STOP_TIMEOUT, TCP);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "c");
	gate_wait(&copy.made, 1);
	gate_wait(&watch.closed, 1);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	const int next = peer_connect(server, 0);
	peer_ask(next, "hello");
	for (int i = 0; i < 10; i++) {
		(void)send(peer, "and another thing", 17, MSG_NOSIGNAL);
	}
	expect_rest(IDLE_MS);
	(void)shutdown(peer, SHUT_WR);
	expect_rest(IDLE_MS);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BYTES_IN), 1 + 5);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), 1);
	peer_ask(next, "still here");
	let_go_of_the_copy();
	peer_expect_gone(peer);
	peer_ask(next, "and now");
	watch_stop_well(server, STOP_TIMEOUT);
	watch_destroy(server);
	watch_expect_some(&watch, MTS_CLOSED_STOP, 1);
	ck_assert_int_eq(gate_count(&watch.closed), 2);
	close(peer);
	close(next);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("shared sockets");
	tcase_add_loop_test(cases, client_does_not_block, 0, FAMILIES * INHERITED);
	tcase_add_test(cases, receive_timeout_of_the_listener);
	tcase_add_loop_test(cases, listener_is_shut_down, 0, SHUTDOWNS * FAMILIES);
	tcase_add_loop_test(cases, listener_of_a_full_server_is_shut_down, 0, SHUTDOWNS * FAMILIES);
	tcase_add_loop_test(cases, a_copy_of_a_closed_socket_raises_no_events, 0, GHOSTS);
	return suite_run();
}
