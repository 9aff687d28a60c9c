/* SPDX-License-Identifier: MIT
 *
 * Tables of misused functions, and whether they are complete.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "support.h"

/* A public function, and a test that uses it wrongly. */
struct misuse {
	const char *name;
	void (*test)(void);
};

/*
 * Requires that the table has exactly the exported functions whose names begin with `start`, or,
 * with `negate`, those whose names do not.
 */
void misuse_complete(const struct misuse *table, size_t count, const char *start, bool negate);

#endif
