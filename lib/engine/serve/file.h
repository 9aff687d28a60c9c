/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_FILE_H
#define MTSI_ENGINE_SERVE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mtsi_worker;

/*
 * Sends `count` bytes of a file from `offset`, after what was written before. Returns how many were
 * sent, fewer if the file ends before that or cannot be read further; -EPIPE or -ETIMEDOUT when the
 * client is lost; or, when nothing of it is sent, what is wrong with the file. Called by the worker
 * that serves the client, with no lock held.
 */
ssize_t mtsi_file_send(struct mtsi_worker *worker, int fd, int64_t offset, size_t count);

#endif
