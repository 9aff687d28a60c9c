/* SPDX-License-Identifier: MIT
 *
 * The last line of a run that ends with a handler that hangs: a log hook that works has it before run
 * answers. The clock stands still from the moment at which the keeper begins to report, so that its patience
 * does not end, however long the hook takes.
 */
#include "scene.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log_lines.h"
#include "engine/base/logger.h"
#include "engine/run/server.h"
#include "os/clock.h"

static struct scene scene;
static struct gate saying; /* the hook has the line */
static struct gate go;
static struct gate said;
static struct gate
	others; /* lines of that level that tell of something else: of some that are missing */

static void slow(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_ERR) {
		gate_add(&saying);
		scene_wait(&go, 1);
		gate_add(strstr(message, "still runs") != NULL ? &said : &others);
	}
}

/* Reporting begins with an allocation, on the keeper. */
static void stop_the_clock(void)
{
	fault_clock_stop(true);
}

struct joiner {
	pthread_t thread;
	struct gate answered;
	int result;
	int said; /* how many lines had been by then */
};

static void *join(void *argument)
{
	struct joiner *joiner = argument;
	fault_inside(false);
	joiner->result = mts_server_join(scene.server);
	joiner->said = gate_count(&said);
	gate_add(&joiner->answered);
	return NULL;
}

static void begin(void)
{
	saying = go = said = others = (struct gate)GATE;
	scene_make(&scene, scene_hold);
	ck_assert_int_eq(mts_server_on_log(scene.server, slow, MTS_LOG_ERR, NULL), 0);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, 50), 0);
	scene_start(&scene);
}

static int hang(void)
{
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "hold\n");
	gate_wait(&scene.entered, 1);
	return peer;
}

/* Stops it; the one that hangs is told of before join answers. */
static void stop(void)
{
	struct joiner joiner = {.answered = GATE};
	library_rests();
	ck_assert_int_eq(pthread_create(&joiner.thread, NULL, join, &joiner), 0);
	fault_hook(FAULT_MEMORY, stop_the_clock);
	fault_fail(FAULT_MEMORY, FAULT_NOTHING, 0, 1);
	mts_server_stop(scene.server);
	fault_wait_hits(FAULT_MEMORY, 1);
	gate_wait(&saying, 1);
	fault_hook(FAULT_MEMORY, NULL);
	library_rests();
	ck_assert_int_eq(gate_count(&joiner.answered), 0);
	gate_add(&go);
	gate_wait(&joiner.answered, 1);
	ck_assert_int_eq(pthread_join(joiner.thread, NULL), 0);
	ck_assert_int_eq(joiner.result, -EBUSY);
	ck_assert_int_eq(joiner.said, 1);
	fault_clock_stop(false);
	server_wait_stat(scene.server, MTS_STAT_HUNG, 1);
}

static void end(void)
{
	gate_add(&scene.release);
	gate_wait(&scene.closed, 1);
	int result = -EBUSY;
	wait_until((result = mts_server_destroy(scene.server)) != -EBUSY);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(gate_count(&said), 1);
}

START_TEST(it_comes_before_the_answer)
{
	begin();
	const int peer = hang();
	stop();
	end();
	ck_assert_int_eq(gate_count(&others), 0);
	close(peer);
}
END_TEST

static bool full(void)
{
	struct mtsi_log *log = &mtsi_base_floor(scene.server)->log;
	mtsi_lock_take(&log->lock);
	const bool full = log->lines->lost.count > 0;
	mtsi_lock_release(&log->lock);
	return full;
}

/* Errors, for which nothing else can make room, fill the log: still it gets through. */
START_TEST(behind_all_that_fits)
{
	int fillers = 0;
	begin();
	const int peer = hang();
	for (; !full(); fillers++) {
		mtsi_logger_put(&mtsi_base_floor(scene.server)->log, MTS_LOG_ERR, 1, "one of many");
		gate_wait(&saying, 1);
	}
	stop();
	end();
	/* Some came, one did not fit, and a line told of that. */
	ck_assert_int_eq(gate_count(&others), fillers);
	close(peer);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("log, its end");
	tcase_add_test(cases, it_comes_before_the_answer);
	tcase_add_test(cases, behind_all_that_fits);
	return suite_run();
}
