/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_ALARM_H
#define MTSI_OS_ALARM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * An alarm that one thread sets and another one sleeps for (timerfd_create(2)). Opens it: its
 * descriptor, or a negative errno value.
 */
int mtsi_alarm_open(void);

/*
 * Sets it to ring once, `span` nanoseconds from now; 0: not at all. This replaces what was set
 * before. False: the system denies it, and nothing has changed.
 */
bool mtsi_alarm_set(int alarm, uint64_t span);

/*
 * Whether it has rung since it was set, or since this was last asked. If that cannot be told: true,
 * after a pause.
 */
bool mtsi_alarm_rang(int alarm);

/*
 * Sleeps until the wake descriptor, the epoll instance (os/poll.h; -1: none) or the alarm reports
 * something, or until `deadline`. The sleep may end early; where the system denies it, it ends
 * after some milliseconds.
 */
void mtsi_alarm_sleep(int wake, int poll, int alarm, uint64_t deadline);

#endif
