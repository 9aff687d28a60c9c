/* SPDX-License-Identifier: MIT
 *
 * Tasks and clients: neither holds up the other, whichever of them blocks or computes; and many tasks.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

enum { MANY = 1000, BLOCKED = 4 };

static struct gate runs;
static struct gate inside; /* tasks that wait */
static struct gate go;
static struct gate lines; /* of the log */

static void setup(void)
{
	stage_setup();
	runs = inside = go = (struct gate)GATE;
	lines = (struct gate)GATE;
}

static void count_run(mts_server *server, void *user)
{
	(void)server;
	gate_add(user);
}

static void wait_in_task(mts_server *server, void *user)
{
	(void)server;
	(void)user;
	gate_add(&inside);
	gate_wait(&go, 1);
}

static void ask(const mts_server *server)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "well?");
	peer_expect(peer, "well?", 5);
	close(peer);
}

/* Tasks that wait hold up neither clients nor other tasks. */
START_TEST(blocked_tasks)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	for (int i = 0; i < BLOCKED; i++) {
		ck_assert_int_gt(mts_server_after(server, 0, wait_in_task, NULL), 0);
	}
	gate_wait(&inside, BLOCKED);
	ck_assert_int_gt(mts_server_every(server, 1, count_run, &runs), 0);
	for (int i = 0; i < 5; i++) {
		ask(server);
	}
	gate_wait(&runs, 5);
	gate_add(&go);
	server_end(server);
}
END_TEST

static int wait_in_handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	gate_wait(&leave, 1);
	return MTS_CLOSE;
}

/* Handlers that wait do not hold up tasks. */
START_TEST(blocked_handlers)
{
	int peers[BLOCKED];
	mts_server *server = server_new(wait_in_handler, NULL);
	server_start(server);
	for (int i = 0; i < BLOCKED; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "wait");
	}
	gate_wait(&entered, BLOCKED);
	ck_assert_int_gt(mts_server_every(server, 1, count_run, &runs), 0);
	gate_wait(&runs, 5);
	gate_add(&leave);
	for (int i = 0; i < BLOCKED; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/*
 * The limit of threads is reached: on demand tasks wait for a worker as clients do; with a thread per client
 * they have threads of their own, and clients do not get these.
 */
START_TEST(at_the_limit_of_threads)
{
	mts_server *server = server_new(wait_in_handler, NULL);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "wait");
	gate_wait(&entered, 1);
	ck_assert_int_gt(mts_server_after(server, 0, count_run, &runs), 0);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		gate_wait(&runs, 1);
		const int second = peer_connect(server, 0);
		peer_puts(second, "wait");
		for (int i = 2; i <= 20; i++) {
			ck_assert_int_gt(mts_server_after(server, 1, count_run, &runs), 0);
			gate_wait(&runs, i);
		}
		ck_assert_int_eq(gate_count(&entered), 1);
		gate_add(&leave);
		gate_wait(&entered, 2);
		close(second);
	} else {
		gate_add(&leave);
		gate_wait(&runs, 1);
	}
	close(peer);
	server_end(server);
}
END_TEST

/* On demand a task may hold the only worker: connections are accepted all the same, and served afterwards. */
START_TEST(a_task_has_the_only_thread)
{
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	server_start(server);
	ck_assert_int_gt(mts_server_after(server, 0, wait_in_task, NULL), 0);
	gate_wait(&inside, 1);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "well?");
	if (test_model == MTS_THREAD_ON_DEMAND) {
		server_wait_stat(server, MTS_STAT_THREAD_WAITS, 1);
	}
	gate_add(&go);
	peer_expect(peer, "well?", 5);
	close(peer);
	server_end(server);
}
END_TEST

static struct gate each[MANY];

START_TEST(a_thousand)
{
	static int64_t tasks[MANY];
	static int before[MANY];
	mts_server *server = server_new(answer_echo, NULL);
	for (int i = 0; i < MANY; i++) {
		each[i] = (struct gate)GATE;
		tasks[i] = mts_server_every(server, 100 + (unsigned)i % 50, count_run, &each[i]);
		ck_assert_int_gt(tasks[i], 0);
	}
	server_start(server);
	for (int i = 0; i < MANY; i++) {
		gate_wait(&each[i], 2);
	}
	ask(server);
	for (int i = 0; i < MANY; i += 2) {
		const int result = mts_server_cancel(server, tasks[i]);
		ck_assert(result == 0 || result == -EINPROGRESS);
	}
	/* All are looked at first: to wait for a further run of one after the other took half a minute. */
	for (int i = 1; i < MANY; i += 2) {
		before[i] = gate_count(&each[i]);
	}
	for (int i = 1; i < MANY; i += 2) {
		gate_wait(&each[i], before[i] + 1);
	}
	server_end(server);
}
END_TEST

static void compute(mts_server *server, void *user)
{
	const uint64_t end = now_us() + 200;
	(void)server;
	(void)user;
	while (now_us() < end) {
	}
	gate_add(&runs);
}

/* More tasks than there is time for: clients are served nevertheless, and the tasks go on beside them. */
START_TEST(tasks_that_never_rest)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_gt(mts_server_every(server, 1, compute, NULL), 0);
	}
	gate_wait(&runs, 100);
	const int peer = peer_connect(server, 0);
	for (int i = 0; i < 20; i++) {
		peer_puts(peer, "well?");
		peer_expect(peer, "well?", 5);
	}
	gate_wait(&runs, gate_count(&runs) + 100);
	close(peer);
	server_end(server);
}
END_TEST

static int answer_more(mts_client *client, const void *request, size_t size, void *user)
{
	(void)mts_client_write(client, request, size);
	if (gate_count(user) == 0) {
		(void)mts_server_send(mts_client_server(client), mts_client_id(client), "", 0);
	}
	return MTS_KEEP;
}

static void *flood(void *server)
{
	const int peer = peer_connect(server, 0);
	while (gate_count(&leave) == 0) {
		peer_puts(peer, "one more");
		peer_expect(peer, "one more", 8);
	}
	close(peer);
	return NULL;
}

/* Clients that always have something to ask do not hold up tasks. */
START_TEST(clients_that_never_rest)
{
	pthread_t threads[BLOCKED];
	mts_server *server = server_new(answer_more, &leave);
	server_start(server);
	for (int i = 0; i < BLOCKED; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, flood, server), 0);
	}
	ck_assert_int_gt(mts_server_every(server, 1, count_run, &runs), 0);
	gate_wait(&runs, 50);
	gate_add(&leave);
	for (int i = 0; i < BLOCKED; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	server_end(server);
}
END_TEST

/* A thread that is made for tasks runs the hooks too, and ends when there is nothing more to do. */
START_TEST(threads_come_and_go)
{
	static struct workers workers;
	workers.now = workers.most = 0;
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_thread(server, worker_begins, worker_ends, &workers), 0);
	server_start(server);
	ck_assert_int_gt(mts_server_after(server, 0, count_run, &runs), 0);
	gate_wait(&runs, 1);
	ck_assert_int_ge(workers.most, 1);
	const int stay = test_model == MTS_THREAD_PER_CLIENT ? 0 : 1;
	wait_until(workers.now == stay);
	server_wait_stat(server, MTS_STAT_THREADS, (uint64_t)stay);
	ck_assert_int_gt(mts_server_after(server, 0, count_run, &runs), 0);
	gate_wait(&runs, 2);
	server_end(server);
	ck_assert_int_eq(workers.now, 0);
}
END_TEST

static void note_line(int level, const char *message, void *user)
{
	(void)level;
	if (strncmp(message, user, strlen(user)) == 0) {
		gate_add(&lines);
	}
}

static struct workers ended;

/* As if this thread had been ended in its last callback, too. */
static void end_once_more(void *user)
{
	worker_ends(user);
	pthread_exit(NULL);
}

static void end_its_thread(mts_server *server, void *user)
{
	(void)server;
	gate_add(user);
	pthread_exit(NULL);
}

/*
 * A task ends its thread, and the next one does so too, on another thread: each thread's end hook is
 * called, once; also where there may be one thread only.
 */
START_TEST(they_end_their_threads)
{
	static char text[] = "task ";
	ended.now = ended.most = 0;
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_thread(
						 server, worker_begins, _i % 2 == 0 ? worker_ends : end_once_more, &ended),
		0);
	ck_assert_int_eq(mts_server_on_log(server, note_line, MTS_LOG_WARNING, text), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, _i < 2 ? 0 : 1), 0);
	server_start(server);
	for (int i = 1; i <= 3; i++) {
		ck_assert_int_gt(mts_server_after(server, 0, end_its_thread, &runs), 0);
		gate_wait(&runs, i);
		gate_wait(&lines, i);
	}
	ask(server);
	ck_assert_int_gt(mts_server_after(server, 0, count_run, &runs), 0);
	gate_wait(&runs, 4);
	server_end(server);
	ck_assert_int_eq(ended.now, 0);
	ck_assert_int_eq(gate_count(&lines), 3);
}
END_TEST

/* With a thread per client tasks have eight threads: that all are in use is told, once. */
START_TEST(all_their_threads_are_in_use)
{
	enum { THREADS = 8 };
	static char text[] = "all 8 threads for tasks are in use";
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_log(server, note_line, MTS_LOG_WARNING, text), 0);
	server_start(server);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_gt(mts_server_after(server, 0, wait_in_task, NULL), 0);
	}
	gate_wait(&inside, THREADS);
	ck_assert_int_eq(gate_count(&lines), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_gt(mts_server_after(server, 0, wait_in_task, NULL), 0);
	}
	if (test_model == MTS_THREAD_PER_CLIENT) {
		gate_wait(&lines, 1);
		ck_assert_int_eq(gate_count(&inside), THREADS);
	} else {
		gate_wait(&inside, 2 * THREADS);
	}
	ask(server);
	gate_add(&go);
	gate_wait(&inside, 2 * THREADS);
	server_end(server);
	ck_assert_int_eq(gate_count(&lines), test_model == MTS_THREAD_PER_CLIENT ? 1 : 0);
}
END_TEST

/* The same when they are due at the same moment. */
START_TEST(too_many_at_once)
{
	enum { TASKS = 20 };
	static char text[] = "all 8 threads for tasks are in use";
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_log(server, note_line, MTS_LOG_WARNING, text), 0);
	for (int i = 0; i < TASKS; i++) {
		ck_assert_int_gt(mts_server_after(server, 0, wait_in_task, NULL), 0);
	}
	server_start(server);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		gate_wait(&lines, 1);
	}
	gate_add(&go);
	gate_wait(&inside, TASKS);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("tasks_crew");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, blocked_tasks);
	tcase_add_test(tcase, blocked_handlers);
	tcase_add_test(tcase, at_the_limit_of_threads);
	tcase_add_test(tcase, a_task_has_the_only_thread);
	tcase_add_test(tcase, a_thousand);
	tcase_add_test(tcase, tasks_that_never_rest);
	tcase_add_test(tcase, clients_that_never_rest);
	tcase_add_test(tcase, threads_come_and_go);
	tcase_add_loop_test(tcase, they_end_their_threads, 0, 4);
	tcase_add_test(tcase, all_their_threads_are_in_use);
	tcase_add_test(tcase, too_many_at_once);
	return suite_run();
}
