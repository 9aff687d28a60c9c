/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_SENDFILE_H
#define MTSI_OS_SENDFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/sigpipe.h"

/*
 * Sends at most `count` bytes of the file `fd` from `offset`, without a copy where the kernel can.
 * Returns how many the socket has taken; 0 at the end of the file; -EAGAIN when the socket, which
 * must be non-blocking, takes nothing; -ENOSYS when this kind of file has to be copied; or what is
 * wrong with the file or the socket. Between the two functions below.
 */
ssize_t mtsi_sendfile_now(int socket, int fd, int64_t offset, size_t count);

/*
 * Reads from `offset`; 0 at the end. A file without positions, such as a pipe, gives what comes
 * next. May wait.
 */
ssize_t mtsi_read_at(int fd, int64_t offset, void *buffer, size_t size);

/*
 * From now on the socket is non-blocking, and the thread gets no SIGPIPE. False, and nothing has
 * been changed, when the system denies that.
 */
bool mtsi_sendfile_begin(struct mtsi_sigpipe *before, int socket);

/* Makes both what they were before. */
void mtsi_sendfile_end(const struct mtsi_sigpipe *before, int socket);

#endif
