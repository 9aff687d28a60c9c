/* SPDX-License-Identifier: MIT
 *
 * What is watched is reported with its tag, waits end when they should, and the wake-up descriptor
 * wakes, from signal handlers too.
 */
#include "os/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../api/support.h"
#include "os/clock.h"

enum { MANY = 100, ROOM = 128 };

static int epoll;
static int pair[2];

static void setup(void)
{
	epoll = mtsi_poll_open();
	ck_assert_int_ge(epoll, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void teardown(void)
{
	close(pair[0]);
	close(pair[1]);
	close(epoll);
}

static int look(struct epoll_event *events, int room)
{
	return mtsi_poll_wait(epoll, events, room, 0);
}

START_TEST(descriptors_are_not_inherited)
{
	const int wake = mtsi_wake_open();
	ck_assert_int_ne(fcntl(epoll, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(wake, F_GETFD) & FD_CLOEXEC, 0);
	close(wake);
}
END_TEST

START_TEST(events_have_their_tag)
{
	struct epoll_event event;
	const uint64_t tags[] = {0, 1, UINT64_C(1) << 24, UINT64_MAX};
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		ck_assert_int_eq(mtsi_poll_add(epoll, pair[0], MTSI_POLL_OUT, tags[i]), 0);
		ck_assert_int_eq(look(&event, 1), 1);
		ck_assert_uint_eq(event.data.u64, tags[i]);
		ck_assert_uint_eq(event.events, MTSI_POLL_OUT);
		ck_assert_int_eq(mtsi_poll_change(epoll, pair[0], MTSI_POLL_IN, 7), 0);
		ck_assert_int_eq(look(&event, 1), 0);
		ck_assert_int_eq(write(pair[1], "x", 1), 1);
		ck_assert_int_eq(look(&event, 1), 1);
		ck_assert_uint_eq(event.data.u64, 7);
		ck_assert_int_eq(look(&event, 1), 1); /* it is still so */
		mtsi_poll_remove(epoll, pair[0]);
		ck_assert_int_eq(look(&event, 1), 0);
		ck_assert_int_eq(read(pair[0], &(char){0}, 1), 1);
	}
}
END_TEST

/* An edge is reported once; nothing watched, nothing reported. */
START_TEST(edges_and_nothing)
{
	struct epoll_event event;
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	ck_assert_int_eq(mtsi_poll_add(epoll, pair[0], 0, 1), 0);
	ck_assert_int_eq(look(&event, 1), 0);
	ck_assert_int_eq(mtsi_poll_change(epoll, pair[0], MTSI_POLL_IN | MTSI_POLL_EDGE, 1), 0);
	ck_assert_int_eq(look(&event, 1), 1);
	ck_assert_int_eq(look(&event, 1), 0);
	ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
	ck_assert_int_eq(mtsi_poll_change(epoll, pair[0], MTSI_POLL_RDHUP | MTSI_POLL_EDGE, 1), 0);
	ck_assert_int_eq(look(&event, 1), 1);
	ck_assert_uint_ne(event.events & MTSI_POLL_RDHUP, 0);
}
END_TEST

START_TEST(errors_are_told)
{
	const int file = open("/dev/null", O_RDONLY);
	ck_assert_int_eq(mtsi_poll_add(epoll, -1, MTSI_POLL_IN, 1), -EBADF);
	ck_assert_int_eq(mtsi_poll_add(epoll, epoll, MTSI_POLL_IN, 1), -EINVAL);
	ck_assert_int_eq(mtsi_poll_change(epoll, pair[0], MTSI_POLL_IN, 1), -ENOENT);
	ck_assert_int_eq(mtsi_poll_add(epoll, pair[0], MTSI_POLL_IN, 1), 0);
	ck_assert_int_eq(mtsi_poll_add(epoll, pair[0], MTSI_POLL_IN, 1), -EEXIST);
	mtsi_poll_remove(epoll, pair[0]);
	mtsi_poll_remove(epoll, pair[0]);
	mtsi_poll_remove(epoll, -1);
	close(file);
}
END_TEST

/* More are ready than there is room for, and than one wait takes: the others come with the next. */
START_TEST(none_is_left_out)
{
	int fds[MANY];
	struct epoll_event events[ROOM];
	int seen[MANY] = {0};
	for (int i = 0; i < MANY; i++) {
		fds[i] = mtsi_wake_open();
		ck_assert_int_eq(
			mtsi_poll_add(epoll, fds[i], MTSI_POLL_IN | MTSI_POLL_EDGE, (uint64_t)i), 0);
		mtsi_wake_up(fds[i]);
	}
	int rooms[] = {1, 10, ROOM, ROOM, ROOM};
	int all = 0;
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		const int count = look(events, rooms[i]);
		ck_assert_int_le(count, rooms[i]);
		for (int j = 0; j < count; j++) {
			ck_assert_int_eq(seen[events[j].data.u64]++, 0);
		}
		all += count;
	}
	ck_assert_int_eq(all, MANY);
	for (int i = 0; i < MANY; i++) {
		close(fds[i]);
	}
}
END_TEST

START_TEST(waits_are_never_too_short)
{
	static const uint64_t spans[] = {
		0, 1, MTSI_MILLISECOND - 1, MTSI_MILLISECOND, 3 * MTSI_MILLISECOND + 1};
	struct epoll_event event;
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		const uint64_t deadline = mtsi_clock_after(mtsi_clock_now(), spans[i]);
		ck_assert_int_eq(mtsi_poll_wait(epoll, &event, 1, deadline), 0);
		ck_assert_uint_ge(mtsi_clock_now(), deadline);
	}
}
END_TEST

static void *wake_late(void *wake)
{
	poll(NULL, 0, 2);
	mtsi_wake_up(*(const int *)wake);
	return NULL;
}

/* So far off that the kernel's milliseconds cannot say it. */
START_TEST(far_deadlines)
{
	static const uint64_t deadlines[] = {
		MTSI_NEVER, MTSI_NEVER - 1, MTSI_NEVER / 2, UINT64_C(1) << 62};
	int wake = mtsi_wake_open();
	ck_assert_int_eq(mtsi_poll_add(epoll, wake, MTSI_POLL_IN, 1), 0);
	for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
		struct epoll_event event;
		pthread_t waker;
		ck_assert_int_eq(pthread_create(&waker, NULL, wake_late, &wake), 0);
		ck_assert_int_eq(mtsi_poll_wait(epoll, &event, 1, deadlines[i]), 1);
		mtsi_wake_clear(wake);
		ck_assert_int_eq(pthread_join(waker, NULL), 0);
	}
	close(wake);
}
END_TEST

static void ignore(int number)
{
	(void)number;
}

START_TEST(a_signal_ends_the_wait)
{
	const struct sigaction action = {.sa_handler = ignore};
	const struct itimerval often = {{0, 5000}, {0, 5000}};
	struct epoll_event event;
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	ck_assert_int_eq(mtsi_poll_wait(epoll, &event, 1, MTSI_NEVER), 0);
}
END_TEST

/* The system denies the wait, or what has woken: that is said, and loops around it do not spin. */
START_TEST(without_a_descriptor)
{
	struct epoll_event event;
	const uint64_t start = mtsi_clock_now();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(mtsi_poll_wait(-1, &event, 1, 0), -EBADF);
		mtsi_wake_clear(-1);
	}
	ck_assert_uint_ge(mtsi_clock_now() - start, 12 * MTSI_MILLISECOND);
	errno = E2BIG;
	mtsi_wake_up(-1);
	ck_assert_int_eq(errno, E2BIG);
}
END_TEST

/* Many wake-ups are one; a full counter changes nothing, and errno stays. */
START_TEST(wake_ups)
{
	const int wake = mtsi_wake_open();
	const uint64_t nearly_full = UINT64_MAX - 1;
	struct epoll_event event;
	ck_assert_int_eq(mtsi_poll_add(epoll, wake, MTSI_POLL_IN, 1), 0);
	ck_assert_int_eq(look(&event, 1), 0);
	mtsi_wake_clear(wake);
	for (int i = 0; i < 1000; i++) {
		mtsi_wake_up(wake);
	}
	ck_assert_int_eq(look(&event, 1), 1);
	mtsi_wake_clear(wake);
	ck_assert_int_eq(look(&event, 1), 0);
	ck_assert_int_eq(write(wake, &nearly_full, sizeof(nearly_full)), sizeof(nearly_full));
	errno = EDOM;
	mtsi_wake_up(wake);
	ck_assert_int_eq(errno, EDOM);
	ck_assert_int_eq(look(&event, 1), 1);
	mtsi_wake_clear(wake);
	ck_assert_int_eq(look(&event, 1), 0);
	close(wake);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("poll");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, descriptors_are_not_inherited);
	tcase_add_test(cases, events_have_their_tag);
	tcase_add_test(cases, edges_and_nothing);
	tcase_add_test(cases, errors_are_told);
	tcase_add_test(cases, none_is_left_out);
	tcase_add_test(cases, waits_are_never_too_short);
	tcase_add_test(cases, far_deadlines);
	tcase_add_test(cases, a_signal_ends_the_wait);
	tcase_add_test(cases, without_a_descriptor);
	tcase_add_test(cases, wake_ups);
	return suite_run_once();
}
