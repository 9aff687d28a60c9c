/* SPDX-License-Identifier: MIT
 *
 * The kernel tells nothing of threads, as where /proc is missing or no descriptor is left: handlers that
 * compute do not have a thread made for each, and those that wait hold up nobody.
 */
#include "scene.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "os/observe.h"

enum { CROWD = 64 };

static uint64_t own_cpu(void)
{
	struct timespec used;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

/* Computes for ten milliseconds, as long as that takes. */
static int compute(mts_client *client, const void *request, size_t size, void *user)
{
	const uint64_t until = own_cpu() + 10000;
	while (own_cpu() < until) {
	}
	return scene_echo(client, request, size, user);
}

/* How many threads there may be: one more is let in whenever nobody has got on for 100 ms. */
static uint64_t most_threads(uint64_t began)
{
	const unsigned others = 2 + 8 + 2; /* beyond the CPUs, guesses, and those who poll or come */
	return mtsi_observe_cpus() + others + (now_ms() - began) / 100 + 1;
}

static const int errors[] = {EACCES, ENOENT, EMFILE};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

START_TEST(handlers_that_compute)
{
	struct scene scene;
	int peers[CROWD];
	scene_make(&scene, compute);
	fault_fail(FAULT_OPEN, errors[_i], 0, FAULT_FOREVER);
	scene_start(&scene);
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(scene.server, 0);
	}
	server_wait_stat(scene.server, MTS_STAT_OPEN, CROWD);
	const uint64_t began = now_ms();
	for (int i = 0; i < CROWD; i++) {
		peer_puts(peers[i], "go\n");
	}
	for (int i = 0; i < CROWD; i++) {
		peer_expect_text(peers[i], "go\n");
	}
	if (test_model == MTS_THREAD_ON_DEMAND) {
		ck_assert_uint_le(
			mts_server_stat(scene.server, MTS_STAT_THREADS_PEAK), most_threads(began));
	}
	for (int i = 0; i < CROWD; i++) {
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

START_TEST(handlers_that_wait)
{
	struct scene scene;
	int peers[CROWD];
	scene_make(&scene, scene_hold);
	fault_fail(FAULT_OPEN, errors[_i], 0, FAULT_FOREVER);
	scene_start(&scene);
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "hold\n");
	}
	gate_wait(&scene.entered, CROWD); /* all at once */
	for (int i = 0; i < CROWD; i++) {
		gate_add(&scene.release);
	}
	for (int i = 0; i < CROWD; i++) {
		peer_expect_text(peers[i], "hold\n");
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("blind");
	if (!under_valgrind()) { /* which lets one thread run at a time, and the others wait */
		tcase_add_loop_test(cases, handlers_that_compute, 0, ERRORS);
	}
	tcase_add_loop_test(cases, handlers_that_wait, 0, ERRORS);
	return suite_run();
}
