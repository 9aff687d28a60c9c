/* SPDX-License-Identifier: MIT
 *
 * From the target of a request to the name of a file below the root.
 */
#ifndef FILES_PATH_H
#define FILES_PATH_H

#include <limits.h>
#include <stdbool.h>

struct path {
	char name[PATH_MAX]; /* relative to the root, with no empty parts: "a/b"; "." is the root */
	bool folder; /* the target ended with a slash, so it means a folder */
};

/* Returns 0, or the HTTP status that refuses the target. */
int path_decode(const char *target, struct path *path);

#endif
