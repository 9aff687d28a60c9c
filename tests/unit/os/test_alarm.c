/* SPDX-License-Identifier: MIT
 *
 * An alarm rings once, when it is due, unless it is taken back; and a sleep ends with whatever comes first.
 */
#include "os/alarm.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../api/support.h"
#include "os/clock.h"
#include "os/poll.h"

static int alarm_fd;
static int wake;
static int epoll;

static void setup(void)
{
	alarm_fd = mtsi_alarm_open();
	wake = mtsi_wake_open();
	epoll = mtsi_poll_open();
	ck_assert(alarm_fd >= 0 && wake >= 0 && epoll >= 0);
}

static void teardown(void)
{
	close(alarm_fd);
	close(wake);
	close(epoll);
}

START_TEST(it_is_not_inherited)
{
	ck_assert_int_ne(fcntl(alarm_fd, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(it_rings_once)
{
	const uint64_t start = mtsi_clock_now();
	ck_assert(!mtsi_alarm_rang(alarm_fd));
	mtsi_alarm_set(alarm_fd, 5 * MTSI_MILLISECOND);
	while (!mtsi_alarm_rang(alarm_fd)) {
		mtsi_alarm_sleep(wake, -1, alarm_fd, MTSI_NEVER);
	}
	ck_assert_uint_ge(mtsi_clock_now() - start, 5 * MTSI_MILLISECOND);
	mtsi_alarm_sleep(wake, -1, alarm_fd, start + 20 * MTSI_MILLISECOND);
	ck_assert(!mtsi_alarm_rang(alarm_fd));
}
END_TEST

START_TEST(it_can_be_taken_back)
{
	const uint64_t start = mtsi_clock_now();
	mtsi_alarm_set(alarm_fd, 3600 * MTSI_SECOND);
	mtsi_alarm_set(alarm_fd, 0);
	mtsi_alarm_sleep(wake, -1, alarm_fd, start + 5 * MTSI_MILLISECOND);
	ck_assert_uint_ge(mtsi_clock_now(), start + 5 * MTSI_MILLISECOND);
	ck_assert(!mtsi_alarm_rang(alarm_fd));
}
END_TEST

/* Also when it has rung already, and nobody has looked. */
START_TEST(a_late_one_can_be_taken_back)
{
	mtsi_alarm_set(alarm_fd, 1);
	mtsi_alarm_sleep(wake, -1, alarm_fd, MTSI_NEVER);
	mtsi_alarm_set(alarm_fd, 0);
	ck_assert(!mtsi_alarm_rang(alarm_fd));
}
END_TEST

START_TEST(the_last_setting_counts)
{
	mtsi_alarm_set(alarm_fd, 3600 * MTSI_SECOND);
	mtsi_alarm_set(alarm_fd, MTSI_MICROSECOND);
	mtsi_alarm_sleep(wake, -1, alarm_fd, MTSI_NEVER);
	ck_assert(mtsi_alarm_rang(alarm_fd));
}
END_TEST

/* A deadline in the past is no sleep; a wake-up from before ends it at once, until it is cleared. */
START_TEST(sleep_ends)
{
	mtsi_alarm_sleep(wake, -1, alarm_fd, 0);
	mtsi_wake_up(wake);
	mtsi_alarm_sleep(wake, -1, alarm_fd, MTSI_NEVER);
	mtsi_alarm_sleep(wake, -1, alarm_fd, MTSI_NEVER);
	mtsi_wake_clear(wake);
	const uint64_t start = mtsi_clock_now();
	mtsi_alarm_sleep(wake, -1, alarm_fd, start + 100 * MTSI_MICROSECOND);
	ck_assert_uint_ge(mtsi_clock_now(), start + 100 * MTSI_MICROSECOND);
}
END_TEST

/* The epoll instance ends it only when it is asked for. */
START_TEST(sleep_ends_with_an_event)
{
	const int other = mtsi_wake_open();
	ck_assert_int_eq(mtsi_poll_add(epoll, other, MTSI_POLL_IN, 1), 0);
	mtsi_wake_up(other);
	mtsi_alarm_sleep(wake, epoll, alarm_fd, MTSI_NEVER);
	const uint64_t start = mtsi_clock_now();
	mtsi_alarm_sleep(wake, -1, alarm_fd, start + MTSI_MILLISECOND);
	ck_assert_uint_ge(mtsi_clock_now(), start + MTSI_MILLISECOND);
	close(other);
}
END_TEST

/*
 * The system denies it: what cannot be set says so, what cannot be asked has rung, and a sleep is a short
 * one. Such a number is no descriptor.
 */
START_TEST(none_at_all)
{
	const uint64_t start = mtsi_clock_now();
	ck_assert(!mtsi_alarm_set(-1, MTSI_MILLISECOND));
	for (int i = 0; i < 5; i++) {
		ck_assert(mtsi_alarm_rang(-1)); /* after a pause, since it ends each sleep */
	}
	ck_assert_uint_ge(mtsi_clock_now() - start, 10 * MTSI_MILLISECOND);
}
END_TEST

/* Fewer descriptors are allowed than are polled: poll(2). */
START_TEST(with_a_low_limit_of_descriptors)
{
	struct pollfd three[3] = {{.fd = -1}, {.fd = -1}, {.fd = -1}};
	struct rlimit before;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit none = {(rlim_t)_i, before.rlim_max};
	if (setrlimit(RLIMIT_NOFILE, &none) != 0 || poll(three, 3, 0) == 0) {
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		printf("alarm: skipped, since the limit does not bind here\n"); /* under valgrind */
		return;
	}
	const uint64_t start = mtsi_clock_now();
	for (int i = 0; i < 5; i++) {
		mtsi_alarm_sleep(wake, -1, alarm_fd, MTSI_NEVER);
	}
	ck_assert_uint_ge(mtsi_clock_now() - start, 10 * MTSI_MILLISECOND);
	mtsi_alarm_sleep(wake, -1, alarm_fd, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("alarm");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, it_is_not_inherited);
	tcase_add_test(cases, it_rings_once);
	tcase_add_test(cases, it_can_be_taken_back);
	tcase_add_test(cases, a_late_one_can_be_taken_back);
	tcase_add_test(cases, the_last_setting_counts);
	tcase_add_test(cases, sleep_ends);
	tcase_add_test(cases, sleep_ends_with_an_event);
	tcase_add_test(cases, none_at_all);
	tcase_add_loop_test(cases, with_a_low_limit_of_descriptors, 0, 3);
	return suite_run_once();
}
