/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_DIRECT_H
#define MTSI_OS_DIRECT_H

#include <stddef.h>
#include <sys/types.h>

/*
 * recv(2) and send(2), but no cancellation points (pthreads(7)), and they return counts or negative
 * errno values.
 */
ssize_t mtsi_direct_recv(int fd, void *buffer, size_t size, int flags);
ssize_t mtsi_direct_send(int fd, const void *data, size_t size, int flags);

#endif
