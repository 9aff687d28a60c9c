/* SPDX-License-Identifier: MIT
 *
 * mts_serve(), in processes of their own, as it is used: it ends by a signal with the status of a clean
 * exit, puts back what handled those signals before, and says on standard error why it could not serve.
 *
 * Each process listens on an abstract socket named after it, so no port has to be found out. It is ready
 * for signals when a request has been answered.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { CHANGED = 40, MISJUDGED = 41 }; /* exit statuses of processes that found something wrong */

static struct gate go;

/* The number-th server of a process. */
static void name_of(pid_t process, int number, char *name, size_t size)
{
	snprintf(name, size, "unix:@mts-serve-%d-%d", (int)process, number);
}

static int serve_here(mts_handler handler)
{
	static int number;
	char name[64];
	name_of(getpid(), number++, name, sizeof(name));
	return mts_serve(name, handler, NULL);
}

/* A process that leaves with what `body` returns. Its standard error comes out of *errors. */
struct process {
	pid_t number;
	int errors;
	int server; /* which of its servers is meant */
};

static struct process start(int (*body)(void))
{
	int pipes[2];
	struct process process;
	ck_assert_int_eq(pipe(pipes), 0);
	process.number = fork();
	ck_assert_int_ge(process.number, 0);
	if (process.number == 0) {
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		exit(body());
	}
	close(pipes[1]);
	process.errors = pipes[0];
	process.server = 0;
	return process;
}

/* Connects as soon as it listens. */
static int reach(const struct process *process)
{
	char name[64];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const uint64_t since = now_ms();
	const struct timeval patience = {.tv_sec = PATIENCE};
	name_of(process->number, process->server, name, sizeof(name));
	memcpy(address.sun_path, name + 5, strlen(name + 5));
	address.sun_path[0] = '\0';
	const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name + 5));
	const int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	while (connect(peer, (struct sockaddr *)&address, size) != 0) {
		ck_assert_uint_lt(now_ms() - since, PATIENCE * 1000);
		poll(NULL, 0, 1);
	}
	return peer;
}

static int reach_and_talk(const struct process *process)
{
	const int peer = reach(process);
	peer_ask(peer, "hello");
	return peer;
}

/* Waits for its end: its status must be this one, and so must be what it said. */
static void expect_exit(const struct process *process, int code, const char *said)
{
	char text[1024];
	size_t have = 0;
	ssize_t count;
	while ((count = read(process->errors, text + have, sizeof(text) - 1 - have)) > 0) {
		have += (size_t)count;
	}
	text[have] = '\0';
	close(process->errors);
	int status = -1;
	ck_assert_int_eq(waitpid(process->number, &status, 0), process->number);
	ck_assert_str_eq(text, said);
	ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
	ck_assert_int_eq(WEXITSTATUS(status), code);
}

static int just_serve(void)
{
	return serve_here(answer_echo);
}

static const int signals[] = {SIGINT, SIGTERM};

START_TEST(ends_by_signal)
{
	const struct process process = start(just_serve);
	const int peer = reach_and_talk(&process);
	ck_assert_int_eq(kill(process.number, signals[_i]), 0);
	peer_expect_end(peer);
	close(peer);
	expect_exit(&process, EXIT_SUCCESS, "");
}
END_TEST

/* Both at once: they wait while it is halted, and come together when it goes on. */
START_TEST(ends_by_both_signals)
{
	const struct process process = start(just_serve);
	const int peer = reach_and_talk(&process);
	ck_assert_int_eq(kill(process.number, SIGSTOP), 0);
	ck_assert_int_eq(kill(process.number, SIGINT), 0);
	ck_assert_int_eq(kill(process.number, SIGTERM), 0);
	ck_assert_int_eq(kill(process.number, SIGCONT), 0);
	peer_expect_end(peer);
	close(peer);
	expect_exit(&process, EXIT_SUCCESS, "");
}
END_TEST

static int wait_and_echo(mts_client *client, const void *request, size_t size, void *user)
{
	const int before = mts_client_gone(client);
	mts_client_puts(client, "begun ");
	mts_client_flush(client);
	while (before == 0 && mts_client_gone(client) != MTS_GONE_STOP) {
		poll(NULL, 0, 1);
	}
	return answer_echo(client, request, size, user);
}

static int serve_waiting(void)
{
	return serve_here(wait_and_echo);
}

/* What is being done is finished first. */
START_TEST(ends_after_the_handler)
{
	const struct process process = start(serve_waiting);
	const int peer = reach(&process);
	peer_puts(peer, "hello");
	peer_expect_text(peer, "begun ");
	ck_assert_int_eq(kill(process.number, SIGTERM), 0);
	peer_expect_text(peer, "hello");
	peer_expect_end(peer);
	close(peer);
	expect_exit(&process, EXIT_SUCCESS, "");
}
END_TEST

/* The first request makes a process that serves in its own turn, the second one waits for its end. */
static int serve_in_a_child(mts_client *client, const void *request, size_t size, void *user)
{
	static pid_t child;
	int status = -1;
	(void)request;
	(void)size;
	(void)user;
	if (child == 0) {
		child = fork();
		if (child == 0) {
			sigset_t all;
			sigfillset(&all);
			(void)pthread_sigmask(SIG_UNBLOCK, &all, NULL);
			/* What leaves is another program, in which no tool looks for what the threads had. */
			const char *how = serve_here(answer_echo) == EXIT_SUCCESS ? "exit 0" : "exit 1";
			execl("/bin/sh", "sh", "-c", how, (char *)NULL);
			_exit(EXIT_FAILURE);
		}
		(void)mts_client_printf(client, "%d", (int)child);
		return MTS_KEEP;
	}
	(void)waitpid(child, &status, 0);
	(void)mts_client_printf(client, "%d", status);
	return MTS_KEEP;
}

static int serve_and_fork(void)
{
	return serve_here(serve_in_a_child);
}

static void *no_body(void *argument)
{
	return argument;
}

static void make_thread(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, no_body, NULL) != 0 || pthread_join(thread, NULL) != 0) {
		_exit(EXIT_FAILURE);
	}
}

static void *fork_and_make_thread(void *argument)
{
	int *status = argument;
	const pid_t child = fork();
	if (child == 0) {
		make_thread();
		_exit(EXIT_SUCCESS);
	}
	(void)waitpid(child, status, 0);
	return NULL;
}

/* With some tools a child that one of several threads has made can make none. */
static int fork_from_a_thread(void)
{
	int status = -1;
	pthread_t thread;
	(void)close(STDERR_FILENO);
	if (pthread_create(&thread, NULL, fork_and_make_thread, &status) != 0) {
		_exit(EXIT_FAILURE);
	}
	(void)pthread_join(thread, NULL);
	_exit(status == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static bool children_may_have_threads(void)
{
	const struct process process = start(fork_from_a_thread);
	int status = -1;
	close(process.errors);
	ck_assert_int_eq(waitpid(process.number, &status, 0), process.number);
	return status == 0;
}

/* A handler's child is another process, in which nothing is being served yet. */
START_TEST(in_a_handlers_child)
{
	char text[32] = "";
	if (!children_may_have_threads()) {
		puts("in_a_handlers_child: skipped, a handler's child can have no threads here");
		return;
	}
	const struct process outer = start(serve_and_fork);
	const int peer = reach(&outer);
	peer_puts(peer, "go");
	ck_assert_int_gt(recv(peer, text, sizeof(text) - 1, 0), 0);
	const struct process inner = {.number = (pid_t)atoi(text), .server = 1};
	const int other = reach_and_talk(&inner);
	ck_assert_int_eq(kill(inner.number, SIGTERM), 0);
	peer_expect_end(other);
	peer_puts(peer, "and");
	peer_expect_text(peer, "0"); /* EXIT_SUCCESS */
	ck_assert_int_eq(kill(outer.number, SIGTERM), 0);
	peer_expect_end(peer);
	close(peer);
	close(other);
	expect_exit(&outer, EXIT_SUCCESS, "");
}
END_TEST

static void handle(int number)
{
	(void)number;
}

/* Two kinds of handling: the default, and a function with flags and a mask. */
static int check_signals(void)
{
	struct sigaction own = {.sa_handler = handle, .sa_flags = SA_NODEFER};
	const struct sigaction usual = {.sa_handler = SIG_DFL};
	struct sigaction interrupt;
	struct sigaction terminate;
	sigemptyset(&own.sa_mask);
	sigaddset(&own.sa_mask, SIGUSR2);
	sigaction(SIGINT, &own, NULL);
	sigaction(SIGTERM, &usual, NULL);
	if (serve_here(answer_echo) != EXIT_SUCCESS) {
		return MISJUDGED;
	}
	sigaction(SIGINT, NULL, &interrupt);
	sigaction(SIGTERM, NULL, &terminate);
	const bool same = interrupt.sa_handler == handle && (interrupt.sa_flags & SA_NODEFER) != 0
		&& sigismember(&interrupt.sa_mask, SIGUSR2) == 1 && terminate.sa_handler == SIG_DFL;
	return same ? EXIT_SUCCESS : CHANGED;
}

START_TEST(puts_signals_back)
{
	const struct process process = start(check_signals);
	const int peer = reach_and_talk(&process);
	ck_assert_int_eq(kill(process.number, signals[_i]), 0);
	peer_expect_end(peer);
	close(peer);
	expect_exit(&process, EXIT_SUCCESS, "");
}
END_TEST

static int ignored_signal; /* in the process that is started next */

static int serve_ignoring(void)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction after;
	sigaction(ignored_signal, &ignore, NULL);
	if (serve_here(answer_echo) != EXIT_SUCCESS) {
		return MISJUDGED;
	}
	sigaction(ignored_signal, NULL, &after);
	return after.sa_handler == SIG_IGN ? EXIT_SUCCESS : CHANGED;
}

/* As under nohup, or in the background of a shell. */
START_TEST(an_ignored_signal_stays_ignored)
{
	ignored_signal = signals[_i];
	const struct process process = start(serve_ignoring);
	const int first = reach_and_talk(&process);
	ck_assert_int_eq(kill(process.number, ignored_signal), 0);
	const int second = reach_and_talk(&process);
	for (int i = 0; i < 10; i++) {
		peer_ask(first, "still");
	}
	ck_assert_int_eq(kill(process.number, signals[1 - _i]), 0);
	peer_expect_end(first);
	peer_expect_end(second);
	close(first);
	close(second);
	expect_exit(&process, EXIT_SUCCESS, "");
}
END_TEST

static int echo_and_stop(mts_client *client, const void *request, size_t size, void *user)
{
	if (size == 4 && memcmp(request, "stop", size) == 0) {
		mts_server_stop(mts_client_server(client));
	}
	return answer_echo(client, request, size, user);
}

static int serve_ignoring_both(void)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGTERM, &ignore, NULL);
	return serve_here(echo_and_stop);
}

START_TEST(both_are_ignored)
{
	const struct process process = start(serve_ignoring_both);
	const int peer = reach_and_talk(&process);
	ck_assert_int_eq(kill(process.number, SIGINT), 0);
	ck_assert_int_eq(kill(process.number, SIGTERM), 0);
	for (int i = 0; i < 10; i++) {
		peer_ask(peer, "still");
	}
	peer_ask(peer, "stop");
	peer_expect_end(peer);
	close(peer);
	expect_exit(&process, EXIT_SUCCESS, "");
}
END_TEST

static int fail_and_check_signals(void)
{
	const struct sigaction own = {.sa_handler = handle};
	struct sigaction now;
	sigaction(SIGINT, &own, NULL);
	const int status = mts_serve("nonsense", answer_echo, NULL);
	sigaction(SIGINT, NULL, &now);
	return now.sa_handler == handle ? status : CHANGED;
}

START_TEST(bad_address)
{
	const struct process process = start(fail_and_check_signals);
	expect_exit(&process, EXIT_FAILURE,
		"cannot listen on nonsense: the port is missing, as in localhost:5000\n");
}
END_TEST

static char taken[64];

static int serve_taken(void)
{
	return mts_serve(taken, answer_echo, NULL);
}

START_TEST(port_in_use)
{
	char sentence[128];
	mts_server *server = server_new(answer_echo, NULL);
	snprintf(taken, sizeof(taken), "%s", mts_server_address(server, 0));
	snprintf(sentence, sizeof(sentence), "cannot listen on %s: Address already in use\n", taken);
	const struct process process = start(serve_taken);
	expect_exit(&process, EXIT_FAILURE, sentence);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

static int serve_nobody(void)
{
	return mts_serve("127.0.0.1:0", NULL, NULL);
}

static int serve_nowhere(void)
{
	return mts_serve(NULL, answer_echo, NULL);
}

START_TEST(without_arguments)
{
	struct process process = start(serve_nobody);
	expect_exit(&process, EXIT_FAILURE, "cannot serve: no handler\n");
	process = start(serve_nowhere);
	expect_exit(&process, EXIT_FAILURE, "cannot listen: the address is NULL\n");
}
END_TEST

static int serve_inside(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	mts_client_printf(client, "%d", mts_serve("127.0.0.1:0", answer_echo, NULL));
	return MTS_KEEP;
}

static int serve_twice(void)
{
	return serve_here(serve_inside);
}

/* While one is served another is refused, and the first does not notice. */
START_TEST(one_at_a_time)
{
	char status[8];
	snprintf(status, sizeof(status), "%d", EXIT_FAILURE);
	const struct process process = start(serve_twice);
	const int peer = reach(&process);
	for (int i = 0; i < 2; i++) {
		peer_puts(peer, "again");
		peer_expect_text(peer, status);
	}
	ck_assert_int_eq(kill(process.number, SIGTERM), 0);
	peer_expect_end(peer);
	close(peer);
	expect_exit(&process, EXIT_SUCCESS,
		"cannot run until a signal: another server of this process does so already\n"
		"cannot run until a signal: another server of this process does so already\n");
}
END_TEST

static int serve_again(void)
{
	(void)fail_and_check_signals();
	return just_serve() == EXIT_SUCCESS ? just_serve() : MISJUDGED;
}

/* One after the other is fine, also after a failure. */
START_TEST(one_after_the_other)
{
	struct process process = start(serve_again);
	for (process.server = 0; process.server < 2; process.server++) {
		const int peer = reach_and_talk(&process);
		ck_assert_int_eq(kill(process.number, SIGTERM), 0);
		peer_expect_end(peer);
		close(peer);
	}
	expect_exit(&process, EXIT_SUCCESS,
		"cannot listen on nonsense: the port is missing, as in localhost:5000\n");
}
END_TEST

static int hang(mts_client *client, const void *request, size_t size, void *user)
{
	mts_server_set_timeout(mts_client_server(client), MTS_TIMEOUT_STOP, 100);
	(void)answer_echo(client, request, size, user);
	mts_client_flush(client);
	gate_wait(&go, 1);
	return MTS_KEEP;
}

static int serve_hanging(void)
{
	return serve_here(hang);
}

/* A handler that hangs does not keep the program from ending. */
START_TEST(hung_handler)
{
	const struct process process = start(serve_hanging);
	const int peer = reach_and_talk(&process);
	ck_assert_int_eq(kill(process.number, SIGINT), 0);
	peer_expect_gone(peer);
	close(peer);
	expect_exit(&process, EXIT_FAILURE, "stopped while a callback was still running\n");
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("serve");
	go = (struct gate)GATE;
	tcase_add_loop_test(cases, ends_by_signal, 0, 2);
	tcase_add_test(cases, ends_by_both_signals);
	tcase_add_test(cases, ends_after_the_handler);
	tcase_add_test(cases, in_a_handlers_child);
	tcase_add_loop_test(cases, puts_signals_back, 0, 2);
	tcase_add_loop_test(cases, an_ignored_signal_stays_ignored, 0, 2);
	tcase_add_test(cases, both_are_ignored);
	tcase_add_test(cases, bad_address);
	tcase_add_test(cases, port_in_use);
	tcase_add_test(cases, without_arguments);
	tcase_add_test(cases, one_at_a_time);
	tcase_add_test(cases, one_after_the_other);
	tcase_add_test(cases, hung_handler);
	return suite_run_once();
}
