/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_PAUSE_H
#define MTSI_OS_PAUSE_H

#include <stdint.h>

/* Does nothing for so many nanoseconds; less when a signal comes. */
void mtsi_pause_for(uint64_t span);

/*
 * In place of a wait that the system denies: pauses for a moment, so that a loop around the wait
 * looks now and then and never spins, however many threads are in such loops.
 */
void mtsi_pause_instead(void);

/* The same for a wait that ends after so many nanoseconds at the latest. */
void mtsi_pause_instead_for(uint64_t most);

#endif
