/* SPDX-License-Identifier: MIT
 *
 * The file of a Unix socket at the end of its server: it is found again wherever the process has gone
 * meanwhile, and removed by the process that it is for, while no other serves on it; and when it cannot be
 * removed, the log says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.h"
#include "support.h"

static bool exists(void)
{
	struct stat status;
	return lstat(folder_path, &status) == 0;
}

static mts_server *listening(const char *where)
{
	mts_server *server = server_create(answer_process, NULL);
	ck_assert_msg(mts_server_listen(server, where) == 0, "%s", mts_server_error(server));
	ck_assert(exists());
	return server;
}

/* Which process serves the next client there. */
static pid_t ask(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	char text[32] = "";
	strcpy(name.sun_path, folder_path);
	const int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(peer, (const struct sockaddr *)&name, sizeof(name)), 0);
	peer_puts(peer, "who");
	ck_assert_int_gt(recv(peer, text, sizeof(text) - 1, 0), 0);
	close(peer);
	return (pid_t)atoi(text);
}

static void run_to_the_end(mts_server *server)
{
	server_start(server);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
}

/* As daemon(3) does; with a server that runs, and with one that never does. */
START_TEST(another_working_directory)
{
	ck_assert_int_eq(chdir(folder), 0);
	mts_server *server = listening("unix:socket");
	ck_assert_str_eq(mts_server_address(server, 0), "unix:socket");
	ck_assert_int_eq(chdir("/"), 0);
	if (_i == 0) {
		run_to_the_end(server);
		ck_assert(!exists());
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert(!exists());
}
END_TEST

/* A way that leads through a symbolic link, which leads elsewhere by then. */
START_TEST(another_way)
{
	char link[96];
	char where[128];
	snprintf(link, sizeof(link), "%s.link", folder);
	snprintf(where, sizeof(where), "unix:%s/socket", link);
	ck_assert_int_eq(symlink(folder, link), 0);
	mts_server *server = listening(where);
	ck_assert_int_eq(unlink(link), 0);
	ck_assert_int_eq(symlink("/nowhere", link), 0);
	run_to_the_end(server);
	ck_assert(!exists());
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(unlink(link), 0);
}
END_TEST

/* Another root: in a process of its own, since there is no way back. */
START_TEST(another_root)
{
	const pid_t child = fork();
	if (child == 0) {
		mts_server *server = listening(folder_address);
		char empty[96];
		snprintf(empty, sizeof(empty), "%s/root", folder);
		if (mkdir(empty, 0700) != 0 || chroot(empty) != 0 || chdir("/") != 0) {
			_exit(mts_server_destroy(server) == 0 ? 77 : 1); /* only root may */
		}
		run_to_the_end(server);
		_exit(mts_server_destroy(server) == 0 ? 0 : 1);
	}
	int status = -1;
	char empty[96];
	snprintf(empty, sizeof(empty), "%s/root", folder);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	(void)rmdir(empty);
	ck_assert(!exists());
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		puts("another_root: skipped, only root may change it");
		return;
	}
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

/* A descriptor that another process could have been given: of the socket with that path. */
static int handed_on(void)
{
	struct sockaddr_un name;
	for (int fd = 0; fd < 100; fd++) {
		socklen_t size = sizeof(name);
		memset(&name, 0, sizeof(name));
		if (getsockname(fd, (struct sockaddr *)&name, &size) == 0 && name.sun_family == AF_UNIX
			&& strcmp(name.sun_path, folder_path) == 0) {
			return dup(fd);
		}
	}
	ck_abort_msg("nobody listens on %s", folder_path);
	return -1;
}

/* When it is said: never, before the start, while it runs; or taken back. */
enum { NOT_KEPT, KEPT_EARLY, KEPT_LATE, KEPT_NO_MORE, WAYS_TO_KEEP };

static void keep(mts_server *server, bool late, int way)
{
	if (way == (late ? KEPT_LATE : KEPT_EARLY) || (way == KEPT_NO_MORE && !late)) {
		ck_assert_int_eq(mts_server_keep_paths(server, 1), 0);
	}
	if (way == KEPT_NO_MORE && late) {
		ck_assert_int_eq(mts_server_keep_paths(server, 0), 0);
	}
}

/* Another process has the socket: it is found where it was, and served by that one. */
START_TEST(kept_for_another_process)
{
	const bool kept = _i == KEPT_EARLY || _i == KEPT_LATE;
	mts_server *server = listening(folder_address);
	const int fd = handed_on();
	keep(server, false, _i);
	server_start(server);
	keep(server, true, _i);
	server_end(server);
	ck_assert_int_eq(exists(), kept);
	mts_server *successor = server_create(answer_process, NULL);
	ck_assert_int_eq(mts_server_listen_fd(successor, fd), 0);
	server_start(successor);
	if (kept) {
		ck_assert_int_eq(ask(), getpid());
	}
	server_end(successor);
	ck_assert_int_eq(exists(), kept);
	(void)unlink(folder_path);
}
END_TEST

/* The same for one that never runs; and what is left behind by all is replaced. */
START_TEST(kept_and_never_run)
{
	mts_server *server = listening(folder_address);
	ck_assert_int_eq(mts_server_keep_paths(server, 1), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert(exists());
	server = listening(folder_address);
	server_start(server);
	ck_assert_int_eq(ask(), getpid());
	server_end(server);
	ck_assert(!exists());
}
END_TEST

struct journal {
	_Atomic int told;
	int level;
	char text[512];
};

static void keep_journal(int level, const char *message, void *user)
{
	struct journal *journal = user;
	if (strstr(message, "cannot be removed") != NULL) {
		journal->level = level;
		snprintf(journal->text, sizeof(journal->text), "%s", message);
		atomic_fetch_add(&journal->told, 1);
	}
}

/* The folder may not be written to any more: to root by giving up that, to others by its mode. */
static void lose_rights(bool lose)
{
	if (getuid() == 0) {
		ck_assert_int_eq(seteuid(lose ? 65534 : 0), 0);
	} else {
		ck_assert_int_eq(chmod(folder, lose ? 0500 : 0700), 0);
	}
}

START_TEST(without_rights)
{
	static struct journal journal;
	char expected[256];
	mts_server *server = listening(folder_address);
	ck_assert_int_eq(mts_server_on_log(server, keep_journal, MTS_LOG_WARNING, &journal), 0);
	lose_rights(true);
	run_to_the_end(server);
	lose_rights(false);
	ck_assert(exists());
	ck_assert_int_eq(atomic_load(&journal.told), 1);
	ck_assert_int_eq(journal.level, MTS_LOG_WARNING);
	snprintf(expected, sizeof(expected), "the file of %s stays, it cannot be removed: %s",
		folder_address, strerror(EACCES));
	ck_assert_str_eq(journal.text, expected);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(unlink(folder_path), 0);
}
END_TEST

/* Somebody sits on the folder's lock: the stop is not held up by that, and the file goes. */
START_TEST(the_folder_is_locked)
{
	mts_server *server = listening(folder_address);
	const int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(flock(lock, LOCK_EX), 0);
	run_to_the_end(server);
	ck_assert(!exists());
	ck_assert_int_eq(mts_server_destroy(server), 0);
	close(lock);
}
END_TEST

/* Processes. */

static mts_server *_Atomic to_stop;

static void stop_it(int number)
{
	(void)number;
	mts_server_stop(atomic_load(&to_stop));
}

struct worker {
	pid_t process;
	int reports[2]; /* a byte when it serves, and one when it is done */
};

static void hear(const struct worker *worker)
{
	char byte;
	ck_assert_int_eq(read(worker->reports[0], &byte, 1), 1);
}

/* The life of a process that serves on its copy until SIGTERM. */
static void serve_copy(mts_server *server, const struct worker *worker)
{
	(void)alarm(PATIENCE);
	atomic_store(&to_stop, server);
	if (signal(SIGTERM, stop_it) == SIG_ERR || mts_server_start(server) != 0
		|| write(worker->reports[1], "", 1) != 1 || mts_server_join(server) != 0
		|| mts_server_destroy(server) != 0 || write(worker->reports[1], "", 1) != 1) {
		_exit(1);
	}
	_exit(0);
}

static void make_worker(struct worker *worker, mts_server *server)
{
	ck_assert_int_eq(pipe(worker->reports), 0);
	worker->process = fork();
	if (worker->process == 0) {
		serve_copy(server, worker);
	}
	hear(worker);
}

static void end_worker(const struct worker *worker)
{
	ck_assert_int_eq(kill(worker->process, SIGTERM), 0);
	hear(worker);
}

/* A child destroys its copy, before or after the start: the parent serves on, at the same place. */
START_TEST(a_child_destroys_its_copy)
{
	int status = -1;
	mts_server *server = listening(folder_address);
	if (_i == 1) {
		server_start(server);
	}
	const pid_t child = fork();
	if (child == 0) {
		child_leave(mts_server_destroy(server) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(exists());
	if (_i == 0) {
		server_start(server);
	}
	ck_assert_int_eq(ask(), getpid());
	server_end(server);
	ck_assert(!exists());
}
END_TEST

/* Two serve for a parent that has listened: when one ends the other serves on; the parent removes it. */
START_TEST(workers_end_one_by_one)
{
	struct worker workers[2];
	mts_server *server = listening(folder_address);
	for (int i = 0; i < 2; i++) {
		make_worker(&workers[i], server);
	}
	end_worker(&workers[0]);
	ck_assert_int_eq(ask(), workers[1].process);
	end_worker(&workers[1]);
	ck_assert(exists());
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert(!exists());
}
END_TEST

/* The parent has listened, and is done first, served or not: those who serve on can be reached. */
START_TEST(the_parent_is_done_first)
{
	struct worker worker;
	mts_server *server = listening(folder_address);
	make_worker(&worker, server);
	if (_i == 1) {
		run_to_the_end(server);
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(ask(), worker.process);
	end_worker(&worker);
	ck_assert(!exists());
}
END_TEST

/* daemon(3) between listen and start: the process that has listened is gone. */
START_TEST(the_parent_has_ended)
{
	struct worker worker;
	ck_assert_int_eq(pipe(worker.reports), 0);
	const pid_t parent = fork();
	if (parent == 0) {
		if (chdir(folder) != 0) {
			_exit(1);
		}
		mts_server *server = listening("unix:socket");
		if (fork() != 0) {
			_exit(0); /* as daemon(3): nothing is destroyed */
		}
		if (setsid() < 0 || chdir("/") != 0) {
			_exit(1);
		}
		serve_copy(server, &worker);
	}
	hear(&worker);
	ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
	worker.process = ask();
	end_worker(&worker);
	ck_assert(!exists());
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("the end of a Unix path");
	tcase_add_checked_fixture(cases, folder_make, folder_remove);
	tcase_add_loop_test(cases, another_working_directory, 0, 2);
	tcase_add_test(cases, another_way);
	tcase_add_test(cases, another_root);
	tcase_add_loop_test(cases, kept_for_another_process, 0, WAYS_TO_KEEP);
	tcase_add_test(cases, kept_and_never_run);
	tcase_add_test(cases, without_rights);
	tcase_add_test(cases, the_folder_is_locked);
	tcase_add_loop_test(cases, a_child_destroys_its_copy, 0, 2);
	tcase_add_test(cases, workers_end_one_by_one);
	tcase_add_loop_test(cases, the_parent_is_done_first, 0, 2);
	tcase_add_test(cases, the_parent_has_ended);
	return suite_run();
}
