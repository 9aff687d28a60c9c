/* SPDX-License-Identifier: MIT
 *
 * Numbers are the sum of the server's own and all workers'; gauges come back down; what is open is what
 * was accepted and not closed.
 */
#include "engine/run/stats.h"

#include "../../api/support.h"
#include "engine/crew/threads.h"
#include "engine/run/server.h"
#include "engine/serve/worker.h"

enum { WORKERS = 3, ROUNDS = 50000 };

static mts_server *server;
static struct mtsi_member workers[WORKERS];

/* Workers that only count. */
static void setup(void)
{
	server = server_create(answer_close, NULL);
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	for (int i = 0; i < WORKERS; i++) {
		workers[i].next = mtsi_crew_floor(server)->crew.workers;
		mtsi_crew_floor(server)->crew.workers = &workers[i];
	}
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
}

static void teardown(void)
{
	mtsi_crew_floor(server)->crew.workers = NULL;
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

static bool is_counter(int which)
{
	return which != MTS_STAT_OPEN && which != MTS_STAT_THREADS && which != MTS_STAT_THREADS_PEAK
		&& which != MTS_STAT_LINGERING && which != MTS_STAT_HUNG && which != MTS_STAT_MEMORY
		&& which != MTS_STAT_MEMORY_PEAK;
}

START_TEST(sums)
{
	for (int which = 0; which < MTSI_COUNTERS; which++) {
		if (!is_counter(which)) {
			continue;
		}
		ck_assert_uint_eq(mtsi_stats_read(server, which), 0);
		mtsi_count_shared(server, which, 1000);
		for (uint64_t i = 0; i < WORKERS; i++) {
			mtsi_count(&workers[i].counters, which, i + 1);
		}
		ck_assert_uint_eq(mtsi_stats_read(server, which), 1006);
	}
}
END_TEST

START_TEST(gauges_come_down)
{
	mtsi_count(&workers[0].counters, MTS_STAT_BUSY, 1);
	mtsi_count(&workers[1].counters, MTS_STAT_BUSY, 1);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_BUSY), 2);
	mtsi_count(&workers[0].counters, MTS_STAT_BUSY, (uint64_t)-1);
	mtsi_count(&workers[2].counters, MTS_STAT_BUSY, (uint64_t)-1);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_BUSY), 0);
}
END_TEST

START_TEST(what_is_not_counted)
{
	mtsi_count(&workers[0].counters, MTS_STAT_ACCEPTED, 5);
	mtsi_count(&workers[1].counters, MTS_STAT_CLOSED, 2);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_OPEN), 3);
	mtsi_crew_floor(server)->crew.threads_peak = 9;
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_THREADS), 0);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_THREADS_PEAK), 9);
	atomic_store(&mtsi_door_floor(server)->linger.count, 4);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_LINGERING), 4);
	mtsi_crew_floor(server)->crew.threads = 3;
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_HUNG), 0);
	mtsi_threads_give_up(server);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_HUNG), 3);
	mtsi_crew_floor(server)->stand_in.over = true;
	mtsi_crew_floor(server)->stand_in.present = 1;
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_HUNG), 4);
	mtsi_crew_floor(server)->stand_in.present = 0;
	mtsi_crew_floor(server)->crew.threads = 0;
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_HUNG), 0);
	atomic_store(&mtsi_door_floor(server)->linger.count, 0);
}
END_TEST

static void *open_and_close(void *worker)
{
	struct mtsi_counters *own = &((struct mtsi_member *)worker)->counters;
	for (int i = 0; i < ROUNDS; i++) {
		mtsi_count(own, MTS_STAT_ACCEPTED, 1);
		mtsi_count(own, MTS_STAT_CLOSED, 1);
		mtsi_count_shared(server, MTS_STAT_REFUSED, 1);
	}
	return NULL;
}

/* Read at any moment, no more are open than there are workers, and never fewer than none. */
START_TEST(read_while_they_count)
{
	pthread_t threads[WORKERS];
	for (int i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, open_and_close, &workers[i]), 0);
	}
	uint64_t before = 0;
	uint64_t refused = 0;
	while (refused < WORKERS * ROUNDS) {
		const uint64_t accepted = mtsi_stats_read(server, MTS_STAT_ACCEPTED);
		if (accepted < before || (int64_t)mtsi_stats_read(server, MTS_STAT_OPEN) < 0) {
			ck_abort_msg("numbers run backwards");
		}
		before = accepted;
		refused = mtsi_stats_read(server, MTS_STAT_REFUSED);
	}
	for (int i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_OPEN), 0);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_CLOSED), WORKERS * ROUNDS);
	ck_assert_uint_eq(refused, WORKERS * ROUNDS);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stats");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, sums);
	tcase_add_test(cases, gauges_come_down);
	tcase_add_test(cases, what_is_not_counted);
	tcase_add_test(cases, read_while_they_count);
	return suite_run_once();
}
