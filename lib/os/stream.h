/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_STREAM_H
#define MTSI_OS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A stream socket that the program has made and keeps. None of these waits. Errors are those of its
 * connection, but never one by which the library says something of its own about a client: the
 * kernel's EPIPE, ETIMEDOUT and ECANCELED are -ECONNRESET here.
 */

/*
 * 0; -EINVAL: it is no stream socket; -ENOTCONN: it is not connected; or the error with which its
 * connection has ended, with `*failed` set.
 */
int mtsi_stream_check(int fd, bool *failed);

/* Receives: how many bytes; 0 at the end of the stream; -EAGAIN when there are none; or an error. */
ssize_t mtsi_stream_receive_now(int fd, void *buffer, size_t size);

/* Whether there is something to receive: 1; 0 at the end of the stream; or an error. */
ssize_t mtsi_stream_peek(int fd);

/* Sends what it takes, without SIGPIPE: how many bytes; -EAGAIN when it takes none; or an error. */
ssize_t mtsi_stream_send_now(int fd, const void *data, size_t size);

/* Sends the end of the stream: 0 or an error. */
int mtsi_stream_finish(int fd);

/* Takes the error with which the connection has ended; 0: it has not. */
int mtsi_stream_error(int fd);

/* How many bytes its peer has not acknowledged; 0 if unknown. */
size_t mtsi_stream_unacknowledged(int fd);

/* The same number for an error that another call has had. */
ssize_t mtsi_stream_error_of(ssize_t error);

/*
 * Makes it non-blocking, if it is not; `*changed` when it was not. False: that is denied, and nothing
 * has changed. The other undoes that.
 */
bool mtsi_stream_begin(int fd, bool *changed);
void mtsi_stream_end(int fd);

#endif
