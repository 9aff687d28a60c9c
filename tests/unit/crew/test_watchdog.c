/* SPDX-License-Identifier: MIT
 *
 * The watch over a worker, looked at by the test at times that it makes up: who waits is counted on no
 * more, who computes is, until somebody has waited for it for long. No thread can be made meanwhile, so
 * that nothing but the test moves.
 */
#include "engine/crew/watchdog.h"

#include <poll.h>

#include "../desk.h"
#include "engine/crew/stint.h"
#include "engine/crew/watchdog_sleep.h"
#include "engine/run/stats.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/observe.h"
#include "os/poll.h"

static struct desk desk;
static mts_server *server;
static struct mtsi_crew *crew;
static struct mtsi_member *worker;
static pthread_t thread;
static struct gate began = GATE;
static struct gate may_end = GATE;
static _Atomic bool over;

static void *wait_or_compute(void *computes)
{
	mtsi_observe_self(&worker->observed);
	gate_add(&began);
	if (computes == NULL) {
		gate_wait(&may_end, 1);
	}
	while (!atomic_load(&over)) {
	}
	return NULL;
}

static void setup(void)
{
	desk_open(&desk, desk_server());
	server = desk.server;
	crew = &mtsi_crew_floor(server)->crew;
	worker = &desk.worker.member;
	mtsi_crew_floor(server)->alarm = mtsi_alarm_open();
	ck_assert_int_ge(mtsi_crew_floor(server)->alarm, 0);
	crew->short_until = MTSI_NEVER - 1;
}

static void teardown(void)
{
	desk_close(&desk);
}

/* The keeper looks: when it will look again. */
static uint64_t look(uint64_t now)
{
	bool returned;
	return mtsi_watchdog_look(server, now, &returned);
}

/* A thread that is the worker, as far as the kernel tells. */
static void employ(bool computes)
{
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_or_compute, computes ? &over : NULL), 0);
	gate_wait(&began, 1);
	const enum mtsi_state wrong = computes ? MTSI_STATE_WAITS : MTSI_STATE_RUNS;
	while (mtsi_observe_state(&worker->observed) == wrong) {
	}
}

static void dismiss(void)
{
	atomic_store(&over, true);
	gate_add(&may_end);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* The worker has polled, and serves what it has found. */
static void begin_stint(void)
{
	worker->since = mtsi_clock_now();
	mtsi_lock_take(&crew->lock);
	crew->polls++;
	mtsi_stint_begin_locked(worker, desk.client);
	mtsi_lock_release(&crew->lock);
}

static void end_stint(void)
{
	mtsi_lock_take(&crew->lock);
	mtsi_stint_end_locked(worker);
	mtsi_lock_release(&crew->lock);
	worker->client = desk.client;
}

/* As if so many workers polled. */
static void set_pollers(size_t pollers)
{
	mtsi_lock_take(&crew->lock);
	crew->pollers = pollers;
	mtsi_lock_release(&crew->lock);
}

/* As if so many calls had been looked at in that time awake. */
static void report(unsigned waking, bool waited)
{
	for (int i = 0; i < 100; i++) {
		mtsi_watchdog_report(server, waking, waited);
	}
}

static uint64_t fall_asleep(uint64_t now)
{
	set_pollers(1);
	ck_assert_uint_eq(look(now), now + MTSI_SECOND);
	ck_assert(mtsi_crew_floor(server)->watchdog.asleep);
	set_pollers(0);
	return now;
}

START_TEST(it_sleeps_when_there_is_nobody)
{
	const uint64_t now = fall_asleep(mtsi_clock_now());
	ck_assert_uint_eq(look(now + MTSI_SECOND), MTSI_NEVER);
	ck_assert(mtsi_crew_floor(server)->watchdog.asleep);
}
END_TEST

static void found(uint64_t now)
{
	mtsi_lock_take(&crew->lock);
	crew->polls++;
	mtsi_watchdog_found_locked(server, now);
	mtsi_lock_release(&crew->lock);
}

/* While it sleeps two may poll, until nothing has come for a second; then one, until two come soon. */
START_TEST(two_poll_while_requests_come_now_and_then)
{
	uint64_t now = mtsi_clock_now();
	mtsi_base_floor(server)->bell = mtsi_wake_open();
	ck_assert_int_ge(mtsi_base_floor(server)->bell, 0);
	ck_assert_uint_eq(crew->width, 1);
	found(now);
	(void)fall_asleep(now);
	ck_assert_uint_eq(crew->width, 2);
	found(now + 900 * MTSI_MILLISECOND);
	now += MTSI_SECOND;
	ck_assert_uint_eq(look(now - 1), now);
	ck_assert_uint_eq(look(now), now + MTSI_SECOND);
	ck_assert_uint_eq(crew->width, 2);
	set_pollers(2);
	ck_assert_uint_eq(look(now + MTSI_SECOND), MTSI_NEVER);
	ck_assert_uint_eq(crew->width, 1);
	ck_assert_int_eq(
		poll(&(struct pollfd){.fd = mtsi_base_floor(server)->bell, .events = POLLIN}, 1, 0), 1);
	now += 3 * MTSI_SECOND;
	found(now);
	ck_assert_uint_eq(crew->width, 1);
	ck_assert_uint_eq(look(now), MTSI_NEVER);
	found(now + MTSI_MILLISECOND);
	ck_assert_uint_eq(crew->width, 2);
	ck_assert_uint_eq(look(now), now + MTSI_MILLISECOND + MTSI_SECOND); /* it is told */
}
END_TEST

/* Who begins while another one polls needs no alarm; when that one has found something, it does. */
START_TEST(no_alarm_while_somebody_polls)
{
	(void)fall_asleep(mtsi_clock_now());
	set_pollers(1);
	begin_stint();
	ck_assert(!mtsi_crew_floor(server)->watchdog.armed);
	set_pollers(0);
	mtsi_lock_take(&crew->lock);
	mtsi_watchdog_over_locked(server);
	mtsi_lock_release(&crew->lock);
	ck_assert(mtsi_crew_floor(server)->watchdog.armed);
	end_stint();
}
END_TEST

START_TEST(it_stays_awake_while_nobody_polls)
{
	const uint64_t now = mtsi_clock_now();
	const uint64_t due = look(now);
	ck_assert_uint_gt(due, now);
	ck_assert_uint_le(due, now + 2 * MTSI_MILLISECOND);
	ck_assert_uint_eq(look(now), due); /* it is not time yet */
}
END_TEST

/* Who begins sets the alarm; it is taken back when the stint is over soon. */
START_TEST(an_alarm_for_who_sleeps)
{
	(void)fall_asleep(mtsi_clock_now());
	begin_stint();
	ck_assert(mtsi_crew_floor(server)->watchdog.armed);
	end_stint();
	mtsi_lock_take(&crew->lock);
	mtsi_watchdog_quiet_locked(server);
	mtsi_lock_release(&crew->lock);
	ck_assert(!mtsi_crew_floor(server)->watchdog.armed);
	begin_stint();
	ck_assert(mtsi_crew_floor(server)->watchdog.armed);
	while (mtsi_crew_floor(server)->watchdog.asleep) { /* until it rings */
		mtsi_alarm_sleep(-1, -1, mtsi_crew_floor(server)->alarm, MTSI_NEVER);
		(void)look(mtsi_clock_now());
	}
	ck_assert(!mtsi_crew_floor(server)->watchdog.armed);
	end_stint();
}
END_TEST

/* Where no second thread may be had nobody is said to wait, as long as the one is counted on. */
START_TEST(nobody_waits_beside_one_that_serves)
{
	static mts_client other;
	struct mtsi_list line = {NULL, NULL, 0};
	mtsi_list_add(&line, &other);
	begin_stint();
	mtsi_lock_take(&crew->lock);
	mtsi_crew_floor(server)->watchdog.asleep = true;
	crew->width = 2;
	mtsi_crew_append_locked(crew, &line, mtsi_clock_now());
	struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	ck_assert_uint_eq(relief.waiting, 0);
	ck_assert(!relief.stand_in);
	mtsi_stint_stand_locked(worker, MTSI_AWAY);
	relief = mtsi_crew_relieve_locked(server);
	ck_assert_uint_eq(relief.waiting, 1);
	ck_assert(relief.stand_in);
	ck_assert_ptr_eq(mtsi_list_take(&crew->ready), &other);
	crew->waiting = 0;
	mtsi_lock_release(&crew->lock);
	end_stint();
}
END_TEST

START_TEST(who_waits_is_counted_on_no_more)
{
	employ(false);
	begin_stint();
	ck_assert_int_eq(worker->standing, MTSI_ACTIVE);
	(void)look(worker->since + 10 * MTSI_MICROSECOND); /* too early to say */
	ck_assert_int_eq(worker->standing, MTSI_ACTIVE);
	(void)look(worker->since + 10 * MTSI_MILLISECOND);
	if (mtsi_observe_state(&worker->observed) == MTSI_STATE_WAITS) {
		ck_assert_int_eq(worker->standing, MTSI_AWAY);
		ck_assert_uint_eq(crew->active_count, 0);
		ck_assert_uint_eq(crew->in_stint, 1);
		ck_assert_ptr_null(crew->active);
		ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_STALLS), 1);
		ck_assert(crew->stand_in || crew->short_until != 0);
	}
	(void)look(worker->since + 20 * MTSI_MILLISECOND);
	ck_assert_uint_le(mtsi_stats_read(server, MTS_STAT_STALLS), 1);
	end_stint();
	ck_assert_uint_eq(crew->in_stint, 0);
	dismiss();
}
END_TEST

/* Alone it is left alone; with somebody in line and no CPU to spare one more is let in after a while. */
START_TEST(who_computes_is_counted_on)
{
	employ(true);
	begin_stint();
	mtsi_crew_floor(server)->watchdog.cpus = 1;
	uint64_t now = worker->since + 10 * MTSI_MILLISECOND;
	(void)look(now);
	ck_assert_int_eq(worker->standing, MTSI_ACTIVE);
	mtsi_lock_take(&crew->lock);
	desk.client->ready_at = (uint32_t)(now / MTSI_MICROSECOND);
	mtsi_list_add(&crew->ready, desk.client);
	mtsi_lock_release(&crew->lock);
	(void)look(now += 2 * MTSI_MILLISECOND);
	ck_assert_int_eq(worker->standing, MTSI_ACTIVE);
	for (int i = 0; i < 10 && worker->standing == MTSI_ACTIVE; i++) {
		(void)look(now += 2 * MTSI_MILLISECOND);
	}
	ck_assert_int_eq(worker->standing, MTSI_LONG);
	ck_assert_uint_eq(crew->long_count, 1);
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_STALLS), 0);
	mtsi_lock_take(&crew->lock);
	ck_assert_ptr_eq(mtsi_list_take(&crew->ready), desk.client);
	crew->waiting = 0;
	mtsi_lock_release(&crew->lock);
	end_stint();
	ck_assert_uint_eq(crew->long_count, 0);
	ck_assert_ptr_null(crew->active);
	dismiss();
}
END_TEST

/*
 * Files of a thread that does not exist cannot be read. One that uses no CPU waits, as far as can be told,
 * since the process uses hardly any.
 */
START_TEST(who_seems_to_wait_is_counted_on_no_more)
{
	employ(false);
	mtsi_watchdog_begin(&mtsi_crew_floor(server)->watchdog);
	worker->observed.id = -1;
	begin_stint();
	wait_until(((void)look(mtsi_clock_now()), worker->standing == MTSI_AWAY));
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_STALLS), 1);
	ck_assert_uint_eq(mtsi_crew_floor(server)->watchdog.share, 0); /* a guess is not learned from */
	ck_assert_uint_eq(mtsi_crew_floor(server)->watchdog.blind.standing, 1);
	end_stint();
	ck_assert_uint_eq(mtsi_crew_floor(server)->watchdog.blind.standing, 0);
	dismiss();
}
END_TEST

/* But not where the process uses all the CPU time that it is allowed: then it may be without. */
START_TEST(who_may_be_without_cpu_is_counted_on)
{
	employ(false);
	mtsi_blind_begin(&mtsi_crew_floor(server)->watchdog.blind, 1, 1);
	mtsi_crew_floor(server)->watchdog.cpus = 1;
	worker->observed.id = -1;
	begin_stint();
	const uint64_t start = mtsi_clock_now();
	uint64_t now = start;
	while (now - start < 50 * MTSI_MILLISECOND) { /* this thread computes meanwhile */
		(void)look(now = mtsi_clock_now());
		ck_assert_int_ne(worker->standing, MTSI_AWAY);
	}
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_STALLS), 0);
	end_stint();
	dismiss();
}
END_TEST

/* After a pause of the whole process nobody has had any CPU time. */
START_TEST(nobody_is_suspected_after_a_pause)
{
	employ(false);
	mtsi_watchdog_begin(&mtsi_crew_floor(server)->watchdog);
	worker->observed.id = -1;
	begin_stint();
	uint64_t now = mtsi_clock_now();
	for (int i = 0; i < 20; i++) {
		(void)look(now += MTSI_SECOND);
		ck_assert_int_ne(worker->standing, MTSI_AWAY);
		poll(NULL, 0, 1);
	}
	end_stint();
	dismiss();
}
END_TEST

/* A call may outlast the time awake in which it began to be looked at: it says nothing any more. */
START_TEST(what_is_told_after_it_slept_does_not_count)
{
	uint64_t now = mtsi_clock_now();
	const unsigned before = mtsi_crew_floor(server)->watchdog.waking;
	mtsi_watchdog_sample(&mtsi_crew_floor(server)->watchdog, &(struct mtsi_sample){0, 0});
	(void)fall_asleep(now);
	ck_assert_uint_ne(mtsi_crew_floor(server)->watchdog.waking, before);
	struct mtsi_sample sample;
	mtsi_watchdog_sample(&mtsi_crew_floor(server)->watchdog, &sample);
	ck_assert_uint_eq(sample.waking, 0); /* nobody is looked at meanwhile */
	report(before, true);
	report(mtsi_crew_floor(server)->watchdog.waking, true);
	ck_assert_uint_eq(mtsi_crew_floor(server)->watchdog.share, 0);
	mtsi_crew_floor(server)->watchdog.asleep = false;
	report(before, true);
	ck_assert_uint_eq(mtsi_crew_floor(server)->watchdog.share, 0);
	(void)look(now += 2 * MTSI_SECOND);
	ck_assert(!crew->blocking);
	mtsi_watchdog_sample(&mtsi_crew_floor(server)->watchdog, &sample);
	ck_assert_uint_eq(sample.waking, mtsi_crew_floor(server)->watchdog.waking);
	report(sample.waking, true);
	ck_assert_uint_gt(mtsi_crew_floor(server)->watchdog.share, 1024 / 4);
}
END_TEST

/* Where no alarm can be set the watch does not sleep while it is needed. */
START_TEST(without_an_alarm_it_stays_awake)
{
	(void)fall_asleep(mtsi_clock_now());
	const int alarm_fd = mtsi_crew_floor(server)->alarm;
	mtsi_crew_floor(server)->alarm = -1;
	mtsi_base_floor(server)->wake = mtsi_wake_open();
	begin_stint();
	ck_assert(!mtsi_crew_floor(server)->watchdog.armed);
	ck_assert(!mtsi_crew_floor(server)->watchdog.asleep);
	if (mtsi_on_demand(server)) { /* and the keeper is told */
		ck_assert_int_eq(
			poll(&(struct pollfd){.fd = mtsi_base_floor(server)->wake, .events = POLLIN}, 1, 0), 1);
	}
	mtsi_crew_floor(server)->alarm = alarm_fd;
	end_stint();
}
END_TEST

/* A share of calls that wait, as it is reported, has handlers be taken for blocking; a look decides. */
START_TEST(it_learns)
{
	uint64_t now = mtsi_clock_now();
	report(mtsi_crew_floor(server)->watchdog.waking, true);
	(void)look(now += 10 * MTSI_MILLISECOND);
	ck_assert(crew->blocking);
	begin_stint();
	ck_assert_int_eq(worker->standing, MTSI_AWAY);
	end_stint();
	report(mtsi_crew_floor(server)->watchdog.waking, false);
	(void)look(now += 10 * MTSI_MILLISECOND);
	ck_assert(!crew->blocking);
	ck_assert_uint_lt(mtsi_crew_floor(server)->watchdog.share, 1024 / 8);
	begin_stint();
	ck_assert_int_eq(worker->standing, MTSI_ACTIVE);
	end_stint();
}
END_TEST

/* Where handlers wait, it sleeps only when requests have been few for a while; elsewhere at once. */
START_TEST(what_is_learned_outlasts_a_burst)
{
	uint64_t now = mtsi_clock_now();
	for (int learned = 1; learned >= 0; learned--) {
		set_pollers(0);
		mtsi_crew_floor(server)->watchdog.asleep = false;
		report(mtsi_crew_floor(server)->watchdog.waking, learned == 1);
		(void)look(now += MTSI_SECOND);
		ck_assert_int_eq(crew->blocking, learned);
		for (int i = 0; i < 100; i++) {
			begin_stint();
			end_stint();
		}
		set_pollers(1);
		(void)look(now += 10 * MTSI_MILLISECOND);
		const uint64_t burst = now;
		while (!mtsi_crew_floor(server)->watchdog.asleep) {
			ck_assert_int_eq(crew->blocking, learned);
			(void)look(now += MTSI_MILLISECOND);
		}
		ck_assert_int_eq(now - burst >= 50 * MTSI_MILLISECOND, learned);
		ck_assert_uint_le(now - burst, 55 * MTSI_MILLISECOND);
		ck_assert(!crew->blocking);
	}
}
END_TEST

/* What waits in a call of the library is relieved at once, and not counted on before its next stint. */
START_TEST(stepping_aside)
{
	for (int i = 0; i < 2; i++) {
		begin_stint();
		ck_assert_int_eq(worker->standing, MTSI_ACTIVE);
		mtsi_stint_step_aside(worker);
		ck_assert_int_eq(worker->standing, MTSI_AWAY);
		ck_assert_uint_eq(crew->active_count, 0);
		ck_assert(worker->stood_aside);
		mtsi_stint_step_aside(worker);
		ck_assert_int_eq(worker->standing, MTSI_AWAY);
		ck_assert_uint_eq(crew->in_stint, 1);
		end_stint();
	}
	ck_assert_uint_eq(mtsi_stats_read(server, MTS_STAT_STALLS), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("watch");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, it_sleeps_when_there_is_nobody);
	tcase_add_test(cases, it_stays_awake_while_nobody_polls);
	tcase_add_test(cases, an_alarm_for_who_sleeps);
	tcase_add_test(cases, two_poll_while_requests_come_now_and_then);
	tcase_add_test(cases, no_alarm_while_somebody_polls);
	tcase_add_test(cases, nobody_waits_beside_one_that_serves);
	tcase_add_test(cases, who_waits_is_counted_on_no_more);
	if (!under_valgrind()) { /* where one that computes may wait for its turn */
		tcase_add_test(cases, who_computes_is_counted_on);
	}
	tcase_add_test(cases, who_seems_to_wait_is_counted_on_no_more);
	tcase_add_test(cases, who_may_be_without_cpu_is_counted_on);
	tcase_add_test(cases, nobody_is_suspected_after_a_pause);
	tcase_add_test(cases, what_is_told_after_it_slept_does_not_count);
	tcase_add_test(cases, without_an_alarm_it_stays_awake);
	tcase_add_test(cases, it_learns);
	tcase_add_test(cases, what_is_learned_outlasts_a_burst);
	tcase_add_test(cases, stepping_aside);
	return suite_run_once();
}
