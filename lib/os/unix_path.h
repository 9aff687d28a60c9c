/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_UNIX_PATH_H
#define MTSI_OS_UNIX_PATH_H

#include <stdbool.h>
#include <sys/un.h>

/*
 * The file of a Unix socket: where it is, whether it is ours, and which process has to remove it.
 */
struct mtsi_path;

/*
 * Opens the folder of a path, so that the file is found again whatever becomes of the working
 * directory or the root: 0, or a negative errno value and nothing is open.
 */
int mtsi_path_open(const struct sockaddr_un *address, struct mtsi_path **path);

/* Closes what is open for the path, and frees it; the file stays. */
void mtsi_path_close(struct mtsi_path *path);

/* The same, but frees no memory: in a copy that another process has. */
void mtsi_path_abandon(struct mtsi_path *path);

/*
 * Keeps other servers of this library from binding in that folder, until the result is given to
 * mtsi_path_release(). The lock may not be available, for want of permission or because somebody
 * else holds it for long; then this goes on without it.
 */
int mtsi_path_reserve(const struct mtsi_path *path);

/* Releases it. */
void mtsi_path_release(int reservation);

/*
 * Makes room for the socket: removes the file there when it is a socket on which nobody listens. 0,
 * or -EADDRINUSE when somebody does or the file is no socket, or another errno value.
 */
int mtsi_path_make_room(const struct mtsi_path *path);

/* The file there has just been made, by binding: it is ours, and for this process to remove. */
void mtsi_path_take(struct mtsi_path *path);

/* This process serves on the socket, perhaps one that another process has bound. */
void mtsi_path_serve(struct mtsi_path *path);

/*
 * This process is done with the file, whose socket is still open. Removes the file if it is there,
 * and no other process is to do that: 0, or a negative errno value when it cannot be removed. Waits
 * for the folder's lock for `*patience` milliseconds at most, and subtracts what it has waited.
 */
int mtsi_path_remove(struct mtsi_path *path, unsigned *patience);

/* The same for a caller that holds that lock already. */
int mtsi_path_undo(struct mtsi_path *path);

#endif
