/* SPDX-License-Identifier: MIT
 *
 * A program with much thread-local data. The C library takes the place for that out of each thread's
 * stack, so the library must ask for more: what a callback may use is what was asked for, all the same.
 * A program of its own, since the data is there in all threads of a program.
 */
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { KIB = 1024 };

static _Thread_local volatile char much[600 * KIB];

static const char again[] = "MTS_TEST_AGAIN"; /* set: this program has been run by itself */

static int use_both(mts_client *client, const void *request, size_t size, void *user)
{
	const size_t *stack = user;
	(void)request;
	(void)size;
	much[0]++;
	much[sizeof(much) - 1]++;
	ck_assert_uint_eq(stack_descend(__builtin_frame_address(0), *stack / 10 * 9), 7);
	return mts_client_puts(client, "survived") == 0 ? MTS_CLOSE : MTS_KEEP;
}

START_TEST(thread_local_data_costs_no_stack)
{
	static const size_t sizes[] = {16 * KIB, 200 * KIB, 1024 * KIB};
	size_t stack = sizes[_i];
	mts_server *server = server_new(use_both, &stack);
	ck_assert_int_eq(mts_server_set_stack_size(server, stack), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	peer_expect_text(peer, "survived");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

/*
 * The C library sets as much aside for libraries that are loaded later as it is told to; it reads that
 * when a program begins, so this one is run again. Others than glibc take no notice.
 */
START_TEST(nor_does_what_is_set_aside)
{
	static const char *const settings[] = {"glibc.rtld.optional_static_tls=100000",
		"glibc.rtld.optional_static_tls=300000", "glibc.rtld.optional_static_tls=3000000"};
	int status = 0;
	const pid_t child = fork();
	if (child == 0) {
		char self[4096] = "";
		if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0) {
			_exit(126);
		}
		setenv("GLIBC_TUNABLES", settings[_i], 1);
		setenv(again, "1", 1);
		(void)execl(self, self, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", settings[_i],
		(unsigned)status);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("thread-local data");
	tcase_add_loop_test(tcase, thread_local_data_costs_no_stack, 0, 3);
	if (getenv(again) == NULL) {
		tcase_add_loop_test(tcase, nor_does_what_is_set_aside, 0, 3);
	}
	return suite_run();
}
