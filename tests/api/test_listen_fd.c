/* SPDX-License-Identifier: MIT
 *
 * Listening on sockets that the program made itself. On success they are the server's, to the close; on
 * failure they stay the caller's, just as they were. And handing listening sockets on.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static int inet_socket(int type, bool listening)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, type, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert(!listening || listen(fd, 5) == 0);
	return fd;
}

static bool open_still(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(adopted)
{
	const int fd = inet_socket(SOCK_STREAM, true);
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	ck_assert_int_eq(strncmp(mts_server_address(server, 1), "127.0.0.1:", 10), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	server_start(server);
	peer_visit(server, 0);
	peer_visit(server, 1);
	server_end(server);
	ck_assert(!open_still(fd));
}
END_TEST

START_TEST(adopted_and_never_run)
{
	const int fd = inet_socket(SOCK_STREAM, true);
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert(!open_still(fd));
}
END_TEST

/* The file is the business of whoever made it. */
START_TEST(adopted_unix)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stat status;
	snprintf(name.sun_path, sizeof(name.sun_path), "/tmp/mts-adopted-%d", (int)getpid());
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	ck_assert_str_eq(mts_server_address(server, 0) + 5, name.sun_path);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
	ck_assert(!open_still(fd));
	ck_assert_int_eq(stat(name.sun_path, &status), 0);
	ck_assert_int_eq(unlink(name.sun_path), 0);
}
END_TEST

static void refuse(mts_server *server, int fd, int result)
{
	const int flags = fcntl(fd, F_GETFD);
	const int status = fcntl(fd, F_GETFL);
	char start[64];
	snprintf(start, sizeof(start), "cannot listen on descriptor %d: ", fd);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), result);
	const char *sentence = mts_server_error(server);
	ck_assert_msg(strncmp(sentence, start, strlen(start)) == 0, "%s", sentence);
	ck_assert_ptr_null(mts_server_address(server, 0));
	ck_assert_int_eq(fcntl(fd, F_GETFD), flags);
	ck_assert_int_eq(fcntl(fd, F_GETFL), status);
}

START_TEST(refused)
{
	int pipes[2];
	int pair[2];
	mts_server *server = server_create(answer_echo, NULL);
	const int silent = inet_socket(SOCK_STREAM, false);
	const int datagram = inet_socket(SOCK_DGRAM, false);
	const int file = open("/dev/null", O_RDWR);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	refuse(server, silent, -EINVAL);
	refuse(server, datagram, -EINVAL);
	refuse(server, pair[0], -EINVAL);
	refuse(server, file, -ENOTSOCK);
	refuse(server, pipes[0], -ENOTSOCK);
	refuse(server, -1, -EBADF);
	ck_assert_str_eq(
		mts_server_error(server), "cannot listen on descriptor -1: Bad file descriptor");
	refuse(server, 1000000, -EBADF);
	const int all[] = {silent, datagram, file, pipes[0], pipes[1], pair[0], pair[1]};
	ck_assert_int_eq(mts_server_destroy(server), 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ck_assert_int_eq(close(all[i]), 0);
	}
}
END_TEST

/* A socket with boundaries between messages listens too, but is no stream. */
START_TEST(not_a_stream)
{
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&unnamed, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	refuse(server, fd, -EINVAL);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* What is the server's already it cannot get again: it would close it twice. */
START_TEST(given_twice)
{
	const int fd = inet_socket(SOCK_STREAM, true);
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	ck_assert_int_lt(mts_server_listen_fd(server, fd), 0);
	ck_assert_str_ne(mts_server_error(server), "");
	ck_assert_ptr_null(mts_server_address(server, 1));
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

START_TEST(too_late)
{
	const int fd = inet_socket(SOCK_STREAM, true);
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), -EBUSY);
	server_end(server);
	ck_assert_int_eq(mts_server_listen_fd(NULL, fd), -EINVAL);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* Each has the number under which the kernel knows it, and none beyond the last has one. */
START_TEST(which_they_are)
{
	const int fd = inet_socket(SOCK_STREAM, true);
	mts_server *server = server_new(answer_echo, NULL);
	struct sockaddr_in bound;
	socklen_t size = sizeof(bound);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	for (int runs = 0; runs <= 1; runs++) {
		ck_assert_int_eq(mts_server_listener_fd(server, 1), fd);
		ck_assert_int_eq(mts_server_listener_fd(server, 2), -ENOENT);
		ck_assert_int_eq(mts_server_listener_fd(server, SIZE_MAX), -ENOENT);
		const int own = mts_server_listener_fd(server, 0);
		ck_assert_int_eq(getsockname(own, (struct sockaddr *)&bound, &size), 0);
		ck_assert_int_eq(
			ntohs(bound.sin_port), atoi(strchr(mts_server_address(server, 0), ':') + 1));
		ck_assert_int_eq(fcntl(own, F_GETFD), FD_CLOEXEC);
		if (runs == 0) {
			server_start(server);
		}
	}
	mts_server_stop(server);
	server_join(server);
	ck_assert_int_eq(mts_server_listener_fd(server, 0), -EBADF);
	ck_assert_int_eq(mts_server_listener_fd(server, 1), -EBADF);
	ck_assert_int_eq(mts_server_listener_fd(server, 2), -ENOENT);
	server_end(server);
}
END_TEST

/* Who has a copy takes up the same queue: those who come between two servers wait in it. */
START_TEST(handed_on)
{
	mts_server *first = server_new(answer_echo, NULL);
	server_start(first);
	peer_visit(first, 0);
	const int copy = fcntl(mts_server_listener_fd(first, 0), F_DUPFD_CLOEXEC, 0);
	ck_assert_int_ge(copy, 0);
	mts_server_stop(first);
	server_join(first);
	const int between = peer_connect(first, 0);
	peer_puts(between, "still there?");
	mts_server *second = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_listen_fd(second, copy), 0);
	ck_assert_str_eq(mts_server_address(second, 0), mts_server_address(first, 0));
	server_start(second);
	peer_expect_text(between, "still there?");
	peer_visit(second, 0);
	close(between);
	server_end(second);
	server_end(first);
}
END_TEST

/* What a handler's child is to become may want it; there is no lock that it would have to wait for. */
static int answer_number(mts_client *client, const void *request, size_t size, void *user)
{
	mts_server *server = mts_client_server(client);
	const int number = mts_server_listener_fd(server, 0);
	(void)user;
	const pid_t child = fork();
	if (child == 0) {
		const bool same = mts_server_listener_fd(server, 0) == number;
		const bool closed = mts_server_destroy(server) == 0
			&& mts_server_listener_fd(server, 0) == -EBADF && fcntl(number, F_GETFD) < 0;
		child_leave(same && mts_server_listener_fd(server, 9) == -ENOENT && closed ? 0 : 1);
	}
	int status = -1;
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
		return -ECHILD;
	}
	return mts_client_write(client, request, size);
}

START_TEST(in_a_child)
{
	/* Or the end of a child interrupts the wait for what it has been made for. */
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &child, NULL), 0);
	mts_server *server = server_new(answer_number, NULL);
	server_start(server);
	for (int i = 0; i < 10; i++) {
		peer_visit(server, 0);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("listen, adopted sockets");
	tcase_add_test(cases, adopted);
	tcase_add_test(cases, adopted_and_never_run);
	tcase_add_test(cases, adopted_unix);
	tcase_add_test(cases, refused);
	tcase_add_test(cases, not_a_stream);
	tcase_add_test(cases, given_twice);
	tcase_add_test(cases, too_late);
	tcase_add_test(cases, which_they_are);
	tcase_add_test(cases, handed_on);
	tcase_add_test(cases, in_a_child);
	return suite_run();
}
