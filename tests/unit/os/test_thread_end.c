/* SPDX-License-Identifier: MIT
 *
 * The end of a thread is known, also when the program has detached it; and a thread that is ended in the
 * middle of something has that put right.
 */
#include "os/thread_end.h"

#include <errno.h>

#include "../../api/support.h"
#include "os/clock.h"
#include "os/thread.h"

enum { STACK = 64 * 1024 };

static struct gate noted;
static struct gate may_end;
static struct gate destroyed;
static pthread_key_t key;

struct ender {
	struct mtsi_thread_end end;
	bool detach; /* before the end is noted */
	bool detach_late; /* and afterwards */
	bool last; /* it has come to its end */
};

static void destructor(void *value)
{
	(void)value;
	gate_wait(&may_end, 1);
	gate_add(&destroyed);
}

static void setup(void)
{
	noted = may_end = destroyed = (struct gate)GATE;
	ck_assert_int_eq(pthread_key_create(&key, destructor), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(pthread_key_delete(key), 0);
}

/* What follows the note is a destructor of the program's. */
static void *body(void *argument)
{
	struct ender *ender = argument;
	ck_assert_int_eq(pthread_setspecific(key, &key), 0);
	if (ender->detach) {
		ck_assert_int_eq(pthread_detach(pthread_self()), 0);
	}
	mtsi_thread_end_note(&ender->end);
	if (ender->detach_late) {
		ck_assert_int_eq(pthread_detach(pthread_self()), 0);
	}
	gate_add(&noted);
	ender->last = true;
	mtsi_thread_end_reached();
	return NULL;
}

static struct ender ender;

static void start(bool detach, bool detach_late)
{
	pthread_t thread;
	ender = (struct ender){.detach = detach, .detach_late = detach_late};
	ck_assert_int_eq(mtsi_thread_start(&thread, STACK, body, &ender), 0);
	gate_wait(&noted, 1);
}

/* 0: joinable, 1: detached. */
START_TEST(waited_for_until_it_has_ended)
{
	start(_i == 1, false);
	ck_assert_int_eq(ender.end.detached, _i == 1);
	ck_assert(!mtsi_thread_ended(&ender.end));
	const uint64_t soon = mtsi_clock_after(mtsi_clock_now(), 5 * MTSI_MILLISECOND);
	ck_assert(!mtsi_thread_ended_until(&ender.end, soon));
	ck_assert_uint_ge(mtsi_clock_now(), soon);
	ck_assert_int_eq(gate_count(&destroyed), 0);
	gate_add(&may_end);
	ck_assert(mtsi_thread_ended_until(&ender.end, MTSI_NEVER));
	ck_assert(ender.last);
	ck_assert_int_eq(gate_count(&destroyed), 1);
}
END_TEST

/* It cannot be joined while it runs, and that is an answer. Not to the thread sanitizer, which gives up. */
#ifndef __SANITIZE_THREAD__
START_TEST(detached_after_the_note)
{
	start(false, true);
	ck_assert(!ender.end.detached);
	ck_assert(!mtsi_thread_ended(&ender.end));
	gate_add(&may_end);
	gate_wait(&destroyed, 1);
}
END_TEST
#endif

static struct gate bodies;
static struct gate rescues;

static void exit_once(void *argument)
{
	gate_add(&bodies);
	if (*(int *)argument > 0) {
		pthread_exit(NULL);
	}
}

static void rescue(void *argument);

static void exit_again(void *argument)
{
	if (--*(int *)argument > 0) {
		pthread_exit(NULL);
	}
}

static void rescue(void *argument)
{
	gate_add(&rescues);
	if (*(int *)argument > 0) {
		mtsi_thread_guard(exit_again, rescue, argument);
	}
}

static void *guarded(void *argument)
{
	mtsi_thread_guard(exit_once, rescue, argument);
	return argument;
}

/* How often it exits: never, in what is guarded, and again while that is put right. */
START_TEST(guarded_against_its_end)
{
	pthread_t thread;
	void *result = NULL;
	int exits = _i;
	bodies = rescues = (struct gate)GATE;
	ck_assert_int_eq(mtsi_thread_start(&thread, STACK, guarded, &exits), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, _i == 0 ? &exits : NULL);
	ck_assert_int_eq(gate_count(&bodies), 1);
	ck_assert_int_ge(gate_count(&rescues), _i);
	ck_assert_int_eq(exits, 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("thread_end");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, waited_for_until_it_has_ended, 0, 2);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(cases, detached_after_the_note);
#endif
	tcase_add_loop_test(cases, guarded_against_its_end, 0, 3);
	return suite_run_once();
}
