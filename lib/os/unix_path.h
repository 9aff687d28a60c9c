/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_UNIX_PATH_H
#define MTSI_OS_UNIX_PATH_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* The files of Unix sockets. */

/*
 * Keeps other servers of this library from binding in the folder of `path`, until released: what it
 * returns is for mtsi_unix_release(). The lock may not be had, for want of permission or because
 * somebody else sits on it; then one goes on without.
 */
int mtsi_unix_reserve(const char *path);
void mtsi_unix_release(int reservation);

/* Which file a path names, so that ours can be told from one that has taken its place. */
struct mtsi_file {
	dev_t device;
	ino_t number;
};

/*
 * Makes room for a Unix socket at a path: removes the file there when it is a socket on which
 * nobody listens. 0, or -EADDRINUSE when somebody does or the file is no socket, or another errno
 * value.
 */
int mtsi_unix_make_room(const struct sockaddr_un *address, socklen_t size);

/* Notes which file the path names; removes the path if it still names that file. */
bool mtsi_unix_file(const char *path, struct mtsi_file *file);
void mtsi_unix_remove(const char *path, const struct mtsi_file *file);

#endif
