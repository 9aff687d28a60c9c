/* SPDX-License-Identifier: MIT
 *
 * Conditional requests (RFC 9110, section 13).
 */
#ifndef FILES_CONDITIONS_H
#define FILES_CONDITIONS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "request.h"

enum { TAG_SIZE = 64 };

/* The tag of a file in this state. Returns where it was put. */
const char *tag_print(char text[TAG_SIZE], const struct stat *file);

/* The status that the conditions lead to: 304 or 412; 0: go on. `file` NULL: there is none. */
int conditions_check(const struct request *request, const struct stat *file);

/* Whether a range is wanted of the file as it is now, and not of an earlier one (If-Range). */
bool conditions_range(const struct request *request, const struct stat *file);

#endif
