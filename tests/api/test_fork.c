/* SPDX-License-Identifier: MIT
 *
 * Servers and processes made by fork(2).
 *
 * A server belongs to the process that has started it. In any other one each call answers at once, whatever
 * the threads of the first were about when the child was made; what the child does to its copy, the first
 * does not feel. Before the start any process may use its copy.
 *
 * A child tells what went wrong by its exit status, and on standard error; one that hangs is ended by its
 * alarm.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.h"
#include "support.h"

#define require(condition) \
	do { \
		if (!(condition)) { \
			(void)dprintf(2, "child, line %d: not %s (errno %d)\n", __LINE__, #condition, errno); \
			child_leave(1); \
		} \
	} while (0)

static pid_t make_child(void)
{
	const pid_t child = fork();
	if (child == 0) {
		(void)alarm(PATIENCE);
	}
	return child;
}

static void expect_well(pid_t child)
{
	int status = -1;
	pid_t ended;
	ck_assert_int_gt(child, 0);
	while ((ended = waitpid(child, &status, 0)) < 0 && errno == EINTR) {
	}
	ck_assert_int_eq(ended, child);
	ck_assert_msg(status == 0, "the child ended with status %#x", (unsigned)status);
}

static ssize_t no_framer(const void *data, size_t size, size_t scanned, void *user)
{
	(void)data;
	(void)scanned;
	(void)user;
	return (ssize_t)size;
}

/* What the calls about a server answer in another process than its own. */
static void require_setters_refused(mts_server *server)
{
	require(mts_server_set_name(server, "name") == -ECHILD);
	require(mts_server_set_threads(server, MTS_THREAD_ON_DEMAND) == -ECHILD);
	require(mts_server_set_max_threads(server, 5) == -ECHILD);
	require(mts_server_set_stack_size(server, 100000) == -ECHILD);
	require(mts_server_set_max_clients(server, 5) == -ECHILD);
	require(mts_server_set_max_clients(server, 0) == -ECHILD);
	require(mts_server_set_max_clients_per_address(server, 5) == -ECHILD);
	require(mts_server_set_overload(server, MTS_OVERLOAD_WAIT) == -ECHILD);
	require(mts_server_set_max_output(server, 5000) == -ECHILD);
	require(mts_server_set_max_memory(server, 1000000) == -ECHILD);
	require(mts_server_set_max_request(server, 5000) == -ECHILD);
	require(mts_server_set_access(server, NULL) == -ECHILD);
	require(mts_server_set_trusted_proxies(server, NULL) == -ECHILD);
	require(mts_server_set_backlog(server, 5) == -ECHILD);
	require(mts_server_set_reuse_port(server, 1) == -ECHILD);
	require(mts_server_set_defer_accept(server, 5) == -ECHILD);
	require(mts_server_set_keepalive(server, 5) == -ECHILD);
	require(mts_server_set_proxy_protocol(server, MTS_PROXY_OFF) == -ECHILD);
	require(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 5) == -ECHILD);
	require(mts_server_set_drain(server, 5) == -ECHILD);
	require(mts_server_keep_paths(server, 1) == -ECHILD);
	require(mts_server_suspend(server) == -ECHILD);
	require(mts_server_resume(server) == -ECHILD);
	require(mts_server_frame_raw(server) == -ECHILD);
	require(mts_server_frame_lines(server) == -ECHILD);
	require(mts_server_frame_delimited(server, "x", 1) == -ECHILD);
	require(mts_server_frame_fixed(server, 5) == -ECHILD);
	require(mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN) == -ECHILD);
	require(mts_server_frame_custom(server, no_framer, NULL) == -ECHILD);
	require(mts_server_on_open(server, NULL, NULL) == -ECHILD);
	require(mts_server_on_close(server, NULL, NULL) == -ECHILD);
	require(mts_server_on_thread(server, NULL, NULL, NULL) == -ECHILD);
	require(mts_server_on_log(server, NULL, MTS_LOG_INFO, NULL) == -ECHILD);
}

static void require_refused(mts_server *server)
{
	require_setters_refused(server);
	require(mts_server_listen(server, "127.0.0.1:0") == -ECHILD);
	require(mts_server_listen_fd(server, 0) == -ECHILD);
	require(mts_server_run(server) == -ECHILD);
	require(mts_server_run_until_signal(server) == -ECHILD);
	require(mts_server_start(server) == -ECHILD);
	require(mts_server_join(server) == -ECHILD);
	require(mts_server_send(server, 1, "x", 1) == -ECHILD);
	require(mts_server_broadcast(server, "x", 1) == -ECHILD);
	require(mts_server_kick(server, 1) == -ECHILD);
	require(mts_server_close(server, 1) == -ECHILD);
	for (int i = 0; mts_stat_name(i) != NULL; i++) {
		require(mts_server_stat(server, i) == 0);
	}
	mts_server_stop(server);
	require(mts_server_address(server, 0) != NULL);
	require(strcmp(mts_server_error(server), "") == 0);
	require(mts_server_destroy(server) == 0);
	require(mts_server_destroy(server) == 0);
}

/* The parent serves on, those who were there and those who come. */
START_TEST(every_call_in_a_child)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "before");
	const pid_t child = make_child();
	if (child == 0) {
		require_refused(server);
		child_leave(0);
	}
	expect_well(child);
	peer_ask(peer, "after");
	const int other = peer_connect(server, 0);
	peer_ask(other, "new");
	ck_assert_int_eq(mts_server_broadcast(server, "all", 3), 2);
	peer_expect_text(peer, "all");
	peer_expect_text(other, "all");
	close(peer);
	close(other);
	server_end(server);
}
END_TEST

/* A grandchild is no other than a child; a server that has ended belongs to its process as ever. */
START_TEST(later_and_further_down)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	const pid_t child = make_child();
	if (child == 0) {
		const pid_t grandchild = make_child();
		if (grandchild == 0) {
			require_refused(server);
			child_leave(0);
		}
		int status = -1;
		require(waitpid(grandchild, &status, 0) == grandchild && status == 0);
		require_refused(server);
		child_leave(0);
	}
	expect_well(child);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Once the child has destroyed its copy it keeps nothing open: neither the port nor clients. */
START_TEST(a_copy_that_is_destroyed_keeps_nothing)
{
	int order[2];
	int report[2];
	char byte;
	ck_assert_int_eq(pipe(order), 0);
	ck_assert_int_eq(pipe(report), 0);
	const int before = count_descriptors();
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_REFUSE), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	const int other = peer_socket();
	peer_ask(peer, "here");
	library_rests(); /* what it has open for a moment would stay open in the child */
	const pid_t child = make_child();
	if (child == 0) {
		require(mts_server_destroy(server) == 0);
		close(peer);
		close(other);
		require(count_descriptors() <= before);
		require(write(report[1], "", 1) == 1 && read(order[0], &byte, 1) == 1);
		child_leave(0);
	}
	close(report[1]); /* so that a child that has failed is not waited for */
	ck_assert_int_eq(read(report[0], &byte, 1), 1);
	peer_ask(peer, "still");
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	peer_expect_end(peer);
	ck_assert(!peer_try_connect(other, server));
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(write(order[1], "", 1), 1);
	expect_well(child);
	close(peer);
	close(other);
}
END_TEST

/* In a child that a handler makes. */

static int data;

static void require_client_reads(mts_client *client)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	char text[64];
	(void)snprintf(text, sizeof(text), "%s", mts_client_peer(client));
	require(strncmp(text, "127.0.0.1:", 10) == 0);
	require(
		strcmp(mts_client_local(client), mts_server_address(mts_client_server(client), 0)) == 0);
	require(mts_client_peer_sockaddr(client, (struct sockaddr *)&peer, &size) == 0);
	require(peer.ss_family == AF_INET);
	require(mts_client_fd(client) >= 0);
	require(mts_client_id(client) != 0);
	require(mts_client_data(client) == &data);
	require(mts_client_gone(client) == 0);
}

static void require_client_refused(mts_client *client)
{
	const void *request = &data;
	size_t size = 7;
	char buffer[8];
	require(mts_client_write(client, "x", 1) == -ECHILD);
	require(mts_client_try_write(client, "x", 1) == -ECHILD);
	require(mts_client_puts(client, "x") == -ECHILD);
	require(mts_client_printf(client, "%d", 5) == -ECHILD);
	require(mts_client_printf(client, "%2000d", 5) == -ECHILD);
	require(mts_client_flush(client) == -ECHILD);
	require(mts_client_sendfile(client, 0, 0, 1) == -ECHILD);
	require(mts_client_next(client, &request, &size) == -ECHILD && request == NULL && size == 0);
	require(mts_client_read(client, buffer, sizeof(buffer)) == -ECHILD);
	require(mts_client_read_exact(client, buffer, sizeof(buffer)) == -ECHILD);
	require(mts_client_read_line(client, &request, &size) == -ECHILD);
	require(mts_client_unread(client, "x", 1) == -ECHILD);
	require(mts_client_pending(client) == -ECHILD);
}

/* One reply is written before and one after: what waits for its sending is the parent's alone. */
static int fork_in_handler(mts_client *client, const void *request, size_t size, void *user)
{
	int status = -1;
	(void)request;
	(void)size;
	(void)user;
	mts_client_set_data(client, &data);
	(void)mts_client_puts(client, "one ");
	const pid_t child = make_child();
	if (child == 0) {
		require_client_refused(client);
		require_client_reads(client);
		require_refused(mts_client_server(client));
		child_leave(0);
	}
	(void)waitpid(child, &status, 0);
	(void)mts_client_printf(client, "two %d", status);
	return MTS_KEEP;
}

START_TEST(every_call_in_a_handlers_child)
{
	mts_server *server = server_new(fork_in_handler, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	for (int i = 0; i < 3; i++) {
		peer_puts(peer, "go");
		peer_expect_text(peer, "one two 0");
	}
	close(peer);
	server_end(server);
}
END_TEST

/* What inetd(8) would do: the client becomes the standard output of another program. */
static int exec_in_handler(mts_client *client, const void *request, size_t size, void *user)
{
	int status = -1;
	(void)request;
	(void)size;
	(void)user;
	const pid_t child = make_child();
	if (child == 0) {
		require(dup2(mts_client_fd(client), 1) == 1);
		execl("/bin/sh", "sh", "-c", "echo from the shell", (char *)NULL);
		_exit(127);
	}
	(void)waitpid(child, &status, 0);
	return status == 0 ? MTS_CLOSE : -EIO;
}

START_TEST(a_handlers_child_becomes_a_program)
{
	mts_server *server = server_new(exec_in_handler, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	peer_expect_text(peer, "from the shell\n");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

/* While everybody holds locks. */

enum { NOISE = 3, FORKS = 40 };

static _Atomic bool quiet;

/* Takes as many kinds of locks as there are, from outside. */
static void *make_noise(void *argument)
{
	mts_server *server = argument;
	for (unsigned i = 0; !atomic_load(&quiet); i++) {
		(void)mts_server_broadcast(server, "x", 1);
		(void)mts_server_stat(server, MTS_STAT_THREADS);
		(void)mts_server_set_max_clients(server, 100 + i % 7);
		(void)mts_server_set_max_clients_per_address(server, i % 2 * 100);
		(void)mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 50000 + i % 1000);
		(void)mts_server_kick(server, 1);
	}
	return NULL;
}

/* Comes, gets its reply or a message, and goes. */
static void *come_and_go(void *argument)
{
	const mts_server *server = argument;
	char buffer[256];
	while (!atomic_load(&quiet)) {
		const int peer = peer_connect(server, 0);
		peer_puts(peer, "hello");
		ck_assert_int_gt(recv(peer, buffer, sizeof(buffer), 0), 0);
		peer_reset(peer);
	}
	return NULL;
}

START_TEST(in_the_midst_of_everything)
{
	pthread_t noise[NOISE];
	pthread_t comers[NOISE];
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	atomic_store(&quiet, false);
	for (int i = 0; i < NOISE; i++) {
		ck_assert_int_eq(pthread_create(&noise[i], NULL, make_noise, server), 0);
		ck_assert_int_eq(pthread_create(&comers[i], NULL, come_and_go, server), 0);
	}
	for (int i = 0; i < FORKS; i++) {
		const pid_t child = make_child();
		if (child == 0) {
			require_refused(server);
			child_leave(0);
		}
		expect_well(child);
	}
	atomic_store(&quiet, true);
	for (int i = 0; i < NOISE; i++) {
		ck_assert_int_eq(pthread_join(noise[i], NULL), 0);
		ck_assert_int_eq(pthread_join(comers[i], NULL), 0);
	}
	server_end(server);
}
END_TEST

/* Before the start. */

static mts_server *_Atomic to_stop;

static void stop_it(int number)
{
	(void)number;
	mts_server_stop(atomic_load(&to_stop));
}

/* A worker process: serves until SIGTERM on its copy. */
static pid_t make_worker(mts_server *server)
{
	int report[2];
	char byte;
	ck_assert_int_eq(pipe(report), 0);
	const pid_t child = make_child();
	if (child == 0) {
		atomic_store(&to_stop, server);
		require(signal(SIGTERM, stop_it) != SIG_ERR);
		require(mts_server_start(server) == 0);
		require(write(report[1], "", 1) == 1);
		require(mts_server_join(server) == 0);
		require(mts_server_destroy(server) == 0);
		child_leave(0);
	}
	ck_assert_int_eq(read(report[0], &byte, 1), 1);
	close(report[0]);
	close(report[1]);
	return child;
}

static void end_worker(pid_t worker)
{
	ck_assert_int_eq(kill(worker, SIGTERM), 0);
	expect_well(worker);
}

/* Which process serves the next client. */
static pid_t ask(const mts_server *server)
{
	char text[32] = "";
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "who");
	ck_assert_int_gt(recv(peer, text, sizeof(text) - 1, 0), 0);
	close(peer);
	return (pid_t)atoi(text);
}

/* Several processes serve on one socket, the first too in the end; each ends by itself. */
START_TEST(each_starts_its_copy)
{
	mts_server *server = server_create(answer_process, NULL);
	ck_assert_int_eq(mts_server_listen(server, _i == 0 ? "127.0.0.1:0" : folder_address), 0);
	const pid_t first = make_worker(server);
	const pid_t second = make_worker(server);
	for (int i = 0; i < 10; i++) {
		const pid_t who = ask(server);
		ck_assert(who == first || who == second);
	}
	end_worker(first);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(ask(server), second);
	}
	server_start(server);
	end_worker(second);
	ck_assert_int_eq(ask(server), getpid());
	server_end(server);
}
END_TEST

/* Also one that destroys its copy at once, or listens elsewhere with it. */
START_TEST(a_copy_is_used_before_the_start)
{
	mts_server *server = server_create(answer_process, NULL);
	ck_assert_int_eq(mts_server_listen(server, _i == 0 ? "127.0.0.1:0" : folder_address), 0);
	const pid_t child = make_child();
	if (child == 0) {
		require(mts_server_set_max_clients(server, 5) == 0);
		require(mts_server_listen(server, "127.0.0.1:0") == 0);
		require(mts_server_listen(server, "") == -EINVAL);
		require(strstr(mts_server_error(server), "empty") != NULL);
		require(mts_server_join(server) == -EINVAL);
		require(mts_server_destroy(server) == 0);
		child_leave(0);
	}
	expect_well(child);
	ck_assert_ptr_null(mts_server_address(server, 1));
	server_start(server);
	ck_assert_int_eq(ask(server), getpid());
	server_end(server);
}
END_TEST

static void set_up(void)
{
	/* The end of a handler's child is news for this thread otherwise, and interrupts what it waits for. */
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &child, NULL), 0);
	folder_make();
}

int main(void)
{
	TCase *cases = suite_begin("fork");
	tcase_add_checked_fixture(cases, set_up, folder_remove);
	tcase_add_test(cases, every_call_in_a_child);
	tcase_add_test(cases, later_and_further_down);
	tcase_add_test(cases, a_copy_that_is_destroyed_keeps_nothing);
	tcase_add_test(cases, every_call_in_a_handlers_child);
	tcase_add_test(cases, a_handlers_child_becomes_a_program);
	tcase_add_test(cases, in_the_midst_of_everything);
	tcase_add_loop_test(cases, each_starts_its_copy, 0, 2);
	tcase_add_loop_test(cases, a_copy_is_used_before_the_start, 0, 2);
	return suite_run();
}
