/* SPDX-License-Identifier: MIT
 *
 * What a service manager is told: that the server serves, but not before it does; that it stops; and,
 * if it watches, that requests get on, but only while they do. Whatever the environment says, and
 * whatever becomes of the manager, the server serves.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service.h"
#include "support.h"

static char folder[32];
static char path[64];
static int manager;

static void setup(void)
{
	strcpy(folder, "/tmp/mts-notify-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/notify", folder);
	manager = manager_open(path);
}

static void teardown(void)
{
	close(manager);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void notify(mts_server *server)
{
	const int result = mts_server_set_notify(server, 1);
	ck_assert_msg(result == 0, "%s", mts_server_error(server));
}

static mts_server *notifying_server(mts_handler handler, void *user)
{
	mts_server *server = server_new(handler, user);
	notify(server);
	return server;
}

static void expect_ready(int whom, const mts_server *server)
{
	char text[256];
	(void)snprintf(
		text, sizeof(text), "READY=1\nSTATUS=serving on %s", mts_server_address(server, 0));
	manager_expect(whom, text);
}

/* In this order, each once, and nothing else. */
START_TEST(from_start_to_stop)
{
	mts_server *server = notifying_server(answer_echo, NULL);
	ck_assert(manager_hears_nothing(manager, 0));
	server_start(server);
	expect_ready(manager, server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	mts_server_stop(server);
	server_join(server);
	manager_expect_stopping(manager, 1);
	server_end(server);
	ck_assert(manager_hears_nothing(manager, 0));
	close(peer);
}
END_TEST

START_TEST(by_an_abstract_name)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "@mts-notify-%d", (int)getpid());
	const int other = manager_open(name);
	mts_server *server = notifying_server(answer_echo, NULL);
	ck_assert_int_eq(mts_notify("STATUS=not yet"), 1);
	manager_expect(other, "STATUS=not yet");
	server_start(server);
	expect_ready(other, server);
	server_end(server);
	manager_expect_stopping(other, 0);
	close(other);
}
END_TEST

/* What it serves on is said in one line, however much that is. */
START_TEST(many_addresses)
{
	char text[1024];
	mts_server *server = server_new(answer_echo, NULL);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	}
	notify(server);
	server_start(server);
	const ssize_t size = recv(manager, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(size, 100);
	text[size] = '\0';
	ck_assert_ptr_eq(strstr(text, "READY=1\nSTATUS=serving on 127.0.0.1:"), text);
	ck_assert_ptr_nonnull(strstr(text, " more"));
	ck_assert_ptr_null(strchr(strchr(text, '\n') + 1, '\n'));
	server_end(server);
}
END_TEST

/* A start that fails says nothing, nor does a server that has not been told to. */
START_TEST(not_without_cause)
{
	mts_server *server = server_create(answer_echo, NULL);
	notify(server);
	ck_assert_int_eq(mts_server_start(server), -EINVAL);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	server = server_new(answer_echo, NULL);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
	server = notifying_server(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_notify(server, 0), 0);
	server_start(server);
	ck_assert_int_eq(mts_server_set_notify(server, 1), -EBUSY);
	peer_visit(server, 0);
	server_end(server);
	ck_assert(manager_hears_nothing(manager, 0));
}
END_TEST

/* A stop that comes before the start: it never serves. */
START_TEST(stopped_before_it_starts)
{
	mts_server *server = notifying_server(answer_echo, NULL);
	mts_server_stop(server);
	server_start(server);
	server_join(server);
	manager_expect_stopping(manager, 0);
	ck_assert(manager_hears_nothing(manager, 0));
	server_end(server);
}
END_TEST

/* Without a manager it does nothing, and takes nothing. */
START_TEST(nobody_asks)
{
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "1000", 1);
	const int descriptors = count_descriptors();
	ck_assert_int_eq(mts_notify("READY=1"), 0);
	ck_assert_int_eq(count_descriptors(), descriptors);
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
	ck_assert(manager_hears_nothing(manager, 0));
}
END_TEST

static char too_long[200];

static const struct {
	const char *value;
	int code;
	const char *sentence;
} hostile[] = {
	{"", -EINVAL, "NOTIFY_SOCKET is neither a path from the root nor an abstract name"},
	{"@", -EINVAL, "NOTIFY_SOCKET is neither a path from the root nor an abstract name"},
	{"/", -EINVAL, "NOTIFY_SOCKET is neither a path from the root nor an abstract name"},
	{"notify", -EINVAL, "NOTIFY_SOCKET is neither a path from the root nor an abstract name"},
	{"\n/x", -EINVAL, "NOTIFY_SOCKET is neither a path from the root nor an abstract name"},
	{"vsock:2:1234", -EAFNOSUPPORT, "NOTIFY_SOCKET is not a Unix socket"},
	{too_long, -ENAMETOOLONG, "NOTIFY_SOCKET is longer than 107 bytes"},
};
enum { HOSTILE = sizeof(hostile) / sizeof(hostile[0]) };

START_TEST(hostile_places)
{
	char sentence[256];
	mts_server *server = server_new(answer_echo, NULL);
	memset(too_long, '/', sizeof(too_long) - 1);
	setenv("NOTIFY_SOCKET", hostile[_i].value, 1);
	(void)snprintf(
		sentence, sizeof(sentence), "cannot tell the service manager: %s", hostile[_i].sentence);
	ck_assert_int_eq(mts_notify("READY=1"), hostile[_i].code);
	ck_assert_int_eq(mts_server_set_notify(server, 1), hostile[_i].code);
	ck_assert_str_eq(mts_server_error(server), sentence);
	ck_assert_int_eq(mts_server_set_notify(server, 0), 0);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

static const struct {
	const char *usec;
	const char *pid;
	const char *sentence;
} wrong_periods[] = {
	{"", NULL, "WATCHDOG_USEC is not a number of microseconds"},
	{"0", NULL, "WATCHDOG_USEC is not a number of microseconds"},
	{"-1", NULL, "WATCHDOG_USEC is not a number of microseconds"},
	{"1s", NULL, "WATCHDOG_USEC is not a number of microseconds"},
	{"18446744073709551615", NULL, "WATCHDOG_USEC is not a number of microseconds"},
	{"18446744073709551616", NULL, "WATCHDOG_USEC is not a number of microseconds"},
	{"1000", "", "WATCHDOG_PID is not the number of a process"},
	{"1000", "x", "WATCHDOG_PID is not the number of a process"},
	{"1000", "99999999999", "WATCHDOG_PID is not the number of a process"},
};
enum { WRONG_PERIODS = sizeof(wrong_periods) / sizeof(wrong_periods[0]) };

/* What was chosen before holds on. */
START_TEST(hostile_periods)
{
	char sentence[256];
	mts_server *server = notifying_server(answer_echo, NULL);
	setenv("WATCHDOG_USEC", wrong_periods[_i].usec, 1);
	if (wrong_periods[_i].pid != NULL) {
		setenv("WATCHDOG_PID", wrong_periods[_i].pid, 1);
	}
	(void)snprintf(sentence, sizeof(sentence), "cannot tell the service manager: %s",
		wrong_periods[_i].sentence);
	ck_assert_int_eq(mts_server_set_notify(server, 1), -EINVAL);
	ck_assert_str_eq(mts_server_error(server), sentence);
	server_start(server);
	expect_ready(manager, server);
	server_end(server);
	manager_expect_stopping(manager, 0);
}
END_TEST

/* Lines of the log that contain what is wanted. */
static const char *wanted;
static struct gate lines;

static void note_line(int level, const char *message, void *user)
{
	(void)user;
	if (strstr(message, wanted) != NULL) {
		ck_assert_int_eq(level, MTS_LOG_WARNING);
		gate_add(&lines);
	}
}

static void listen_for(mts_server *server, const char *text)
{
	wanted = text;
	lines = (struct gate)GATE;
	ck_assert_int_eq(mts_server_on_log(server, note_line, MTS_LOG_DEBUG, NULL), 0);
}

/* It serves, and says so in the log. */
START_TEST(the_manager_has_gone)
{
	char socket_file[64];
	(void)snprintf(socket_file, sizeof(socket_file), "%s/nobody", folder);
	setenv("NOTIFY_SOCKET", socket_file, 1);
	ck_assert_int_eq(mts_notify("READY=1"), -ENOENT);
	mts_server *server = notifying_server(answer_echo, NULL);
	listen_for(server, "the service manager cannot be told READY=1: No such file or directory");
	server_start(server);
	gate_wait(&lines, 1);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

/* One that comes back has another socket under the same name. */
START_TEST(the_manager_comes_back)
{
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	expect_ready(manager, server);
	close(manager);
	ck_assert_int_eq(mts_notify("STATUS=x"), -ECONNREFUSED);
	ck_assert_int_eq(unlink(path), 0);
	manager = manager_open(path);
	server_end(server);
	manager_expect_stopping(manager, 0);
}
END_TEST

/* Once it is found, it does not matter where its path leads: after chroot(2), for example. */
START_TEST(the_path_changes)
{
	char elsewhere[80];
	(void)snprintf(elsewhere, sizeof(elsewhere), "%s-elsewhere", path);
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	expect_ready(manager, server);
	ck_assert_int_eq(rename(path, elsewhere), 0);
	server_end(server);
	manager_expect_stopping(manager, 0);
	ck_assert_int_eq(rename(elsewhere, path), 0);
}
END_TEST

/* A manager that does not read holds up nobody; when it reads again it is told. */
START_TEST(no_room_there)
{
	int result;
	int sent = 0;
	while ((result = mts_notify("STATUS=full")) == 1) {
		sent++;
	}
	ck_assert_int_eq(result, -EAGAIN);
	ck_assert_int_gt(sent, 0);
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	peer_visit(server, 0);
	for (; sent > 0; sent--) {
		manager_expect(manager, "STATUS=full");
	}
	expect_ready(manager, server);
	server_end(server);
	manager_expect_stopping(manager, 1);
}
END_TEST

START_TEST(what_the_program_says)
{
	enum { LARGE = 16 * 1024 * 1024 };
	const int descriptors = count_descriptors();
	ck_assert_int_eq(mts_notify(NULL), -EINVAL);
	ck_assert_int_eq(mts_notify(""), -EINVAL);
	ck_assert_int_eq(mts_notify("RELOADING=1\nMONOTONIC_USEC=1"), 1);
	manager_expect(manager, "RELOADING=1\nMONOTONIC_USEC=1");
	char *large = malloc(LARGE);
	memset(large, 'x', LARGE - 1);
	large[LARGE - 1] = '\0';
	ck_assert_int_eq(mts_notify(large), -EMSGSIZE);
	free(large);
	starve_descriptors(true);
	ck_assert_int_eq(mts_notify("READY=1"), -EMFILE);
	starve_descriptors(false);
	ck_assert(manager_hears_nothing(manager, 0));
	ck_assert_int_eq(count_descriptors(), descriptors);
	ck_assert_str_eq(getenv("NOTIFY_SOCKET"), path);
}
END_TEST

/* With no descriptor to be had, it is told all the same: what it needs is there from the start on. */
START_TEST(without_descriptors)
{
	mts_server *server = notifying_server(answer_echo, NULL);
	setenv("WATCHDOG_USEC", "3000000", 1); /* so seldom that the library comes to rest in between */
	notify(server);
	server_start(server);
	expect_ready(manager, server);
	starve_descriptors(true);
	(void)manager_drain(manager);
	manager_expect(manager, "WATCHDOG=1");
	starve_descriptors(false);
	server_end(server);
}
END_TEST

/* The watchdog. */

static struct gate held;
static struct gate let_go;

static int hold_or_echo(mts_client *client, const void *request, size_t size, void *user)
{
	if (size == 4 && memcmp(request, "hold", 4) == 0) {
		gate_add(&held);
		gate_wait(&let_go, 1);
	}
	return answer_echo(client, request, size, user);
}

static void watch(const char *usec)
{
	char self[16];
	(void)snprintf(self, sizeof(self), "%d", (int)getpid());
	setenv("WATCHDOG_USEC", usec, 1);
	setenv("WATCHDOG_PID", self, 1);
	held = (struct gate)GATE;
	let_go = (struct gate)GATE;
}

/* Whether it idles, serves, or has a handler that hangs beside others. */
START_TEST(requests_get_on)
{
	watch("200000");
	mts_server *server = notifying_server(hold_or_echo, NULL);
	server_start(server);
	expect_ready(manager, server);
	for (int i = 0; i < 4; i++) {
		manager_expect(manager, "WATCHDOG=1");
	}
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hold");
	gate_wait(&held, 1);
	peer_visit(server, 0);
	(void)manager_drain(manager);
	for (int i = 0; i < 4; i++) {
		manager_expect(manager, "WATCHDOG=1");
	}
	gate_add(&let_go);
	peer_expect_text(peer, "hold");
	close(peer);
	server_end(server);
}
END_TEST

/* Where a client waits for a thread, nothing is told until it has one. */
START_TEST(requests_do_not_get_on)
{
	watch("200000");
	mts_server *server = notifying_server(hold_or_echo, NULL);
	listen_for(server, "a client has waited for a thread for ");
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	expect_ready(manager, server);
	const int first = peer_connect(server, 0);
	peer_puts(first, "hold");
	gate_wait(&held, 1);
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello");
	gate_wait(&lines, 1);
	(void)manager_drain(manager);
	ck_assert(manager_hears_nothing(manager, 500));
	gate_add(&let_go);
	peer_expect_text(first, "hold");
	close(first);
	peer_expect_text(second, "hello");
	manager_expect(manager, "WATCHDOG=1");
	manager_expect(manager, "WATCHDOG=1");
	close(second);
	server_end(server);
}
END_TEST

/* The period of another process, and none. */
START_TEST(nobody_watches)
{
	watch("1000");
	setenv("WATCHDOG_PID", "1", 1);
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	expect_ready(manager, server);
	ck_assert(manager_hears_nothing(manager, 100));
	server_end(server);
	manager_expect_stopping(manager, 0);
}
END_TEST

/* The shortest period there is makes no spin, and the longest no overflow. */
START_TEST(odd_periods)
{
	static const char *const periods[] = {"1", "18446744073709551614", "18446744073709552"};
	watch(periods[_i]);
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	expect_ready(manager, server);
	manager_expect(manager, "WATCHDOG=1");
	const uint64_t before = cpu_ms();
	if (_i == 0) {
		for (int i = 0; i < 100; i++) {
			manager_expect(manager, "WATCHDOG=1");
		}
	} else {
		ck_assert(manager_hears_nothing(manager, 100));
	}
	ck_assert_uint_lt(cpu_ms() - before, is_slowed() ? 10000 : 1000);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

/* Without a watchdog no thread is woken for it. */
START_TEST(an_idle_server_is_not_woken)
{
	enum { MILLISECONDS = 1500 }; /* longer than what is set in motion by a start */
	struct library_threads before;
	const uint64_t start = now_ms();
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	expect_ready(manager, server);
	do {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		before = library_threads();
		poll(NULL, 0, MILLISECONDS);
	} while (library_threads().switches != before.switches);
	server_end(server);
}
END_TEST

/* A child has a copy of the socket, which goes when the copy of the server goes; it says nothing. */
START_TEST(in_a_child)
{
	int status = -1;
	const int descriptors = count_descriptors();
	mts_server *server = notifying_server(answer_echo, NULL);
	server_start(server);
	expect_ready(manager, server);
	const pid_t child = fork();
	if (child == 0) {
		const int result = mts_server_set_notify(server, 1);
		(void)mts_server_destroy(server);
		_exit(result == -ECHILD && count_descriptors() == descriptors ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(manager_hears_nothing(manager, 0));
	server_end(server);
	manager_expect_stopping(manager, 0);
	ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("service manager");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, from_start_to_stop);
	tcase_add_test(cases, by_an_abstract_name);
	tcase_add_test(cases, many_addresses);
	tcase_add_test(cases, not_without_cause);
	tcase_add_test(cases, stopped_before_it_starts);
	tcase_add_test(cases, nobody_asks);
	tcase_add_loop_test(cases, hostile_places, 0, HOSTILE);
	tcase_add_loop_test(cases, hostile_periods, 0, WRONG_PERIODS);
	tcase_add_test(cases, the_manager_has_gone);
	tcase_add_test(cases, the_manager_comes_back);
	tcase_add_test(cases, the_path_changes);
	tcase_add_test(cases, no_room_there);
	tcase_add_test(cases, what_the_program_says);
	tcase_add_test(cases, without_descriptors);
	tcase_add_test(cases, requests_get_on);
	tcase_add_test(cases, requests_do_not_get_on);
	tcase_add_test(cases, nobody_watches);
	tcase_add_loop_test(cases, odd_periods, 0, 3);
	if (!under_valgrind()) { /* which has its own ways with threads */
		tcase_add_test(cases, an_idle_server_is_not_woken);
	}
	tcase_add_test(cases, in_a_child);
	return suite_run();
}
