/* SPDX-License-Identifier: MIT
 *
 * mts_log_stderr(): one line for each message, in one write, in the journal's form where standard error
 * is the journal's; and what becomes of it where standard error is full, closed, or read by nobody.
 *
 * A socket that keeps the boundaries of messages shows what one write was.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "

enum { LINE = 4096 }; /* the longest, with its newline */

static const char *const names[] = {
	"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};

static int reader = -1; /* where standard error comes out */

static void redirect(int ends[2])
{
	ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	reader = ends[0];
}

static void to_packets(void)
{
	int ends[2];
	const struct timeval patience = {.tv_sec = PATIENCE};
	ck_assert_int_eq(unsetenv("JOURNAL_STREAM"), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	redirect(ends);
}

static void to_pipe(int flags)
{
	int ends[2];
	ck_assert_int_eq(pipe2(ends, flags), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, 0), 0);
	redirect(ends);
}

/* What one write has brought. */
static const char *written(void)
{
	static char text[2 * LINE];
	const ssize_t size = recv(reader, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(size, 0);
	text[size] = '\0';
	return text;
}

static void expect_match(const char *text, const char *pattern)
{
	regex_t compiled;
	ck_assert_int_eq(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&compiled, text, 0, NULL, 0) == 0, "%s is no %s", text, pattern);
	regfree(&compiled);
}

/* The nearest level that there is. */
static int nearest(int level)
{
	if (level < 0) {
		return 0;
	}
	return level > MTS_LOG_DEBUG ? MTS_LOG_DEBUG : level;
}

/* A line of this level as people read it. */
static void expect_plain(const char *text, int level, const char *message)
{
	char pattern[256];
	(void)snprintf(pattern, sizeof(pattern), TIME "%s: %s\n$", names[level], message);
	expect_match(text, pattern);
}

START_TEST(a_time_and_a_level)
{
	for (int level = -3; level < 12; level++) {
		mts_log_stderr(level, "something", NULL);
		expect_plain(written(), nearest(level), "something");
	}
	mts_log_stderr(MTS_LOG_INFO, "", NULL);
	expect_plain(written(), MTS_LOG_INFO, "");
	mts_log_stderr(MTS_LOG_INFO, NULL, NULL);
	expect_plain(written(), MTS_LOG_INFO, "");
}
END_TEST

/* Says that the journal reads this stream, or one whose inode is another, or something that is neither. */
static void set_journal(int more, const char *behind)
{
	char text[128];
	struct stat file;
	ck_assert_int_eq(fstat(STDERR_FILENO, &file), 0);
	(void)snprintf(text, sizeof(text), "%lu:%lu%s", (unsigned long)file.st_dev,
		(unsigned long)file.st_ino + (unsigned long)more, behind);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", text, 1), 0);
}

START_TEST(for_the_journal)
{
	static const char *const behind[] = {":", "1", " ", ":1"};
	static const char *const others[] = {"", ":", "0:0", "x", "1", "-1:-1"};
	char line[32];
	set_journal(0, "");
	for (int level = -1; level < 9; level++) {
		mts_log_stderr(level, "something", NULL);
		(void)snprintf(line, sizeof(line), "<%d>something\n", nearest(level));
		ck_assert_str_eq(written(), line);
	}
	set_journal(1, "");
	mts_log_stderr(MTS_LOG_ERR, "elsewhere", NULL);
	expect_plain(written(), MTS_LOG_ERR, "elsewhere");
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		set_journal(0, behind[i]);
		mts_log_stderr(MTS_LOG_ERR, "elsewhere", NULL);
		expect_plain(written(), MTS_LOG_ERR, "elsewhere");
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ck_assert_int_eq(setenv("JOURNAL_STREAM", others[i], 1), 0);
		mts_log_stderr(MTS_LOG_ERR, "elsewhere", NULL);
		expect_plain(written(), MTS_LOG_ERR, "elsewhere");
	}
	set_journal(0, "");
	close(reader);
	to_packets();
	mts_log_stderr(MTS_LOG_ERR, "redirected", NULL);
	expect_plain(written(), MTS_LOG_ERR, "redirected");
}
END_TEST

START_TEST(it_stays_one_line)
{
	mts_log_stderr(MTS_LOG_NOTICE, "a\nb\rc\td\033e\177f~ \\x0a", NULL);
	expect_plain(written(), MTS_LOG_NOTICE, "a\\?b\\?c\\?d\\?e\\?f~ \\\\x0a");
}
END_TEST

/* Messages from well below what fits to above it, byte by byte. */
START_TEST(a_long_message_is_cut)
{
	static char message[2 * LINE];
	set_journal(0, "");
	for (size_t size = LINE - 20; size < LINE + 20; size++) {
		memset(message, 'x', size);
		message[size] = '\0';
		mts_log_stderr(MTS_LOG_ERR, message, NULL);
		const char *line = written();
		const size_t length = strlen(line);
		ck_assert_uint_le(length, LINE);
		ck_assert_int_eq(line[length - 1], '\n');
		ck_assert_ptr_eq(strchr(line, '\n'), line + length - 1);
		if (length < size + 4) {
			ck_assert_uint_eq(length, LINE);
			ck_assert_str_eq(line + length - 4, "...\n");
		} else {
			ck_assert_uint_eq(length, size + 4);
			ck_assert_int_eq(line[length - 2], 'x');
		}
	}
}
END_TEST

static bool pending(int number)
{
	sigset_t set;
	ck_assert_int_eq(sigpending(&set), 0);
	return sigismember(&set, number) == 1;
}

/* The program's thread has SIGPIPE open, and as it is by default; or blocked, with none before. */
START_TEST(nobody_reads)
{
	sigset_t sigpipe;
	sigset_t after;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	pthread_sigmask(_i == 0 ? SIG_UNBLOCK : SIG_BLOCK, &sigpipe, NULL);
	to_pipe(0);
	close(reader);
	mts_log_stderr(MTS_LOG_ERR, "nobody reads this", NULL);
	ck_assert(!pending(SIGPIPE));
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(sigismember(&after, SIGPIPE), _i);
}
END_TEST

START_TEST(it_is_closed)
{
	close(STDERR_FILENO);
	mts_log_stderr(MTS_LOG_ERR, "nobody reads this", NULL);
	ck_assert_int_eq(setenv("JOURNAL_STREAM", "0:0", 1), 0);
	mts_log_stderr(MTS_LOG_ERR, "nor this", NULL);
	ck_assert_int_eq(recv(reader, &(char){0}, 1, 0), 0);
}
END_TEST

static _Atomic pid_t writer;

static void *write_a_line(void *argument)
{
	atomic_store(&writer, gettid());
	mts_log_stderr(MTS_LOG_ERR, "late, but whole", NULL);
	return argument;
}

/* Whether that thread sleeps, as the kernel sees it. */
static bool writer_waits(void)
{
	char path[64];
	char text[256] = "";
	const pid_t thread = atomic_load(&writer);
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	FILE *file = thread == 0 ? NULL : fopen(path, "r");
	const bool waits = file != NULL && fgets(text, sizeof(text), file) != NULL
		&& strstr(text, ") S ") != NULL;
	if (file != NULL) {
		fclose(file);
	}
	return waits;
}

/* Room is waited for, whether the descriptor blocks or not. */
START_TEST(a_full_pipe)
{
	pthread_t thread;
	char bytes[LINE];
	char text[2 * LINE];
	size_t filled = 0;
	size_t have = 0;
	ssize_t count;
	to_pipe(O_NONBLOCK);
	memset(bytes, 'x', sizeof(bytes));
	while ((count = write(STDERR_FILENO, bytes, sizeof(bytes))) > 0) {
		filled += (size_t)count;
	}
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, _i == 0 ? O_NONBLOCK : 0), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_a_line, NULL), 0);
	wait_until(writer_waits());
	while (filled > 0) {
		count = read(reader, bytes, filled < sizeof(bytes) ? filled : sizeof(bytes));
		ck_assert_int_gt(count, 0);
		filled -= (size_t)count;
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	close(STDERR_FILENO);
	while ((count = read(reader, text + have, sizeof(text) - 1 - have)) > 0) {
		have += (size_t)count;
	}
	text[have] = '\0';
	expect_plain(text, MTS_LOG_ERR, "late, but whole");
}
END_TEST

/* A server that has it for its hook: what it says comes line by line, with its name. */
START_TEST(as_a_hook)
{
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_name(server, "front"), 0);
	ck_assert_int_eq(mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL), 0);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
	expect_plain(written(), MTS_LOG_INFO, "front: serving on 127\\.0\\.0\\.1:[0-9]+, .*");
	expect_plain(written(), MTS_LOG_INFO, "front: stopping, .*");
	expect_plain(written(), MTS_LOG_INFO, "front: stopped");
}
END_TEST

/* Nobody reads what the server says: it serves, and ends well. */
START_TEST(a_server_with_nobody_to_read)
{
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_log(server, mts_log_stderr, MTS_LOG_DEBUG, NULL), 0);
	if (_i == 0) {
		close(STDERR_FILENO);
	}
	close(reader);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("log_stderr");
	tcase_add_checked_fixture(cases, to_packets, NULL);
	tcase_add_test(cases, a_time_and_a_level);
	tcase_add_test(cases, for_the_journal);
	tcase_add_test(cases, it_stays_one_line);
	tcase_add_test(cases, a_long_message_is_cut);
	tcase_add_loop_test(cases, nobody_reads, 0, 2);
	tcase_add_test(cases, it_is_closed);
	tcase_add_loop_test(cases, a_full_pipe, 0, 2);
	tcase_add_test(cases, as_a_hook);
	tcase_add_loop_test(cases, a_server_with_nobody_to_read, 0, 2);
	return suite_run();
}
