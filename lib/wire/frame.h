/*
 * Framing: where one request ends and the next begins.
 *
 * Pure functions over bytes that the caller holds.  The list of requests that a stream contains,
 * and the error that ends it, do not depend on how the stream was cut (raw framing apart, whose
 * requests are the pieces themselves).
 */
#ifndef MTSI_WIRE_FRAME_H
#define MTSI_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mts_client;

enum mtsi_frame_kind {
	MTSI_FRAME_RAW,
	MTSI_FRAME_LINES,
	MTSI_FRAME_DELIMITED,
	MTSI_FRAME_FIXED,
	MTSI_FRAME_PREFIXED,
	MTSI_FRAME_CUSTOM,
	MTSI_FRAME_BY_CLIENT /* as CUSTOM, but only the client's owner can ask: see below */
};

/* What mtsi_frame_next() returns for BY_CLIENT: with CUSTOM, and a framer that asks, all goes on. */
enum { MTSI_FRAME_ASK = 2 };

/*
 * How a server's requests are framed.  Written before the server runs, only read afterwards, so
 * any thread may use it.  Only the members of the chosen kind count.
 */
struct mtsi_framing {
	enum mtsi_frame_kind kind;
	size_t limit; /* the largest request in bytes, without prefix and delimiter */
	size_t fixed; /* FIXED: the size of each request, 1 or more */
	unsigned prefix; /* PREFIXED: length bytes: 1, 2, 4 or 8 */
	bool little; /* PREFIXED: the least significant length byte comes first */
	unsigned char *delimiter; /* DELIMITED: owned by whoever owns this struct */
	size_t delimiter_size; /* DELIMITED: 1 or more */
	/*
	 * CUSTOM: > 0 is the size of the request at data, 0 asks for more, negative is a protocol
	 * error; scanned is how many of these bytes it was shown before.  Runs on the caller's thread.
	 * Never shown more than limit bytes, since a request cannot be larger.
	 */
	ssize_t (*framer)(const void *data, size_t size, size_t scanned, void *user);
	ssize_t (*client_framer)(/* BY_CLIENT */
		struct mts_client *client, const void *data, size_t size, size_t scanned, void *user);
	void *user; /* of either */
};

/* Lines of at most so many bytes. */
static inline struct mtsi_framing mtsi_frame_lines_within(size_t limit)
{
	return (struct mtsi_framing){.kind = MTSI_FRAME_LINES, .limit = limit};
}

/* The request is data[offset, offset + size); the next one begins at data + consumed. */
struct mtsi_frame {
	size_t offset;
	size_t size;
	size_t consumed;
};

/*
 * Looks for a whole request at the start of data[0, size).
 *
 * *scanned is kept by the caller for each stream: 0 at the start of every request, and whenever
 * data begins elsewhere in the stream than in the call before.  It holds how many bytes need not
 * be searched again, so the total work is linear however small the pieces are.
 *
 * Returns 1: *frame is set, *scanned is 0 again; consumed is never 0.
 *         0: more bytes are needed (size is then less than mtsi_frame_room()).
 *         -EMSGSIZE: the request exceeds the limit; reported as soon as that is certain.
 *         -EPROTO: the stream cannot be framed (custom framers), or the framing is nonsense.
 *         MTSI_FRAME_ASK: BY_CLIENT only.
 * *frame is left alone unless 1 is returned.  After an error the stream is not to be used.
 */
int mtsi_frame_next(const struct mtsi_framing *framing, const char *data, size_t size,
	size_t *scanned, struct mtsi_frame *frame);

/*
 * Whether that is known without a look at the bytes, all of which are one request: true, and *frame
 * is set. False: it is to be looked for.
 */
static inline bool mtsi_frame_is_all(
	const struct mtsi_framing *framing, size_t size, struct mtsi_frame *frame)
{
	const bool all = framing->kind == MTSI_FRAME_RAW && size > 0 && size <= framing->limit;
	if (all) {
		*frame = (struct mtsi_frame){0, size, size};
	}
	return all;
}

/*
 * The stream ended, and data[0, size) is what was left when mtsi_frame_next() returned 0.
 *
 * Returns 1: it is a last line without a newline (lines only); a trailing CR belongs to it.
 *         0: nothing was left.
 *         -EMSGSIZE: a last line above the limit (by a trailing CR, which counts here).
 *         -EPROTO: a cut-off frame.
 * *scanned is 0 afterwards.
 */
int mtsi_frame_last(const struct mtsi_framing *framing, const char *data, size_t size,
	size_t *scanned, struct mtsi_frame *frame);

/*
 * The most bytes that one request may occupy with its prefix or delimiter, saturating at SIZE_MAX.
 * With that many bytes mtsi_frame_next() never asks for more, so no buffer has to grow past it.
 */
size_t mtsi_frame_room(const struct mtsi_framing *framing);

#endif
