/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_ALARM_H
#define MTSI_OS_ALARM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * An alarm that one thread sets and another one sleeps for (timerfd_create(2)). Its descriptor, or
 * a negative errno value.
 */
int mtsi_alarm_open(void);

/*
 * Rings once, `span` nanoseconds from now; 0: not at all. In place of what was set before. False:
 * the system denies it, and all is as it was.
 */
bool mtsi_alarm_set(int alarm, uint64_t span);

/*
 * Whether it has rung since it was set, or since the last time this was asked. Where that cannot be
 * told it has, after a pause.
 */
bool mtsi_alarm_rang(int alarm);

/*
 * Sleeps until the wake descriptor or the epoll instance (os/poll.h; -1: none) or the alarm says
 * something, or until `deadline`. It may end early, and where the system denies it, it does after
 * some milliseconds.
 */
void mtsi_alarm_sleep(int wake, int poll, int alarm, uint64_t deadline);

#endif
