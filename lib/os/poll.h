/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_POLL_H
#define MTSI_OS_POLL_H

#include <stdint.h>
#include <sys/epoll.h>

/* What can be watched for; a set of these, 0 for nothing. */
#define MTSI_POLL_IN ((uint32_t)EPOLLIN)
#define MTSI_POLL_OUT ((uint32_t)EPOLLOUT)
#define MTSI_POLL_RDHUP ((uint32_t)EPOLLRDHUP)
#define MTSI_POLL_PRI ((uint32_t)EPOLLPRI)
#define MTSI_POLL_HUP ((uint32_t)EPOLLHUP) /* reported in any case, as is the next */
#define MTSI_POLL_ERR ((uint32_t)EPOLLERR)
#define MTSI_POLL_EDGE ((uint32_t)EPOLLET)

/*
 * What has happened is said in epoll's own struct, so that nothing is copied: `events` is a set of
 * these, and perhaps more; `data.u64` is the tag that was given when the descriptor was added.
 */

/* A new epoll instance, or a negative errno value. */
int mtsi_poll_open(void);

/* Adds a descriptor: 0 or a negative errno value. */
int mtsi_poll_add(int poll, int fd, uint32_t events, uint64_t tag);

/* Changes the events for which a descriptor is watched: 0 or a negative errno value. */
int mtsi_poll_change(int poll, int fd, uint32_t events, uint64_t tag);

/* Takes a descriptor out. */
void mtsi_poll_remove(int poll, int fd);

/*
 * Waits for events until `deadline` (never less; MTSI_NEVER: for ever; a time that has passed: only
 * looks). Returns how many there were, at most `room`; 0 also when a signal came; or, after a
 * pause, a negative errno value when the system denies the wait.
 */
int mtsi_poll_wait(int poll, struct epoll_event *events, int room, uint64_t deadline);

/* A descriptor that wakes a thread that polls it; or a negative errno value. */
int mtsi_wake_open(void);

/* Async-signal-safe; keeps errno. */
void mtsi_wake_up(int wake);

/* Takes the wake-ups that have come so far; where that is denied, pauses. */
void mtsi_wake_clear(int wake);

#endif
