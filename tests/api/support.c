/* SPDX-License-Identifier: MIT
 *
 * Nothing in here sleeps to wait for something that raises an event. Numbers that raise none are
 * looked at again after a millisecond, until PATIENCE is over.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t now_ms(void)
{
	return now_us() / 1000;
}

int test_model = MTS_THREAD_ON_DEMAND;

mts_server *server_create(mts_handler handler, void *user)
{
	mts_server *server = mts_server_create(handler, user);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(mts_server_set_threads(server, test_model), 0);
	return server;
}

mts_server *server_on(int family, mts_handler handler, void *user)
{
	char address[64] = "127.0.0.1:0";
	if (family == UNIX) {
		(void)snprintf(address, sizeof(address), "unix:@mts-test-%d", (int)getpid());
	}
	mts_server *server = server_create(handler, user);
	const int result = mts_server_listen(server, address);
	ck_assert_msg(result == 0, "%s", mts_server_error(server));
	return server;
}

mts_server *server_new(mts_handler handler, void *user)
{
	return server_on(TCP, handler, user);
}

mts_server *server_of_lines(mts_handler handler, void *user, struct endings *endings)
{
	mts_server *server = server_new(handler, user);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, endings), 0);
	return server;
}

void server_start(mts_server *server)
{
	const int result = mts_server_start(server);
	ck_assert_msg(result == 0, "%s", mts_server_error(server));
}

void server_join(mts_server *server)
{
	const int result = mts_server_join(server);
	if (result == -EBUSY && under_valgrind()) {
		server_wait_stat(server, MTS_STAT_HUNG, 0);
		return;
	}
	ck_assert_int_eq(result, 0);
}

void server_end(mts_server *server)
{
	mts_server_stop(server);
	server_join(server);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

void server_expect_threads(const mts_server *server, int which, int handlers)
{
	const uint64_t threads = mts_server_stat(server, which);
	const uint64_t least = (uint64_t)handlers;
	const uint64_t spare = test_model == MTS_THREAD_ON_DEMAND ? 2 : 0;
	ck_assert_msg(threads >= least && threads <= least + spare, "%s is %llu, for %d handlers",
		mts_stat_name(which), (unsigned long long)threads, handlers);
}

void wait_on(uint64_t begun, const char *what)
{
	ck_assert_msg(now_ms() - begun < PATIENCE * 1000, "it never comes: %s", what);
	(void)sched_yield();
}

static void look_at_thread(FILE *status, struct library_threads *threads)
{
	char line[256];
	bool ours = false;
	while (fgets(line, sizeof(line), status) != NULL) {
		unsigned long number;
		if (strncmp(line, "Name:\tmts-", 10) == 0) {
			ours = true;
			threads->count++;
		} else if (ours && strncmp(line, "State:\tR", 8) == 0) {
			threads->running++;
		} else if (ours
			&& (sscanf(line, "voluntary_ctxt_switches: %lu", &number) == 1
				|| sscanf(line, "nonvoluntary_ctxt_switches: %lu", &number) == 1)) {
			threads->switches += number;
		}
	}
}

struct library_threads library_threads(void)
{
	struct library_threads threads = {0, 0, 0};
	DIR *tasks = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(tasks);
	for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
		char path[300];
		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		FILE *status = task->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (status != NULL) {
			look_at_thread(status, &threads);
			(void)fclose(status);
		}
	}
	(void)closedir(tasks);
	return threads;
}

void library_rests(void)
{
	enum { LOOKS = 100 };
	const uint64_t start = now_ms();
	struct library_threads before = library_threads();
	for (int quiet = 0; quiet < LOOKS;) {
		wait_on(start, "the library comes to rest");
		const struct library_threads now = library_threads();
		quiet = now.running == 0 && now.switches == before.switches ? quiet + 1 : 0;
		before = now;
	}
}

void server_wait_stat(mts_server *server, int which, uint64_t value)
{
	const uint64_t start = now_ms();
	while (mts_server_stat(server, which) != value) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "%s is %llu and does not get %llu",
			mts_stat_name(which), (unsigned long long)mts_server_stat(server, which),
			(unsigned long long)value);
		poll(NULL, 0, 1);
	}
}

uint64_t server_settled_bytes(const mts_server *server)
{
	uint64_t before;
	uint64_t now = mts_server_stat(server, MTS_STAT_BYTES_OUT);
	do {
		before = now;
		poll(NULL, 0, 50);
		now = mts_server_stat(server, MTS_STAT_BYTES_OUT);
	} while (now != before || now == 0);
	return now;
}

int listening_socket(int family, int backlog)
{
	const struct sockaddr_in inet = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	const int fd = socket(family == TCP ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	const void *address = family == TCP ? (const void *)&inet : (const void *)&unnamed;
	const socklen_t size = family == TCP ? (socklen_t)sizeof(inet) : (socklen_t)sizeof(sa_family_t);
	ck_assert_int_eq(bind(fd, address, size), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;
	ck_assert_ptr_nonnull(directory);
	while (readdir(directory) != NULL) {
		count++;
	}
	closedir(directory);
	return count;
}

_Noreturn void child_leave(int status)
{
	execl("/bin/sh", "sh", "-c", status == 0 ? "exit 0" : "exit 1", (char *)NULL);
	abort();
}

int count_descriptors(void)
{
	return count_entries("/proc/self/fd");
}

int settled_descriptors(void)
{
	library_rests();
	return count_descriptors();
}

int count_threads(void)
{
	return count_entries("/proc/self/task") - 2; /* without . and .. */
}

void starve_descriptors(bool starve)
{
	static rlim_t before;
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (starve) {
		library_rests(); /* what it has open for a moment would never be closed */
		/* All numbers below the lowest free one are taken. */
		const int lowest = dup(STDERR_FILENO);
		ck_assert_int_ge(lowest, 0);
		close(lowest);
		before = limit.rlim_cur;
		limit.rlim_cur = (rlim_t)lowest;
	} else {
		limit.rlim_cur = before;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

size_t most_descriptors(void)
{
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_cur;
}

size_t stack_descend(const char *top, size_t depth)
{
	volatile char frame[256];
	const char *here = __builtin_frame_address(0);
	for (size_t i = 0; i < sizeof(frame); i++) {
		frame[i] = (char)i;
	}
	if ((size_t)(top - here) >= depth) {
		return (size_t)frame[7];
	}
	return stack_descend(top, depth) + (size_t)frame[5] - 5;
}

bool under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");
	return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

bool is_slowed(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#else
	return under_valgrind();
#endif
}

uint64_t cpu_ms(void)
{
	struct timespec used;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

static Suite *the_suite;

TCase *suite_begin(const char *name)
{
	TCase *tests = tcase_create(name);
	tcase_set_timeout(tests, 120);
	the_suite = suite_create(name);
	suite_add_tcase(the_suite, tests);
	return tests;
}

static int runner_end(SRunner *runner)
{
	const int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * Valgrind translates code as it is first run, and a forked child inherits what its parent has. So
 * what most tests run is run here once, and not translated again in each of them. Outside a test
 * nothing can be asserted.
 */
static void translate_common_code(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	char line[] = "x\n";
	mts_server *server = mts_server_create(answer_echo, NULL);
	(void)mts_server_frame_lines(server);
	(void)mts_server_set_threads(server, test_model);
	if (mts_server_listen(server, "127.0.0.1:0") == 0 && mts_server_start(server) == 0) {
		const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		to.sin_port = htons((in_port_t)atoi(strrchr(mts_server_address(server, 0), ':') + 1));
		if (connect(peer, (struct sockaddr *)&to, sizeof(to)) == 0 && send(peer, line, 2, 0) == 2) {
			(void)recv(peer, line, 1, 0);
		}
		(void)close(peer);
		mts_server_stop(server);
		(void)mts_server_join(server);
	}
	(void)mts_server_destroy(server);
}

static void prepare_for_valgrind(void)
{
	if (under_valgrind()) {
		translate_common_code();
		/* It cannot extend the stack of the main thread for a signal's frame alone. */
		(void)stack_descend(__builtin_frame_address(0), 256 * 1024);
	}
}

int suite_run(void)
{
	static const struct {
		const char *name;
		int model;
	} models[] = {
		{"on-demand", MTS_THREAD_ON_DEMAND},
		{"per-client", MTS_THREAD_PER_CLIENT},
	};
	const char *only = getenv("MTS_TEST_MODEL");
	SRunner *runner = srunner_create(the_suite);
	prepare_for_valgrind();
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (only == NULL || strcmp(only, models[i].name) == 0) {
			(void)printf("threads %s:\n", models[i].name);
			(void)fflush(stdout);
			test_model = models[i].model;
			srunner_run_all(runner, CK_ENV);
		}
	}
	return runner_end(runner);
}

int suite_run_once(void)
{
	SRunner *runner = srunner_create(the_suite);
	prepare_for_valgrind();
	srunner_run_all(runner, CK_ENV);
	return runner_end(runner);
}
