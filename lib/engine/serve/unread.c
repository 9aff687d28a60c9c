/* SPDX-License-Identifier: MIT
 *
 * Bytes that a callback puts back: they become the next of the client's input, for framing as for
 * reading.
 *
 * They are put where bytes were consumed before, if there is room. The current request is never
 * written over, since the callback may still use it. So where there is none the input moves: into
 * memory of its own, which is charged like any other that is kept beyond a worker's buffer. It lies
 * at the end of that memory, with room in front of it, so that putting back little by little is not
 * a copy each time. The request stays where it is: in a buffer of the worker's, where replies must
 * not be put on top of it (`held`); or in memory that is freed later than it would be otherwise
 * (`kept`). Its NUL stays too, and the byte that this hides has moved with the input.
 */
#include "engine/serve/unread.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/floor.h"
#include "engine/client/memory.h"
#include "engine/serve/input.h"
#include "engine/serve/worker.h"

/* How much input may be here once something was put back. */
static size_t most_input(const struct mtsi_worker *worker)
{
	const size_t limit = mtsi_base_floor(worker->member.server)->options.framing.limit;
	return limit > MTSI_LARGE_INPUT ? limit : MTSI_LARGE_INPUT;
}

/* How much room there is before the input, behind the NUL of the current request. */
static size_t room_before(const struct mtsi_input *input)
{
	const size_t used = input->nul == NULL ? 0 : (size_t)(input->nul - input->data) + 1;
	return input->start > used ? input->start - used : 0;
}

/* Charges memory for this much input, and for more if there is plenty: its size, or 0. */
static size_t charge(struct mtsi_worker *worker, size_t size)
{
	struct mts_client *client = worker->member.client;
	const size_t before = mtsi_memory_charged(client);
	const size_t most = most_input(worker);
	const size_t twice = size > most / 2 ? most : size * 2;
	worker->input.charged = true;
	if (!mtsi_memory_tight(&mtsi_client_floor(worker->member.server)->memory)
		&& mtsi_memory_input(client, before + twice + 1)) {
		return twice;
	}
	return mtsi_memory_input(client, before + size + 1) ? size : 0;
}

/* The input leaves the place where it was; the current request, if that is there, does not. */
static void leave(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	const bool has_request = input->nul != NULL;
	if (!input->owned) {
		const bool small = has_request && input->data == worker->small;
		input->kept = NULL;
		input->kept_size = 0;
		input->held = small ? (size_t)(input->nul - input->data) + 1 : 0;
	} else if (has_request) {
		free(input->kept); /* that was an earlier request's */
		input->kept = input->data;
		input->kept_size = input->capacity + 1;
		input->held = 0;
	} else {
		free(input->data);
	}
}

/* Moves the input into memory of its own, behind what is put back. */
static int move(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mtsi_input *input = &worker->input;
	const size_t here = input->end - input->start;
	const size_t before = mtsi_memory_charged(worker->member.client);
	const size_t capacity = charge(worker, size + here);
	char *memory = capacity == 0 ? NULL : malloc(capacity + 1);
	if (memory == NULL) {
		mtsi_memory_input_at_most(worker->member.client, before);
		return -ENOMEM;
	}
	const size_t start = capacity - size - here;
	char *const rest = memory + start + size;
	memcpy(memory + start, data, size);
	memcpy(rest, input->data + input->start, here);
	if (input->nul != NULL && input->nul >= input->data + input->start
		&& input->nul < input->data + input->end) {
		rest[input->nul - (input->data + input->start)] = input->under_nul;
	}
	leave(worker);
	input->data = memory;
	input->start = start;
	input->end = capacity;
	input->capacity = capacity;
	input->nul = NULL;
	input->owned = true;
	mtsi_memory_input_at_most(worker->member.client, capacity + 1 + input->kept_size);
	return 0;
}

static bool is_over(const struct mtsi_worker *worker)
{
	return worker->closing || atomic_load(&worker->member.client->lost);
}

int mtsi_unread(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mtsi_input *input = &worker->input;
	const size_t here = input->end - input->start;
	const size_t most = most_input(worker);
	int result = 0;
	if (is_over(worker)) {
		return -EPIPE;
	}
	if (size == 0) {
		return 0;
	}
	if (size > most || here > most - size) {
		return -EMSGSIZE;
	}
	if (size <= room_before(input)) {
		memmove(input->data + input->start - size, data, size);
		input->start -= size;
	} else {
		result = move(worker, data, size);
	}
	if (result == 0) {
		input->scanned = 0;
	}
	return result;
}

ssize_t mtsi_unread_pending(const struct mtsi_worker *worker)
{
	const struct mtsi_input *input = &worker->input;
	if (is_over(worker)) {
		return -EPIPE;
	}
	return (ssize_t)(input->end - input->start + mtsi_conn_held_back(worker->member.client));
}
