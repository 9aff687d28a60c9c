/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_SPLICE_H
#define MTSI_OS_SPLICE_H

#include <stddef.h>
#include <sys/types.h>

/* A pipe that the kernel moves bytes through; ends[0] is where they come out. 0 or an error. */
int mtsi_pipe_open(int ends[2]);
void mtsi_pipe_close(const int ends[2]);

/* Reads what is in it, as when it cannot be moved on: how many bytes, or an error. */
ssize_t mtsi_pipe_read(int end, void *buffer, size_t size);

/*
 * Has the kernel move at most `size` bytes from a socket into a pipe, or from a pipe into a socket,
 * which are non-blocking; the calling thread gets no SIGPIPE (os/sigpipe.h). How many bytes; 0 at
 * the end of the stream; -EAGAIN when nothing can be moved now; -ENOSYS when this has to be copied;
 * or the error of the socket.
 */
ssize_t mtsi_splice_now(int from, int to, size_t size);

/* What a descriptor is watched for, and what was found. */
enum {
	MTSI_WATCH_IN = 1, /* there is something to receive, or the end of the stream */
	MTSI_WATCH_OUT = 2, /* it takes more */
	MTSI_WATCH_HUP = 4, /* found only, in any case: both sides have ended, or the connection has, */
	MTSI_WATCH_ERR = 8 /* with an error; or something is in its error queue (recv(2)) */
};
struct mtsi_watch {
	int fd; /* -1: nothing is watched */
	unsigned wanted;
	unsigned found;
};

/*
 * Waits until something is found, for so many milliseconds at most, or for ever (-1); less when a
 * signal comes. Where that is denied it pauses, and says that all has been found: so ask.
 */
void mtsi_watch_two(struct mtsi_watch two[2], int milliseconds);

#endif
