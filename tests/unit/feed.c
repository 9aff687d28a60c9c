/*
 * Feeding a stream in pieces.
 *
 * A feed does what a server does with a client's bytes: it appends what arrives to what is left,
 * takes requests from the front until more is wanted, and asks for the last one at the end.  After
 * each call it requires what the header promises of every framing: requests within the limit and
 * within the bytes given, progress, and a room and a need that let the stream go on.
 *
 * Each call is given its bytes in a block of exactly their size, so that sanitizers and valgrind
 * see any access outside.
 */
#include "feed.h"

#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An assertion for what runs a million times: Check's own write to a file even when they hold. */
#define REQUIRE(holds) \
	do { \
		if (!(holds)) \
			ck_abort_msg("%s", #holds); \
	} while (0)

static void note(struct outcome *outcome, const char *text)
{
	size_t size = strlen(text);

	REQUIRE(outcome->length + size < OUTCOME_SIZE);
	memcpy(outcome->text + outcome->length, text, size + 1);
	outcome->length += size;
}

void outcome_request(struct outcome *outcome, const char *bytes, size_t size)
{
	note(outcome, "[");
	for (size_t i = 0; i < size; i++) {
		char text[8];
		unsigned char byte = (unsigned char)bytes[i];

		snprintf(text, sizeof(text), byte > ' ' && byte <= '~' ? "%c" : "\\%02x", byte);
		note(outcome, text);
	}
	note(outcome, "]");
}

void outcome_end(struct outcome *outcome, int result)
{
	note(outcome,
		result == 0               ? "end"
			: result == -EMSGSIZE ? "too large"
			: result == -EPROTO   ? "protocol"
								  : "nonsense");
}

/* One stream being fed: what is left of the pieces so far. */
struct feed {
	const struct mtsi_framing *framing;
	char *left;
	size_t size;
	size_t scanned;
	int result; /* of the last call */
	struct outcome outcome;
};

static void replace_left(struct feed *feed, const char *bytes, size_t size)
{
	char *copy = malloc(size == 0 ? 1 : size);

	REQUIRE(copy != NULL);
	memcpy(copy, bytes, size);
	free(feed->left);
	feed->left = copy;
	feed->size = size;
}

static void take_request(struct feed *feed, const struct mtsi_frame *frame)
{
	REQUIRE(feed->scanned == 0);
	REQUIRE(frame->consumed > 0);
	REQUIRE(frame->consumed <= feed->size);
	REQUIRE(frame->offset + frame->size <= frame->consumed);
	REQUIRE(frame->size <= feed->framing->limit);
	outcome_request(&feed->outcome, feed->left + frame->offset, frame->size);
	replace_left(feed, feed->left + frame->consumed, feed->size - frame->consumed);
}

/* What must hold whenever more is asked for. */
static void check_unfinished(const struct feed *feed)
{
	size_t room = mtsi_frame_room(feed->framing);

	REQUIRE(feed->size < room);
	REQUIRE(feed->scanned <= feed->size);
}

static void feed_piece(struct feed *feed, const char *bytes, size_t size)
{
	struct mtsi_frame frame;

	if (feed->result < 0) {
		return;
	}

	char *joined = malloc(feed->size + size + 1);

	REQUIRE(joined != NULL);
	if (feed->size > 0) {
		memcpy(joined, feed->left, feed->size);
	}
	memcpy(joined + feed->size, bytes, size);
	replace_left(feed, joined, feed->size + size);
	free(joined);

	for (;;) {
		feed->result = mtsi_frame_next(
			feed->framing, feed->left, feed->size, &feed->scanned, &frame);
		if (feed->result != 1) {
			break;
		}
		take_request(feed, &frame);
	}
	if (feed->result == 0) {
		check_unfinished(feed);
	}
}

static void feed_end(struct feed *feed)
{
	struct mtsi_frame frame;

	if (feed->result == 0) {
		feed->result = mtsi_frame_last(
			feed->framing, feed->left, feed->size, &feed->scanned, &frame);
		REQUIRE(feed->scanned == 0);
	}
	if (feed->result == 1) {
		take_request(feed, &frame);
		REQUIRE(feed->size == 0);
		feed->result = 0;
	}
	outcome_end(&feed->outcome, feed->result);
	free(feed->left);
}

void feed_stream(const struct mtsi_framing *framing, const char *stream, size_t size, size_t cut,
	size_t piece, struct outcome *outcome)
{
	struct feed feed = {.framing = framing};

	for (size_t at = 0; at < size;) {
		size_t stop = at < cut ? cut : size;
		size_t count = stop - at < piece ? stop - at : piece;

		feed_piece(&feed, stream + at, count);
		at += count;
	}
	feed_end(&feed);
	*outcome = feed.outcome;
}

static void check_every_cut(
	const struct mtsi_framing *framing, const char *stream, size_t size, const char *expected)
{
	struct outcome outcome;

	for (size_t cut = 0; cut <= size; cut++) {
		feed_stream(framing, stream, size, cut, SIZE_MAX, &outcome);
		ck_assert_msg(strcmp(outcome.text, expected) == 0, "cut at %zu: %s, expected %s", cut,
			outcome.text, expected);
	}
	for (size_t piece = 1; piece <= 3; piece++) {
		feed_stream(framing, stream, size, 0, piece, &outcome);
		ck_assert_msg(strcmp(outcome.text, expected) == 0, "pieces of %zu: %s, expected %s", piece,
			outcome.text, expected);
	}
}

ssize_t short_framer(const void *data, size_t size, size_t scanned, void *user)
{
	size_t total = 1 + (*(const unsigned char *)data & 7u);

	(void)scanned;
	(void)user;
	if (total == 8) {
		return -EBADMSG;
	}
	return size < total ? 0 : (ssize_t)total;
}

struct mtsi_framing framing_lines(size_t limit)
{
	return (struct mtsi_framing){.kind = MTSI_FRAME_LINES, .limit = limit};
}

struct mtsi_framing framing_delimited(const char *delimiter, size_t limit)
{
	/* The struct has no const, since its usual owner frees it; nothing here writes. */
	return (struct mtsi_framing){.kind = MTSI_FRAME_DELIMITED,
		.limit = limit,
		.delimiter = (unsigned char *)(uintptr_t)delimiter,
		.delimiter_size = strlen(delimiter)};
}

struct mtsi_framing framing_fixed(size_t size, size_t limit)
{
	return (struct mtsi_framing){.kind = MTSI_FRAME_FIXED, .limit = limit, .fixed = size};
}

struct mtsi_framing framing_prefixed(unsigned width, bool little, size_t limit)
{
	return (struct mtsi_framing){
		.kind = MTSI_FRAME_PREFIXED, .limit = limit, .prefix = width, .little = little};
}

struct mtsi_framing framing_custom(size_t limit)
{
	return (struct mtsi_framing){.kind = MTSI_FRAME_CUSTOM, .limit = limit, .framer = short_framer};
}

void check_cases(const struct mtsi_framing *framing, const struct stream_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		check_every_cut(framing, cases[i].bytes, cases[i].size, cases[i].expected);
	}
}
