/* SPDX-License-Identifier: MIT
 *
 * Opening files below the root, and nowhere else.
 */
#ifndef FILES_ROOT_H
#define FILES_ROOT_H

/* The folder that is served; a descriptor, or -1 with errno. */
int root_open(const char *folder);

/*
 * Opens an existing file by its name below the root. A symbolic link that leads out of the root is
 * refused. Returns a descriptor, or the negative errno value; -EXDEV: it leads out.
 */
int root_open_file(int root, const char *name, int flags);

/* The HTTP status for an errno value of these, or of other calls on files. */
int root_status(int error);

#endif
