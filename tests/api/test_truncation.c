/* SPDX-License-Identifier: MIT
 *
 * An orderly end of the stream means that all that was written has been sent. Whoever is cut off while
 * something of it is not gets a reset, whatever has cut it off, and also while a child process holds the
 * socket; whoever is cut off with nothing waiting gets all that the kernel has, and then the end.
 *
 * Handlers that hang do so until the peer has seen its end: so that does not wait for them.
 */
#include "reach.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 100000 };

static int file;
static pid_t child; /* holds the socket of a client; 0: no one does */
static bool with_child;

static void setup(void)
{
	reach_setup();
	child = 0;
	with_child = false;
}

static int open_it(mts_client *client, void *user)
{
	if (with_child) {
		child = fork();
		if (child == 0) {
			(void)poll(NULL, 0, 2 * PATIENCE * 1000); /* signals are blocked here */
			_exit(0);
		}
	}
	return reach_open(client, user);
}

static void end_child(void)
{
	if (child > 0) {
		(void)kill(child, SIGKILL);
		ck_assert_int_eq(waitpid(child, NULL, 0), child);
	}
}

/* What the line says, then what the next letter says: see the table. */
static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[4 * REACH_MIB];
	const char *what = request;
	(void)user;
	for (size_t i = 0; i < size; i++) {
		switch (what[i]) {
		case 's': /* a short reply, which is not sent */
			ck_assert_int_eq(mts_client_puts(client, "short"), 0);
			break;
		case 'f':
			(void)mts_client_flush(client);
			break;
		case 'l': /* a long one, for which it waits */
			reach.answers[0] = mts_client_write(client, bytes, sizeof(bytes));
			break;
		case 'F':
			reach.answers[0] = (int)mts_client_sendfile(client, file, 0, REACH_MIB);
			break;
		case 'n':
			gate_add(&reach.entered);
			reach.answers[0] = mts_client_next(client, &request, &size);
			break;
		case 'h': /* hangs */
			gate_add(&reach.entered);
			gate_wait(&reach.leave, 1);
			break;
		case 'e':
			return -EIO;
		case 'c':
			return MTS_CLOSE;
		case '.':
			gate_add(&reach.entered);
			break;
		default:
			break;
		}
	}
	return MTS_KEEP;
}

enum way { KICK, TIMEOUT, STOP, MEMORY, ITSELF };

static const struct {
	const char *request;
	bool messages; /* others have sent to it what its peer does not take */
	bool hangs; /* the handler does, until the peer has seen its end */
	enum way way;
	int reason;
} dropped[] = {
	{".", true, false, KICK, MTS_CLOSED_KICKED},
	{".", true, false, TIMEOUT, MTS_CLOSED_WRITE_TIMEOUT},
	{".", true, false, STOP, MTS_CLOSED_STOP},
	{".", true, false, MEMORY, MTS_CLOSED_EVICTED},
	{".h", true, true, KICK, MTS_CLOSED_KICKED},
	{"n", true, false, KICK, MTS_CLOSED_KICKED},
	{"ne", true, false, KICK, MTS_CLOSED_KICKED},
	{".se", false, false, ITSELF, MTS_CLOSED_ERROR},
	{".sfse", false, false, ITSELF, MTS_CLOSED_ERROR},
	{".sh", false, true, KICK, MTS_CLOSED_KICKED},
	{".sfsh", false, true, KICK, MTS_CLOSED_KICKED},
	{".sh", false, true, STOP, MTS_CLOSED_STOP},
	{".l", false, false, KICK, MTS_CLOSED_KICKED},
	{".l", false, false, TIMEOUT, MTS_CLOSED_WRITE_TIMEOUT},
	{".l", false, false, STOP, MTS_CLOSED_STOP},
	{".le", false, false, TIMEOUT, MTS_CLOSED_WRITE_TIMEOUT},
	{".F", false, false, KICK, MTS_CLOSED_KICKED},
	{".F", false, false, STOP, MTS_CLOSED_STOP},
};
enum { DROPPED = sizeof(dropped) / sizeof(dropped[0]) };

static mts_server *begin(void)
{
	mts_server *server = reach_server(handle, NULL);
	ck_assert_int_eq(mts_server_on_open(server, open_it, NULL), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 30000), 0);
	return server;
}

/* Cuts it off in that way; a kick may come before it waits, and then cuts it off all the same. */
static void cut(mts_server *server, enum way way)
{
	switch (way) {
	case KICK:
		ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
		break;
	case TIMEOUT:
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_WRITE, 20), 0);
		break;
	case STOP:
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 50), 0);
		mts_server_stop(server);
		break;
	case MEMORY:
		ck_assert_int_eq(mts_server_set_max_memory(server, 64 * 1024), 0);
		break;
	default:
		break;
	}
}

static void finish(mts_server *server)
{
	mts_server_stop(server);
	const int result = mts_server_join(server);
	ck_assert(result == 0 || result == -EBUSY); /* a stop whose deadline is near may be late */
	wait_until(mts_server_destroy(server) == 0);
}

static void check_dropped(int i)
{
	mts_server *server = begin();
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	gate_wait(&reach.opened, 1);
	if (dropped[i].messages) {
		wait_until(mts_server_send(server, reach.ids[0], NULL, 0) == 0);
		(void)reach_until_refused(server, reach.ids[0]);
	}
	peer_send(peer, dropped[i].request, strlen(dropped[i].request));
	peer_puts(peer, "\n");
	const bool on_demand = test_model == MTS_THREAD_ON_DEMAND;
	/* On demand one whose output waits gets no further turn. */
	const bool handled = !(dropped[i].messages && on_demand);
	if (handled) {
		gate_wait(&reach.entered, dropped[i].hangs ? 2 : 1);
		if (strpbrk(dropped[i].request, "lF") != NULL) {
			wait_until(mts_server_send(server, reach.ids[0], "x", 1) == -ENOBUFS);
		}
	}
	cut(server, dropped[i].way);
	if (!dropped[i].hangs) {
		endings_expect(&reach.endings, dropped[i].reason, 1); /* before its peer reads */
	}
	const size_t got = peer_expect_torn(peer);
	if (strstr(dropped[i].request, "sf") != NULL) {
		ck_assert_uint_eq(got, 5);
	}
	gate_add(&reach.leave);
	endings_expect(&reach.endings, dropped[i].reason, 1);
	close(peer);
	end_child();
	finish(server);
}

START_TEST(what_is_dropped_ends_with_a_reset)
{
	check_dropped(_i);
}
END_TEST

/* Neither shutdown(2) nor close(2) would do: the child keeps the socket open. */
START_TEST(also_while_a_child_holds_the_socket)
{
	with_child = true;
	check_dropped(_i);
}
END_TEST

/* The handler has failed with messages waiting that the peer does not take. */
START_TEST(an_error_behind_messages)
{
	mts_server *server = begin();
	ck_assert_int_eq(mts_server_set_max_output(server, REACH_MIB), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	static char bytes[REACH_MIB / 2];
	gate_wait(&reach.opened, 1);
	wait_until(mts_server_send(server, reach.ids[0], bytes, sizeof(bytes)) == 0);
	peer_puts(peer, "e\n");
	endings_expect(&reach.endings, MTS_CLOSED_ERROR, 1);
	ck_assert_uint_lt(peer_expect_torn(peer), sizeof(bytes));
	close(peer);
	server_end(server);
}
END_TEST

/* It is told to close, its peer does not read, and then it is cut off. */
START_TEST(cut_off_while_it_ends)
{
	mts_server *server = begin();
	ck_assert_int_eq(mts_server_set_max_output(server, 8 * REACH_MIB), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "l.c\n");
	gate_wait(&reach.entered, 1);
	wait_until(mts_server_send(server, reach.ids[0], NULL, 0) == -ENOENT);
	cut(server, _i == 0 ? KICK : STOP);
	endings_expect(&reach.endings, _i == 0 ? MTS_CLOSED_KICKED : MTS_CLOSED_STOP, 1);
	ck_assert_uint_lt(peer_expect_torn(peer), 4 * REACH_MIB);
	close(peer);
	finish(server);
}
END_TEST

static const struct {
	const char *request;
	const char *reply;
	bool hangs;
	enum way way;
	int reason;
} whole[] = {
	{".", "", false, KICK, MTS_CLOSED_KICKED}, {"n", "", false, KICK, MTS_CLOSED_KICKED},
	{".sf", "short", false, KICK, MTS_CLOSED_KICKED}, {".h", "", true, KICK, MTS_CLOSED_KICKED},
	{".sfh", "short", true, KICK, MTS_CLOSED_KICKED}, {".h", "", true, STOP, MTS_CLOSED_STOP},
	{".sfh", "short", true, STOP, MTS_CLOSED_STOP}, {".e", "", false, ITSELF, MTS_CLOSED_ERROR},
	{".sfe", "short", false, ITSELF, MTS_CLOSED_ERROR},
	{"snc", "short", false, KICK, MTS_CLOSED_KICKED},
	{".sc", "short", false, ITSELF, MTS_CLOSED_BY_HANDLER}, /* last: see below */
};
enum { WHOLE = sizeof(whole) / sizeof(whole[0]) };

static void check_whole(int i)
{
	mts_server *server = begin();
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, whole[i].request);
	peer_puts(peer, "\n");
	gate_wait(&reach.entered, whole[i].hangs ? 2 : 1);
	server_wait_stat(server, MTS_STAT_BYTES_OUT, strlen(whole[i].reply));
	cut(server, whole[i].way);
	peer_expect_text(peer, whole[i].reply);
	peer_expect_end(peer);
	gate_add(&reach.leave);
	endings_expect(&reach.endings, whole[i].reason, 1);
	close(peer);
	end_child();
	finish(server);
}

START_TEST(with_nothing_dropped_it_ends_in_order)
{
	check_whole(_i);
}
END_TEST

/* But who just closes is gone when the child is. */
START_TEST(in_order_while_a_child_holds_the_socket)
{
	with_child = true;
	check_whole(_i);
}
END_TEST

enum { IDLE, UNREAD, ERROR, AT_THE_DEADLINE, ENDS };

static int fill(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[SIZE];
	(void)request;
	(void)size;
	pattern_fill(bytes, SIZE, 0);
	ck_assert_int_eq(mts_client_write(client, bytes, SIZE), 0);
	ck_assert_int_eq(mts_client_flush(client), 0);
	gate_add(&reach.entered);
	if (*(const int *)user == UNREAD || *(const int *)user == AT_THE_DEADLINE) {
		gate_wait(&reach.leave, 1);
	}
	return *(const int *)user == ERROR ? -EIO : MTS_KEEP;
}

static int no_buffers(mts_client *client, void *user)
{
	(void)user;
	reach.ids[0] = mts_client_id(client);
	return 0;
}

/* Ends the client in that way, when the kernel has its reply. */
static void end_filled(mts_server *server, int how)
{
	if (how == IDLE || how == UNREAD) {
		ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
	} else if (how == AT_THE_DEADLINE) {
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 20), 0);
		mts_server_stop(server);
		ck_assert_int_eq(mts_server_join(server), -EBUSY);
	}
	gate_add(&reach.leave);
}

/* The kernel has all of it, and its peer has read nothing: all of it comes, and then the end. */
START_TEST(what_the_kernel_has_arrives)
{
	static const int reasons[ENDS] = {
		MTS_CLOSED_KICKED, MTS_CLOSED_KICKED, MTS_CLOSED_ERROR, MTS_CLOSED_STOP};
	mts_server *server = reach_server(fill, &_i);
	ck_assert_int_eq(mts_server_on_open(server, no_buffers, NULL), 0);
	server_start(server);
	const int peer = peer_socket();
	const int small = 4096;
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	peer_connect_socket(peer, server);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 1);
	server_wait_stat(server, MTS_STAT_BYTES_OUT, SIZE);
	if (_i == UNREAD || _i == AT_THE_DEADLINE) {
		peer_puts(peer, "unread\n"); /* which must not become a reset */
	}
	end_filled(server, _i);
	endings_expect(&reach.endings, reasons[_i], 1);
	peer_expect_pattern(peer, SIZE, 0);
	peer_expect_end(peer);
	close(peer);
	finish(server);
}
END_TEST

/* These cannot be reset: closing one with input unread is an error for the peer, else it just ends. */
START_TEST(unix_sockets_come_as_near_as_they_can)
{
	char path[] = "/tmp/mts-truncation-XXXXXX";
	char address[sizeof(path) + sizeof("unix:/socket")];
	ck_assert_ptr_nonnull(mkdtemp(path));
	(void)snprintf(address, sizeof(address), "unix:%s/socket", path);
	mts_server *server = server_create(handle, NULL);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, reach_open, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &reach.endings), 0);
	ck_assert_int_eq(mts_server_listen(server, address), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, ".h\n");
	gate_wait(&reach.entered, 2);
	(void)reach_until_refused(server, reach.ids[0]);
	if (_i == 0) {
		peer_puts(peer, "unread\n");
	}
	ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
	gate_add(&reach.leave);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	if (_i == 0) {
		(void)peer_expect_torn(peer);
	} else {
		peer_expect_gone(peer);
	}
	close(peer);
	server_end(server);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

static int greet_and_refuse(mts_client *client, void *user)
{
	(void)user;
	ck_assert_int_eq(mts_client_puts(client, "not you"), 0);
	return -1;
}

START_TEST(a_refusal_with_a_greeting)
{
	mts_server *server = reach_server(handle, NULL);
	ck_assert_int_eq(mts_server_on_open(server, greet_and_refuse, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_expect_text(peer, "not you");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("truncation");
	FILE *stream = tmpfile();
	if (stream == NULL || ftruncate(fileno(stream), REACH_MIB) != 0) {
		return 99;
	}
	file = fileno(stream);
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_loop_test(cases, what_is_dropped_ends_with_a_reset, 0, DROPPED);
	tcase_add_loop_test(cases, also_while_a_child_holds_the_socket, 0, DROPPED);
	tcase_add_test(cases, an_error_behind_messages);
	tcase_add_loop_test(cases, cut_off_while_it_ends, 0, 2);
	tcase_add_loop_test(cases, with_nothing_dropped_it_ends_in_order, 0, WHOLE);
	tcase_add_loop_test(cases, in_order_while_a_child_holds_the_socket, 0, WHOLE - 1);
	tcase_add_loop_test(cases, what_the_kernel_has_arrives, 0, ENDS);
	tcase_add_loop_test(cases, unix_sockets_come_as_near_as_they_can, 0, 2);
	tcase_add_test(cases, a_refusal_with_a_greeting);
	return suite_run();
}
