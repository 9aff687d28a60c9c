/* SPDX-License-Identifier: MIT
 *
 * Threads begin with all asynchronous signals blocked and with the stack that was asked for, leave their
 * maker's mask alone, and are joined, also with a deadline.
 */
#include "os/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../api/support.h"
#include "os/clock.h"

enum { SMALL_STACK = 16 * 1024, LARGE_STACK = 1024 * 1024 };

static struct gate began = GATE;
static struct gate may_end = GATE;
static sigset_t mask;
static char name[16];

static void *look_around(void *argument)
{
	(void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
	mtsi_thread_name("mts-tester");
	(void)pthread_getname_np(pthread_self(), name, sizeof(name));
	*(int *)argument = 42;
	return NULL;
}

START_TEST(signals_go_elsewhere)
{
	static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	static const int blocked[] = {
		SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD, SIGPIPE, SIGURG, SIGIO};
	pthread_t thread;
	sigset_t before;
	sigset_t after;
	int number = 0;
	sigemptyset(&before);
	sigaddset(&before, SIGUSR2);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	ck_assert_int_eq(mtsi_thread_start(&thread, SMALL_STACK, look_around, &number), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	mtsi_thread_join(thread);
	ck_assert_int_eq(number, 42);
	for (int i = 1; i < NSIG; i++) {
		ck_assert_int_eq(sigismember(&after, i), sigismember(&before, i));
	}
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		ck_assert_int_eq(sigismember(&mask, open[i]), 0);
	}
	for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++) {
		ck_assert_int_eq(sigismember(&mask, blocked[i]), 1);
	}
	ck_assert_str_eq(name, "mts-tester");
}
END_TEST

/* Touches all that was asked for, from the top down. */
static void *use_small(void *argument)
{
	volatile char bytes[SMALL_STACK - 2048];
	for (size_t i = sizeof(bytes); i-- > 0;) {
		bytes[i] = 1;
	}
	*(int *)argument += bytes[0];
	return NULL;
}

static void *use_large(void *argument)
{
	volatile char bytes[LARGE_STACK - 4096];
	for (size_t i = sizeof(bytes); i-- > 0;) {
		bytes[i] = 1;
	}
	*(int *)argument += bytes[0];
	return NULL;
}

START_TEST(the_stack_is_there)
{
	pthread_t threads[2];
	int used[2] = {0, 0};
	ck_assert_int_eq(mtsi_thread_start(&threads[0], SMALL_STACK, use_small, &used[0]), 0);
	ck_assert_int_eq(mtsi_thread_start(&threads[1], LARGE_STACK, use_large, &used[1]), 0);
	mtsi_thread_join(threads[0]);
	mtsi_thread_join(threads[1]);
	ck_assert_int_eq(used[0] + used[1], 2);
}
END_TEST

/* More than there can be is an error, and no thread; the mask is put back then too. */
START_TEST(an_impossible_stack)
{
	pthread_t thread;
	int number = 0;
	sigset_t after;
	ck_assert_int_lt(mtsi_thread_start(&thread, (size_t)1 << 60, look_around, &number), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	ck_assert_int_eq(sigismember(&after, SIGTERM), 0);
	ck_assert_int_eq(number, 0);
}
END_TEST

static void *wait_for_the_end(void *argument)
{
	gate_add(&began);
	gate_wait(&may_end, 1);
	return argument;
}

START_TEST(joined_in_time_or_not)
{
	pthread_t thread;
	ck_assert_int_eq(mtsi_thread_start(&thread, SMALL_STACK, wait_for_the_end, NULL), 0);
	gate_wait(&began, 1);
	ck_assert(!mtsi_thread_join_until(thread, 0));
	const uint64_t soon = mtsi_clock_after(mtsi_clock_now(), 5 * MTSI_MILLISECOND);
	ck_assert(!mtsi_thread_join_until(thread, soon));
	ck_assert_uint_ge(mtsi_clock_now(), soon);
	gate_add(&may_end);
	ck_assert(mtsi_thread_join_until(thread, MTSI_NEVER));
	ck_assert_int_eq(mtsi_thread_start(&thread, SMALL_STACK, wait_for_the_end, NULL), 0);
	ck_assert(
		mtsi_thread_join_until(thread, mtsi_clock_after(mtsi_clock_now(), PATIENCE * MTSI_SECOND)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("thread");
	TCase *cases = tcase_create("thread");
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, signals_go_elsewhere);
	tcase_add_test(cases, the_stack_is_there);
	tcase_add_test(cases, an_impossible_stack);
	tcase_add_test(cases, joined_in_time_or_not);
	suite_add_tcase(suite, cases);
	return run_suite_once(suite);
}
