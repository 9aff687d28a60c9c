/* SPDX-License-Identifier: MIT
 *
 * Threads begin with all asynchronous signals blocked and with the stack that was asked for, leave their
 * maker's mask alone, and are joined, also with a deadline.
 */
#include "os/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../api/support.h"
#include "os/clock.h"

enum { SMALL_STACK = 16 * 1024, LARGE_STACK = 1024 * 1024, HUGE_STACK = 8 * LARGE_STACK };

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

static size_t guard;

static void *measure(void *unused)
{
	pthread_attr_t attributes;
	(void)pthread_getattr_np(pthread_self(), &attributes);
	(void)pthread_attr_getguardsize(&attributes, &guard);
	(void)pthread_attr_destroy(&attributes);
	return unused;
}

/* A large frame at the end of a stack does not reach what lies below its guard. */
START_TEST(the_guard_is_not_jumped_over)
{
	pthread_t thread;
	ck_assert_int_eq(mtsi_thread_start(&thread, LARGE_STACK, measure, NULL), 0);
	mtsi_thread_join(thread);
	ck_assert_uint_ge(guard, 64 * 1024);
}
END_TEST

static char flags[512];

/* What the kernel says of the mapping in which this function's frame lies. */
static void *ask_for_flags(void *unused)
{
	char line[512];
	bool here = false;
	mtsi_thread_small_pages(HUGE_STACK);
	FILE *maps = fopen("/proc/self/smaps", "r");
	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		uintptr_t from;
		uintptr_t to;
		/* The frame itself may be in a part above; what lies below is what is asked for. */
		const uintptr_t place = (uintptr_t)line - HUGE_STACK / 2;
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
			here = place >= from && place < to;
		} else if (here && strncmp(line, "VmFlags:", 8) == 0) {
			memcpy(flags, line, sizeof(flags));
		}
	}
	if (maps != NULL) {
		(void)fclose(maps);
	}
	return unused;
}

/*
 * Where the kernel has huge pages at all, and says so. On a stack of the test's own: newer kernels decline
 * them by themselves for those that the C library maps.
 */
START_TEST(huge_pages_are_declined)
{
	const size_t size = HUGE_STACK + LARGE_STACK;
	void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;
	ck_assert_ptr_ne(stack, MAP_FAILED);
	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setstack(&attributes, stack, size), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, ask_for_flags, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(pthread_attr_destroy(&attributes), 0);
	ck_assert_int_eq(munmap(stack, size), 0);
	if (flags[0] == '\0' || access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) {
		printf("thread: skipped, since there are no huge pages, or nothing tells\n");
		return;
	}
	ck_assert_msg(strstr(flags, " nh") != NULL, "%s", flags);
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
	TCase *cases = suite_begin("thread");
	tcase_add_test(cases, signals_go_elsewhere);
	tcase_add_test(cases, the_stack_is_there);
	tcase_add_test(cases, the_guard_is_not_jumped_over);
	if (!under_valgrind()) { /* where the kernel's flags are of other mappings */
		tcase_add_test(cases, huge_pages_are_declined);
	}
	tcase_add_test(cases, an_impossible_stack);
	tcase_add_test(cases, joined_in_time_or_not);
	return suite_run_once();
}
