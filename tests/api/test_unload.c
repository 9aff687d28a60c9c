/* SPDX-License-Identifier: MIT
 *
 * Leaving in the midst of everything: a program that unloads the library while a server of its serves, and
 * one that exits. Neither may crash, or hang; nor may one that exits while its log hook hangs.
 *
 * The library is loaded at run time, so this program is not linked with it, nor with what the other tests
 * share. Where there is no shared library, there is nothing to be unloaded, and the test is skipped.
 */
#include <dlfcn.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include <mtserver.h>

enum { PEERS = 3, PATIENCE = 60, SKIPPED = 77 };

/* What is used of it, as dlsym(3) finds it. */
struct library {
	void *handle;
	mts_server *(*create)(mts_handler handler, void *user);
	int (*listen)(mts_server *server, const char *address);
	const char *(*address)(const mts_server *server, size_t index);
	int (*set_threads)(mts_server *server, int model);
	int (*on_log)(mts_server *server, mts_log_hook hook, int max_level, void *user);
	int (*start)(mts_server *server);
	int (*destroy)(mts_server *server);
	int (*write)(mts_client *client, const void *data, size_t size);
};

static struct library library;
static _Atomic int served;
static _Atomic int over;
static uint16_t port;

static void library_path(char *path, size_t size)
{
	const char *folder = getenv("builddir");
	(void)snprintf(path, size, "%s/lib/.libs/libmtserver.so", folder != NULL ? folder : ".");
}

/* LeakSanitizer's hook: at an exit with threads it may look into the stack of one that just ends. */
static int leaves_threads_behind;
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return leaves_threads_behind;
}

/*
 * ThreadSanitizer's: a program that exits while it serves has joined nobody, nor the worker that happens to
 * have left by then. It is asked once, at the start.
 */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "report_thread_leaks=0";
}

/* As POSIX has it: a pointer to an object becomes one to a function. */
static void find(void *function, const char *name)
{
	void *found = dlsym(library.handle, name);
	ck_assert_msg(found != NULL, "%s", name);
	memcpy(function, &found, sizeof(found));
}

static void load(void)
{
	char path[4096];
	library_path(path, sizeof(path));
	library.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(library.handle != NULL, "%s", dlerror());
	find(&library.create, "mts_server_create");
	find(&library.listen, "mts_server_listen");
	find(&library.address, "mts_server_address");
	find(&library.set_threads, "mts_server_set_threads");
	find(&library.on_log, "mts_server_on_log");
	find(&library.start, "mts_server_start");
	find(&library.destroy, "mts_server_destroy");
	find(&library.write, "mts_client_write");
}

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	return library.write(client, request, size) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static int pipe_ends[2];

/* Says that it is here, and waits for what never comes. */
static void hang(int level, const char *message, void *user)
{
	char byte = '!';
	(void)level;
	(void)message;
	(void)user;
	(void)!write(pipe_ends[1], &byte, 1);
	for (;;) {
		(void)pause();
	}
}

static mts_server *serve(int model, mts_log_hook log_hook)
{
	mts_server *server = library.create(echo, NULL);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(library.set_threads(server, model), 0);
	ck_assert_int_eq(library.on_log(server, log_hook, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(library.listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(library.start(server), 0);
	port = (uint16_t)strtoul(strrchr(library.address(server, 0), ':') + 1, NULL, 10);
	return server;
}

/* Asks again and again, on a new connection now and then, until it is told to end or nobody is there. */
static void *ask(void *unused)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = PATIENCE};
	char byte = 'x';
	while (!over) {
		const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		(void)setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		int left = connect(peer, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 20 : 0;
		over = left > 0 ? (int)over : 1;
		while (
			left > 0 && send(peer, &byte, 1, MSG_NOSIGNAL) == 1 && recv(peer, &byte, 1, 0) == 1) {
			served++;
			left--;
		}
		close(peer);
	}
	return unused;
}

static void begin(pthread_t *peers)
{
	over = 0;
	served = 0;
	for (int i = 0; i < PEERS; i++) {
		ck_assert_int_eq(pthread_create(&peers[i], NULL, ask, NULL), 0);
	}
}

static void wait_served(int more)
{
	const int wanted = served + more;
	for (int i = 0; served < wanted; i++) {
		ck_assert_int_lt(i, PATIENCE * 1000);
		poll(NULL, 0, 1);
	}
}

static void end(const pthread_t *peers)
{
	over = 1;
	for (int i = 0; i < PEERS; i++) {
		ck_assert_int_eq(pthread_join(peers[i], NULL), 0);
	}
}

/* It goes on serving: what runs in it cannot be taken away from under it. */
START_TEST(unloaded_while_it_serves)
{
	pthread_t peers[PEERS];
	load();
	mts_server *server = serve(_i, NULL);
	begin(peers);
	wait_served(100);
	ck_assert_int_eq(dlclose(library.handle), 0);
	wait_served(100);
	ck_assert_int_eq(library.destroy(server), 0);
	end(peers);
}
END_TEST

/* Loaded, used and unloaded, again and again. */
START_TEST(unloaded_when_it_has_served)
{
	enum { TIMES = 30 };
	for (int i = 0; i < TIMES; i++) {
		pthread_t peers[PEERS];
		load();
		mts_server *server = serve(_i, NULL);
		begin(peers);
		wait_served(10);
		ck_assert_int_eq(library.destroy(server), 0);
		ck_assert_int_eq(dlclose(library.handle), 0);
		end(peers);
	}
}
END_TEST

/* No assertion in the child, but those of what it calls, which end it with another status. */
static void exit_while_it_serves(int model, int more, bool log_hangs)
{
	pthread_t peers[PEERS];
	char byte;
	leaves_threads_behind = 1;
	load();
	ck_assert_int_eq(pipe(pipe_ends), 0);
	(void)serve(model, log_hangs ? hang : NULL);
	begin(peers);
	wait_served(more);
	ck_assert(!log_hangs || read(pipe_ends[0], &byte, 1) == 1);
	exit(0);
}

static void check_exits(int model, int times, bool log_hangs)
{
	for (int i = 0; i < times; i++) {
		int status = -1;
		const pid_t child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0) {
			exit_while_it_serves(model, i, log_hangs);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
	}
}

START_TEST(exits_while_it_serves)
{
	check_exits(_i, 20, false);
}
END_TEST

START_TEST(exits_while_its_log_hangs)
{
	check_exits(_i, 5, true);
}
END_TEST

int main(void)
{
	char path[4096];
	library_path(path, sizeof(path));
	if (access(path, R_OK) != 0) {
		(void)printf("There is no shared library\n");
		return SKIPPED;
	}
	Suite *suite = suite_create("unload");
	TCase *cases = tcase_create("unload");
	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(
		cases, unloaded_while_it_serves, MTS_THREAD_PER_CLIENT, MTS_THREAD_ON_DEMAND + 1);
	tcase_add_loop_test(
		cases, unloaded_when_it_has_served, MTS_THREAD_PER_CLIENT, MTS_THREAD_ON_DEMAND + 1);
	tcase_add_loop_test(
		cases, exits_while_it_serves, MTS_THREAD_PER_CLIENT, MTS_THREAD_ON_DEMAND + 1);
	tcase_add_loop_test(
		cases, exits_while_its_log_hangs, MTS_THREAD_PER_CLIENT, MTS_THREAD_ON_DEMAND + 1);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	const int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
