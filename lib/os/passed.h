/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_PASSED_H
#define MTSI_OS_PASSED_H

#include <sys/types.h>

/*
 * What a service manager says in the environment about the sockets that it has passed
 * (sd_listen_fds(3)). NULL: that variable is not set. Nothing is ever changed there.
 */
struct mtsi_passed {
	const char *pid; /* LISTEN_PID: to which process */
	const char *count; /* LISTEN_FDS: how many, from descriptor 3 on */
	const char *names; /* LISTEN_FDNAMES: one for each, with colons between them */
	int next; /* the next one to be looked at, and the end of them */
	int end;
};

/* Reads the environment of this process. */
void mtsi_passed_get(struct mtsi_passed *passed);

/*
 * Goes to the first of those with the name `name`, "" for all, if they were passed to the process
 * `self`: 0, and at least one follows. -ENOENT: there is none; -EINVAL: what is said cannot be
 * understood. On failure `*why` is a static clause.
 */
int mtsi_passed_begin(struct mtsi_passed *passed, pid_t self, const char *name, const char **why);

/* The next descriptor of that name; -1: no more. */
int mtsi_passed_next(struct mtsi_passed *passed, const char *name);

/*
 * Whether clients can be accepted there: 0; -EBADF, -ENOTSOCK or -EINVAL, with a static clause in
 * `*why`; or another error, with NULL there.
 */
int mtsi_passed_fits(int fd, const char **why);

/*
 * Notes that it is taken, for as long as this process lives: 0; -EBUSY when it was taken before, with a
 * static clause in `*why`; -EMFILE when its number is too large. Any thread.
 */
int mtsi_passed_take(int fd, const char **why);

/* It was not taken after all. Who has taken it. */
void mtsi_passed_put_back(int fd);

#endif
