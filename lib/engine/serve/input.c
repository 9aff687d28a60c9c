/* SPDX-License-Identifier: MIT
 *
 * The way in: from what is received (fill.c, receive.c) to whole requests.
 *
 * Bytes are received into the worker's buffers, and framed where they lie. Only a request that does
 * not fit there gets memory of its own, which grows with what has really arrived, never with what a
 * length prefix claims, and is given back once it is consumed.
 *
 * All that is kept beyond a worker's buffer is charged (memory.c). When there is no memory to be
 * had, nothing is received: what cannot be kept is left to the kernel.
 *
 * A request is followed by a NUL for handlers that treat it as text. The NUL may lie on the first
 * byte of the next request, so that byte is kept, and put back before anything looks at the buffer
 * again.
 *
 * Between two turns a client has no worker's buffer. What is left of its input then, mostly the
 * beginning of a request, is saved in memory of its own. In the next turn a short one is copied
 * back into the worker's buffer; a long one stays where it lies and grows there, so that a request
 * that comes byte by byte is not copied each time.
 */
#include "engine/serve/input.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/client/floor.h"
#include "engine/client/memory.h"
#include "engine/serve/worker.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/thread.h"
#include "wire/frame.h"

enum { COPIED = 512 }; /* so few bytes are rather copied than kept where they are */

/* Goes on with what is kept for the client, or with what it waits for. */
__attribute__((noinline)) static void resume(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	struct mts_client *client = worker->member.client;
	input->charged = true;
	if (client->saved == NULL) {
		return;
	}
	input->end = client->saved_size;
	input->scanned = client->saved_scanned;
	if (client->saved_size <= COPIED && client->saved_size < input->capacity) {
		memcpy(input->data, client->saved, client->saved_size);
		free(client->saved);
	} else {
		mtsi_input_own(input, client->saved, client->saved_capacity);
	}
	client->saved = NULL;
}

void mtsi_input_begin(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	const struct mts_client *client = worker->member.client;
	input->data = worker->small;
	input->capacity = MTSI_SMALL_INPUT;
	memset((char *)input + offsetof(struct mtsi_input, start), 0,
		sizeof(*input) - offsetof(struct mtsi_input, start));
	if (client->saved != NULL || client->throttled || atomic_load(&client->wants) > 0) {
		resume(worker);
	}
}

/* How much memory to save so many bytes in, so that what is still to come fits too. */
static size_t room_to_grow(const struct mtsi_worker *worker, size_t here)
{
	const size_t room = mtsi_frame_room(&mtsi_base_floor(worker->member.server)->options.framing);
	const size_t twice = here > room / 2 ? room : here * 2;
	const bool exact = here <= COPIED || twice < here
		|| mtsi_memory_tight(&mtsi_client_floor(worker->member.server)->memory);
	return exact ? here : twice;
}

/* How much memory to save the input in; it is charged from then on. */
static size_t charge_to_save(struct mtsi_worker *worker, size_t here)
{
	const size_t capacity = room_to_grow(worker, here);
	worker->input.charged = true;
	if (mtsi_memory_input(worker->member.client, capacity + 1)) {
		return capacity;
	}
	mtsi_memory_input_anyway(worker->member.client, here + 1);
	return here;
}

/* The current request is gone: frees what was kept for it alone. */
static void drop_request(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	if (input->kept != NULL) {
		free(input->kept);
		mtsi_memory_input_at_most(worker->member.client, input->capacity + 1);
	}
	input->held = 0;
	input->kept = NULL;
	input->kept_size = 0;
}

/* Frees all that is kept of the client's input; nothing is charged for it any more. */
static void give_back(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	if (input->owned) {
		drop_request(worker);
		free(input->data);
	}
	input->data = NULL;
	input->owned = false;
	if (input->charged) {
		(void)mtsi_memory_input(worker->member.client, 0);
	}
}

bool mtsi_input_save(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	struct mts_client *client = worker->member.client;
	const size_t here = input->end - input->start;
	mtsi_input_take_nul(input);
	if (here == 0) {
		give_back(worker); /* if it waits for memory, it goes on waiting */
		return true;
	}
	if (input->owned) {
		drop_request(worker);
		if (input->start > 0) {
			memmove(input->data, input->data + input->start, here);
		}
	} else {
		input->capacity = charge_to_save(worker, here);
		char *memory = malloc(input->capacity + 1);
		if (memory == NULL) {
			return false;
		}
		memcpy(memory, input->data + input->start, here);
		input->data = memory;
	}
	/* Requests are at most 1 GiB, so these numbers fit. */
	client->saved = input->data;
	client->saved_size = (uint32_t)here;
	client->saved_capacity = (uint32_t)input->capacity;
	client->saved_scanned = (uint32_t)input->scanned;
	input->data = NULL;
	input->owned = false;
	return true;
}

void mtsi_input_end(struct mtsi_worker *worker)
{
	const bool charged = worker->input.charged;
	give_back(worker);
	if (charged) {
		worker->input.charged = false;
		mtsi_memory_content(worker->member.client);
	}
}

bool mtsi_input_use_large(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	char *before = input->data;
	const bool owned = input->owned;
	const size_t here = input->end - input->start;
	if (!mtsi_worker_large(worker)) {
		return false;
	}
	memcpy(worker->large, before + input->start, here);
	input->data = worker->large;
	input->owned = false;
	input->capacity = MTSI_LARGE_INPUT;
	input->start = 0;
	input->end = here;
	if (owned) {
		free(before);
		mtsi_memory_input_at_most(worker->member.client,
			mtsi_on_demand(worker->member.server) ? MTSI_LARGE_INPUT + 1 : 0);
	}
	return true;
}

int mtsi_input_charge(struct mtsi_worker *worker, size_t bytes)
{
	worker->input.charged = true;
	return mtsi_memory_input_at_least(worker->member.client, bytes) ? 0 : -ENOSPC;
}

/*
 * How large a buffer may have to be. A callback may also read a line, whatever a request is; so
 * where there is room for the largest request already, it is such a line that needs more.
 */
static size_t most_room(const struct mtsi_worker *worker)
{
	const struct mtsi_framing *framing = &mtsi_base_floor(worker->member.server)->options.framing;
	const size_t room = mtsi_frame_room(framing);
	const struct mtsi_framing lines = mtsi_frame_lines_within(framing->limit);
	return worker->input.capacity < room ? room : mtsi_frame_room(&lines);
}

/* Doubles the input's own memory, up to what the largest request needs: 0, -ENOSPC or -ENOMEM. */
static int use_own(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	const size_t room = most_room(worker);
	mtsi_must(input->capacity < room);
	const bool owned = input->owned;
	const size_t capacity = input->capacity > room / 2 ? room : input->capacity * 2;
	/* While the input is moved there may be two blocks. */
	const int result = mtsi_input_charge(worker, capacity + 1 + (owned ? input->capacity + 1 : 0));
	if (result != 0) {
		return result;
	}
	char *memory = realloc(owned ? input->data : NULL, capacity + 1);
	if (memory == NULL) {
		return -ENOMEM;
	}
	if (!owned) {
		memcpy(memory, input->data, input->end);
	}
	mtsi_input_own(input, memory, capacity);
	mtsi_memory_input_at_most(worker->member.client, capacity + 1);
	return 0;
}

int mtsi_input_make_room(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	const size_t here = input->end - input->start;
	if (input->owned) {
		drop_request(worker);
		if (input->start > 0 && here < MTSI_LARGE_INPUT) {
			return mtsi_input_use_large(worker) ? 0 : -ENOMEM;
		}
	}
	if (input->start > 0) {
		memmove(input->data, input->data + input->start, here);
		input->start = 0;
		input->end = here;
	}
	if (input->data == worker->small && input->full) {
		return mtsi_input_use_large(worker) ? 0 : -ENOMEM;
	}
	return input->end == input->capacity ? use_own(worker) : 0;
}
