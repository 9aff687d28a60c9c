/* SPDX-License-Identifier: MIT
 *
 * What a server's life does to the process that it lives in: which threads there are, how they are named,
 * which signals they take, on which of them callbacks run; and that no descriptor survives an exec.
 */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

static struct watch watch;

/* Asynchronous signals all, and those that a fault raises, which stay open. */
static const int asynchronous[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1,
	SIGUSR2, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM,
	SIGPROF, SIGWINCH, SIGIO, SIGPWR};
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
enum { ASYNCHRONOUS = sizeof(asynchronous) / sizeof(int), FAULTS = sizeof(faults) / sizeof(int) };

/* Noted by each callback about the thread that it runs on. */
struct sighting {
	struct gate seen;
	_Atomic int open_signals; /* asynchronous ones that could be delivered here */
	_Atomic int shut_faults;
	_Atomic int on_caller; /* callbacks on the thread that called run */
	_Atomic pid_t caller;
	_Atomic int threads; /* that have begun */
};

static struct sighting sighting;

static void look(void)
{
	sigset_t mask;
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (int i = 0; i < ASYNCHRONOUS; i++) {
		atomic_fetch_add(&sighting.open_signals, sigismember(&mask, asynchronous[i]) != 1);
	}
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
		atomic_fetch_add(&sighting.open_signals, sigismember(&mask, number) != 1);
	}
	for (int i = 0; i < FAULTS; i++) {
		atomic_fetch_add(&sighting.shut_faults, sigismember(&mask, faults[i]) != 0);
	}
	atomic_fetch_add(&sighting.on_caller, gettid() == atomic_load(&sighting.caller));
	gate_add(&sighting.seen);
}

static int look_in_handler(mts_client *client, const void *request, size_t size, void *user)
{
	look();
	return answer_echo(client, request, size, user);
}

static int look_in_open(mts_client *client, void *user)
{
	look();
	return watch_open(client, user);
}

static void look_in_close(mts_client *client, int reason, void *user)
{
	look();
	watch_close(client, reason, user);
}

static void look_in_log(int level, const char *message, void *user)
{
	(void)level;
	(void)message;
	(void)user;
	look();
}

static void look_in_start(void *user)
{
	(void)user;
	atomic_fetch_add(&sighting.threads, 1);
	look();
}

static void look_in_end(void *user)
{
	(void)user;
	look();
}

static mts_server *looking_server(void)
{
	mts_server *server = server_new(look_in_handler, NULL);
	sighting.seen = (struct gate)GATE;
	watch_install(&watch, server);
	ck_assert_int_eq(mts_server_on_open(server, look_in_open, &watch), 0);
	ck_assert_int_eq(mts_server_on_close(server, look_in_close, &watch), 0);
	ck_assert_int_eq(mts_server_on_log(server, look_in_log, MTS_LOG_INFO, NULL), 0);
	ck_assert_int_eq(mts_server_on_thread(server, look_in_start, look_in_end, NULL), 0);
	return server;
}

static void *run_it(void *server)
{
	atomic_store(&sighting.caller, gettid());
	const int result = mts_server_run(server);
	ck_assert_int_eq(result, 0);
	return NULL;
}

/* Log "serving", open, handler, close, log "stopping", log "stopped"; and each thread's two ends. */
enum { SIGHTINGS = 6 };

START_TEST(callbacks_run_elsewhere)
{
	pthread_t thread;
	mts_server *server = looking_server();
	ck_assert_int_eq(pthread_create(&thread, NULL, run_it, server), 0);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	close(peer);
	gate_wait(&watch.closed, 1);
	mts_server_stop(server);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	const int threads = atomic_load(&sighting.threads);
	ck_assert_int_ge(threads, 1);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_int_eq(threads, 1);
	}
	ck_assert_int_eq(gate_count(&sighting.seen), SIGHTINGS + 2 * threads);
	ck_assert_int_eq(atomic_load(&sighting.on_caller), 0);
	ck_assert_int_eq(atomic_load(&sighting.open_signals), 0);
	ck_assert_int_eq(atomic_load(&sighting.shut_faults), 0);
}
END_TEST

/* A line of /proc about a thread, NULL when there is none such. */
static char *line_of(const char *task, const char *file, const char *start, char *line, int size)
{
	char path[300];
	snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, file);
	FILE *stream = fopen(path, "r");
	char *found = NULL;
	while (stream != NULL && found == NULL && fgets(line, size, stream) != NULL) {
		found = strncmp(line, start, strlen(start)) == 0 ? line + strlen(start) : NULL;
	}
	if (stream != NULL) {
		fclose(stream);
	}
	return found;
}

/* The kernel's own view of one of the library's threads. */
static void check_mask(const char *task)
{
	char line[256];
	const char *text = line_of(task, "status", "SigBlk:", line, sizeof(line));
	ck_assert_ptr_nonnull(text);
	const unsigned long long mask = strtoull(text, NULL, 16);
	for (int i = 0; i < ASYNCHRONOUS; i++) {
		ck_assert_msg(
			(mask >> (asynchronous[i] - 1) & 1) == 1, "signal %d is open", asynchronous[i]);
	}
}

/* How many threads have a name that begins like this. */
static int count_named(const char *start, bool check)
{
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	ck_assert_ptr_nonnull(tasks);
	for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
		char line[256];
		if (entry->d_name[0] != '.' && line_of(entry->d_name, "comm", start, line, sizeof(line))) {
			count++;
			if (check) {
				check_mask(entry->d_name);
			}
		}
	}
	closedir(tasks);
	return count;
}

/*
 * The keeper, the stand-in, the one for the log, and a worker for each client, or on demand one that polls
 * once the others are gone.
 */
START_TEST(names_and_masks)
{
	const int workers = test_model == MTS_THREAD_PER_CLIENT ? 3 : 1;
	const int before = settled_threads();
	mts_server *server = looking_server();
	ck_assert_int_eq(count_threads(), before);
	server_start(server);
	int peers[3];
	for (int i = 0; i < 3; i++) {
		peers[i] = peer_connect(server, 0);
	}
	gate_wait(&watch.opened, 3);
	gate_wait(&sighting.seen, 3 + workers + 1);
	server_wait_stat(server, MTS_STAT_THREADS, (uint64_t)workers);
	wait_threads(before + 3 + workers);
	/* On demand one more may come for a moment, when this machine is slow. */
	wait_until(count_named("mts-", true) == 3 + workers);
	ck_assert_int_eq(count_named("mts-poller", false), 1);
	ck_assert_int_eq(count_named("mts-log", true), 1);
	server_end(server);
	for (int i = 0; i < 3; i++) {
		close(peers[i]);
	}
	wait_threads(before);
	ck_assert_int_eq(count_named("mts-", false), 0);
}
END_TEST

/* Where nobody listens there is nobody who speaks. */
START_TEST(no_hook_no_thread)
{
	const int before = settled_threads();
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	server_wait_stat(server, MTS_STAT_THREADS, 1);
	wait_threads(before + 3); /* keeper, stand-in, worker */
	ck_assert_int_eq(count_named("mts-log", false), 0);
	close(peer);
	server_end(server);
}
END_TEST

static _Atomic pid_t signalled;

static void note_signal(int number)
{
	(void)number;
	atomic_store(&signalled, gettid());
}

/* With all of the library's threads about, a signal for the process comes to the program's own. */
START_TEST(signals_come_to_the_program)
{
	enum { SIGNALS = 65 };
	struct sigaction before[SIGNALS];
	struct sigaction now;
	struct sigaction note = {.sa_handler = note_signal};
	sigaction(SIGUSR1, &note, NULL);
	memset(before, 0, sizeof(before));
	for (int i = 1; i < SIGNALS; i++) {
		sigaction(i, NULL, &before[i]);
	}
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	for (int i = 1; i < SIGNALS; i++) {
		if (sigaction(i, NULL, &now) == 0) {
			ck_assert_msg(now.sa_handler == before[i].sa_handler, "signal %d is handled", i);
			ck_assert_int_eq(now.sa_flags, before[i].sa_flags);
		}
	}
	kill(getpid(), SIGUSR1);
	ck_assert_int_eq(atomic_load(&signalled), gettid());
	close(peer);
	server_end(server);
	for (int i = 1; i < SIGNALS; i++) {
		if (sigaction(i, NULL, &now) == 0) {
			ck_assert_msg(now.sa_handler == before[i].sa_handler, "signal %d is handled", i);
		}
	}
}
END_TEST

/* Requires that each descriptor that was not open before is closed by exec. */
static void check_close_on_exec(const bool *open_before, int most)
{
	for (int fd = 0; fd < most; fd++) {
		const int flags = fcntl(fd, F_GETFD);
		ck_assert_msg(flags < 0 || open_before[fd] || (flags & FD_CLOEXEC) != 0,
			"descriptor %d outlives exec", fd);
	}
}

START_TEST(nothing_outlives_exec)
{
	enum { MOST = 256 };
	bool before[MOST];
	for (int fd = 0; fd < MOST; fd++) {
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	}
	const int adopted = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(listen(adopted, 5), 0);
	mts_server *server = server_new(answer_echo, NULL);
	watch_install(&watch, server);
	ck_assert_int_eq(mts_server_listen(server, "localhost:0"), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, adopted), 0);
	server_start(server);
	int peers[10];
	for (int i = 0; i < 10; i++) {
		peers[i] = peer_connect(server, 0);
	}
	gate_wait(&watch.opened, 10);
	check_close_on_exec(before, MOST);
	for (int i = 0; i < 10; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("life, its threads");
	tcase_add_test(cases, callbacks_run_elsewhere);
	tcase_add_test(cases, names_and_masks);
	tcase_add_test(cases, no_hook_no_thread);
	tcase_add_test(cases, signals_come_to_the_program);
	tcase_add_test(cases, nothing_outlives_exec);
	return suite_run();
}
