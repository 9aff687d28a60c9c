/* SPDX-License-Identifier: MIT
 *
 * Xorshift, whose low bits are its worst.
 */
#include "chance.h"

#include <stdlib.h>

uint64_t chance_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

size_t chance_below(uint64_t *state, size_t limit)
{
	return (size_t)(chance_next(state) >> 16) % limit;
}

uint64_t chance_variable(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);
	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}
