/* SPDX-License-Identifier: MIT
 *
 * Dates as HTTP writes them: Sun, 06 Nov 1994 08:49:37 GMT.
 */
#ifndef FILES_DATES_H
#define FILES_DATES_H

#include <stdbool.h>
#include <time.h>

enum { DATE_SIZE = 32 };

/* Writes a date; returns where it was put. */
const char *date_print(char text[DATE_SIZE], time_t date);

/* Reads a date; false when it is none. */
bool date_read(const char *text, time_t *date);

#endif
