/* SPDX-License-Identifier: MIT
 *
 * Listening on Unix sockets.
 *
 * A path is a file that outlives its server, so most of this is about files: a stale one is replaced, one
 * that somebody answers on is not, what is no socket is never touched, and at the end only the file that
 * the server made is removed. Each test works in a folder of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "folder.h"
#include "support.h"

static int descriptors;

static void make_folder(void)
{
	folder_make();
	descriptors = count_descriptors();
}

static void remove_folder(void)
{
	ck_assert_int_eq(count_descriptors(), descriptors);
	(void)unlink(folder_path);
	folder_remove();
}

static void expect_listen(mts_server *server, const char *where, int result)
{
	const int got = mts_server_listen(server, where);
	ck_assert_msg(got == result, "listen on %s: %d instead of %d: %s", where, got, result,
		mts_server_error(server));
}

static void destroy(mts_server *server)
{
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

static bool exists(const char *file)
{
	struct stat status;
	return lstat(file, &status) == 0;
}

static void write_file(const char *file)
{
	const int fd = open(file, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static int unix_socket(int type, bool listening)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	strcpy(name.sun_path, folder_path);
	const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert(!listening || listen(fd, 0) == 0);
	return fd;
}

START_TEST(path_socket)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	ck_assert_str_eq(mts_server_address(server, 0), folder_address);
	ck_assert(exists(folder_path));
	server_start(server);
	peer_visit(server, 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert(!exists(folder_path));
	ck_assert_str_eq(mts_server_address(server, 0), folder_address);
	destroy(server);
}
END_TEST

/* It goes away with a server that never ran, too. */
START_TEST(path_never_run)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	destroy(server);
	ck_assert(!exists(folder_path));
}
END_TEST

START_TEST(stale_file_is_replaced)
{
	close(unix_socket(SOCK_STREAM, true));
	ck_assert(exists(folder_path));
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
	ck_assert(!exists(folder_path));
}
END_TEST

static void expect_in_use(void)
{
	char sentence[160];
	mts_server *server = server_create(answer_echo, NULL);
	snprintf(
		sentence, sizeof(sentence), "cannot listen on %s: Address already in use", folder_address);
	expect_listen(server, folder_address, -EADDRINUSE);
	ck_assert_str_eq(mts_server_error(server), sentence);
	destroy(server);
	ck_assert(exists(folder_path));
}

START_TEST(live_socket_is_refused)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	expect_in_use();
	expect_listen(server, folder_address, -EADDRINUSE);
	server_start(server);
	expect_in_use();
	peer_visit(server, 0);
	server_end(server);
	ck_assert(!exists(folder_path));
}
END_TEST

/* Its queue is full, so it cannot even be asked: somebody is there all the same. */
START_TEST(busy_socket_is_refused)
{
	const int fd = unix_socket(SOCK_STREAM, true);
	int peers[2];
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	strcpy(name.sun_path, folder_path);
	for (int i = 0; i < 2; i++) {
		peers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(peers[i], (struct sockaddr *)&name, sizeof(name));
	}
	expect_in_use();
	close(peers[0]);
	close(peers[1]);
	close(fd);
}
END_TEST

START_TEST(other_kinds_of_sockets_are_refused)
{
	const int fd = unix_socket(SOCK_DGRAM, false);
	expect_in_use();
	close(fd);
}
END_TEST

START_TEST(other_files_are_left_alone)
{
	char target[96];
	write_file(folder_path);
	expect_in_use();
	ck_assert_int_eq(unlink(folder_path), 0);
	ck_assert_int_eq(mkdir(folder_path, 0700), 0);
	expect_in_use();
	ck_assert_int_eq(rmdir(folder_path), 0);
	ck_assert_int_eq(mkfifo(folder_path, 0600), 0);
	expect_in_use();
	ck_assert_int_eq(unlink(folder_path), 0);
	snprintf(target, sizeof(target), "%s-nowhere", folder_path);
	ck_assert_int_eq(symlink(target, folder_path), 0);
	expect_in_use();
	ck_assert(!exists(target));
}
END_TEST

/* At the end there is another file where ours was: a regular one, or the socket of a successor. */
START_TEST(replaced_file_stays)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	ck_assert_int_eq(unlink(folder_path), 0);
	write_file(folder_path);
	server_start(server);
	server_end(server);
	ck_assert(exists(folder_path));
	ck_assert_int_eq(unlink(folder_path), 0);
	server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	ck_assert_int_eq(unlink(folder_path), 0);
	mts_server *successor = server_create(answer_echo, NULL);
	expect_listen(successor, folder_address, 0);
	destroy(server);
	server_start(successor);
	peer_visit(successor, 0);
	server_end(successor);
	ck_assert(!exists(folder_path));
}
END_TEST

/* Its mode is chosen by the process's mask, or afterwards; a socket of one's own can have it before. */
START_TEST(modes)
{
	static const mode_t masks[] = {0, 022, 077, 0117};
	struct stat status;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		const mode_t before = umask(masks[i]);
		mts_server *server = server_create(answer_echo, NULL);
		expect_listen(server, folder_address, 0);
		umask(before);
		ck_assert_int_eq(lstat(folder_path, &status), 0);
		ck_assert_uint_eq(status.st_mode & 07777, 0777 & ~masks[i]);
		ck_assert_int_eq(chmod(folder_path, 0640), 0);
		server_start(server);
		peer_visit(server, 0);
		ck_assert_int_eq(lstat(folder_path, &status), 0);
		ck_assert_uint_eq(status.st_mode & 07777, 0640);
		server_end(server);
		ck_assert(!exists(folder_path));
	}
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	strcpy(name.sun_path, folder_path);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(fchmod(fd, 0600), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(lstat(folder_path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
	ck_assert(exists(folder_path)); /* not ours */
}
END_TEST

/* Removed by somebody else meanwhile: that is no failure. */
START_TEST(file_is_gone)
{
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	ck_assert_int_eq(unlink(folder_path), 0);
	server_start(server);
	server_end(server);
}
END_TEST

START_TEST(folder_that_is_not_there)
{
	char where[160];
	char sentence[256];
	mts_server *server = server_create(answer_echo, NULL);
	snprintf(where, sizeof(where), "unix:%s/nowhere/socket", folder);
	snprintf(sentence, sizeof(sentence), "cannot listen on %s: No such file or directory", where);
	expect_listen(server, where, -ENOENT);
	ck_assert_str_eq(mts_server_error(server), sentence);
	destroy(server);
}
END_TEST

/* The longest path, and one byte more. */
START_TEST(long_paths)
{
	char where[200];
	mts_server *server = server_create(answer_echo, NULL);
	memset(where, 'x', sizeof(where));
	const int start = snprintf(where, sizeof(where), "unix:%s/", folder);
	memset(where + start, 'x', sizeof(where) - (size_t)start);
	where[5 + 108] = '\0';
	expect_listen(server, where, -ENAMETOOLONG);
	where[5 + 107] = '\0';
	expect_listen(server, where, 0);
	ck_assert_str_eq(mts_server_address(server, 0), where);
	ck_assert(exists(where + 5));
	destroy(server);
	ck_assert(!exists(where + 5));
}
END_TEST

START_TEST(abstract_socket)
{
	char where[64];
	snprintf(where, sizeof(where), "unix:@mts-listen-%d", (int)getpid());
	mts_server *server = server_create(answer_echo, NULL);
	mts_server *other = server_create(answer_echo, NULL);
	expect_listen(server, where, 0);
	ck_assert_str_eq(mts_server_address(server, 0), where);
	expect_listen(other, where, -EADDRINUSE);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
	expect_listen(other, where, 0);
	destroy(other);
}
END_TEST

/* All kinds at once. */
START_TEST(side_by_side)
{
	char where[64];
	snprintf(where, sizeof(where), "unix:@mts-both-%d", (int)getpid());
	mts_server *server = server_create(answer_echo, NULL);
	expect_listen(server, folder_address, 0);
	expect_listen(server, where, 0);
	expect_listen(server, "127.0.0.1:0", 0);
	server_start(server);
	for (size_t i = 0; i < 3; i++) {
		peer_visit(server, i);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("listen, Unix sockets");
	tcase_add_checked_fixture(cases, make_folder, remove_folder);
	tcase_add_test(cases, path_socket);
	tcase_add_test(cases, path_never_run);
	tcase_add_test(cases, stale_file_is_replaced);
	tcase_add_test(cases, live_socket_is_refused);
	tcase_add_test(cases, busy_socket_is_refused);
	tcase_add_test(cases, other_kinds_of_sockets_are_refused);
	tcase_add_test(cases, other_files_are_left_alone);
	tcase_add_test(cases, replaced_file_stays);
	tcase_add_test(cases, modes);
	tcase_add_test(cases, file_is_gone);
	tcase_add_test(cases, folder_that_is_not_there);
	tcase_add_test(cases, long_paths);
	tcase_add_test(cases, abstract_socket);
	tcase_add_test(cases, side_by_side);
	return suite_run();
}
