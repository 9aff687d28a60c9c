/* SPDX-License-Identifier: MIT
 *
 * The protocol of the clients of Redis, RESP2, as far as commands go: an array of counted strings, or
 * a line of words.
 */
#ifndef RESP_H
#define RESP_H

#include <stddef.h>
#include <sys/types.h>

enum { RESP_WORDS = 256, RESP_LARGEST = 1 << 20 };

/* Some bytes, which may be any. */
struct word {
	const char *text;
	size_t size;
};

struct command {
	int count;
	struct word words[RESP_WORDS]; /* of what was given to resp_take() */
};

/*
 * Finds the command that the bytes begin with. The first `scanned` of them were given before, and
 * had no end. The answer is how many bytes it has; 0 where its end is not here yet; or -EPROTO.
 */
ssize_t resp_take(const char *text, size_t size, size_t scanned, struct command *command);

#endif
