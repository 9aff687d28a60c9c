/*
 * Framing against a reference, on random streams.
 *
 * The reference sees the whole stream, knows nothing of pieces, and is written for plainness, not
 * for speed.  Framing is fed the same stream cut in two, byte by byte, and in pieces of a random
 * size; all must come to the same outcome.  Framings are small and streams hold few different
 * bytes, so that delimiters which begin and do not end, limits just reached and cut-off requests
 * are frequent.
 *
 * The random numbers are the same in every run; a failure names the seed of its round.
 */
#include "../feed.h"

#include "../../api/support.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * How the request at s[0, size) ends when the whole stream is known: returns as mtsi_frame_next()
 * and mtsi_frame_last() do together.
 */
static int plain_line(size_t limit, const char *s, size_t size, struct mtsi_frame *frame)
{
	size_t at = 0;

	while (at < size && s[at] != '\n') {
		at++;
	}
	*frame = (struct mtsi_frame){0, at, at < size ? at + 1 : at};
	if (at < size && at > 0 && s[at - 1] == '\r') {
		frame->size--;
	}
	return frame->size > limit ? -EMSGSIZE : 1;
}

static int plain_delimited(
	const struct mtsi_framing *framing, const char *s, size_t size, struct mtsi_frame *frame)
{
	size_t length = framing->delimiter_size;
	bool open = false; /* one may have begun, or may begin with the next byte */

	for (size_t at = 0; at <= size && at <= framing->limit; at++) {
		size_t there = size - at < length ? size - at : length;

		if (memcmp(s + at, framing->delimiter, there) != 0) {
			continue;
		}
		*frame = (struct mtsi_frame){0, at, at + length};
		if (there == length) {
			return 1;
		}
		open = true;
	}
	return open ? -EPROTO : -EMSGSIZE;
}

static int plain_prefixed(
	const struct mtsi_framing *framing, const char *s, size_t size, struct mtsi_frame *frame)
{
	unsigned width = framing->prefix;
	uint64_t value = 0;

	if (size < width) {
		return -EPROTO;
	}
	for (unsigned i = 0; i < width; i++) {
		value |= (uint64_t)(unsigned char)s[i] << 8 * (framing->little ? i : width - 1 - i);
	}
	if (value > framing->limit) {
		return -EMSGSIZE;
	}
	*frame = (struct mtsi_frame){width, (size_t)value, width + (size_t)value};
	return size < frame->consumed ? -EPROTO : 1;
}

static int plain_custom(size_t limit, const char *s, size_t size, struct mtsi_frame *frame)
{
	size_t total = 1 + ((unsigned char)s[0] & 7u);

	if (limit == 0) {
		return -EMSGSIZE;
	}
	if (total == 8) {
		return -EPROTO;
	}
	*frame = (struct mtsi_frame){0, total, total};
	if (total <= limit && total <= size) {
		return 1;
	}
	return size >= limit ? -EMSGSIZE : -EPROTO;
}

static int plain_next(
	const struct mtsi_framing *framing, const char *s, size_t size, struct mtsi_frame *frame)
{
	if (framing->kind == MTSI_FRAME_LINES) {
		return plain_line(framing->limit, s, size, frame);
	}
	if (framing->kind == MTSI_FRAME_DELIMITED) {
		return plain_delimited(framing, s, size, frame);
	}
	if (framing->kind == MTSI_FRAME_PREFIXED) {
		return plain_prefixed(framing, s, size, frame);
	}
	if (framing->kind == MTSI_FRAME_CUSTOM) {
		return plain_custom(framing->limit, s, size, frame);
	}
	*frame = (struct mtsi_frame){0, framing->fixed, framing->fixed};
	return framing->fixed > framing->limit ? -EMSGSIZE : size < framing->fixed ? -EPROTO : 1;
}

static void run_plain(
	const struct mtsi_framing *framing, const char *stream, size_t size, struct outcome *outcome)
{
	int result = 1;

	*outcome = (struct outcome){.length = 0};
	while (size > 0) {
		struct mtsi_frame frame;

		result = plain_next(framing, stream, size, &frame);
		if (result != 1) {
			break;
		}
		outcome_request(outcome, stream + frame.offset, frame.size);
		stream += frame.consumed;
		size -= frame.consumed;
	}
	outcome_end(outcome, result == 1 ? 0 : result);
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % below;
}

/* A framing, and a stream of few different bytes, so that whatever matters happens often. */
static struct mtsi_framing draw_framing(uint64_t *state, unsigned char delimiter[4])
{
	static const enum mtsi_frame_kind kinds[] = {MTSI_FRAME_LINES, MTSI_FRAME_DELIMITED,
		MTSI_FRAME_FIXED, MTSI_FRAME_PREFIXED, MTSI_FRAME_CUSTOM};
	struct mtsi_framing framing = {.kind = kinds[draw(state, 5)],
		.limit = draw(state, 10),
		.fixed = 1 + draw(state, 6),
		.prefix = 1u << draw(state, 4),
		.little = draw(state, 2),
		.delimiter = delimiter,
		.delimiter_size = 1 + draw(state, 4),
		.framer = short_framer};

	for (size_t i = 0; i < 4; i++) {
		delimiter[i] = (unsigned char)("ab"[draw(state, 2)]);
	}
	return framing;
}

static size_t draw_stream(uint64_t *state, const struct mtsi_framing *framing, char stream[64])
{
	static const struct {
		const char *bytes;
		uint32_t count;
	} alphabets[] = {
		[MTSI_FRAME_LINES] = {"\n\r\nab\r", 7},
		[MTSI_FRAME_DELIMITED] = {"abc", 2},
		[MTSI_FRAME_FIXED] = {"abc", 3},
		[MTSI_FRAME_PREFIXED] = {"\0\0\0\0\0\0\0\0\0\1\2\3\4\5", 14},
		[MTSI_FRAME_CUSTOM] = {"0123456012345601234567", 22},
	};
	size_t size = draw(state, 64);

	for (size_t i = 0; i < size; i++) {
		stream[i] = alphabets[framing->kind].bytes[draw(state, alphabets[framing->kind].count)];
	}
	return size;
}

START_TEST(random_streams)
{
	enum { ROUNDS = 20000 };
	const uint64_t seed = UINT64_C(20240229);

	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t state = seed + round;
		unsigned char delimiter[4];
		char stream[64];
		struct mtsi_framing framing = draw_framing(&state, delimiter);
		size_t size = draw_stream(&state, &framing, stream);
		size_t cut = draw(&state, 64) % (size + 1);
		size_t piece = 1 + draw(&state, 8);
		struct outcome expected;
		struct outcome outcome;

		run_plain(&framing, stream, size, &expected);
		for (size_t way = 0; way < 3; way++) {
			feed_stream(&framing, stream, size, cut,
				way == 0       ? SIZE_MAX
					: way == 1 ? 1
							   : piece,
				&outcome);
			if (strcmp(outcome.text, expected.text) == 0) {
				continue;
			}
			ck_abort_msg(
				"seed %llu: kind %d, limit %zu, cut %zu, piece %zu, way %zu: %s, expected %s",
				(unsigned long long)(seed + round), (int)framing.kind, framing.limit, cut, piece,
				way, outcome.text, expected.text);
		}
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("frame_random");

	tcase_add_test(cases, random_streams);

	return suite_run_once();
}
