/* SPDX-License-Identifier: MIT
 *
 * Hooks run on the library's threads, where an assertion of Check's could not end the test in good
 * order; so they only count, and the test's own thread looks at the numbers.
 */
#include "scene.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"

static void init_gate(struct gate *gate)
{
	static const struct gate fresh = GATE;
	*gate = fresh;
}

static int opened(mts_client *client, void *user)
{
	struct scene *scene = user;
	if (scene->small) {
		const int size = 4096;
		(void)setsockopt(mts_client_fd(client), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	gate_add(&scene->opened);
	return 0;
}

static void closed(mts_client *client, int reason, void *user)
{
	struct scene *scene = user;
	(void)client;
	gate_add(&scene->reasons[reason]);
	gate_add(&scene->closed);
}

static void logged(int level, const char *message, void *user)
{
	struct scene *scene = user;
	(void)message;
	gate_add(&scene->logs[level]);
}

void scene_make(struct scene *scene, mts_handler handler)
{
	memset(scene, 0, sizeof(*scene));
	init_gate(&scene->opened);
	init_gate(&scene->closed);
	init_gate(&scene->entered);
	init_gate(&scene->release);
	for (int i = 0; i < SCENE_LEVELS; i++) {
		init_gate(&scene->logs[i]);
	}
	for (int i = 0; i < SCENE_REASONS; i++) {
		init_gate(&scene->reasons[i]);
	}
	scene->server = server_new(handler, scene);
	ck_assert_int_eq(mts_server_frame_lines(scene->server), 0);
	ck_assert_int_eq(mts_server_on_open(scene->server, opened, scene), 0);
	ck_assert_int_eq(mts_server_on_close(scene->server, closed, scene), 0);
	ck_assert_int_eq(mts_server_on_log(scene->server, logged, MTS_LOG_DEBUG, scene), 0);
}

void scene_alone(struct scene *scene)
{
	if (test_model == MTS_THREAD_ON_DEMAND) {
		ck_assert_int_eq(mts_server_set_max_threads(scene->server, 1), 0);
	}
}

void scene_start(struct scene *scene)
{
	server_start(scene->server);
}

void scene_end(struct scene *scene)
{
	server_end(scene->server);
	ck_assert_int_eq(gate_count(&scene->opened), gate_count(&scene->closed));
}

void scene_stop_late(struct scene *scene, unsigned timeout)
{
	gate_wait(&scene->logs[MTS_LOG_INFO], 1); /* that it serves */
	const int said = gate_count(&scene->logs[MTS_LOG_INFO]);
	fault_clock_stop(true);
	mts_server_stop(scene->server);
	gate_wait(&scene->logs[MTS_LOG_INFO], said + 1); /* the deadline is set by then */
	fault_clock_ahead(timeout * MTSI_MILLISECOND);
	ck_assert_int_eq(mts_server_join(scene->server), 0);
	fault_clock_stop(false);
}

int scene_echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	(void)mts_client_write(client, request, size);
	(void)mts_client_puts(client, "\n");
	return MTS_KEEP;
}

int scene_echo_once(mts_client *client, const void *request, size_t size, void *user)
{
	(void)scene_echo(client, request, size, user);
	return MTS_CLOSE;
}

void scene_wait(struct gate *gate, int count)
{
	fault_inside(false);
	gate_wait(gate, count);
	fault_inside(true);
}

int scene_hold(mts_client *client, const void *request, size_t size, void *user)
{
	struct scene *scene = user;
	scene_wait(&scene->release, gate_add(&scene->entered));
	const int result = scene->held != NULL ? scene->held(client) : MTS_KEEP;
	(void)scene_echo(client, request, size, user);
	return result;
}

int scene_pour(mts_client *client, const void *request, size_t size, void *user)
{
	const size_t whole = strtoul(request, NULL, 10);
	char piece[SCENE_PIECE];
	(void)size;
	(void)user;
	for (size_t done = 0; done < whole;) {
		const size_t step = whole - done < SCENE_PIECE ? whole - done : SCENE_PIECE;
		pattern_fill(piece, step, done);
		if (mts_client_write(client, piece, step) != 0) {
			break;
		}
		done += step;
	}
	return MTS_KEEP;
}

int scene_close(mts_client *client)
{
	(void)client;
	return MTS_CLOSE;
}

void scene_ask(int peer, const char *line)
{
	peer_puts(peer, line);
	peer_puts(peer, "\n");
	peer_expect_text(peer, line);
	peer_expect_text(peer, "\n");
}

int scene_visit(struct scene *scene)
{
	const int peer = peer_connect(scene->server, 0);
	scene_ask(peer, "are you there?");
	return peer;
}

int scene_linger(struct scene *scene)
{
	const uint64_t before = mts_server_stat(scene->server, MTS_STAT_LINGERING);
	const int entered = gate_count(&scene->entered);
	const int peer = peer_connect(scene->server, 0);
	peer_puts(peer, "one\n");
	gate_wait(&scene->entered, entered + 1);
	peer_puts(peer, "unread\n");
	gate_add(&scene->release);
	peer_expect_text(peer, "one\n");
	server_wait_stat(scene->server, MTS_STAT_LINGERING, before + 1);
	return peer;
}
