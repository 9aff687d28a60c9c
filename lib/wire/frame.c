/*
 * Framing.
 *
 * Each kind is one function that looks at the bytes from the start of a request and answers: a
 * request, more, or an error.  Nothing is kept between calls but the caller's *scanned, so a
 * parked client carries one number and no parser.
 *
 * Two rules make the outcome independent of how the stream was cut:
 *
 * - No function looks past the bytes that a request within the limit can occupy, the "window".
 *   What lies beyond it may or may not have arrived, so it must not count.
 * - An answer is given as soon as the bytes up to some point force it, and is then the same for
 *   every longer input.  "Too large" is forced when no end of the request can lie within the
 *   limit any more, which for a delimiter includes one that has only begun to arrive.
 *
 * A length prefix is compared with the limit before anything is added to it.  All sums of the
 * caller's sizes saturate, so a limit of SIZE_MAX means "no limit" everywhere.
 */
#include "wire/frame.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t add_saturating(size_t a, size_t b)
{
	return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static int found(struct mtsi_frame *frame, size_t offset, size_t size, size_t consumed)
{
	frame->offset = offset;
	frame->size = size;
	frame->consumed = consumed;
	return 1;
}

static int next_raw(const struct mtsi_framing *framing, size_t size, struct mtsi_frame *frame)
{
	size_t taken = smaller(size, framing->limit);

	return taken == 0 ? -EMSGSIZE : found(frame, 0, taken, taken);
}

/* Sets *scanned to 0 by itself. Not inlined, as next_other() below. */
__attribute__((noinline)) static int next_line(const struct mtsi_framing *framing, const char *data,
	size_t size, size_t *scanned, struct mtsi_frame *frame)
{
	size_t limit = framing->limit;
	size_t window = smaller(size, add_saturating(limit, 2));
	size_t from = smaller(*scanned, window);
	const char *newline = memchr(data + from, '\n', window - from);

	if (newline == NULL) {
		*scanned = window;
		if (window <= limit) {
			return 0;
		}
		/* One byte above the limit may be the CR of a line that just fits. */
		return window == limit + 1 && data[limit] == '\r' ? 0 : -EMSGSIZE;
	}

	size_t at = (size_t)(newline - data);
	size_t body = at > 0 && data[at - 1] == '\r' ? at - 1 : at;

	*scanned = 0;
	return body > limit ? -EMSGSIZE : found(frame, 0, body, at + 1);
}

/*
 * *scanned is the first place where the delimiter can still begin: all places before it are ruled
 * out, and the bytes from it to the end are a beginning of the delimiter.  It only moves forward,
 * which keeps the work linear; and when it passes the limit, this proves that the request is too
 * large.
 */
static int next_delimited(const struct mtsi_framing *framing, const char *data, size_t size,
	size_t *scanned, struct mtsi_frame *frame)
{
	const unsigned char *delimiter = framing->delimiter;
	size_t length = framing->delimiter_size;

	if (length == 0) {
		return -EPROTO;
	}

	size_t window = smaller(size, mtsi_frame_room(framing));
	size_t from = smaller(*scanned, window);
	const char *hit = memmem(data + from, window - from, delimiter, length);

	if (hit != NULL) {
		size_t at = (size_t)(hit - data);
		return found(frame, 0, at, at + length);
	}
	if (window - from >= length) {
		from = window - length + 1;
	}
	while (from < window && memcmp(data + from, delimiter, window - from) != 0) {
		from++;
	}
	*scanned = from;
	return from > framing->limit ? -EMSGSIZE : 0;
}

static int next_fixed(const struct mtsi_framing *framing, size_t size, struct mtsi_frame *frame)
{
	if (framing->fixed == 0) {
		return -EPROTO;
	}
	if (framing->fixed > framing->limit) {
		return -EMSGSIZE;
	}
	return size < framing->fixed ? 0 : found(frame, 0, framing->fixed, framing->fixed);
}

static uint64_t prefix_value(const struct mtsi_framing *framing, const char *data)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < framing->prefix; i++) {
		unsigned at = framing->little ? framing->prefix - 1 - i : i;
		value = value << 8 | (unsigned char)data[at];
	}
	return value;
}

/* The size of the whole request, prefix included; 0 when that is above what is allowed. */
static size_t prefixed_total(const struct mtsi_framing *framing, const char *data)
{
	uint64_t value = prefix_value(framing, data);

	if (value > framing->limit || value > SIZE_MAX - framing->prefix) {
		return 0;
	}
	return framing->prefix + (size_t)value;
}

static int next_prefixed(
	const struct mtsi_framing *framing, const char *data, size_t size, struct mtsi_frame *frame)
{
	size_t prefix = framing->prefix;

	if (prefix == 0 || prefix > 8) {
		return -EPROTO;
	}
	if (size < prefix) {
		return 0;
	}

	size_t total = prefixed_total(framing, data);

	if (total == 0) {
		return -EMSGSIZE;
	}
	return size < total ? 0 : found(frame, prefix, total - prefix, total);
}

static int next_custom(const struct mtsi_framing *framing, const char *data, size_t size,
	size_t *scanned, struct mtsi_frame *frame)
{
	size_t window = smaller(size, framing->limit);
	size_t from = smaller(*scanned, window);

	if (window == 0) {
		return -EMSGSIZE;
	}

	ssize_t answer = framing->framer(data, window, from, framing->user);

	if (answer < 0 || (size_t)answer > window) {
		return -EPROTO;
	}
	if (answer > 0) {
		return found(frame, 0, (size_t)answer, (size_t)answer);
	}
	*scanned = window;
	return window == framing->limit ? -EMSGSIZE : 0;
}

static int next_of_other_kind(const struct mtsi_framing *framing, const char *data, size_t size,
	size_t *scanned, struct mtsi_frame *frame)
{
	switch (framing->kind) {
	case MTSI_FRAME_RAW:
		return next_raw(framing, size, frame);
	case MTSI_FRAME_LINES:
		break; /* not asked for */
	case MTSI_FRAME_DELIMITED:
		return next_delimited(framing, data, size, scanned, frame);
	case MTSI_FRAME_FIXED:
		return next_fixed(framing, size, frame);
	case MTSI_FRAME_PREFIXED:
		return next_prefixed(framing, data, size, frame);
	case MTSI_FRAME_CUSTOM:
		return next_custom(framing, data, size, scanned, frame);
	case MTSI_FRAME_BY_CLIENT:
		return MTSI_FRAME_ASK;
	}
	return -EPROTO;
}

/* Not inlined, so that lines, the most common kind, have a short way. */
__attribute__((noinline)) static int next_other(const struct mtsi_framing *framing,
	const char *data, size_t size, size_t *scanned, struct mtsi_frame *frame)
{
	int result = next_of_other_kind(framing, data, size, scanned, frame);

	if (result == 1) {
		*scanned = 0;
	}
	return result;
}

int mtsi_frame_next(const struct mtsi_framing *framing, const char *data, size_t size,
	size_t *scanned, struct mtsi_frame *frame)
{
	if (size == 0) {
		return 0;
	}
	return framing->kind == MTSI_FRAME_LINES ? next_line(framing, data, size, scanned, frame)
											 : next_other(framing, data, size, scanned, frame);
}

int mtsi_frame_last(const struct mtsi_framing *framing, const char *data, size_t size,
	size_t *scanned, struct mtsi_frame *frame)
{
	(void)data; /* a last line is all that is left, whatever it holds */
	*scanned = 0;
	if (size == 0) {
		return 0;
	}
	if (framing->kind != MTSI_FRAME_LINES) {
		return -EPROTO;
	}
	if (size > framing->limit) {
		return -EMSGSIZE;
	}
	return found(frame, 0, size, size);
}

static size_t prefixed_room(const struct mtsi_framing *framing)
{
	size_t limit = framing->limit;

	if (framing->prefix < sizeof(size_t)) {
		limit = smaller(limit, ((size_t)1 << 8 * framing->prefix) - 1);
	}
	return add_saturating(limit, framing->prefix);
}

/* Never 0, whatever the limits are: a receive with no room would look like an end of stream. */
size_t mtsi_frame_room(const struct mtsi_framing *framing)
{
	size_t room = framing->limit;

	if (framing->kind == MTSI_FRAME_LINES) {
		room = add_saturating(room, 2);
	} else if (framing->kind == MTSI_FRAME_DELIMITED) {
		room = add_saturating(room, framing->delimiter_size);
	} else if (framing->kind == MTSI_FRAME_FIXED) {
		room = smaller(room, framing->fixed);
	} else if (framing->kind == MTSI_FRAME_PREFIXED) {
		room = prefixed_room(framing);
	}
	return room == 0 ? 1 : room;
}
