/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_NOTIFY_H
#define MTSI_OS_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/*
 * Telling a service manager how this process does (sd_notify(3)): lines of NAME=VALUE, in a datagram
 * to a socket that it names in the environment.
 */
struct mtsi_notify_place {
	struct sockaddr_un name;
	socklen_t size;
};

/*
 * Reads NOTIFY_SOCKET: 1, and `*place`; 0: it is not set (NULL), so nobody wants to be told; or -EINVAL,
 * -ENAMETOOLONG or -EAFNOSUPPORT, with a static clause in `*why`.
 */
int mtsi_notify_place(const char *text, struct mtsi_notify_place *place, const char **why);

/*
 * Reads WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3)): 1, and in `*period`, in nanoseconds,
 * how often the process `self` has to say that it gets on; 0: it need not; or -EINVAL, with a static
 * clause in `*why`.
 */
int mtsi_notify_period(
	const char *usec, const char *pid, pid_t self, uint64_t *period, const char **why);

/* Both, as the environment of this process has it; `*period` is 0 where there is none. */
int mtsi_notify_get(struct mtsi_notify_place *place, uint64_t *period, const char **why);

/* A socket to send from, close-on-exec: a descriptor or a negative errno value. */
int mtsi_notify_open(void);
void mtsi_notify_close(int fd);

/*
 * Sends one text, and never waits for room: 1; -EAGAIN: there is none at the moment; or another negative
 * errno value. From the first time on the place is found again even if its path leads elsewhere now.
 */
int mtsi_notify_send(int fd, const struct mtsi_notify_place *place, const char *text);

/* All in one: 1, 0 if nobody wants to be told, or a negative errno value. */
int mtsi_notify_once(const char *text);

#endif
