/* SPDX-License-Identifier: MIT
 *
 * The files of Unix sockets: which may be removed to make room, whose a file is, and that only one at a
 * time does all that in a folder.
 */
#include "os/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../api/support.h"
#include "os/bind.h"

/* A folder of this test's own. */
static char folder[] = "/tmp/mtserver-XXXXXX";
static struct sockaddr_un place;
static struct mtsi_target spot;

static void make_folder(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	memset(&place, 0, sizeof(place));
	place.sun_family = AF_UNIX;
	(void)snprintf(place.sun_path, sizeof(place.sun_path), "%s/socket", folder);
	memset(&spot, 0, sizeof(spot));
	memcpy(&spot.address, &place, sizeof(place));
	spot.size = sizeof(place);
}

static void remove_folder(void)
{
	(void)unlink(place.sun_path);
	(void)rmdir(place.sun_path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static bool exists(void)
{
	struct stat file;
	return lstat(place.sun_path, &file) == 0;
}

static int make_room(void)
{
	return mtsi_unix_make_room(&place, sizeof(place));
}

START_TEST(a_socket_that_lives)
{
	const int fd = mtsi_listen(&spot, 5);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(make_room(), -EADDRINUSE);
	ck_assert(exists());
	mtsi_unlisten(fd, &spot);
	ck_assert(!exists());
	ck_assert_int_eq(make_room(), 0);
}
END_TEST

START_TEST(a_socket_that_was_left)
{
	const int fd = mtsi_listen(&spot, 5);
	close(fd);
	ck_assert(exists());
	ck_assert_int_eq(mtsi_listen(&spot, 5), -EADDRINUSE);
	ck_assert(exists()); /* it was not ours to remove */
	ck_assert_int_eq(make_room(), 0);
	ck_assert(!exists());
}
END_TEST

/* A live server with a full queue is no stale one. */
START_TEST(a_socket_that_is_busy)
{
	const int fd = mtsi_listen(&spot, 1);
	int waiting[8];
	for (int i = 0; i < 8; i++) {
		waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(waiting[i], (const struct sockaddr *)&place, sizeof(place));
	}
	ck_assert_int_eq(make_room(), -EADDRINUSE);
	ck_assert(exists());
	for (int i = 0; i < 8; i++) {
		close(waiting[i]);
	}
	mtsi_unlisten(fd, &spot);
}
END_TEST

START_TEST(what_is_no_socket)
{
	const int fd = open(place.sun_path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	ck_assert_int_eq(make_room(), -EADDRINUSE);
	ck_assert(exists());
	ck_assert_int_eq(unlink(place.sun_path), 0);
	ck_assert_int_eq(mkdir(place.sun_path, 0700), 0);
	ck_assert_int_eq(make_room(), -EADDRINUSE);
	ck_assert_int_eq(rmdir(place.sun_path), 0);
	ck_assert_int_eq(symlink("/nowhere/at/all", place.sun_path), 0);
	ck_assert_int_eq(make_room(), -EADDRINUSE);
	ck_assert(exists());
}
END_TEST

START_TEST(whose_file_it_is)
{
	struct mtsi_file first;
	struct mtsi_file second;
	const int one = mtsi_listen(&spot, 5);
	ck_assert(mtsi_unix_file(place.sun_path, &first));
	char aside[sizeof(place.sun_path) + 8];
	(void)snprintf(aside, sizeof(aside), "%s.aside", place.sun_path);
	ck_assert_int_eq(rename(place.sun_path, aside), 0);
	const int two = mtsi_listen(&spot, 5);
	ck_assert(mtsi_unix_file(place.sun_path, &second));
	mtsi_unix_remove(place.sun_path, &first);
	ck_assert(exists()); /* another one has taken its place */
	mtsi_unix_remove(place.sun_path, &second);
	ck_assert(!exists());
	mtsi_unix_remove(place.sun_path, &second);
	ck_assert(!mtsi_unix_file(place.sun_path, &second));
	ck_assert_int_eq(unlink(aside), 0);
	close(one);
	close(two);
}
END_TEST

/* One after the other; whoever holds it for long is not waited for without end. */
START_TEST(one_at_a_time)
{
	const int first = mtsi_unix_reserve(place.sun_path);
	ck_assert_int_ge(first, 0);
	ck_assert_int_ne(fcntl(first, F_GETFD) & FD_CLOEXEC, 0);
	const int other = open(folder, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), -1);
	const int second = mtsi_unix_reserve(place.sun_path);
	mtsi_unix_release(first);
	mtsi_unix_release(second);
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
	close(other);
	mtsi_unix_release(mtsi_unix_reserve("no-folder-in-this-path"));
	mtsi_unix_release(mtsi_unix_reserve("/nowhere/at/all/socket"));
	mtsi_unix_release(mtsi_unix_reserve(""));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unix_path");
	TCase *cases = tcase_create("unix_path");
	tcase_set_timeout(cases, 120);
	tcase_add_checked_fixture(cases, make_folder, remove_folder);
	tcase_add_test(cases, a_socket_that_lives);
	tcase_add_test(cases, a_socket_that_was_left);
	tcase_add_test(cases, a_socket_that_is_busy);
	tcase_add_test(cases, what_is_no_socket);
	tcase_add_test(cases, whose_file_it_is);
	tcase_add_test(cases, one_at_a_time);
	suite_add_tcase(suite, cases);
	return run_suite_once(suite);
}
