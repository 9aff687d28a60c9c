/* SPDX-License-Identifier: MIT
 *
 * mts_server_set_name(): what the threads are called, as the kernel tells it, and what log lines begin
 * with.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* How many threads of this process have this name. */
static int count_named(const char *name)
{
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(tasks);
	for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
		char path[300];
		char line[64] = "";
		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (file != NULL) {
			const bool read = fgets(line, sizeof(line), file) != NULL;
			line[strcspn(line, "\n")] = '\0';
			count += read && strcmp(line, name) == 0;
			fclose(file);
		}
	}
	closedir(tasks);
	return count;
}

static void expect_thread(const char *name, const char *role)
{
	char whole[64];
	(void)snprintf(whole, sizeof(whole), "%s-%s", name, role);
	wait_until(count_named(whole) >= 1);
	ck_assert_uint_le(strlen(whole), 15);
}

static void expect_threads(const char *name)
{
	expect_thread(name, "keeper");
	expect_thread(name, "poller");
	expect_thread(name, "log");
	expect_thread(name, "worker");
}

/* What the log of a server must begin with, and how many messages have come. */
struct beginning {
	const char *text;
	_Atomic int lines;
	_Atomic int wrong;
};

static void look_at_line(int level, const char *message, void *user)
{
	struct beginning *beginning = user;
	(void)level;
	beginning->lines++;
	beginning->wrong += strncmp(message, beginning->text, strlen(beginning->text)) != 0;
}

static mts_server *named(const char *name, struct beginning *beginning)
{
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_log(server, look_at_line, MTS_LOG_DEBUG, beginning), 0);
	ck_assert_int_eq(mts_server_set_name(server, name), 0);
	return server;
}

static void check_threads(const char *name, const char *seen)
{
	struct beginning beginning = {.text = ""};
	mts_server *server = named(name, &beginning);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	expect_threads(seen);
	close(peer);
	server_end(server);
}

START_TEST(threads)
{
	check_threads("front", "front");
	check_threads("a b", "a b");
	check_threads("12345678", "12345678");
	check_threads("123456789", "12345678");
	check_threads("a name that is longer than what the kernel keeps of it, by far.", "a name t");
	check_threads(NULL, "mts");
	check_threads("", "mts");
}
END_TEST

/* Those that come later have it too, and each server has its own. */
START_TEST(two_servers)
{
	struct beginning front = {.text = "front: "};
	struct beginning back = {.text = "the one in the back: "};
	mts_server *one = named("front", &front);
	mts_server *other = named("the one in the back", &back);
	server_start(one);
	server_start(other);
	const int first = peer_connect(one, 0);
	const int second = peer_connect(other, 0);
	peer_ask(first, "hello");
	peer_ask(second, "hello");
	expect_threads("front");
	expect_threads("the one ");
	close(first);
	close(second);
	server_end(one);
	server_end(other);
	ck_assert_int_ge(front.lines, 3);
	ck_assert_int_ge(back.lines, 3);
	ck_assert_int_eq(front.wrong, 0);
	ck_assert_int_eq(back.wrong, 0);
}
END_TEST

/* What is said about a client, and a name with a backslash, which is not escaped. */
START_TEST(lines_about_clients)
{
	struct beginning beginning = {.text = "a\\b: "};
	struct endings endings = {.all = GATE};
	mts_server *server = named("a\\b", &beginning);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 10), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "much longer than that\n");
	peer_expect_gone(peer);
	endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
	close(peer);
	server_end(server);
	ck_assert_int_ge(beginning.lines, 4);
	ck_assert_int_eq(beginning.wrong, 0);
}
END_TEST

static void note_text(int level, const char *message, void *user)
{
	(void)level;
	(void)snprintf(user, 256, "%s", message);
}

/* The last message of a server that was given these names in turn. */
static void check_last(const char *name, const char *then, const char *line)
{
	char last[256] = "";
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_name(server, name), 0);
	ck_assert_int_eq(mts_server_set_name(server, then), 0);
	ck_assert_int_eq(mts_server_on_log(server, note_text, MTS_LOG_INFO, last), 0);
	server_start(server);
	server_end(server);
	ck_assert_str_eq(last, line);
}

START_TEST(taken_back)
{
	check_last("front", NULL, "stopped");
	check_last("front", "", "stopped");
	check_last("front", "back", "back: stopped");
	check_last(NULL, "back", "back: stopped");
	check_last("back", "mts", "mts: stopped");
}
END_TEST

START_TEST(copied)
{
	char name[] = "front";
	struct beginning beginning = {.text = "front: "};
	mts_server *server = named(name, &beginning);
	memset(name, 'x', sizeof(name) - 1);
	server_start(server);
	peer_visit(server, 0);
	expect_threads("front");
	server_end(server);
	ck_assert_int_eq(beginning.wrong, 0);
}
END_TEST

START_TEST(refused)
{
	static const char *const bad[] = {"\n", "a\tb", "a\x7f", "\x1b[1m", "caf\xc3\xa9", "\xff"};
	char name[65];
	struct beginning beginning = {.text = "front: "};
	mts_server *server = named("front", &beginning);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(mts_server_set_name(server, bad[i]), -EINVAL);
		ck_assert_str_eq(mts_server_error(server), "a name has bytes that are not printable ASCII");
	}
	memset(name, 'x', sizeof(name) - 1);
	name[64] = '\0';
	ck_assert_int_eq(mts_server_set_name(server, name), -EINVAL);
	ck_assert_str_eq(mts_server_error(server), "a name of 64 bytes is longer than 63");
	ck_assert_int_eq(mts_server_set_name(NULL, "front"), -EINVAL);

	server_start(server);
	ck_assert_int_eq(mts_server_set_name(server, "late"), -EBUSY);
	ck_assert_str_eq(
		mts_server_error(server), "cannot set the name: the server runs already, or has run");
	server_end(server);
	ck_assert_int_eq(beginning.wrong, 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("name");
	tcase_add_test(cases, threads);
	tcase_add_test(cases, two_servers);
	tcase_add_test(cases, lines_about_clients);
	tcase_add_test(cases, taken_back);
	tcase_add_test(cases, copied);
	tcase_add_test(cases, refused);
	return suite_run();
}
