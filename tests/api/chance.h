/* SPDX-License-Identifier: MIT
 *
 * Random choices that a seed determines, and what the environment says of them.
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <stddef.h>
#include <stdint.h>

/* The next number, or one below a limit; a state, which is not 0, for each thread. */
uint64_t chance_next(uint64_t *state);
size_t chance_below(uint64_t *state, size_t limit);

/* What that variable of the environment says, if it is there. */
uint64_t chance_variable(const char *variable, uint64_t otherwise);

#endif
