/*
 * A libFuzzer entry point for framing: one stream, fed whole and fed in pieces, must give the same
 * requests and the same end.
 *
 * The first eight bytes of an input choose the framing and the pieces, the rest is the stream.
 * Requests are compared as the bytes they hold and where in the stream they ended.  Raw framing is
 * the exception: its requests follow the pieces, so only the sum of them must be the stream.
 *
 * Build: clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Ilib
 *        tests/fuzz/fuzz_frame.c lib/wire/frame.c
 */
#include "wire/frame.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 8, MOST = 4096 };

struct request {
	size_t start;
	size_t size;
	size_t end;
};

struct outcome {
	struct request requests[MOST];
	size_t count;
	size_t used; /* bytes of the stream that were consumed */
	int result;
};

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void require(int holds)
{
	if (!holds) {
		abort();
	}
}

/* The low bits of the first byte say how many bytes follow it; all of them set is an error. */
static ssize_t framer(const void *data, size_t size, size_t scanned, void *user)
{
	size_t total = 1 + (*(const unsigned char *)data & 15u);

	(void)user;
	require(scanned < size);
	if (total == 16) {
		return -1;
	}
	return size < total ? 0 : (ssize_t)total;
}

static void add_request(
	struct outcome *outcome, const struct mtsi_framing *framing, const struct mtsi_frame *frame)
{
	require(frame->consumed > 0 && frame->offset + frame->size <= frame->consumed);
	require(frame->size <= framing->limit);
	require(outcome->count < MOST);
	outcome->requests[outcome->count++] = (struct request){
		outcome->used + frame->offset, frame->size, outcome->used + frame->consumed};
	outcome->used += frame->consumed;
}

/* Frames all that stream[used, size) gives, from a block that ends where the data does. */
static void run_piece(const struct mtsi_framing *framing, const uint8_t *stream, size_t size,
	size_t *scanned, struct outcome *outcome)
{
	size_t base = outcome->used;
	size_t count = size - base;
	char *data = malloc(count == 0 ? 1 : count);
	struct mtsi_frame frame;

	require(data != NULL);
	memcpy(data, stream + base, count);
	for (;;) {
		size_t at = outcome->used - base;

		outcome->result = mtsi_frame_next(framing, data + at, count - at, scanned, &frame);
		if (outcome->result != 1) {
			break;
		}
		require(frame.consumed <= count - at && *scanned == 0);
		add_request(outcome, framing, &frame);
	}
	if (outcome->result == 0) {
		size_t left = size - outcome->used;

		require(left < mtsi_frame_room(framing) && *scanned <= left);
	}
	free(data);
}

/* Feeds the stream in pieces: first bytes, then step at a time. */
static void run(const struct mtsi_framing *framing, const uint8_t *stream, size_t size,
	size_t first, size_t step, struct outcome *outcome)
{
	size_t scanned = 0;
	struct mtsi_frame frame;

	outcome->count = 0;
	outcome->used = 0;
	outcome->result = 0;
	for (size_t there = 0; there < size && outcome->result == 0;) {
		size_t piece = there == 0 && first > 0 ? first : step;

		there += piece < size - there ? piece : size - there;
		run_piece(framing, stream, there, &scanned, outcome);
	}
	if (outcome->result != 0) {
		return;
	}
	outcome->result = mtsi_frame_last(
		framing, (const char *)stream + outcome->used, size - outcome->used, &scanned, &frame);
	if (outcome->result == 1) {
		add_request(outcome, framing, &frame);
	}
}

static void require_same(const struct mtsi_framing *framing, size_t size,
	const struct outcome *whole, const struct outcome *pieces)
{
	require(whole->result == pieces->result);
	if (framing->kind == MTSI_FRAME_RAW) {
		require(whole->result != 0 || (whole->used == size && pieces->used == size));
		return;
	}
	require(whole->used == pieces->used && whole->count == pieces->count);
	require(whole->result < 0 || whole->used == size);
	require(
		memcmp(whole->requests, pieces->requests, whole->count * sizeof(*whole->requests)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	static struct outcome whole;
	static struct outcome pieces;
	unsigned char delimiter[3];

	if (size < HEAD || size - HEAD > MOST) {
		return 0;
	}

	struct mtsi_framing framing = {.kind = (enum mtsi_frame_kind)(input[0] % 6),
		.limit = input[1] == 255 ? SIZE_MAX - input[2] : input[1],
		.fixed = 1 + (size_t)input[2],
		.prefix = 1u << (input[0] >> 3 & 3),
		.little = (input[0] >> 5 & 1) != 0,
		.delimiter = delimiter,
		.delimiter_size = 1 + (size_t)(input[2] % 3),
		.framer = framer};

	memcpy(delimiter, input + 3, sizeof(delimiter));
	run(&framing, input + HEAD, size - HEAD, 0, SIZE_MAX, &whole);
	run(&framing, input + HEAD, size - HEAD, input[6], 1 + (size_t)input[7], &pieces);
	require_same(&framing, size - HEAD, &whole, &pieces);
	return 0;
}
