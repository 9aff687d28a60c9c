/* SPDX-License-Identifier: MIT
 *
 * The deadline of output of which the peer takes nothing, also beside others of the same client.
 */
#include "moment.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/run/server.h"
#include "os/clock.h"
#include "os/socket.h"

enum { IDLE = 60, WRITE = 30 }; /* the defaults, in seconds */

static struct gate told; /* a handler has been told of a deadline */
static int answer;

static int pour(mts_client *peer, const void *request, size_t size, void *user)
{
	char piece[SCENE_PIECE] = {0};
	(void)request;
	(void)size;
	(void)user;
	int result;
	do {
		result = mts_client_write(peer, piece, sizeof(piece));
	} while (result == 0);
	answer = result;
	gate_add(&told);
	return MTS_KEEP;
}

static void begin_small(mts_handler handler)
{
	told = (struct gate)GATE;
	scene_make(&scene, handler);
	scene.small = true;
	scene_start(&scene);
}

/* Whether its handler waits in a write. */
static bool writes(void)
{
	mtsi_lock_take(&moment_client()->lock);
	const bool writing = moment_client()->writing;
	mtsi_lock_release(&moment_client()->lock);
	return writing;
}

/* The same for output; what the kernel has still on its way counts as progress at first. */
static void pass_write(uint64_t timeouts, bool handler)
{
	for (int i = 0; i < 10 && mts_server_stat(scene.server, MTS_STAT_TIMEOUTS) == timeouts; i++) {
		if (handler) {
			wait_until(writes());
		}
		const uint64_t deadline = moment_is_stuck() + WRITE * MTSI_SECOND;
		moment_go_to(deadline - 1);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), timeouts);
		moment_go_to(deadline);
	}
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, timeouts + 1);
}

/* A handler that waits for room is told so. */
START_TEST(a_write_without_progress)
{
	begin_small(pour);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "go on\n");
	moment_is_stuck();
	moment_stop(true);
	pass_write(0, true);
	gate_wait(&told, 1);
	ck_assert_int_eq(answer, -ETIMEDOUT);
	moment_end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* Replies that are left behind when the handler has returned. */
START_TEST(queued_output_without_progress)
{
	enum { PIECE = 4096 };
	begin_small(scene_pour);
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 64 * 1024 * 1024), 0);
	const int peer = peer_connect(scene.server, 0);
	small_buffers(peer);
	peer_puts(peer, "3000000\n");
	moment_is_stuck();
	moment_waits_for(MTSI_WAIT_IDLE);
	/* The more often there is progress, the longer this takes. */
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_IDLE, 0), 0);
	moment_stop(true);
	const uint64_t begun = moment_is_stuck();
	moment_go_to(begun + 20 * MTSI_SECOND);
	/* What is read is progress, as soon as the kernel has told of room. */
	for (size_t position = 0; moment_stuck_since() == begun; position += PIECE) {
		peer_expect_pattern(peer, PIECE, position);
	}
	ck_assert_uint_eq(moment_stuck_since(), begun + 20 * MTSI_SECOND);
	pass_write(0, false);
	moment_end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* One deadline of a client does not make the others forgotten. */
START_TEST(idle_passes_while_output_is_stuck)
{
	static const char much[8 * 1024 * 1024];
	begin_small(scene_echo);
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 64 * 1024 * 1024), 0);
	const int peer = scene_visit(&scene);
	moment_waits_for(MTSI_WAIT_IDLE);
	moment_stop(true);
	const uint64_t begun = moment_since();
	moment_go_to(begun + 40 * MTSI_SECOND);
	fault_inside(true); /* on the library's clock */
	const int result = mts_server_send(scene.server, MTSI_FIRST_ID, much, sizeof(much));
	fault_inside(false);
	ck_assert_int_eq(result, 0);
	moment_go_to(begun + IDLE * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
	pass_write(1, false);
	moment_end(peer, MTS_CLOSED_IDLE); /* it is told of the first one */
}
END_TEST

START_TEST(a_handler_overruns_while_it_writes)
{
	begin_small(pour);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_HANDLER, 1000), 0);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "go on\n");
	moment_is_stuck();
	moment_stop(true);
	moment_go_to(moment_now() + 2 * MTSI_SECOND);
	server_wait_stat(scene.server, MTS_STAT_TIMEOUTS, 1);
	pass_write(1, true);
	gate_wait(&told, 1);
	ck_assert_int_eq(answer, -ETIMEDOUT);
	moment_end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

/* A peer that takes a little at a time: the kernel tells of room only when there is much. */
START_TEST(a_slow_reader_stays)
{
	char piece[2000];
	begin_small(pour);
	const int peer = peer_connect(scene.server, 0);
	small_buffers(peer);
	peer_puts(peer, "go on\n");
	moment_is_stuck();
	moment_stop(true);
	for (int i = 0; i < 20; i++) {
		const uint64_t stuck = moment_is_stuck();
		moment_go_to(stuck + (WRITE - 1) * MTSI_SECOND);
		const size_t before = mtsi_socket_unacknowledged(moment_client()->fd);
		while (mtsi_socket_unacknowledged(moment_client()->fd) >= before
			&& moment_stuck_since() == stuck) {
			(void)recv(peer, piece, sizeof(piece), MSG_DONTWAIT);
		}
		moment_go_to(stuck + WRITE * MTSI_SECOND);
		ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_TIMEOUTS), 0);
	}
	pass_write(0, true);
	moment_end(peer, MTS_CLOSED_WRITE_TIMEOUT);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("deadline of output");
	tcase_add_test(cases, a_write_without_progress);
	tcase_add_test(cases, queued_output_without_progress);
	tcase_add_test(cases, idle_passes_while_output_is_stuck);
	tcase_add_test(cases, a_handler_overruns_while_it_writes);
	tcase_add_test(cases, a_slow_reader_stays);
	return suite_run();
}
