/* SPDX-License-Identifier: MIT
 *
 * Receiving more of a request, with memory to keep it in; and what callbacks read beside requests.
 */
#include "engine/serve/fill.h"

#include <errno.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/floor.h"
#include "engine/client/memory.h"
#include "engine/crew/stint.h"
#include "engine/serve/input.h"
#include "engine/serve/output.h"
#include "engine/serve/receive.h"
#include "engine/serve/worker.h"
#include "os/thread.h"

/* Waits for so many milliseconds; true as soon as nothing more can come from the client. */
static bool is_over_within(const struct mts_client *client, unsigned milliseconds)
{
	bool failed;
	const bool closed = mtsi_conn_wait_closed_for(client, milliseconds, &failed);
	if (atomic_load(&client->lost) || failed || (closed && mtsi_conn_peek(client) != 1)) {
		return true;
	}
	if (closed && milliseconds > 0) {
		mtsi_thread_pause(milliseconds); /* the socket no longer makes it wait */
	}
	return false;
}

/*
 * Waits a little for memory, in a callback or for a thread of its own: 0, then try again; or an
 * error.
 */
static int wait_for_memory(struct mtsi_worker *worker, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	mtsi_stint_step_aside(&worker->member);
	if (!mtsi_deadline_block(client, kind, MTSI_BLOCK_MEMORY)) {
		mtsi_memory_content(client);
		mtsi_deadline_end(client, kind);
		return -ETIMEDOUT;
	}
	const bool over = is_over_within(client, mtsi_memory_block(worker->member.server));
	mtsi_memory_unblock(worker->member.server);
	const bool in_time = mtsi_deadline_unblock(client);
	if (over) {
		return mtsi_receive_failed(client);
	}
	if (!in_time) {
		mtsi_memory_content(client);
		return -ETIMEDOUT;
	}
	/* A stop: what has arrived is still taken, but there is none. */
	const bool stopped = kind != MTSI_WAIT_READ && mtsi_closing(worker->member.server)
		&& mtsi_conn_peek(client) != 1;
	if (stopped || mtsi_receive_wants_no_more(worker, kind)) {
		mtsi_memory_content(client);
		return -ECANCELED;
	}
	return 0;
}

/*
 * There is no memory to keep input in, but nothing of a request is here either. -ENOSPC: there is
 * something to receive, so there is need of memory. 0: nothing needs to be kept, since the stream
 * has ended, or since the client keeps its thread while it waits. -EAGAIN: nothing has come. Or
 * -EPIPE.
 */
static int anything_to_keep(struct mtsi_worker *worker, bool wait)
{
	struct mts_client *client = worker->member.client;
	mtsi_claim_clear(client);
	const ssize_t count = wait ? 0 : mtsi_conn_peek(client);
	if (count == 1) {
		return -ENOSPC;
	}
	mtsi_memory_content(client);
	worker->input.exhausted = count == -EAGAIN;
	return count == -EPIPE ? mtsi_receive_failed(client) : (int)count;
}

/* Makes room for more, and memory to keep what will be received; returns what mtsi_fill() does. */
__attribute__((noinline)) static int prepare_memory(
	struct mtsi_worker *worker, bool wait, enum mtsi_wait kind)
{
	const struct mtsi_input *input = &worker->input;
	const bool on_demand = mtsi_on_demand(worker->member.server);
	int result;
	do {
		result = mtsi_input_make_room(worker);
		/* Only a client that parks needs memory for it; at a stop, a partial request is dropped. */
		if (result == 0 && on_demand
			&& (kind == MTSI_WAIT_READ || !mtsi_closing(worker->member.server))
			&& mtsi_memory_tight(&mtsi_client_floor(worker->member.server)->memory)) {
			result = mtsi_input_charge(worker, input->capacity + 1);
		}
		if (result == -ENOSPC && input->start == input->end) {
			result = anything_to_keep(worker, wait);
		}
		if (result != -ENOSPC) {
			return result;
		}
		if (wait || !on_demand) {
			result = wait_for_memory(worker, kind);
		}
	} while (result == 0);
	if (result == -ENOSPC && is_over_within(worker->member.client, 0)) {
		result = mtsi_receive_failed(worker->member.client);
	}
	return result;
}

/* Whether nothing is left of the requests before, and there is room for the next ones, as mostly. */
static inline bool is_plain(const struct mtsi_worker *worker)
{
	const struct mtsi_input *input = &worker->input;
	return input->start == input->end && input->data == worker->small && !input->full
		&& !mtsi_memory_tight(&mtsi_client_floor(worker->member.server)->memory);
}

/* For what a wait counts that begins now. */
static inline enum mtsi_wait kind_of_wait(const struct mtsi_input *input)
{
	return input->start < input->end ? MTSI_WAIT_REQUEST : MTSI_WAIT_IDLE;
}

/* So many bytes have been received behind what is here. */
static inline int note_filled(struct mtsi_worker *worker, ssize_t count)
{
	struct mtsi_input *input = &worker->input;
	input->end += (size_t)count;
	input->full = input->end == input->capacity;
	worker->received += (size_t)count;
	return 1;
}

/* Nothing could be had at once, which was said by this `count`. Not inlined: see mtsi_fill(). */
__attribute__((noinline)) static int fill_later(
	struct mtsi_worker *worker, bool wait, enum mtsi_wait kind, ssize_t count)
{
	const struct mtsi_input *input = &worker->input;
	count = mtsi_receive(
		worker, input->data + input->end, input->capacity - input->end, wait, kind, count);
	return count > 0 ? note_filled(worker, count) : (int)count;
}

/* The usual case, in which there is room and something to receive, is kept short. */
int mtsi_fill(struct mtsi_worker *worker, bool wait)
{
	struct mtsi_input *input = &worker->input;
	mtsi_input_take_nul(input);
	if (is_plain(worker)) {
		input->start = 0;
		input->end = 0;
	} else {
		const int result = prepare_memory(worker, wait, kind_of_wait(input));
		if (result != 0) {
			return result;
		}
	}
	if (input->ended) {
		return 0;
	}
	if (input->charged) {
		mtsi_memory_content(worker->member.client);
	}
	const ssize_t count = mtsi_receive_now(
		worker, input->data + input->end, input->capacity - input->end);
	return count > 0 ? note_filled(worker, count)
					 : fill_later(worker, wait, kind_of_wait(input), count);
}

/*
 * The client ends, and what was read is still good. It is reset if it was lost meanwhile. If it is to
 * finish, AGAIN may have been cleared, and is left for who looks for the next request (client.c).
 */
__attribute__((noinline)) static void read_at_the_end(struct mtsi_worker *worker)
{
	mtsi_receive_reset_if_lost(worker->member.client);
	(void)mtsi_claim(worker->member.client); /* it is owned, so this leaves AGAIN */
}

/* More of what is no request; returns what mtsi_fill() does. */
static int fill_other(struct mtsi_worker *worker, bool wait, enum mtsi_wait kind)
{
	const struct mtsi_input *input = &worker->input;
	const int result = prepare_memory(worker, wait, kind);
	if (result != 0 || input->ended) {
		return result;
	}
	if (input->charged) {
		mtsi_memory_content(worker->member.client);
	}
	const ssize_t count = mtsi_receive_now(
		worker, input->data + input->end, input->capacity - input->end);
	return count > 0 ? note_filled(worker, count) : fill_later(worker, wait, kind, count);
}

int mtsi_fill_header(struct mtsi_worker *worker)
{
	/* No request is that large perhaps, so what was saved cannot grow where it is. */
	if (worker->input.owned && !mtsi_input_use_large(worker)) {
		return -ENOMEM;
	}
	return fill_other(worker, false, MTSI_WAIT_HANDSHAKE);
}

int mtsi_fill_line(struct mtsi_worker *worker)
{
	mtsi_input_take_nul(&worker->input);
	const int result = fill_other(worker, true, MTSI_WAIT_READ);
	if (result > 0 && atomic_load(&worker->member.client->ends)) {
		read_at_the_end(worker);
	}
	return result;
}

/*
 * Reads the next bytes into the program's memory. A page of that memory may take seconds to come,
 * and while the kernel copies there it holds the socket's lock, for which a thread that shuts the
 * socket down would wait. So the bytes are received where replies gather, where none are now, and
 * copied.
 */
static ssize_t read_more(struct mtsi_worker *worker, void *buffer, size_t size)
{
	char *space = mtsi_output_space(worker, &size);
	ssize_t count = mtsi_receive_now(worker, space, size);
	if (count <= 0) {
		count = mtsi_receive(worker, space, size, true, MTSI_WAIT_READ, count);
	}
	if (count > 0) {
		memcpy(buffer, space, (size_t)count);
		if (atomic_load(&worker->member.client->ends)) {
			read_at_the_end(worker);
		}
	}
	return count;
}

ssize_t mtsi_fill_read(struct mtsi_worker *worker, void *buffer, size_t size)
{
	struct mtsi_input *input = &worker->input;
	const size_t here = input->end - input->start;
	input->scanned = 0;
	if (here == 0) {
		return input->ended ? 0 : read_more(worker, buffer, size);
	}
	/*
	 * The current request stays valid, so its NUL is put back, unless the byte there has been read.
	 */
	char *const nul = input->nul;
	mtsi_input_take_nul(input);
	const size_t count = size < here ? size : here;
	memcpy(buffer, input->data + input->start, count);
	input->start += count;
	if (nul != NULL) {
		mtsi_input_put_nul(input, (size_t)(nul - input->data));
	}
	return (ssize_t)count;
}
