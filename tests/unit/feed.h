/*
 * What the tests of framing share: a stream is fed in pieces, as a server would receive it, and
 * what comes out is noted as a line of text, to be compared with what was expected.
 *
 * Everything here fails the running test when framing breaks one of its promises on the way.
 */
#ifndef FEED_H
#define FEED_H

#include "wire/frame.h"

#include <stdbool.h>
#include <stddef.h>

enum { OUTCOME_SIZE = 1024 };

/*
 * What came of a stream, as text: each request in brackets, in it a backslash and two hexadecimal
 * digits for what is not printable, then how the stream ended: "end", "too large" or "protocol".
 */
struct outcome {
	char text[OUTCOME_SIZE];
	size_t length;
};

void outcome_request(struct outcome *outcome, const char *bytes, size_t size);
void outcome_end(struct outcome *outcome, int result); /* 0, or the error that ended it */

/*
 * Feeds the stream cut in two, each part in pieces of at most `piece` bytes, and its end; sets
 * *outcome.
 */
void feed_stream(const struct mtsi_framing *framing, const char *stream, size_t size, size_t cut,
	size_t piece, struct outcome *outcome);

struct stream_case {
	const char *bytes;
	size_t size;
	const char *expected;
};

#define BYTES(literal) literal, sizeof(literal) - 1

/* Feeds each stream cut in two at every byte, and in pieces of one, two and three bytes. */
void check_cases(const struct mtsi_framing *framing, const struct stream_case *cases, size_t count);

#define CHECK_CASES(framing, cases) check_cases(&framing, cases, sizeof(cases) / sizeof(*cases))

/* A framing of each kind. */
struct mtsi_framing framing_lines(size_t limit);
struct mtsi_framing framing_delimited(const char *delimiter, size_t limit); /* keeps the pointer */
struct mtsi_framing framing_fixed(size_t size, size_t limit);
struct mtsi_framing framing_prefixed(unsigned width, bool little, size_t limit);
struct mtsi_framing framing_custom(size_t limit); /* with short_framer */

/* A framer: the low three bits of the first byte say how many follow it, seven is an error. */
ssize_t short_framer(const void *data, size_t size, size_t scanned, void *user);

#endif
