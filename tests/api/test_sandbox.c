/* SPDX-License-Identifier: MIT
 *
 * A server in a sandbox that denies a system call (seccomp(2)), from before its start, or all of a sudden;
 * and one whose limit of descriptors is lowered to nothing. It runs in a process of its own, while this one
 * is its client: it serves, or its start says why not, and it stops.
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PEERS = 3, ROUNDS = 3, FILE_SIZE = 200000, LARGE = 8000000 };

/* How a child of ours ends. */
enum { WELL = 0, NO_FILTER = 70, NO_START = 71, NO_STOP = 72, NO_DESTROY = 73 };

struct call {
	const char *name;
	long number;
};
#define CALL(name) #name, SYS_##name

/* Without any one of these it goes on. */
static const struct call denied[] = {
	{CALL(clock_gettime)},
	{CALL(clock_nanosleep)},
	{CALL(clone3)},
	{CALL(eventfd2)},
	{CALL(fcntl)},
	{CALL(getrusage)},
	{CALL(getsockname)},
	{CALL(getsockopt)},
	{CALL(gettid)},
	{CALL(ioctl)},
	{CALL(madvise)},
	{CALL(munmap)},
	{CALL(openat)},
	{CALL(ppoll)},
	{CALL(prctl)},
	{CALL(prlimit64)},
	{CALL(read)},
	{CALL(rt_sigpending)},
	{CALL(rt_sigprocmask)},
	{CALL(rt_sigtimedwait)},
	{CALL(sched_getaffinity)},
	{CALL(sched_yield)},
	{CALL(sendfile)},
	{CALL(setsockopt)},
	{CALL(timerfd_create)},
	{CALL(timerfd_settime)},
	{CALL(write)},
#ifdef SYS_nanosleep
	{CALL(nanosleep)},
#endif
#ifdef SYS_poll
	{CALL(poll)},
#endif
};
enum { DENIED = sizeof(denied) / sizeof(denied[0]) };

/*
 * Without these nobody can be served. Left out are sendto, by which this test talks to its child, and futex
 * and such, where the C library ends the process.
 */
static const struct call needed[] = {
	{CALL(accept4)},
	{CALL(epoll_ctl)},
#ifdef SYS_epoll_wait
	{CALL(epoll_wait)},
#endif
	{CALL(recvfrom)},
	{CALL(sendmsg)},
	{CALL(shutdown)},
};
enum { NEEDED = sizeof(needed) / sizeof(needed[0]) };

static const int errors[] = {EPERM, ENOSYS};

/* A filter of seccomp(2), for which only the kernel's own headers have names. */
struct instruction {
	uint16_t code;
	uint8_t if_true; /* how many to skip then */
	uint8_t if_false;
	uint32_t operand;
};
struct filter {
	unsigned short count;
	const struct instruction *code;
};
enum { LOAD_WORD = 0x20, SKIP_UNLESS_EQUAL = 0x15, ANSWER = 0x06 };
enum { SET_FILTER = 1, FOR_ALL_THREADS = 1, FAILS_WITH = 0x00050000, IS_ALLOWED = 0x7fff0000 };

/* All threads of this process are denied this call from now on; false: this system cannot do that. */
static bool deny(long number, int error)
{
	const struct instruction code[] = {
		{LOAD_WORD, 0, 0, 0}, /* the number comes first in what a filter sees */
		{SKIP_UNLESS_EQUAL, 0, 1, (uint32_t)number},
		{ANSWER, 0, 0, FAILS_WITH | (uint32_t)error},
		{ANSWER, 0, 0, IS_ALLOWED},
	};
	const struct filter filter = {sizeof(code) / sizeof(code[0]), code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
		&& syscall(SYS_seccomp, SET_FILTER, FOR_ALL_THREADS, &filter) == 0;
}

static void *idle(void *unused)
{
	free(malloc(1000000));
	return unused;
}

/*
 * Whether a program with threads, without the library, gets on here when this is denied: not every tool
 * that watches over tests does.
 */
static bool anybody_can_live_without(long number, int error)
{
	int status = 0;
	const pid_t child = fork();
	if (child == 0) {
		pthread_t thread;
		pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
		pthread_cond_t never = PTHREAD_COND_INITIALIZER;
		const struct timespec past = {1, 0};
		(void)close(STDERR_FILENO); /* what such a tool says of its end is of no interest */
		if (!deny(number, error)) {
			_exit(NO_FILTER);
		}
		if (pthread_create(&thread, NULL, idle, NULL) == 0) {
			(void)pthread_join(thread, NULL);
		}
		void *volatile large = malloc(
			LARGE); /* its pages are given back at once, by some allocators */
		free(large);
		(void)pthread_mutex_lock(&mutex);
		(void)pthread_cond_timedwait(&never, &mutex, &past);
		(void)pthread_mutex_unlock(&mutex);
		_exit(WELL);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == WELL;
}

static int file;

/* Waits a moment, which the watch may notice, and echoes; or sends a file. */
static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (*(const char *)request == 'f') {
		(void)mts_client_sendfile(client, file, 0, FILE_SIZE);
		return MTS_KEEP;
	}
	(void)usleep(2000);
	(void)mts_client_write(client, request, size);
	return MTS_KEEP;
}

static void fill_file(void)
{
	static char bytes[FILE_SIZE];
	char path[] = "/tmp/mts-sandbox-XXXXXX";
	file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(unlink(path), 0);
	pattern_fill(bytes, sizeof(bytes), 0);
	ck_assert_int_eq(write(file, bytes, sizeof(bytes)), FILE_SIZE);
}

/* What is taken from the server, and when. */
struct loss {
	long number; /* of a system call; -1: descriptors */
	int error; /* what it says then; or how many descriptors are allowed */
	bool at_once; /* before it starts */
	bool hopeless; /* nobody can be served then */
};

static bool take_from_server(const struct loss *loss)
{
	struct rlimit limit;
	if (loss->number >= 0) {
		return deny(loss->number, loss->error);
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return false;
	}
	limit.rlim_cur = (rlim_t)loss->error;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

/* The other end of `control` says when to take it away, and when to stop. How that has gone. */
static int run_server(mts_server *server, int control, const struct loss *loss)
{
	char byte;
	if (loss->at_once && !take_from_server(loss)) {
		return NO_FILTER;
	}
	if (mts_server_start(server) != 0) {
		return mts_server_error(server)[0] != '\0' ? NO_START : NO_STOP;
	}
	(void)send(control, "s", 1, 0);
	(void)recv(control, &byte, 1, 0);
	if (!loss->at_once && !take_from_server(loss)) {
		return NO_FILTER;
	}
	(void)send(control, "t", 1, 0);
	(void)recv(control, &byte, 1, 0);
	mts_server_stop(server);
	if (mts_server_join(server) != 0) {
		return NO_STOP;
	}
	return mts_server_destroy(server) == 0 ? WELL : NO_DESTROY;
}

static void ask(int peer)
{
	peer_send(peer, "x", 1);
	peer_expect(peer, "x", 1);
}

/* Asks all of them, and a new one. */
static void be_client(const mts_server *server, const int *peers, bool newcomer)
{
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < PEERS; i++) {
			ask(peers[i]);
		}
	}
	peer_send(peers[0], "f", 1);
	peer_expect_pattern(peers[0], FILE_SIZE, 0);
	if (newcomer) {
		const int peer = peer_connect(server, 0);
		ask(peer);
		close(peer);
	}
}

/* The child has started: uses it, with and without what is taken away. */
static void use(const mts_server *server, int control, const struct loss *loss)
{
	char byte;
	int peers[PEERS];
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
		ask(peers[i]);
	}
	(void)send(control, "t", 1, MSG_NOSIGNAL);
	const bool taken = recv(control, &byte, 1, 0) == 1;
	if (loss->hopeless) {
		const int newcomer = peer_connect(server, 0);
		for (int i = 0; i < PEERS; i++) {
			(void)send(peers[i], "x", 1, MSG_NOSIGNAL);
		}
		(void)send(control, "s", 1, MSG_NOSIGNAL);
		close(newcomer);
	} else if (taken) {
		be_client(server, peers, loss->number >= 0);
		(void)send(control, "s", 1, MSG_NOSIGNAL);
	}
	for (int i = 0; i < PEERS; i++) {
		close(peers[i]);
	}
}

static int serve_without(const struct loss *loss)
{
	const unsigned stop_timeout = loss->hopeless ? 100 : 60000;
	int pair[2];
	int status = 0;
	char byte;
	mts_server *server = server_new(handle, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, 1), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, stop_timeout), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fill_file();
	const pid_t child = fork();
	if (child == 0) {
		close(pair[0]);
		_exit(run_server(server, pair[1], loss));
	}
	ck_assert_int_gt(child, 0);
	close(pair[1]);
	if (recv(pair[0], &byte, 1, 0) == 1) {
		use(server, pair[0], loss);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
	close(pair[0]);
	close(file);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	return WEXITSTATUS(status);
}

START_TEST(a_call_is_denied)
{
	const int which = _i / 2;
	const struct loss loss = {denied[which].number, errors[(which + _i) % 2], _i % 2 == 0, false};
	if (!anybody_can_live_without(loss.number, loss.error)) {
		printf("sandbox: skipped %s, nobody can live without it here\n", denied[which].name);
		return;
	}
	const int result = serve_without(&loss);
	ck_assert_msg(result == WELL || (loss.at_once && result == NO_START),
		"without %s (%s), from %s on: %d", denied[which].name, strerror(loss.error),
		loss.at_once ? "before the start" : "then", result);
}
END_TEST

/* The process lives, nevertheless, and the stop comes to its end, if only at the deadline. */
START_TEST(a_call_is_denied_that_is_needed)
{
	const int which = _i / 2;
	const struct loss loss = {needed[which].number, errors[_i % 2], false, true};
	const int result = serve_without(&loss);
	ck_assert_msg(result == WELL || result == NO_STOP || result == NO_FILTER, "without %s: %d",
		needed[which].name, result);
}
END_TEST

/* Whoever is there is served; whoever comes waits. */
START_TEST(no_descriptors_are_allowed)
{
	const struct loss loss = {-1, _i, false, false};
	ck_assert_int_eq(serve_without(&loss), WELL);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("sandbox");
	tcase_add_loop_test(cases, a_call_is_denied, 0, 2 * DENIED);
	tcase_add_loop_test(cases, a_call_is_denied_that_is_needed, 0, 2 * NEEDED);
	tcase_add_loop_test(cases, no_descriptors_are_allowed, 0, 4);
	return suite_run();
}
