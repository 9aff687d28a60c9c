/* SPDX-License-Identifier: MIT
 *
 * timerfd_create(2) and ppoll(2): sleeping with nanoseconds, where epoll_wait(2) has milliseconds.
 * A signal may end a sleep early, and so may other things: the caller looks at its clock anyway. So
 * when the system denies the sleep (in a sandbox, or because RLIMIT_NOFILE allows fewer descriptors
 * than are polled here), a short pause takes its place. If it cannot be told whether an alarm has
 * rung, it counts as rung, after a pause, since it may be what has ended the sleep.
 */
#include "os/alarm.h"

#include <errno.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/pause.h"

static struct timespec span_of(uint64_t nanoseconds)
{
	const struct timespec span = {
		.tv_sec = (time_t)(nanoseconds / MTSI_SECOND),
		.tv_nsec = (long)(nanoseconds % MTSI_SECOND),
	};
	return span;
}

int mtsi_alarm_open(void)
{
	const int alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return alarm < 0 ? -errno : alarm;
}

bool mtsi_alarm_set(int alarm, uint64_t span)
{
	const struct itimerspec when = {.it_value = span_of(span)};
	return timerfd_settime(alarm, 0, &when, NULL) == 0;
}

bool mtsi_alarm_rang(int alarm)
{
	uint64_t times;
	if (read(alarm, &times, sizeof(times)) == (ssize_t)sizeof(times)) {
		return true;
	}
	const bool unknown = errno != EAGAIN && errno != EINTR;
	if (unknown) {
		mtsi_pause_instead();
	}
	return unknown;
}

void mtsi_alarm_sleep(int wake, int poll, int alarm, uint64_t deadline)
{
	struct pollfd wanted[] = {
		{.fd = wake, .events = POLLIN}, {.fd = alarm, .events = POLLIN},
		{.fd = poll, .events = POLLIN}, /* poll(2) passes over a negative one */
	};
	struct timespec span;
	const struct timespec *timeout = NULL;
	uint64_t left = MTSI_NEVER;
	if (deadline != MTSI_NEVER) {
		const uint64_t now = mtsi_clock_now();
		left = deadline > now ? deadline - now : 0;
		span = span_of(left);
		timeout = &span;
	}
	if (ppoll(wanted, 3, timeout, NULL) < 0 && errno != EINTR) {
		mtsi_pause_instead_for(left);
	}
}
