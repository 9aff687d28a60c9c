/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_UNIX_PATH_H
#define MTSI_OS_UNIX_PATH_H

#include <stdbool.h>
#include <sys/un.h>

/* The file of a Unix socket: where it is, whether it is ours, and whose it is to remove. */
struct mtsi_path;

/*
 * Opens the folder of a path, so that the file is found again whatever becomes of the working
 * directory or the root: 0, or a negative errno value and nothing is open.
 */
int mtsi_path_open(const struct sockaddr_un *address, struct mtsi_path **path);

/* Closes what is open for it, and frees it; the file stays. */
void mtsi_path_close(struct mtsi_path *path);

/* The same, but frees no memory: in a copy that another process has. */
void mtsi_path_abandon(struct mtsi_path *path);

/*
 * Keeps other servers of this library from binding in that folder, until released: what it returns
 * is for mtsi_path_release(). The lock may not be had, for want of permission or because somebody
 * else sits on it; then one goes on without.
 */
int mtsi_path_reserve(const struct mtsi_path *path);

/* Releases it. */
void mtsi_path_release(int reservation);

/*
 * Makes room for the socket: removes the file there when it is a socket on which nobody listens. 0,
 * or -EADDRINUSE when somebody does or the file is no socket, or another errno value.
 */
int mtsi_path_make_room(const struct mtsi_path *path);

/* The file there has just been made, by binding: it is ours, and this process's to remove. */
void mtsi_path_take(struct mtsi_path *path);

/* This process serves on the socket, perhaps one that another process has bound. */
void mtsi_path_serve(struct mtsi_path *path);

/*
 * This process is done with the file, whose socket is open still. Removes it if it is there, and
 * nobody else is to: 0, or a negative errno value when that cannot be done. Waits for the folder's
 * lock for `*patience` milliseconds at most, and takes off what it has waited.
 */
int mtsi_path_remove(struct mtsi_path *path, unsigned *patience);

/* The same for who holds that lock already. */
int mtsi_path_undo(struct mtsi_path *path);

#endif
