/* SPDX-License-Identifier: MIT
 *
 * A handler finds its connection lost, by reading or by writing, before whoever polls can: the stand-in, which
 * does so here since the only thread is in that handler, is held as it begins to. Then epoll must not go on
 * telling it of a socket that nothing can be done about.
 */
#include "scene.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, BY_READING = 0, WAYS = 2 };

static struct scene scene;
static struct gate held; /* the stand-in is */
static struct gate go; /* it may go on */
static struct gate noticed; /* the handler has */
static int way;
static int answer;

static void hold_stand_in(void)
{
	gate_add(&held);
	scene_wait(&go, 1);
}

/* Leaves output waiting, and notices that the peer is gone while the stand-in cannot. */
static int lose_the_peer(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[MIB];
	char byte;
	(void)request;
	(void)size;
	(void)user;
	answer = mts_client_write(client, bytes, sizeof(bytes));
	gate_add(&scene.entered);
	fault_inside(false);
	while (answer == 0 && mts_client_gone(client) != MTS_GONE_RESET) {
		poll(NULL, 0, 1);
	}
	fault_inside(true);
	if (answer == 0) {
		answer = way == BY_READING ? (int)mts_client_read(client, &byte, 1)
								   : mts_client_write(client, bytes, sizeof(bytes));
	}
	gate_add(&noticed);
	scene_wait(&scene.release, 1);
	return MTS_KEEP;
}

START_TEST(it_keeps_nobody_busy)
{
	way = _i;
	held = go = noticed = (struct gate)GATE;
	scene_make(&scene, lose_the_peer);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_max_output(scene.server, 4 * MIB), 0);
	ck_assert_int_eq(mts_server_set_max_threads(scene.server, 1), 0);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	small_buffers(peer);
	peer_puts(peer, "go\n");
	gate_wait(&scene.entered, 1); /* output waits */
	fault_hook(FAULT_EPOLL_WAIT, hold_stand_in);
	fault_fail(FAULT_EPOLL_WAIT, FAULT_NOTHING, 0, 1);
	const int another = peer_connect(scene.server, 0);
	gate_wait(&held, 1);
	peer_reset(peer);
	gate_wait(&noticed, 1);
	ck_assert_int_eq(answer, -EPIPE);
	gate_add(&go);
	library_rests();
	fault_hook(FAULT_EPOLL_WAIT, NULL);
	gate_add(&scene.release);
	close(another);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_PEER], 2);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("lost");
	tcase_add_loop_test(cases, it_keeps_nobody_busy, 0, WAYS);
	return suite_run();
}
