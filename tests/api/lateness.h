/* SPDX-License-Identifier: MIT
 *
 * How late the machine lets the library's threads run. A test that measures the time of a stop adds
 * this to the time that it allows: nothing on a quiet machine. One at a time.
 */
#ifndef LATENESS_H
#define LATENESS_H

#include "support.h"

/*
 * For a stop that begins now, with a timeout in milliseconds: lateness of keepers counts from then
 * on.
 */
void lateness_begin(unsigned timeout);

/* By how much the stop may be late, in microseconds. */
uint64_t lateness_end(void);

#endif
