/* SPDX-License-Identifier: MIT
 *
 * How late the machine is with letting the library's threads run, which a test that takes the time of a
 * stop adds to the time it allows: none on a quiet machine. One at a time.
 */
#ifndef LATENESS_H
#define LATENESS_H

#include "support.h"

/* For a stop that begins now, with a timeout in milliseconds: keepers may be late from its deadline on. */
void lateness_begin(unsigned timeout);

/* In microseconds. */
uint64_t lateness_end(void);

#endif
