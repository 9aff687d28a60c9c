/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_INPUT_H
#define MTSI_ENGINE_SERVE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "os/must.h"
#include "wire/frame.h"

struct mtsi_worker;

/* Received from the client that is being served, and not consumed yet: data[start, end). */
struct mtsi_input {
	char *data; /* the worker's small or large buffer, or memory of its own for a huge request */
	size_t capacity; /* one byte behind it is always there for a NUL */
	const char *request; /* the current one */
	struct mtsi_frame frame; /* how it lay in what was here then */
	/* While the data is memory of its own, of the current request (unread.c): */
	size_t held; /* so much of the worker's small buffer holds it; mostly 0 */
	char *kept; /* other memory that holds it, which is charged too; mostly NULL */
	size_t kept_size; /* what is charged for that */
	char under_nul; /* the byte that the NUL below hides, perhaps the next request's first */
	/* From here on all is zero when a turn begins with nothing. */
	size_t start;
	size_t end;
	size_t scanned; /* what framing has searched already */
	char *nul; /* where a NUL stands after the request that is being handled; NULL: nowhere */
	bool owned; /* the data is memory of its own */
	bool full; /* the last receive filled the buffer: more may be waiting */
	bool exhausted; /* nothing is left to receive, unless somebody says AGAIN */
	bool ended; /* the peer's end of stream has come */
	bool charged; /* something may be charged for it, or waited for */
};

/*
 * A turn's input begins with what the client has saved. It ends with saving what is left, or else
 * all of it is freed.
 */
void mtsi_input_begin(struct mtsi_worker *worker);
bool mtsi_input_save(struct mtsi_worker *worker); /* false when memory is short */
void mtsi_input_end(struct mtsi_worker *worker);

/* Whether there is nothing to save or to free, as mostly. */
static inline bool mtsi_input_is_spent(const struct mtsi_input *input)
{
	return input->start == input->end && !input->owned && !input->charged;
}

/*
 * Makes room for more, with what is left of this request at the front: 0, -ENOSPC or -ENOMEM.
 * Memory of its own is given up as soon as what is here fits into the large buffer. The small
 * buffer, once it was filled, is not used again for this client.
 */
int mtsi_input_make_room(struct mtsi_worker *worker);

/*
 * Moves the input, which is shorter than that, into the worker's large buffer; false when memory is
 * short.
 */
bool mtsi_input_use_large(struct mtsi_worker *worker);

/* From now on the input lies in this memory of its own, which no current request does. */
static inline void mtsi_input_own(struct mtsi_input *input, char *memory, size_t capacity)
{
	input->data = memory;
	input->capacity = capacity;
	input->owned = true;
	input->held = 0;
	input->kept = NULL;
	input->kept_size = 0;
}

/* Charges so many bytes for input: 0; -ENOSPC: there is no room for them yet. */
int mtsi_input_charge(struct mtsi_worker *worker, size_t bytes);

/* Puts a NUL at this place. Its counterpart below restores the byte that the NUL has hidden. */
static inline void mtsi_input_put_nul(struct mtsi_input *input, size_t at)
{
	mtsi_must(at <= input->capacity);
	input->nul = input->data + at;
	input->under_nul = *input->nul;
	*input->nul = '\0';
}

static inline void mtsi_input_take_nul(struct mtsi_input *input)
{
	if (input->nul != NULL) {
		*input->nul = input->under_nul;
		input->nul = NULL;
	}
}

/*
 * The next whole request among what is here: 1; 0 when more must be received; -EMSGSIZE or -EPROTO.
 * At the end of the stream, the last line or what is cut off: 1, 0 or an error. The bytes of the
 * request before are gone then; a NUL follows the new one.
 */
static inline int mtsi_input_request(struct mtsi_input *input, const struct mtsi_framing *framing)
{
	const size_t here = input->end - input->start;
	const char *bytes = input->data + input->start;
	mtsi_input_take_nul(input);
	if (!mtsi_frame_is_all(framing, here, &input->frame)) {
		int result = mtsi_frame_next(framing, bytes, here, &input->scanned, &input->frame);
		if (result == 0 && input->ended) {
			result = mtsi_frame_last(framing, bytes, here, &input->scanned, &input->frame);
		}
		if (result != 1) {
			return result;
		}
	}
	input->request = bytes + input->frame.offset;
	mtsi_input_put_nul(input, input->start + input->frame.offset + input->frame.size);
	input->start += input->frame.consumed;
	return 1;
}

#endif
