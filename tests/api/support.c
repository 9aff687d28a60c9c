/* SPDX-License-Identifier: MIT
 *
 * Nothing in here sleeps to wait for something that raises an event; numbers that raise none are looked
 * at again after a millisecond, for as long as patience lasts.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
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

int gate_add(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	const int count = ++gate->count;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
	return count;
}

int gate_count(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	const int count = gate->count;
	pthread_mutex_unlock(&gate->mutex);
	return count;
}

void gate_wait(struct gate *gate, int count)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	int result = 0;
	pthread_mutex_lock(&gate->mutex);
	while (gate->count < count && result == 0) {
		result = pthread_cond_timedwait(&gate->changed, &gate->mutex, &until);
	}
	const int reached = gate->count;
	pthread_mutex_unlock(&gate->mutex);
	ck_assert_msg(reached >= count, "waited for %d events, %d came", count, reached);
}

int test_model = MTS_THREAD_ON_DEMAND;

mts_server *server_create(mts_handler handler, void *user)
{
	mts_server *server = mts_server_create(handler, user);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(mts_server_set_threads(server, test_model), 0);
	return server;
}

mts_server *server_new(mts_handler handler, void *user)
{
	mts_server *server = server_create(handler, user);
	const int result = mts_server_listen(server, "127.0.0.1:0");
	ck_assert_msg(result == 0, "%s", mts_server_error(server));
	return server;
}

void server_start(mts_server *server)
{
	const int result = mts_server_start(server);
	ck_assert_msg(result == 0, "%s", mts_server_error(server));
}

void server_end(mts_server *server)
{
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
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

static int connect_unix(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t size = strlen(name);
	ck_assert_uint_lt(size, sizeof(address.sun_path));
	memcpy(address.sun_path, name, size);
	if (name[0] == '@') {
		address.sun_path[0] = '\0';
	}
	const int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	ck_assert_int_ge(peer, 0);
	ck_assert_msg(connect(peer, (struct sockaddr *)&address, length) == 0, "connect to %s: %s",
		name, strerror(errno));
	return peer;
}

/* Small pieces are sent at once: the second of two would wait for the peer, 40 ms and more (RFC 896). */
static int inet_socket(int family)
{
	const int on = 1;
	const int peer = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(peer, 0);
	ck_assert_int_eq(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	return peer;
}

static int connect_inet(const char *text)
{
	char host[64];
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found;
	const char *colon = strrchr(text, ':');
	const size_t bracket = text[0] == '[' ? 1 : 0;
	const size_t size = (size_t)(colon - text) - 2 * bracket;
	ck_assert_uint_lt(size, sizeof(host));
	memcpy(host, text + bracket, size);
	host[size] = '\0';
	ck_assert_int_eq(getaddrinfo(host, colon + 1, &hints, &found), 0);
	const int peer = inet_socket(found->ai_family);
	ck_assert_msg(connect(peer, found->ai_addr, found->ai_addrlen) == 0, "connect to %s: %s", text,
		strerror(errno));
	freeaddrinfo(found);
	return peer;
}

static void be_patient(int peer)
{
	const struct timeval patience = {.tv_sec = PATIENCE};
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
}

int peer_connect(const mts_server *server, size_t index)
{
	const char *text = mts_server_address(server, index);
	ck_assert_ptr_nonnull(text);
	const int peer = strncmp(text, "unix:", 5) == 0 ? connect_unix(text + 5) : connect_inet(text);
	be_patient(peer);
	return peer;
}

int peer_socket(void)
{
	const int peer = inet_socket(AF_INET);
	be_patient(peer);
	return peer;
}

bool peer_try_connect(int peer, const mts_server *server)
{
	const char *colon = strrchr(mts_server_address(server, 0), ':');
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int result = connect(peer, (const struct sockaddr *)&address, sizeof(address));
	ck_assert_msg(result == 0 || errno == ECONNREFUSED || errno == ECONNRESET, "connect: %s",
		strerror(errno));
	return result == 0;
}

void peer_connect_socket(int peer, const mts_server *server)
{
	ck_assert(peer_try_connect(peer, server));
}

void peer_send(int peer, const void *data, size_t size)
{
	const char *bytes = data;
	while (size > 0) {
		const ssize_t sent = send(peer, bytes, size, MSG_NOSIGNAL);
		ck_assert_msg(sent > 0, "send: %s", strerror(errno));
		bytes += sent;
		size -= (size_t)sent;
	}
}

void peer_puts(int peer, const char *text)
{
	peer_send(peer, text, strlen(text));
}

void peer_expect(int peer, const void *data, size_t size)
{
	char *got = malloc(size + 1);
	size_t have = 0;
	while (have < size) {
		const ssize_t count = recv(peer, got + have, size - have, 0);
		ck_assert_msg(count > 0, "after %zu of %zu bytes: %s", have, size,
			count == 0 ? "end of stream" : strerror(errno));
		have += (size_t)count;
	}
	ck_assert_mem_eq(got, data, size);
	free(got);
}

void peer_expect_text(int peer, const char *text)
{
	peer_expect(peer, text, strlen(text));
}

void peer_expect_end(int peer)
{
	char byte;
	const ssize_t count = recv(peer, &byte, 1, 0);
	ck_assert_msg(count == 0, "expected the end of the stream: %s",
		count > 0 ? "there is more" : strerror(errno));
}

void peer_expect_gone(int peer)
{
	char bytes[4096];
	ssize_t count;
	do {
		count = recv(peer, bytes, sizeof(bytes), 0);
	} while (count > 0);
	ck_assert_msg(count == 0 || errno == ECONNRESET || errno == EPIPE, "expected it to be gone: %s",
		strerror(errno));
}

size_t peer_expect_torn(int peer)
{
	char bytes[4096];
	size_t all = 0;
	ssize_t count;
	while ((count = recv(peer, bytes, sizeof(bytes), 0)) > 0) {
		all += (size_t)count;
	}
	ck_assert_msg(count != 0, "after %zu bytes: an orderly end of the stream", all);
	ck_assert_msg(errno == ECONNRESET, "expected a reset: %s", strerror(errno));
	return all;
}

void peer_finish(int peer)
{
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
}

void peer_reset(int peer)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	ck_assert_int_eq(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(peer);
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

void endings_note(mts_client *client, int reason, void *user)
{
	struct endings *endings = user;
	(void)client;
	ck_assert_msg(reason >= 0 && reason <= MTS_CLOSED_STOP, "%d is no reason", reason);
	endings->reasons[reason]++;
	gate_add(&endings->all);
}

void endings_expect(struct endings *endings, int reason, int count)
{
	gate_wait(&endings->all, count);
	ck_assert_int_eq(gate_count(&endings->all), count);
	ck_assert_msg(endings->reasons[reason] == count, "%d of %d were closed %s",
		endings->reasons[reason], count, mts_closed_name(reason));
}

void pattern_fill(void *bytes, size_t size, uint64_t position)
{
	unsigned char *byte = bytes;
	for (size_t i = 0; i < size; i++, position++) {
		byte[i] = (unsigned char)(position * 31 + position / 251 + position / 65521);
	}
}

void peer_expect_pattern(int peer, size_t size, uint64_t position)
{
	unsigned char expected[16384];
	while (size > 0) {
		const size_t step = size < sizeof(expected) ? size : sizeof(expected);
		pattern_fill(expected, step, position);
		peer_expect(peer, expected, step);
		position += step;
		size -= step;
	}
}

void small_buffers(int fd)
{
	/* Below a segment of the loopback device (64 KiB) TCP would crawl from timer to timer. */
	const int size = 128 * 1024;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

void starve_descriptors(bool starve)
{
	static rlim_t before;
	struct rlimit limit;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (starve) {
		library_rests(); /* what it has open for a moment would be left over */
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

bool under_valgrind(void)
{
	const char *preloaded = getenv("LD_PRELOAD");
	return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
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
	srunner_run_all(runner, CK_ENV);
	return runner_end(runner);
}
