/* SPDX-License-Identifier: MIT
 *
 * The system denies a call that cannot fail otherwise, as a sandbox does, or a limit that is lowered
 * meanwhile: once the server runs, for ever. It goes on serving, looks now and then where it cannot wait,
 * and stops.
 */
#include "scene.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 8, ROUNDS = 3, BIG = 3000000 };

static const struct {
	enum fault_call call;
	int error;
} denied[] = {
	{FAULT_GETRUSAGE, EPERM},
	{FAULT_GETRUSAGE, ENOSYS},
	{FAULT_NANOSLEEP, EPERM},
	{FAULT_POLL, EPERM},
	{FAULT_POLL, EINVAL}, /* RLIMIT_NOFILE is 0 */
	{FAULT_PPOLL, EPERM},
	{FAULT_PPOLL, EINVAL}, /* RLIMIT_NOFILE is below 3 */
	{FAULT_PPOLL, ENOMEM},
	{FAULT_SIGMASK, EPERM},
	{FAULT_SIGPENDING, EPERM},
	{FAULT_SIGTIMEDWAIT, EPERM},
	{FAULT_TIMERFD_SET, EPERM},
};
enum { DENIED = sizeof(denied) / sizeof(denied[0]) };

static void ask(int peer)
{
	peer_ask(peer, "still there?\n");
}

static void serve_many(struct scene *scene)
{
	int peers[MANY];
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(scene->server, 0);
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < MANY; i++) {
			ask(peers[i]);
		}
	}
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
}

/* From the start, from when it runs, and at the stop. */
START_TEST(it_serves_all_the_same)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	if (_i % 2 == 0) {
		fault_fail(denied[_i / 2].call, denied[_i / 2].error, 0, FAULT_FOREVER);
	}
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	ask(peer);
	fault_fail(denied[_i / 2].call, denied[_i / 2].error, 0, FAULT_FOREVER);
	serve_many(&scene);
	ask(peer);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* A handler that waits holds up nobody. */
START_TEST(a_handler_that_waits)
{
	struct scene scene;
	int peers[MANY];
	scene_make(&scene, scene_hold);
	scene_start(&scene);
	fault_fail(denied[_i].call, denied[_i].error, 0, FAULT_FOREVER);
	for (int i = 0; i < MANY; i++) {
		peers[i] = peer_connect(scene.server, 0);
		peer_puts(peers[i], "hold\n");
		gate_wait(&scene.entered, i + 1);
	}
	for (int i = 0; i < MANY; i++) {
		gate_add(&scene.release);
	}
	for (int i = 0; i < MANY; i++) {
		peer_expect_text(peers[i], "hold\n");
		close(peers[i]);
	}
	scene_end(&scene);
}
END_TEST

/* A write that waits goes on when its peer reads. */
START_TEST(a_write_that_waits)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 1024), 0);
	scene_start(&scene);
	fault_fail(denied[_i].call, denied[_i].error, 0, FAULT_FOREVER);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "500000\n");
	peer_expect_pattern(peer, 500000, 0);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* A pause of at least so many milliseconds is between two calls. */
static void expect_pace(enum fault_call call, unsigned pause)
{
	fault_clear(call);
	const uint64_t start = now_ms();
	fault_fail(call, EPERM, 0, FAULT_FOREVER);
	fault_wait_hits(call, 50);
	const uint64_t hits = fault_hits(call);
	ck_assert_uint_ge(now_ms() - start + pause, (hits - 2) * pause / 2);
}

/* The keeper cannot sleep, or who polls cannot wait: they look some hundred times a second. */
START_TEST(nothing_spins)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	scene_alone(&scene);
	scene_start(&scene);
	const int peer = scene_visit(&scene);
	if (test_model == MTS_THREAD_ON_DEMAND) {
		fault_fail(FAULT_PPOLL, EPERM, 0, FAULT_FOREVER);
		const int other = scene_visit(&scene); /* which wakes the keeper, or not */
		ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 100000), 0);
		expect_pace(FAULT_PPOLL, 2);
		close(other);
	}
	fault_fail(FAULT_EPOLL_WAIT, EPERM, 0, FAULT_FOREVER);
	const int third = peer_connect(scene.server, 0);
	expect_pace(FAULT_EPOLL_WAIT, 2);
	fault_clear(FAULT_EPOLL_WAIT);
	ck_assert_int_ge(gate_count(&scene.logs[MTS_LOG_ERR]), 1);
	scene_ask(third, "at last");
	close(third);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* A write waits, and poll is denied: it tries again some hundred times a second. */
START_TEST(no_write_spins)
{
	struct scene scene;
	scene_make(&scene, scene_pour);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 1024), 0);
	scene_start(&scene);
	fault_fail(FAULT_POLL, EINVAL, 0, FAULT_FOREVER);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "1000000\n");
	fault_wait_hits(FAULT_POLL, 1);
	expect_pace(FAULT_POLL, 2);
	peer_expect_pattern(peer, 1000000, 0);
	close(peer);
	scene_end(&scene);
}
END_TEST

/* Nobody can be served while no events can be had; the stop comes nevertheless, in time or at its end. */
START_TEST(a_stop_without_events)
{
	struct scene scene;
	scene_make(&scene, scene_echo);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, 200), 0);
	scene_start(&scene);
	const int peer = scene_visit(&scene);
	fault_fail(FAULT_EPOLL_WAIT, ENOSYS, 0, FAULT_FOREVER);
	scene_stop_late(&scene, 200);
	scene_end(&scene);
	close(peer);
}
END_TEST

static int big_file(void)
{
	char path[] = "/tmp/mts-denied-XXXXXX";
	static char bytes[BIG];
	const int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	pattern_fill(bytes, sizeof(bytes), 0);
	ck_assert_int_eq(write(fd, bytes, sizeof(bytes)), BIG);
	return fd;
}

static int file;
static _Atomic bool mask_is_kept;

/* Has SIGPIPE unblocked, unless it would come at once, and sends a file. */
static int send_it(mts_client *client, const void *request, size_t size, void *user)
{
	sigset_t sigpipe;
	sigset_t now;
	sigset_t pending;
	(void)request;
	(void)size;
	(void)user;
	fault_inside(false);
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 0) {
		(void)pthread_sigmask(SIG_UNBLOCK, &sigpipe, NULL);
	}
	fault_inside(true);
	(void)mts_client_sendfile(client, file, 0, BIG);
	fault_inside(false);
	(void)pthread_sigmask(SIG_SETMASK, NULL, &now);
	fault_inside(true);
	mask_is_kept = sigismember(&now, SIGPIPE) == 0;
	return MTS_KEEP;
}

static const enum fault_call about_files[] = {
	FAULT_SIGMASK, FAULT_SIGPENDING, FAULT_SIGTIMEDWAIT, FAULT_SENDFILE};
enum { ABOUT_FILES = sizeof(about_files) / sizeof(about_files[0]) };

/* A file goes out in another way where what sendfile needs is denied. */
START_TEST(a_file)
{
	struct scene scene;
	file = big_file();
	scene_make(&scene, send_it);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	fault_fail(about_files[_i], _i % 2 == 0 ? EPERM : ENOSYS, 0, FAULT_FOREVER);
	peer_puts(peer, "go\n");
	peer_expect_pattern(peer, BIG, 0);
	peer_puts(peer, "go\n");
	peer_expect_pattern(peer, BIG, 0);
	close(peer);
	scene_end(&scene);
	ck_assert(mask_is_kept);
	close(file);
}
END_TEST

/* The peer goes away meanwhile: no SIGPIPE ends the process, whatever is denied, and whenever. */
START_TEST(a_file_to_nobody)
{
	struct scene scene;
	file = big_file();
	scene_make(&scene, send_it);
	scene_start(&scene);
	for (uint32_t skip = 0; skip < 3; skip++) {
		const int closed = gate_count(&scene.closed);
		const int peer = peer_connect(scene.server, 0);
		fault_fail(about_files[_i], EPERM, skip, FAULT_FOREVER);
		peer_puts(peer, "go\n");
		peer_expect_pattern(peer, 1000, 0);
		peer_reset(peer);
		gate_wait(&scene.closed, closed + 1);
	}
	scene_end(&scene);
	close(file);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("denied");
	tcase_add_loop_test(cases, it_serves_all_the_same, 0, 2 * DENIED);
	tcase_add_loop_test(cases, a_handler_that_waits, 0, DENIED);
	tcase_add_loop_test(cases, a_write_that_waits, 0, DENIED);
	tcase_add_test(cases, nothing_spins);
	tcase_add_test(cases, no_write_spins);
	tcase_add_test(cases, a_stop_without_events);
	tcase_add_loop_test(cases, a_file, 0, ABOUT_FILES);
	tcase_add_loop_test(cases, a_file_to_nobody, 0, ABOUT_FILES);
	return suite_run();
}
