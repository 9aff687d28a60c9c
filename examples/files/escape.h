/* SPDX-License-Identifier: MIT
 *
 * Names of files on a page: whatever bytes they have, they stay text.
 */
#ifndef FILES_ESCAPE_H
#define FILES_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

/* For a URL; slashes stay. Returns `to`, of three times the size of the text; what is too long is cut. */
const char *escape_url(char *to, size_t size, const char *text);

/* For HTML, also within quotes. */
void escape_html(FILE *to, const char *text);

#endif
