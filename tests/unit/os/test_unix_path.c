/* SPDX-License-Identifier: MIT
 *
 * The files of Unix sockets: which may be removed to make room, which one is ours and found again, which
 * process it is for to remove it at the end, and that only one at a time does all that in a folder.
 */
#include "os/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../api/support.h"
#include "os/bind.h"

/* Whether there may be files without a name, to hold locks on. */
static bool refuse;

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);

int __wrap_memfd_create(const char *name, unsigned flags)
{
	if (refuse) {
		errno = ENOSYS;
		return -1;
	}
	return __real_memfd_create(name, flags);
}

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

static struct mtsi_path *open_path(void)
{
	struct mtsi_path *path = NULL;
	ck_assert_int_eq(mtsi_path_open(&place, &path), 0);
	return path;
}

static int make_room(void)
{
	struct mtsi_path *path = open_path();
	const int result = mtsi_path_make_room(path);
	mtsi_path_close(path);
	return result;
}

static int remove_it(struct mtsi_path *path)
{
	unsigned patience = 20;
	return mtsi_path_remove(path, &patience);
}

START_TEST(a_socket_that_lives)
{
	struct mtsi_path *path = open_path();
	const int fd = mtsi_listen(&spot, 5, path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(make_room(), -EADDRINUSE);
	ck_assert(exists());
	mtsi_unlisten(fd, path);
	mtsi_path_close(path);
	ck_assert(!exists());
	ck_assert_int_eq(make_room(), 0);
}
END_TEST

START_TEST(a_socket_that_was_left)
{
	const int fd = mtsi_listen(&spot, 5, NULL);
	close(fd);
	ck_assert(exists());
	struct mtsi_path *path = open_path();
	ck_assert_int_eq(mtsi_listen(&spot, 5, path), -EADDRINUSE);
	ck_assert_int_eq(remove_it(path), 0);
	mtsi_path_close(path);
	ck_assert(exists()); /* it was not ours to remove */
	ck_assert_int_eq(make_room(), 0);
	ck_assert(!exists());
}
END_TEST

/* A live server with a full queue is no stale one. */
START_TEST(a_socket_that_is_busy)
{
	const int fd = mtsi_listen(&spot, 1, NULL);
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
	close(fd);
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
	struct mtsi_path *first = open_path();
	struct mtsi_path *second = open_path();
	const int one = mtsi_listen(&spot, 5, first);
	char aside[sizeof(place.sun_path) + 8];
	(void)snprintf(aside, sizeof(aside), "%s.aside", place.sun_path);
	ck_assert_int_eq(rename(place.sun_path, aside), 0);
	const int two = mtsi_listen(&spot, 5, second);
	ck_assert_int_eq(remove_it(first), 0);
	ck_assert(exists()); /* another one has taken its place */
	ck_assert_int_eq(remove_it(second), 0);
	ck_assert(!exists());
	ck_assert_int_eq(remove_it(second), 0);
	ck_assert_int_eq(unlink(aside), 0);
	close(one);
	close(two);
	mtsi_path_close(first);
	mtsi_path_close(second);
}
END_TEST

/* The folder may be called something else by then, and the way to it may mean another one. */
START_TEST(the_folder_is_found_again)
{
	char other[sizeof(folder) + 8];
	int start = open(".", O_PATH | O_DIRECTORY);
	ck_assert_int_eq(chdir(folder), 0);
	memset(place.sun_path, 0, sizeof(place.sun_path));
	strcpy(place.sun_path, "socket");
	memcpy(&spot.address, &place, sizeof(place));
	struct mtsi_path *path = open_path();
	const int fd = mtsi_listen(&spot, 5, path);
	ck_assert_int_ge(fd, 0);
	ck_assert(exists());
	ck_assert_int_eq(fchdir(start), 0);
	(void)snprintf(other, sizeof(other), "%s.other", folder);
	ck_assert_int_eq(rename(folder, other), 0);
	ck_assert_int_eq(remove_it(path), 0);
	ck_assert_int_eq(rename(other, folder), 0);
	mtsi_path_close(path);
	close(fd);
	close(start);
	(void)snprintf(place.sun_path, sizeof(place.sun_path), "%s/socket", folder);
	ck_assert(!exists());
}
END_TEST

START_TEST(it_cannot_be_removed)
{
	struct mtsi_path *path = open_path();
	const int fd = mtsi_listen(&spot, 5, path);
	ck_assert_int_eq(chmod(folder, 0500), 0);
	if (access(folder, W_OK) == 0) { /* root may */
		ck_assert_int_eq(seteuid(65534), 0);
	}
	const int result = remove_it(path);
	if (geteuid() != getuid()) {
		ck_assert_int_eq(seteuid(getuid()), 0);
	}
	ck_assert_int_eq(chmod(folder, 0700), 0);
	ck_assert_int_eq(result, -EACCES);
	ck_assert(exists());
	mtsi_path_close(path);
	close(fd);
}
END_TEST

/* Processes that have copies of one path. */

enum part { NEITHER, SERVES }; /* what a process has to do with it, besides having made it */

struct actor {
	pid_t process;
	int orders[2]; /* a byte tells it to be done with the path */
	int reports[2]; /* a byte tells that it has begun, and another that it is done */
};

static void tell(int fd)
{
	ck_assert_int_eq(write(fd, "", 1), 1);
}

static void hear(int fd)
{
	char byte;
	ck_assert_int_eq(read(fd, &byte, 1), 1);
}

static void cast(struct actor *actor)
{
	ck_assert_int_eq(pipe(actor->orders), 0);
	ck_assert_int_eq(pipe(actor->reports), 0);
}

/* Makes the process; what goes wrong in it is seen in that it does not report. */
static void act(struct actor *actor, struct mtsi_path *path, enum part part)
{
	char byte;
	actor->process = fork();
	if (actor->process != 0) {
		return;
	}
	if (part == SERVES) {
		mtsi_path_serve(path);
	}
	close(actor->orders[1]);
	if (write(actor->reports[1], "", 1) != 1 || read(actor->orders[0], &byte, 1) != 1
		|| remove_it(path) != 0 || write(actor->reports[1], "", 1) != 1) {
		_exit(1);
	}
	mtsi_path_close(path);
	_exit(0);
}

static void begin(struct actor *actor, struct mtsi_path *path, enum part part)
{
	cast(actor);
	act(actor, path, part);
	close(actor->reports[1]);
	hear(actor->reports[0]);
}

static void be_done(const struct actor *actor)
{
	tell(actor->orders[1]);
	hear(actor->reports[0]);
}

static void finish(const struct actor *actor)
{
	be_done(actor);
	ck_assert_int_eq(waitpid(actor->process, NULL, 0), actor->process);
}

/* One that only has a copy removes nothing; one that serves does not either, while the maker is there. */
START_TEST(the_maker_is_there)
{
	struct mtsi_path *path = open_path();
	const int fd = mtsi_listen(&spot, 5, path);
	struct actor actor;
	begin(&actor, path, (enum part)_i);
	finish(&actor);
	ck_assert(exists());
	ck_assert_int_eq(remove_it(path), 0);
	ck_assert(!exists());
	mtsi_path_close(path);
	close(fd);
}
END_TEST

/* The maker is done, and another one serves still: the file is left to that one. */
START_TEST(the_maker_is_done_first)
{
	struct mtsi_path *path = open_path();
	const int fd = mtsi_listen(&spot, 5, path);
	struct actor actor;
	begin(&actor, path, (enum part)_i);
	mtsi_path_serve(path);
	ck_assert_int_eq(remove_it(path), 0);
	mtsi_path_close(path);
	ck_assert(exists() == (_i == SERVES));
	finish(&actor);
	ck_assert(!exists());
	close(fd);
}
END_TEST

/* Where nobody knows of the others, the maker removes it, and nobody else does. */
START_TEST(without_locks)
{
	struct actor actor;
	refuse = true;
	struct mtsi_path *path = open_path();
	refuse = false;
	const int fd = mtsi_listen(&spot, 5, path);
	begin(&actor, path, (enum part)_i);
	finish(&actor);
	ck_assert(exists());
	begin(&actor, path, (enum part)_i);
	ck_assert_int_eq(remove_it(path), 0);
	ck_assert(!exists());
	mtsi_path_close(path);
	finish(&actor);
	close(fd);
}
END_TEST

/* One that was killed has no interest in it any more. */
START_TEST(one_was_killed)
{
	struct mtsi_path *path = open_path();
	const int fd = mtsi_listen(&spot, 5, path);
	struct actor actor;
	begin(&actor, path, SERVES);
	ck_assert_int_eq(kill(actor.process, SIGKILL), 0);
	ck_assert_int_eq(waitpid(actor.process, NULL, 0), actor.process);
	ck_assert_int_eq(remove_it(path), 0);
	ck_assert(!exists());
	mtsi_path_close(path);
	close(fd);
}
END_TEST

/* As with daemon(3): the maker has ended, waited for or not. The last of those who serve removes it. */
START_TEST(the_maker_has_ended)
{
	enum { ACTORS = 3 };
	static const enum part parts[ACTORS] = {NEITHER, SERVES, SERVES};
	struct actor actors[ACTORS];
	for (int i = 0; i < ACTORS; i++) {
		cast(&actors[i]);
	}
	const pid_t maker = fork();
	if (maker == 0) {
		struct mtsi_path *path = NULL;
		if (mtsi_path_open(&place, &path) != 0 || mtsi_listen(&spot, 5, path) < 0) {
			_exit(1);
		}
		for (int i = 0; i < ACTORS; i++) {
			act(&actors[i], path, parts[i]);
		}
		_exit(0);
	}
	siginfo_t ended;
	ck_assert_int_eq(waitid(P_PID, (id_t)maker, &ended, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(ended.si_status, 0);
	for (int i = 0; i < ACTORS; i++) {
		close(actors[i].reports[1]);
		hear(actors[i].reports[0]);
	}
	for (int i = 0; i < ACTORS; i++) {
		ck_assert(exists());
		be_done(&actors[i]);
	}
	ck_assert(!exists());
	ck_assert_int_eq(waitpid(maker, NULL, 0), maker);
}
END_TEST

/* One after the other; whoever holds it for long is not waited for without end. */
START_TEST(one_at_a_time)
{
	struct mtsi_path *path = open_path();
	const int first = mtsi_path_reserve(path);
	ck_assert_int_ge(first, 0);
	ck_assert_int_ne(fcntl(first, F_GETFD) & FD_CLOEXEC, 0);
	const int other = open(folder, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), -1);
	const int second = mtsi_path_reserve(path);
	const int fd = mtsi_listen(&spot, 5, path);
	unsigned patience = 3;
	ck_assert_int_eq(mtsi_path_remove(path, &patience), 0);
	ck_assert_uint_eq(patience, 0);
	ck_assert(!exists());
	mtsi_path_release(first);
	mtsi_path_release(second);
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
	close(fd);
	close(other);
	mtsi_path_close(path);
}
END_TEST

static const struct {
	const char *path;
	int result;
} folders[] = {{"/nowhere/at/all/socket", -ENOENT}, {"/dev/null/socket", -ENOTDIR}, {"socket", 0},
	{"/socket", 0}, {"./a/../socket", -ENOENT}};

START_TEST(folders_that_are_there_or_not)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct mtsi_path *path = NULL;
	const int descriptors = count_descriptors();
	ck_assert_int_eq(chdir(folder), 0);
	strcpy(address.sun_path, folders[_i].path);
	ck_assert_int_eq(mtsi_path_open(&address, &path), folders[_i].result);
	mtsi_path_close(path);
	ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("unix_path");
	tcase_add_checked_fixture(cases, make_folder, remove_folder);
	tcase_add_test(cases, a_socket_that_lives);
	tcase_add_test(cases, a_socket_that_was_left);
	tcase_add_test(cases, a_socket_that_is_busy);
	tcase_add_test(cases, what_is_no_socket);
	tcase_add_test(cases, whose_file_it_is);
	tcase_add_test(cases, the_folder_is_found_again);
	tcase_add_test(cases, it_cannot_be_removed);
	tcase_add_loop_test(cases, the_maker_is_there, NEITHER, SERVES + 1);
	tcase_add_loop_test(cases, the_maker_is_done_first, NEITHER, SERVES + 1);
	tcase_add_loop_test(cases, without_locks, NEITHER, SERVES + 1);
	tcase_add_test(cases, one_was_killed);
	tcase_add_test(cases, the_maker_has_ended);
	tcase_add_test(cases, one_at_a_time);
	tcase_add_loop_test(
		cases, folders_that_are_there_or_not, 0, sizeof(folders) / sizeof(folders[0]));
	return suite_run_once();
}
