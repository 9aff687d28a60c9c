/* SPDX-License-Identifier: MIT
 *
 * Whether a head is written as RFC 9112 wants it, to the byte.
 */
#ifndef FILES_SYNTAX_H
#define FILES_SYNTAX_H

#include <stddef.h>

/* Returns 0, or the HTTP status that refuses the head. */
int syntax_check(const char *head, size_t size);

#endif
