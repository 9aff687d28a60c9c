/* SPDX-License-Identifier: MIT
 *
 * Starting fails at each of its steps: start says so, with a sentence, the server is as it was before,
 * and starting again works. Stopped or freed at such a moment, nothing is left.
 */
#include "../api/watch.h"
#include "scene.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	enum fault_call call;
	int error;
	uint32_t calls; /* how many a start with two listeners makes */
} steps[] = {
	{FAULT_EPOLL_CREATE, EMFILE, 1},
	{FAULT_EPOLL_CREATE, ENOMEM, 1},
	{FAULT_EVENTFD, ENFILE, 2},
	{FAULT_EVENTFD, ENOMEM, 2},
	{FAULT_TIMERFD, EMFILE, 1},
	{FAULT_TIMERFD, ENOMEM, 1},
	{FAULT_EPOLL_CTL, ENOMEM, 3},
	{FAULT_EPOLL_CTL, ENOSPC, 3},
	{FAULT_SETSOCKOPT, ENOMEM, 2},
	{FAULT_THREAD, EAGAIN, 2}, /* for the log, and the keeper */
	{FAULT_THREAD, EPERM, 2},
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static void make(struct scene *scene)
{
	scene_make(scene, scene_echo);
	ck_assert_int_eq(mts_server_listen(scene->server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_set_defer_accept(scene->server, 1), 0);
}

static int try_start(mts_server *server)
{
	fault_inside(true);
	const int result = mts_server_start(server);
	fault_inside(false);
	return result;
}

static void want_failure(mts_server *server, int result, int error)
{
	const char *sentence = mts_server_error(server);
	ck_assert_int_eq(result, -error);
	ck_assert_msg(strstr(sentence, "cannot start") == sentence, "%s", sentence);
	ck_assert_msg(strstr(sentence, strerror(error)) != NULL, "%s", sentence);
	ck_assert_int_eq(mts_server_join(server), -EINVAL);
}

/* Each failure in turn on one server, which can still be set, and starts in the end. */
START_TEST(start_again)
{
	struct scene scene;
	const int threads = settled_threads();
	make(&scene);
	for (uint32_t skip = 0; skip < steps[_i].calls; skip++) {
		fault_fail(steps[_i].call, steps[_i].error, skip, 1);
		want_failure(scene.server, try_start(scene.server), steps[_i].error);
		ck_assert_uint_eq(fault_hits(steps[_i].call), 1);
		fault_clear(steps[_i].call);
		ck_assert_int_eq(mts_server_set_max_threads(scene.server, 100), 0);
		wait_threads(threads);
		/* What stays for the next start must not be started twice. */
		if (steps[_i].call == FAULT_EPOLL_CTL && skip > 0) {
			break;
		}
	}
	ck_assert_int_eq(try_start(scene.server), 0);
	for (size_t i = 0; i < 2; i++) {
		const int peer = peer_connect(scene.server, i);
		scene_ask(peer, "so it works");
		close(peer);
	}
	scene_end(&scene);
}
END_TEST

/* Every failure once on a server of its own, which is then freed. */
START_TEST(give_up)
{
	const int descriptors = count_descriptors();
	for (uint32_t skip = 0; skip < steps[_i].calls; skip++) {
		struct scene scene;
		make(&scene);
		fault_fail(steps[_i].call, steps[_i].error, skip, 1);
		want_failure(scene.server, try_start(scene.server), steps[_i].error);
		fault_clear(steps[_i].call);
		ck_assert_int_eq(mts_server_destroy(scene.server), 0);
		ck_assert_int_eq(count_descriptors(), descriptors);
	}
}
END_TEST

/* Every failure once; then stopped, started and so over at once. */
START_TEST(stop_in_between)
{
	for (uint32_t skip = 0; skip < steps[_i].calls; skip++) {
		struct scene scene;
		make(&scene);
		fault_fail(steps[_i].call, steps[_i].error, skip, 1);
		want_failure(scene.server, try_start(scene.server), steps[_i].error);
		fault_clear(steps[_i].call);
		mts_server_stop(scene.server);
		fault_inside(true);
		const int result = mts_server_run(scene.server);
		fault_inside(false);
		ck_assert_int_eq(result, 0);
		ck_assert_int_eq(mts_server_destroy(scene.server), 0);
	}
}
END_TEST

/* run fails the same way. */
START_TEST(run_too)
{
	struct scene scene;
	make(&scene);
	fault_fail(steps[_i].call, steps[_i].error, 0, 1);
	fault_inside(true);
	const int result = mts_server_run(scene.server);
	fault_inside(false);
	want_failure(scene.server, result, steps[_i].error);
	ck_assert_int_eq(mts_server_destroy(scene.server), 0);
}
END_TEST

/* After a failed start a child may start its copy as well, and neither disturbs the other. */
START_TEST(started_again_in_a_child)
{
	static const enum fault_call calls[] = {FAULT_EPOLL_CTL, FAULT_THREAD};
	struct scene scene;
	int status = -1;
	int ready[2];
	int order[2];
	char byte;
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(order), 0);
	make(&scene);
	fault_fail(calls[_i], ENOMEM, 0, 1);
	ck_assert_int_lt(try_start(scene.server), 0);
	fault_clear(calls[_i]);
	const pid_t child = fork();
	if (child == 0) {
		(void)alarm(PATIENCE);
		bool well = try_start(scene.server) == 0 && write(ready[1], "", 1) == 1
			&& read(order[0], &byte, 1) == 1;
		mts_server_stop(scene.server);
		well = well && mts_server_join(scene.server) == 0 && mts_server_destroy(scene.server) == 0;
		_exit(well ? 0 : 1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(try_start(scene.server), 0);
	ck_assert_int_eq(write(order[1], "", 1), 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	const int peer = peer_connect(scene.server, 0);
	scene_ask(peer, "so it works");
	close(peer);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("start");
	tcase_add_loop_test(cases, start_again, 0, STEPS);
	tcase_add_loop_test(cases, give_up, 0, STEPS);
	tcase_add_loop_test(cases, stop_in_between, 0, STEPS);
	tcase_add_loop_test(cases, run_too, 0, STEPS);
	tcase_add_loop_test(cases, started_again_in_a_child, 0, 2);
	return suite_run();
}
