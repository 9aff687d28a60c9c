/* SPDX-License-Identifier: MIT
 *
 * Listening on what a service manager has passed: by name, or on all; all that are meant or none; and
 * whatever it says, or passes, a sentence says what is wrong, and nothing has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service.h"
#include "support.h"

enum { FIRST = 3, THREE = 3 };

/* Three sockets: two TCP, a Unix one between them. */
static int sockets[THREE];

static void setup(void)
{
	for (int i = 0; i < THREE; i++) {
		sockets[i] = listening_socket(i == 1 ? UNIX : TCP, 5);
	}
}

static void teardown(void)
{
	for (int i = 0; i < THREE; i++) {
		close(sockets[i]);
	}
}

static mts_server *bare_server(void)
{
	return server_create(answer_echo, NULL);
}

static void must_listen(mts_server *server, const char *address)
{
	const int result = mts_server_listen(server, address);
	if (result != 0) {
		fprintf(stderr, "%s\n", mts_server_error(server));
	}
	service_must(result == 0);
}

/* It is refused, with this sentence, and nothing has come of it. */
static void must_refuse(mts_server *server, const char *address, int code, const char *sentence)
{
	size_t count = 0;
	size_t after = 0;
	while (mts_server_address(server, count) != NULL) {
		count++;
	}
	const int result = mts_server_listen(server, address);
	if (result != code || strcmp(mts_server_error(server), sentence) != 0) {
		fprintf(stderr, "%s: %d: %s\n", address, result, mts_server_error(server));
	}
	service_must(result == code);
	service_must(strcmp(mts_server_error(server), sentence) == 0);
	while (mts_server_address(server, after) != NULL) {
		after++;
	}
	service_must(after == count);
}

static bool is_inherited(int fd)
{
	const int flags = fcntl(fd, F_GETFD);
	service_must(flags >= 0);
	return (flags & FD_CLOEXEC) == 0;
}

static bool blocks(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static void serve_by_name(void)
{
	mts_server *server = bare_server();
	must_listen(server, "systemd:web");
	service_must(mts_server_listener_fd(server, 0) == FIRST);
	service_must(mts_server_listener_fd(server, 1) == FIRST + 2);
	service_must(mts_server_listener_fd(server, 2) == -ENOENT);
	service_must(strncmp(mts_server_address(server, 0), "127.0.0.1:", 10) == 0);
	service_must(!is_inherited(FIRST) && !is_inherited(FIRST + 2));
	service_must(is_inherited(FIRST + 1) && blocks(FIRST + 1)); /* it is not ours */
	service_must(strcmp(getenv("LISTEN_FDNAMES"), "web:control:web") == 0);
	service_must(atoi(getenv("LISTEN_FDS")) == THREE && atoi(getenv("LISTEN_PID")) == getpid());
	must_listen(server, "127.0.0.1:0");
	server_start(server);
	peer_visit(server, 0);
	peer_visit(server, 1);
	peer_visit(server, 2);
	server_end(server);
	service_must(fcntl(FIRST, F_GETFD) < 0 && is_inherited(FIRST + 1));
}

START_TEST(by_name)
{
	in_a_service(sockets, THREE, "web:control:web", serve_by_name);
}
END_TEST

static void serve_all(void)
{
	mts_server *server = bare_server();
	must_listen(server, "systemd:");
	server_start(server);
	for (size_t i = 0; i < THREE; i++) {
		service_must(mts_server_listener_fd(server, i) == FIRST + (int)i);
		peer_visit(server, i);
	}
	service_must(mts_server_address(server, THREE) == NULL);
	server_end(server);
}

/* Whatever their names are, or whether they have any. */
START_TEST(all_of_them)
{
	in_a_service(sockets, THREE, _i == 0 ? "web:control:web" : NULL, serve_all);
}
END_TEST

/* Who has come before the program was started has waited in the kernel. */
static void serve_who_waits(void)
{
	mts_server *server = bare_server();
	must_listen(server, "systemd:");
	server_start(server);
	server_wait_stat(server, MTS_STAT_CLOSED, 1);
	server_end(server);
}

START_TEST(who_came_first)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	const int peer = peer_socket();
	ck_assert_int_eq(getsockname(sockets[0], (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&address, size), 0);
	peer_puts(peer, "hello");
	peer_finish(peer);
	in_a_service(sockets, THREE, NULL, serve_who_waits);
	peer_expect_text(peer, "hello");
	peer_expect_end(peer);
	close(peer);
}
END_TEST

/* What the server has it has once; the others of that call are left as they are. */
static void listen_twice(void)
{
	mts_server *server = bare_server();
	must_listen(server, "systemd:web");
	must_refuse(server, "systemd:web", -EALREADY,
		"cannot listen on systemd:web, descriptor 3: the server has it already");
	must_refuse(server, "systemd:", -EALREADY,
		"cannot listen on systemd:, descriptor 3: the server has it already");
	service_must(is_inherited(FIRST + 1) && blocks(FIRST + 1));
	must_listen(server, "systemd:control");
	server_start(server);
	for (size_t i = 0; i < THREE; i++) {
		peer_visit(server, i);
	}
	service_must(mts_server_listen(server, "systemd:control") == -EBUSY);
	server_end(server);
}

START_TEST(twice)
{
	in_a_service(sockets, THREE, "web:control:web", listen_twice);
}
END_TEST

#define TAKEN "it was taken before, by a server of this process"

/* Another server cannot have it, nor one that comes when it is closed, and its number another file's. */
static void listen_in_two_servers(void)
{
	mts_server *first = bare_server();
	mts_server *second = bare_server();
	mts_server *third = bare_server();
	must_listen(first, "systemd:web");
	must_refuse(
		second, "systemd:web", -EBUSY, "cannot listen on systemd:web, descriptor 3: " TAKEN);
	must_refuse(second, "systemd:", -EBUSY, "cannot listen on systemd:, descriptor 3: " TAKEN);
	service_must(is_inherited(FIRST + 1) && blocks(FIRST + 1));
	must_listen(second, "systemd:control");
	server_start(second);
	peer_visit(second, 0);
	server_start(first);
	peer_visit(first, 0);
	peer_visit(first, 1);
	server_end(first);
	must_listen(third, "127.0.0.1:0");
	service_must(mts_server_listener_fd(third, 0) == FIRST);
	first = bare_server();
	must_refuse(first, "systemd:web", -EBUSY, "cannot listen on systemd:web, descriptor 3: " TAKEN);
	server_start(third);
	service_must(mts_server_destroy(first) == 0);
	peer_visit(third, 0);
	peer_visit(second, 0);
	server_end(third);
	server_end(second);
}

START_TEST(in_two_servers)
{
	in_a_service(sockets, THREE, "web:control:web", listen_in_two_servers);
}
END_TEST

/* Later ones that cannot be taken: those before them are let go of, as they were. */
static void listen_in_vain(void)
{
	mts_server *server = bare_server();
	const int bad = FIRST + 1;
	const char *why = getenv("TEST_WHY");
	char sentence[256];
	(void)snprintf(sentence, sizeof(sentence), "cannot listen on systemd:x, descriptor 4: %s", why);
	must_refuse(server, "systemd:x", -atoi(getenv("TEST_CODE")), sentence);
	service_must(is_inherited(FIRST) && blocks(FIRST));
	service_must(is_inherited(FIRST + 2) && blocks(FIRST + 2));
	service_must(strcmp(why, "it is not open") == 0 || (is_inherited(bad) && blocks(bad)));
	must_listen(server, "systemd:y");
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}

enum { CLOSED, A_FILE, A_PIPE, DATAGRAM, PACKETS, CONNECTED, SILENT, KINDS };

static const struct {
	int code;
	const char *why;
} unfit[KINDS] = {
	[CLOSED] = {EBADF, "it is not open"},
	[A_FILE] = {ENOTSOCK, "it is not a socket"},
	[A_PIPE] = {ENOTSOCK, "it is not a socket"},
	[DATAGRAM] = {EINVAL, "it is not a stream socket"},
	[PACKETS] = {EINVAL, "it is not a stream socket"},
	[CONNECTED] = {EINVAL, "it is a connection, as with Accept=yes in the socket unit"},
	[SILENT] = {EINVAL, "it does not listen"},
};

static int make(int kind)
{
	int two[2];
	switch (kind) {
	case A_FILE:
		return open("/dev/null", O_RDWR);
	case A_PIPE:
		return pipe(two) == 0 ? two[0] : -1;
	case DATAGRAM:
		return socket(AF_INET, SOCK_DGRAM, 0);
	case PACKETS:
		return socket(AF_UNIX, SOCK_SEQPACKET, 0);
	case CONNECTED:
		return socketpair(AF_UNIX, SOCK_STREAM, 0, two) == 0 ? two[0] : -1;
	case SILENT:
		return socket(AF_INET, SOCK_STREAM, 0);
	default:
		return -1;
	}
}

START_TEST(others_than_listeners)
{
	char code[16];
	const int fds[] = {sockets[0], make(_i), sockets[1], sockets[2]};
	ck_assert(_i == CLOSED || fds[1] >= 0);
	(void)snprintf(code, sizeof(code), "%d", unfit[_i].code);
	setenv("TEST_CODE", code, 1);
	setenv("TEST_WHY", unfit[_i].why, 1);
	in_a_service(fds, 4, "x:x:x:y", listen_in_vain);
}
END_TEST

static const struct {
	const char *variable;
	const char *value; /* NULL: not set */
	int code;
	const char *sentence;
} wrong[] = {
	{"LISTEN_PID", NULL, -ENOENT,
		"cannot listen on systemd:web: no service manager has passed a socket (LISTEN_PID)"},
	{"LISTEN_PID", "1", -ENOENT,
		"cannot listen on systemd:web: the sockets were passed to another process (LISTEN_PID)"},
	{"LISTEN_PID", "x", -EINVAL,
		"cannot listen on systemd:web: LISTEN_PID is not the number of a process"},
	{"LISTEN_PID", "99999999999999999999", -EINVAL,
		"cannot listen on systemd:web: LISTEN_PID is not the number of a process"},
	{"LISTEN_FDS", NULL, -ENOENT,
		"cannot listen on systemd:web: it is not said how many sockets were passed (LISTEN_FDS)"},
	{"LISTEN_FDS", "0", -ENOENT, "cannot listen on systemd:web: no socket was passed (LISTEN_FDS)"},
	{"LISTEN_FDS", "-3", -EINVAL,
		"cannot listen on systemd:web: LISTEN_FDS is not a number of descriptors"},
	{"LISTEN_FDS", "2147483648", -EINVAL,
		"cannot listen on systemd:web: LISTEN_FDS is not a number of descriptors"},
	{"LISTEN_FDS", "2147483644", -EINVAL,
		"cannot listen on systemd:web: LISTEN_FDNAMES has not as many names as LISTEN_FDS says"},
	{"LISTEN_FDNAMES", "web:web", -EINVAL,
		"cannot listen on systemd:web: LISTEN_FDNAMES has not as many names as LISTEN_FDS says"},
	{"LISTEN_FDNAMES", "a:b:c", -ENOENT,
		"cannot listen on systemd:web: no socket that was passed has this name (LISTEN_FDNAMES)"},
	{"LISTEN_FDNAMES", NULL, -ENOENT,
		"cannot listen on systemd:web: the sockets were passed without names (LISTEN_FDNAMES)"},
};
enum { WRONG = sizeof(wrong) / sizeof(wrong[0]) };

static int which; /* of these */

static void listen_wrongly(void)
{
	mts_server *server = bare_server();
	if (wrong[which].value == NULL) {
		unsetenv(wrong[which].variable);
	} else {
		setenv(wrong[which].variable, wrong[which].value, 1);
	}
	must_refuse(server, "systemd:web", wrong[which].code, wrong[which].sentence);
	for (int i = 0; i < THREE; i++) {
		service_must(is_inherited(FIRST + i) && blocks(FIRST + i));
	}
	service_must(mts_server_destroy(server) == 0);
}

START_TEST(wrong_environments)
{
	which = _i;
	in_a_service(sockets, THREE, "web:control:web", listen_wrongly);
}
END_TEST

/* More than there are: all that were passed are looked at, up to the one that is not there. */
static void listen_beyond(void)
{
	mts_server *server = bare_server();
	setenv("LISTEN_FDS", "2147483644", 1);
	(void)close(FIRST + THREE); /* if Check has left something there */
	must_refuse(
		server, "systemd:", -EBADF, "cannot listen on systemd:, descriptor 6: it is not open");
	service_must(is_inherited(FIRST) && blocks(FIRST));
	service_must(mts_server_destroy(server) == 0);
}

START_TEST(more_than_there_are)
{
	in_a_service(sockets, THREE, NULL, listen_beyond);
}
END_TEST

/* A child inherits what is said, but not that it is meant. */
static void listen_in_a_child(void)
{
	int status = -1;
	const pid_t child = fork();
	if (child == 0) {
		mts_server *server = bare_server();
		must_refuse(server, "systemd:", -ENOENT,
			"cannot listen on systemd:: the sockets were passed to another process (LISTEN_PID)");
		_exit(EXIT_SUCCESS);
	}
	service_must(waitpid(child, &status, 0) == child && status == 0);
}

START_TEST(in_a_child)
{
	in_a_service(sockets, THREE, NULL, listen_in_a_child);
}
END_TEST

static int answer_and_end(mts_client *client, const void *request, size_t size, void *user)
{
	(void)kill(getpid(), SIGTERM);
	return answer_echo(client, request, size, user);
}

static void serve_in_one_call(void)
{
	service_must(mts_serve("systemd:web", answer_and_end, NULL) == EXIT_SUCCESS);
}

START_TEST(in_one_call)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	const int peer = peer_socket();
	ck_assert_int_eq(getsockname(sockets[2], (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(peer, (struct sockaddr *)&address, size), 0);
	peer_puts(peer, "hello");
	in_a_service(sockets, THREE, "a:b:web", serve_in_one_call);
	peer_expect_text(peer, "hello");
	close(peer);
}
END_TEST

/* Names that no service manager gives. */
static void listen_under_strange_names(void)
{
	mts_server *server = bare_server();
	char name[400] = "systemd:";
	must_refuse(server, "systemd:a:b", -ENOENT,
		"cannot listen on systemd:a:b: no socket that was passed has this name (LISTEN_FDNAMES)");
	must_refuse(server, "systemd:\n", -ENOENT,
		"cannot listen on systemd:\\n: no socket that was passed has this name (LISTEN_FDNAMES)");
	memset(name + strlen(name), 'x', 300);
	service_must(mts_server_listen(server, name) == -ENAMETOOLONG);
	must_listen(server, "systemd:\\x2d");
	service_must(mts_server_listener_fd(server, 0) == FIRST + 2);
	service_must(mts_server_destroy(server) == 0);
}

START_TEST(strange_names)
{
	in_a_service(sockets, THREE, "a:b:\\x2d", listen_under_strange_names);
}
END_TEST

int main(void)
{
	service_reserve();
	TCase *cases = suite_begin("listen, passed sockets");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, by_name);
	tcase_add_loop_test(cases, all_of_them, 0, 2);
	tcase_add_test(cases, who_came_first);
	tcase_add_test(cases, twice);
	tcase_add_test(cases, in_two_servers);
	tcase_add_loop_test(cases, others_than_listeners, 0, KINDS);
	tcase_add_loop_test(cases, wrong_environments, 0, WRONG);
	tcase_add_test(cases, more_than_there_are);
	tcase_add_test(cases, in_a_child);
	tcase_add_test(cases, in_one_call);
	tcase_add_test(cases, strange_names);
	return suite_run();
}
