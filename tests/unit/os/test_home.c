/* SPDX-License-Identifier: MIT
 *
 * Which process a thing belongs to, seen from children of every kind: fork(2) makes another process, also
 * where the C library does not hear of it; a child that shares the memory is none.
 */
#include "os/home.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../api/support.h"

static struct mtsi_home home;

static bool refuse;

int __real_madvise(void *memory, size_t size, int advice);
int __wrap_madvise(void *memory, size_t size, int advice);

int __wrap_madvise(void *memory, size_t size, int advice)
{
	if (refuse) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(memory, size, advice);
}

static void setup(void)
{
	refuse = false;
	mtsi_home_init(&home);
}

static void teardown(void)
{
	mtsi_home_free(&home);
}

static pid_t by_fork(void)
{
	return fork();
}

static pid_t by_system_call(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static pid_t (*const ways[])(void) = {by_fork, by_system_call};

/* What a child, made that way, thinks of it. */
static bool left_in_child(pid_t (*make)(void))
{
	int status = -1;
	const pid_t child = make();
	if (child == 0) {
		_exit(mtsi_home_left(&home));
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) != 0;
}

START_TEST(nobodys)
{
	ck_assert(!mtsi_home_left(&home));
	ck_assert(!left_in_child(ways[_i]));
}
END_TEST

START_TEST(somebodys)
{
	mtsi_home_settle(&home);
	ck_assert(!mtsi_home_left(&home));
	ck_assert(left_in_child(ways[_i]));
	ck_assert(!mtsi_home_left(&home));
}
END_TEST

/* The same where there is no such page, since the kernel is too old, or a sandbox in the way. */
START_TEST(without_a_page)
{
	refuse = true;
	mtsi_home_settle(&home);
	ck_assert(!mtsi_home_is_first());
	ck_assert_ptr_null(home.page);
	ck_assert(!mtsi_home_left(&home));
	ck_assert(left_in_child(ways[_i]));
}
END_TEST

/* A start that has failed leaves it nobody's; a child can settle then, and its own children are others. */
START_TEST(settled_anew)
{
	int status = -1;
	mtsi_home_settle(&home);
	mtsi_home_unsettle(&home);
	ck_assert(!mtsi_home_left(&home));
	ck_assert(!left_in_child(ways[_i]));
	const pid_t child = ways[_i]();
	if (child == 0) {
		mtsi_home_settle(&home);
		const pid_t grandchild = ways[_i]();
		if (grandchild == 0) {
			_exit(mtsi_home_left(&home));
		}
		(void)waitpid(grandchild, &status, 0);
		_exit(!mtsi_home_left(&home) && WEXITSTATUS(status) == 1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(!mtsi_home_left(&home));
	mtsi_home_settle(&home);
	ck_assert(!mtsi_home_left(&home));
}
END_TEST

/* What a child answers after it has settled itself, besides its own. */
static bool first_in_child(pid_t (*make)(void), bool settle)
{
	int status = -1;
	struct mtsi_home own;
	const pid_t child = make();
	if (child == 0) {
		mtsi_home_init(&own);
		if (settle) {
			mtsi_home_settle(&own);
		}
		_exit(mtsi_home_is_first());
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) != 0;
}

/* The first of a line knows it, wherever the kernel lets it; those that come of it never think so. */
START_TEST(the_first)
{
	ck_assert(!mtsi_home_is_first());
	ck_assert(!first_in_child(ways[_i], false));
	const bool possible = first_in_child(ways[_i], true);
	ck_assert(!mtsi_home_is_first());
	mtsi_home_settle(&home);
	ck_assert(mtsi_home_is_first() == possible);
	ck_assert(!first_in_child(ways[_i], false));
	ck_assert(!first_in_child(ways[_i], true));
	ck_assert(mtsi_home_is_first() == possible);
}
END_TEST

static int look(void *argument)
{
	*(_Atomic int *)argument = mtsi_home_left(&home);
	return 0;
}

/* As after vfork(2) or in posix_spawn(3): it uses the parent's memory, and is the parent as far as we go. */
START_TEST(a_child_with_the_same_memory)
{
	static char stack[65536];
	_Atomic int left = -1;
	mtsi_home_settle(&home);
	if (home.page == NULL) {
		puts("a_child_with_the_same_memory: skipped, this system has no such pages");
		return;
	}
	const pid_t child = clone(look, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &left);
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	if (left == -1) {
		puts("a_child_with_the_same_memory: skipped, there is none here: it has a copy");
		return;
	}
	ck_assert_int_eq(left, 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("home");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, nobodys, 0, 2);
	tcase_add_loop_test(cases, somebodys, 0, 2);
	tcase_add_loop_test(cases, without_a_page, 0, 2);
	tcase_add_loop_test(cases, settled_anew, 0, 2);
	tcase_add_loop_test(cases, the_first, 0, 2);
	tcase_add_test(cases, a_child_with_the_same_memory);
	return suite_run_once();
}
