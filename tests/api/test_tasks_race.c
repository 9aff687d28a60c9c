/* SPDX-License-Identifier: MIT
 *
 * Tasks that many threads add and cancel at once, up to the stop and beyond it.
 */
#include <errno.h>

#include "support.h"

enum { THREADS = 8, ROUNDS = 300 };

/* One task: what became of it. */
struct errand {
	_Atomic int runs;
	_Atomic int cancelled; /* a cancel has returned 0, so it must not run any more */
};

static struct errand errands[THREADS][ROUNDS];
static _Atomic int too_late; /* runs after that */
static _Atomic int total;
static _Atomic int added;
static _Atomic int refused; /* what was added after the stop */

static void setup(void)
{
	too_late = total = added = refused = 0;
	for (int i = 0; i < THREADS; i++) {
		for (int n = 0; n < ROUNDS; n++) {
			errands[i][n].runs = errands[i][n].cancelled = 0;
		}
	}
}

static void run_errand(mts_server *server, void *user)
{
	struct errand *errand = user;
	(void)server;
	too_late += errand->cancelled;
	errand->runs++;
	total++;
}

struct racer {
	pthread_t thread;
	mts_server *server;
	struct errand *errands;
	bool cancels;
	int lost; /* neither cancelled in time, nor run, nor refused */
};

static void *race(void *argument)
{
	struct racer *racer = argument;
	for (int n = 0; n < ROUNDS; n++) {
		struct errand *errand = &racer->errands[n];
		const unsigned ms = (unsigned)n % 3;
		const int64_t task = n % 2 == 0 || ms == 0
			? mts_server_after(racer->server, ms, run_errand, errand)
			: mts_server_every(racer->server, ms, run_errand, errand);
		if (task == -ECANCELED) {
			refused++;
			continue;
		}
		added++;
		if (!racer->cancels) {
			continue;
		}
		for (int i = n % 7 * 200; i > 0; i--) {
			(void)now_us();
		}
		const int result = mts_server_cancel(racer->server, task);
		if (result == 0) {
			errand->cancelled = 1;
		} else if (result == -ENOENT) {
			racer->lost += errand->runs == 0 ? 1 : 0;
		}
	}
	return NULL;
}

static void begin(struct racer *racers, mts_server *server, bool cancels)
{
	for (int i = 0; i < THREADS; i++) {
		racers[i].server = server;
		racers[i].errands = errands[i];
		racers[i].cancels = cancels;
		racers[i].lost = 0;
		ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
}

static void finish(struct racer *racers)
{
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(racers[i].thread, NULL), 0);
		ck_assert_int_eq(racers[i].lost, 0);
	}
}

/* A task that was cancelled in time does not run; one that was not has run, or does. */
START_TEST(cancel_against_start)
{
	struct racer racers[THREADS];
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	begin(racers, server, true);
	finish(racers);
	server_end(server);
	ck_assert_int_eq(too_late, 0);
	ck_assert_int_eq(refused, 0);
}
END_TEST

/* The stop comes while tasks are added, run and cancelled: when join has returned none runs any more. */
START_TEST(the_stop_against_all)
{
	for (int round = 0; round < 10; round++) {
		struct racer racers[THREADS];
		setup();
		mts_server *server = server_new(answer_echo, NULL);
		server_start(server);
		begin(racers, server, round % 2 == 0);
		wait_until(added >= 200 * round);
		mts_server_stop(server);
		ck_assert_int_eq(mts_server_join(server), 0);
		const int after = total;
		finish(racers);
		ck_assert_int_eq(mts_server_after(server, 0, run_errand, errands[0]), -ECANCELED);
		ck_assert_int_eq(mts_server_destroy(server), 0);
		ck_assert_int_eq(total, after);
		ck_assert_int_eq(too_late, 0);
	}
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("tasks_race");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, cancel_against_start);
	tcase_add_test(tcase, the_stop_against_all);
	return suite_run();
}
