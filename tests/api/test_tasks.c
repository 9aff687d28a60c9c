/* SPDX-License-Identifier: MIT
 *
 * Tasks: called once or again and again, not before their time, never twice at the same time, and not any
 * more once they are cancelled.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "support.h"

enum { MANY = 1000 };

static struct gate runs; /* tasks that have been called */
static struct gate go; /* lets those go on that wait */
static struct gate done;
static _Atomic int64_t own; /* the number of the task that is tested */
static _Atomic int answer;

static void setup(void)
{
	runs = go = done = (struct gate)GATE;
	own = 0;
	answer = 1;
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
	gate_add(&runs);
	gate_wait(&go, 1);
	gate_add(&done);
}

static int64_t want_task(int64_t task)
{
	ck_assert_int_gt(task, 0);
	return task;
}

static mts_server *running(void)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	return server;
}

/* Has the server go through two tasks that come later than all before: what was due has been called. */
static void pass(mts_server *server)
{
	struct gate passed = GATE;
	for (int i = 1; i <= 2; i++) {
		want_task(mts_server_after(server, 5, count_run, &passed));
		gate_wait(&passed, i);
	}
}

START_TEST(once_and_not_too_soon)
{
	mts_server *server = running();
	const uint64_t before = now_us();
	const int64_t task = want_task(mts_server_after(server, 20, count_run, &runs));
	gate_wait(&runs, 1);
	ck_assert_uint_ge(now_us() - before, 20000);
	wait_until(mts_server_cancel(server, task) == -ENOENT);
	const int64_t next = want_task(mts_server_after(server, 0, count_run, &runs));
	ck_assert_int_ne(next, task);
	gate_wait(&runs, 2);
	pass(server);
	ck_assert_int_eq(gate_count(&runs), 2);
	server_end(server);
}
END_TEST

/* The n-th call comes at n periods at the earliest, however late the one before was. */
START_TEST(again_and_again)
{
	mts_server *server = running();
	const uint64_t before = now_us();
	const int64_t task = want_task(mts_server_every(server, 5, count_run, &runs));
	for (int n = 1; n <= 20; n++) {
		gate_wait(&runs, n);
		ck_assert_uint_ge(now_us() - before, 5000 * (uint64_t)n);
	}
	wait_until(mts_server_cancel(server, task) == -ENOENT);
	const int count = gate_count(&runs);
	ck_assert_uint_ge(now_us() - before, 5000 * (uint64_t)count);
	pass(server);
	ck_assert_int_eq(gate_count(&runs), count);
	server_end(server);
}
END_TEST

static _Atomic int inside;
static _Atomic int most_inside;

static void take_long(mts_server *server, void *user)
{
	const int now = ++inside;
	const uint64_t end = now_us() + 3000;
	(void)server;
	(void)user;
	if (now > most_inside) {
		most_inside = now;
	}
	while (now_us() < end) {
	}
	inside--;
	gate_add(&runs);
}

START_TEST(never_twice_at_the_same_time)
{
	mts_server *server = running();
	inside = most_inside = 0;
	want_task(mts_server_every(server, 1, take_long, NULL));
	gate_wait(&runs, 20);
	server_end(server);
	ck_assert_int_eq(most_inside, 1);
}
END_TEST

/* Times that pass while it runs are one. */
START_TEST(missed_times_are_one)
{
	mts_server *server = running();
	own = want_task(mts_server_every(server, 50, wait_in_task, NULL));
	gate_wait(&runs, 1);
	struct gate passed = GATE;
	want_task(mts_server_after(server, 175, count_run, &passed)); /* three are missed, or more */
	gate_wait(&passed, 1);
	const uint64_t before = now_us();
	gate_add(&go);
	gate_wait(&runs, 4); /* one for those, and two at their times */
	ck_assert_uint_ge(now_us() - before, 40000);
	server_end(server);
}
END_TEST

/* Before run the time counts from then on. */
START_TEST(before_the_start)
{
	mts_server *server = server_new(answer_echo, NULL);
	struct gate dropped = GATE;
	want_task(mts_server_every(server, 30, count_run, &runs));
	want_task(mts_server_after(server, 0, count_run, &done));
	const int64_t task = want_task(mts_server_after(server, 0, count_run, &dropped));
	ck_assert_int_eq(mts_server_cancel(server, task), 0);
	ck_assert_int_eq(mts_server_cancel(server, task), -ENOENT);
	for (const uint64_t begun = now_ms(); now_ms() < begun + 60;) {
	}
	ck_assert_int_eq(gate_count(&done), 0);
	const uint64_t before = now_us();
	server_start(server);
	gate_wait(&done, 1);
	gate_wait(&runs, 1);
	ck_assert_uint_ge(now_us() - before, 30000);
	pass(server);
	ck_assert_int_eq(gate_count(&dropped), 0);
	server_end(server);
}
END_TEST

/* Never started: nothing is called, and nothing is left. */
START_TEST(without_a_start)
{
	mts_server *server = server_new(answer_echo, NULL);
	want_task(mts_server_every(server, 1, count_run, &runs));
	want_task(mts_server_after(server, 0, count_run, &runs));
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_every(server, 1, count_run, &runs), -ECANCELED);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(gate_count(&runs), 0);
}
END_TEST

START_TEST(cancelled_in_time)
{
	mts_server *server = running();
	const int64_t first = want_task(mts_server_after(server, 3600000, count_run, &runs));
	const int64_t second = want_task(mts_server_every(server, UINT_MAX, count_run, &runs));
	const int64_t third = want_task(mts_server_after(server, UINT_MAX, count_run, &runs));
	ck_assert(first != second && second != third && first != third);
	ck_assert_int_eq(mts_server_cancel(server, second), 0);
	ck_assert_int_eq(mts_server_cancel(server, second), -ENOENT);
	ck_assert_int_eq(mts_server_cancel(server, first), 0);
	ck_assert_int_ne(mts_server_after(server, 3600000, count_run, &runs), first);
	ck_assert_int_eq(mts_server_cancel(server, first), -ENOENT);
	pass(server);
	ck_assert_int_eq(gate_count(&runs), 0);
	server_end(server);
}
END_TEST

START_TEST(cancelled_while_it_runs)
{
	mts_server *server = running();
	const int64_t task = want_task(_i == 0 ? mts_server_every(server, 1, wait_in_task, NULL)
										   : mts_server_after(server, 1, wait_in_task, NULL));
	gate_wait(&runs, 1);
	ck_assert_int_eq(mts_server_cancel(server, task), -EINPROGRESS);
	ck_assert_int_eq(mts_server_cancel(server, task), -EINPROGRESS);
	gate_add(&go);
	wait_until(mts_server_cancel(server, task) == -ENOENT);
	ck_assert_int_eq(gate_count(&done), 1);
	pass(server);
	ck_assert_int_eq(gate_count(&runs), 1);
	server_end(server);
}
END_TEST

static void cancel_itself(mts_server *server, void *user)
{
	(void)user;
	while (own == 0) {
	}
	answer = mts_server_cancel(server, own);
	gate_add(&runs);
}

START_TEST(cancelled_by_itself)
{
	mts_server *server = running();
	own = want_task(mts_server_every(server, 1, cancel_itself, NULL));
	gate_wait(&runs, 1);
	ck_assert_int_eq(answer, -EINPROGRESS);
	wait_until(mts_server_cancel(server, own) == -ENOENT);
	pass(server);
	ck_assert_int_eq(gate_count(&runs), 1);
	server_end(server);
}
END_TEST

static void add_next(mts_server *server, void *user)
{
	if (gate_add(&runs) < MANY) {
		want_task(mts_server_after(server, 0, add_next, user));
	}
}

START_TEST(one_adds_the_next)
{
	mts_server *server = running();
	want_task(mts_server_after(server, 0, add_next, NULL));
	gate_wait(&runs, MANY);
	pass(server);
	ck_assert_int_eq(gate_count(&runs), MANY);
	server_end(server);
}
END_TEST

static int add_from_handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	want_task(mts_server_after(mts_client_server(client), 0, count_run, &runs));
	return MTS_CLOSE;
}

START_TEST(added_by_a_handler)
{
	mts_server *server = server_new(add_from_handler, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "now\n");
	peer_expect_end(peer);
	gate_wait(&runs, 1);
	close(peer);
	server_end(server);
}
END_TEST

static void wait_for_its_end(mts_server *server, void *user)
{
	(void)user;
	ck_assert_int_eq(mts_server_join(server), -EDEADLK);
	ck_assert_int_eq(mts_server_destroy(server), -EDEADLK);
	ck_assert_int_eq(mts_server_run(server), -EDEADLK);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_after(server, 0, count_run, &runs), -ECANCELED);
	gate_add(&done);
}

START_TEST(it_cannot_wait_for_its_own_end)
{
	mts_server *server = running();
	want_task(mts_server_after(server, 1, wait_for_its_end, NULL));
	gate_wait(&done, 1);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(gate_count(&runs), 0);
}
END_TEST

static void end_its_thread(mts_server *server, void *user)
{
	(void)server;
	(void)user;
	gate_add(&runs);
	pthread_exit(NULL);
}

/* It counts as returned: it is called again at its next time, by another thread. */
START_TEST(it_ends_its_thread)
{
	mts_server *server = running();
	const int64_t once = want_task(mts_server_after(server, 0, end_its_thread, NULL));
	wait_until(mts_server_cancel(server, once) == -ENOENT);
	want_task(mts_server_every(server, 1, end_its_thread, NULL));
	gate_wait(&runs, 6);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "still here");
	peer_expect(peer, "still here", 10);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(arguments)
{
	mts_server *server = running();
	ck_assert_int_eq(mts_server_every(NULL, 1, count_run, &runs), -EINVAL);
	ck_assert_int_eq(mts_server_every(server, 0, count_run, &runs), -EINVAL);
	ck_assert_int_eq(mts_server_every(server, 1, NULL, &runs), -EINVAL);
	ck_assert_int_eq(mts_server_after(NULL, 1, count_run, &runs), -EINVAL);
	ck_assert_int_eq(mts_server_after(server, 1, NULL, &runs), -EINVAL);
	ck_assert_int_eq(mts_server_cancel(NULL, 1), -EINVAL);
	ck_assert_int_eq(mts_server_cancel(server, 0), -ENOENT);
	ck_assert_int_eq(mts_server_cancel(server, 1), -ENOENT);
	ck_assert_int_eq(mts_server_cancel(server, -1), -ENOENT);
	ck_assert_int_eq(mts_server_cancel(server, INT64_MAX), -ENOENT);
	ck_assert_int_eq(mts_server_cancel(server, INT64_MIN), -ENOENT);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("tasks");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, once_and_not_too_soon);
	tcase_add_test(tcase, again_and_again);
	tcase_add_test(tcase, never_twice_at_the_same_time);
	tcase_add_test(tcase, missed_times_are_one);
	tcase_add_test(tcase, before_the_start);
	tcase_add_test(tcase, without_a_start);
	tcase_add_test(tcase, cancelled_in_time);
	tcase_add_loop_test(tcase, cancelled_while_it_runs, 0, 2);
	tcase_add_test(tcase, cancelled_by_itself);
	tcase_add_test(tcase, one_adds_the_next);
	tcase_add_test(tcase, added_by_a_handler);
	tcase_add_test(tcase, it_cannot_wait_for_its_own_end);
	tcase_add_test(tcase, it_ends_its_thread);
	tcase_add_test(tcase, arguments);
	return suite_run();
}
