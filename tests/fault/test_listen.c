/* SPDX-License-Identifier: MIT
 *
 * Listening fails at each of its steps: all of the call is undone, the sentence says where and why, and
 * what was bound before stays.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../api/service.h"
#include "engine/run/server.h"

static const struct {
	enum fault_call call;
	int error;
	uint32_t calls; /* how many "localhost:0" makes, at least */
} steps[] = {
	{FAULT_SOCKET, EMFILE, 2},
	{FAULT_SOCKET, ENFILE, 2},
	{FAULT_SOCKET, ENOBUFS, 2},
	{FAULT_SETSOCKOPT, ENOMEM, 5},
	{FAULT_BIND, EACCES, 2},
	{FAULT_BIND, ENOMEM, 2},
	{FAULT_LISTEN, ENOBUFS, 2},
	{FAULT_GETSOCKNAME, ENOBUFS, 2},
	{FAULT_MEMORY, ENOMEM, 4},
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static int try_listen(mts_server *server, const char *address)
{
	fault_inside(true);
	const int result = mts_server_listen(server, address);
	fault_inside(false);
	return result;
}

static void want_sentence(const mts_server *server, int error)
{
	const char *sentence = mts_server_error(server);
	ck_assert_msg(strstr(sentence, "cannot listen on ") == sentence, "%s", sentence);
	ck_assert_msg(strstr(sentence, strerror(error)) != NULL, "%s", sentence);
}

START_TEST(each_step_is_undone)
{
	mts_server *server = server_new(scene_echo, NULL);
	const int descriptors = count_descriptors();
	for (uint32_t skip = 0; skip < steps[_i].calls; skip++) {
		fault_fail(steps[_i].call, steps[_i].error, skip, 1);
		ck_assert_int_eq(try_listen(server, "localhost:0"), -steps[_i].error);
		ck_assert_uint_eq(fault_hits(steps[_i].call), 1);
		want_sentence(server, steps[_i].error);
		ck_assert_int_eq(count_descriptors(), descriptors);
		ck_assert_ptr_null(mts_server_address(server, 1));
	}
	fault_clear(steps[_i].call);
	ck_assert_int_eq(try_listen(server, "localhost:0"), 0);
	server_start(server);
	for (size_t i = 0; mts_server_address(server, i) != NULL; i++) {
		close(peer_connect(server, i));
	}
	server_end(server);
}
END_TEST

/* The sentence names the address that could not be had, not the first one. */
START_TEST(the_sentence_says_which)
{
	mts_server *server = server_create(scene_echo, NULL);
	fault_fail(FAULT_BIND, EACCES, 1, 1);
	ck_assert_int_eq(try_listen(server, "localhost:0"), -EACCES);
	ck_assert_msg(
		strstr(mts_server_error(server), "[::1]:") != NULL, "%s", mts_server_error(server));
	fault_fail(FAULT_BIND, EACCES, 0, 1);
	ck_assert_int_eq(try_listen(server, "localhost:0"), -EACCES);
	ck_assert_msg(
		strstr(mts_server_error(server), "127.0.0.1:") != NULL, "%s", mts_server_error(server));
	ck_assert_ptr_null(mts_server_address(server, 0));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static const int absent[] = {EAFNOSUPPORT, EADDRNOTAVAIL, ENODEV};

/* A family that the machine lacks is skipped, whichever it is; both is a failure. */
START_TEST(a_missing_family_is_skipped)
{
	const enum fault_call call = _i == 0 ? FAULT_SOCKET : FAULT_BIND;
	for (uint32_t skip = 0; skip < 2; skip++) {
		mts_server *server = server_create(scene_echo, NULL);
		fault_fail(call, absent[_i], skip, 1);
		ck_assert_int_eq(try_listen(server, "localhost:0"), 0);
		const char *expected = skip == 0 ? "[::1]:" : "127.0.0.1:";
		ck_assert_ptr_eq(
			strstr(mts_server_address(server, 0), expected), mts_server_address(server, 0));
		ck_assert_ptr_null(mts_server_address(server, 1));
		ck_assert_int_eq(mts_server_destroy(server), 0);
	}
	mts_server *server = server_create(scene_echo, NULL);
	fault_fail(call, absent[_i], 0, 2);
	ck_assert_int_eq(try_listen(server, "localhost:0"), -absent[_i]);
	want_sentence(server, absent[_i]);
	ck_assert_ptr_null(mts_server_address(server, 0));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static const char *port_of(const char *address)
{
	return strrchr(address, ':');
}

/* The port that the kernel picked for one family is taken in the other: another one is tried. */
START_TEST(a_port_that_only_one_family_has)
{
	mts_server *server = server_create(scene_echo, NULL);
	fault_every(FAULT_BIND, EADDRINUSE, 2);
	const int descriptors = count_descriptors();
	ck_assert_int_eq(try_listen(server, "localhost:0"), -EADDRINUSE);
	const uint32_t tries = fault_hits(FAULT_BIND);
	ck_assert_uint_ge(tries, 3);
	ck_assert_uint_eq(fault_count(FAULT_BIND), 2 * tries);
	ck_assert_int_eq(count_descriptors(), descriptors);
	ck_assert_ptr_null(mts_server_address(server, 0));

	fault_fail(FAULT_BIND, EADDRINUSE, 1, 1);
	ck_assert_int_eq(try_listen(server, "localhost:0"), 0);
	ck_assert_uint_ge(fault_count(FAULT_BIND), 4); /* more if who runs beside has the next one */
	ck_assert_str_eq(
		port_of(mts_server_address(server, 0)), port_of(mts_server_address(server, 1)));
	ck_assert_ptr_null(mts_server_address(server, 2));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static mts_server *chooser; /* a server that is to find a port for both families */
static int stranger; /* shares the one that it has found first, in the other family; -1: cannot */

static void stranger_comes(void)
{
	const int one = 1;
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	fault_inside(false);
	address.sin6_port = htons((uint16_t)atoi(port_of(mts_server_address(chooser, 0)) + 1));
	stranger = socket(AF_INET6, SOCK_STREAM, 0);
	ck_assert_int_eq(setsockopt(stranger, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	if (bind(stranger, (struct sockaddr *)&address, sizeof(address)) != 0) {
		ck_assert_int_ne(errno, EADDRINUSE);
		close(stranger);
		stranger = -1; /* this machine has no IPv6 */
	} else {
		ck_assert_int_eq(listen(stranger, 5), 0);
	}
	fault_inside(true);
}

/* The same where ports are shared: one that is found is not shared with who was there before. */
START_TEST(a_port_that_a_stranger_shares)
{
	chooser = server_create(scene_echo, NULL);
	mts_server *second = server_create(scene_echo, NULL);
	ck_assert_int_eq(mts_server_set_reuse_port(chooser, 1), 0);
	ck_assert_int_eq(mts_server_set_reuse_port(second, 1), 0);
	fault_hook(FAULT_BIND, stranger_comes);
	fault_fail(FAULT_BIND, FAULT_NOTHING, 1, 1);
	ck_assert_int_eq(try_listen(chooser, "localhost:0"), 0);
	fault_hook(FAULT_BIND, NULL);
	const char *port = port_of(mts_server_address(chooser, 0));
	if (stranger >= 0) {
		struct sockaddr_in6 address;
		socklen_t size = sizeof(address);
		ck_assert_int_eq(getsockname(stranger, (struct sockaddr *)&address, &size), 0);
		ck_assert_int_ne(atoi(port + 1), ntohs(address.sin6_port));
		ck_assert_str_eq(port_of(mts_server_address(chooser, 1)), port);
		close(stranger);
	}
	/* But whoever comes later may share it. */
	for (size_t i = 0; mts_server_address(chooser, i) != NULL; i++) {
		ck_assert_int_eq(try_listen(second, mts_server_address(chooser, i)), 0);
	}
	ck_assert_int_eq(mts_server_destroy(second), 0);
	ck_assert_int_eq(mts_server_destroy(chooser), 0);
}
END_TEST

/* A port that was asked for is not tried twice. */
START_TEST(a_given_port_is_not_retried)
{
	mts_server *server = server_create(scene_echo, NULL);
	fault_fail(FAULT_BIND, EADDRINUSE, 0, FAULT_FOREVER);
	ck_assert_int_eq(try_listen(server, "localhost:5000"), -EADDRINUSE);
	ck_assert_uint_eq(fault_count(FAULT_BIND), 1);
	want_sentence(server, EADDRINUSE);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static const struct {
	enum fault_call call;
	int error;
	uint32_t calls;
} unix_steps[] = {
	{FAULT_SOCKET, EMFILE, 1},
	{FAULT_BIND, EACCES, 1},
	{FAULT_LISTEN, EOPNOTSUPP, 1},
	{FAULT_GETSOCKNAME, ENOBUFS, 1},
	{FAULT_MEMORY, ENOMEM, 3},
};

enum { UNIX_STEPS = sizeof(unix_steps) / sizeof(unix_steps[0]) };

/* No file of ours stays where listening failed after it was made. */
START_TEST(a_unix_socket_leaves_no_file)
{
	char folder[] = "/tmp/mtserver-XXXXXX";
	char address[64];
	struct stat file;
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(address, sizeof(address), "unix:%s/s", folder);
	const char *path = address + strlen("unix:");
	mts_server *server = server_create(scene_echo, NULL);
	const int descriptors = count_descriptors();
	for (uint32_t skip = 0; skip < unix_steps[_i].calls; skip++) {
		fault_fail(unix_steps[_i].call, unix_steps[_i].error, skip, 1);
		ck_assert_int_eq(try_listen(server, address), -unix_steps[_i].error);
		want_sentence(server, unix_steps[_i].error);
		ck_assert_int_eq(lstat(path, &file), -1);
		ck_assert_int_eq(count_descriptors(), descriptors);
	}
	fault_clear(unix_steps[_i].call);
	ck_assert_int_eq(try_listen(server, address), 0);
	ck_assert_int_eq(lstat(path, &file), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(lstat(path, &file), -1);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* Whether anybody listens at a path cannot be found out: then the file is left alone. */
START_TEST(a_file_is_not_taken_on_a_guess)
{
	char folder[] = "/tmp/mtserver-XXXXXX";
	char address[64];
	struct stat file;
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(address, sizeof(address), "unix:%s/s", folder);
	mts_server *first = server_create(scene_echo, NULL);
	mts_server *second = server_create(scene_echo, NULL);
	ck_assert_int_eq(mts_server_listen(first, address), 0);
	fault_fail(FAULT_SOCKET, EMFILE, 0, 1);
	ck_assert_int_lt(try_listen(second, address), 0);
	ck_assert_uint_eq(fault_hits(FAULT_SOCKET), 1);
	ck_assert_int_eq(lstat(address + strlen("unix:"), &file), 0);
	ck_assert_int_eq(mts_server_destroy(second), 0);
	ck_assert_int_eq(mts_server_destroy(first), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

static const struct {
	enum fault_call call;
	int error;
	uint32_t calls; /* how many three sockets take */
} passed_steps[] = {
	{FAULT_GETSOCKNAME, ENOBUFS, 3},
	{FAULT_MEMORY, ENOMEM, 6},
	{FAULT_FCNTL, EPERM, 6},
};

enum { PASSED_STEPS = sizeof(passed_steps) / sizeof(passed_steps[0]), PASSED = 3 };

static int passed_step;

static void must_be_untouched(int fd)
{
	service_must(fcntl(fd, F_GETFD) == 0);
	service_must((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
}

static void listen_on_passed(void)
{
	mts_server *server = server_create(scene_echo, NULL);
	const enum fault_call call = passed_steps[passed_step].call;
	const int error = passed_steps[passed_step].error;
	for (uint32_t skip = 0; skip < passed_steps[passed_step].calls; skip++) {
		fault_fail(call, error, skip, 1);
		service_must(try_listen(server, "systemd:") == -error);
		service_must(fault_hits(call) == 1);
		service_must(mts_server_address(server, 0) == NULL);
		for (int i = 0; i < PASSED; i++) {
			must_be_untouched(3 + i);
		}
	}
	fault_clear(call);
	service_must(try_listen(server, "systemd:") == 0);
	service_must(mts_server_listener_fd(server, PASSED - 1) == 3 + PASSED - 1);
	service_must(mts_server_destroy(server) == 0);
}

/* All that a service manager has passed or none, and those are as they were. */
START_TEST(passed_sockets_are_let_go_of)
{
	int fds[PASSED];
	for (int i = 0; i < PASSED; i++) {
		fds[i] = listening_socket(i == 1 ? UNIX : TCP, 5);
	}
	passed_step = _i;
	in_a_service(fds, PASSED, "a:b:c", listen_on_passed);
}
END_TEST

int main(void)
{
	service_reserve();
	TCase *cases = suite_begin("listen");
	tcase_add_loop_test(cases, each_step_is_undone, 0, STEPS);
	tcase_add_test(cases, the_sentence_says_which);
	tcase_add_loop_test(cases, a_missing_family_is_skipped, 0, 3);
	tcase_add_test(cases, a_port_that_only_one_family_has);
	tcase_add_test(cases, a_port_that_a_stranger_shares);
	tcase_add_test(cases, a_given_port_is_not_retried);
	tcase_add_loop_test(cases, a_unix_socket_leaves_no_file, 0, UNIX_STEPS);
	tcase_add_test(cases, a_file_is_not_taken_on_a_guess);
	tcase_add_loop_test(cases, passed_sockets_are_let_go_of, 0, PASSED_STEPS);
	return suite_run();
}
