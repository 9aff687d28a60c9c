/* SPDX-License-Identifier: MIT
 *
 * The way in: from a client's socket to whole requests.
 *
 * Bytes are received into the worker's buffers, and framed where they lie. Only a request that does
 * not fit there gets memory of its own, which grows with what has really arrived, never with what a
 * length prefix claims, and is given back once it is consumed.
 *
 * All that is kept beyond a worker's buffer is charged (memory.c). When there is no memory to be
 * had, nothing is received: what cannot be kept is left to the kernel.
 *
 * A request is followed by a NUL for handlers that treat it as text. That byte may be the first of
 * the next request, so what it hides is kept, and put back before anything looks at the buffer
 * again.
 *
 * Between two turns a client has no worker's buffer. What it has left of its input then, the
 * beginning of a request mostly, is saved in memory of its own: short ones are copied back into the
 * next worker's buffer, long ones are gone on with where they lie, so that a request that comes
 * byte by byte is not copied each time.
 *
 * receive() is the seam at which thread models differ. With a thread per client it is one blocking
 * call. On demand it does not wait: the client is parked instead (turn.c), and only a callback that
 * asks for more waits in it, after it has let the crew know. A read that is shorter than the buffer
 * has taken all there was, which saves asking again; not so once urgent data or an end of the
 * stream was announced (recv(2) stops at either), nor on sockets that keep the pieces apart, as
 * Unix ones may. What comes afterwards raises an event, which leaves AGAIN (claim.h).
 *
 * A stop wakes who waits by shutting down the receiving side, after the flag is set; so a worker
 * that saw no flag before it began to wait is woken by the shutdown, which outlasts the call
 * (shutdown(2)). From then on only what had already arrived is read, to the byte, so that requests
 * received whole are served and a peer that never stops sending cannot hold up the stop.
 *
 * A deadline ends a wait in the same way, and the same is done then (`late`), since what is there may
 * have come in time: the process was stopped for a while, say. If it makes the request whole, and the
 * deadline has not shut the socket down, the client was in time, and stays.
 */
#include "engine/serve/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/deadline.h"
#include "engine/client/floor.h"
#include "engine/client/memory.h"
#include "engine/crew/stint.h"
#include "engine/door/eviction.h"
#include "engine/serve/output.h"
#include "engine/serve/worker.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/socket.h"
#include "os/thread.h"
#include "wire/frame.h"

enum { COPIED = 512 }; /* bytes that are copied sooner than kept apart */

static bool owns_memory(const struct mtsi_worker *worker)
{
	return worker->input.data != worker->small && worker->input.data != worker->large;
}

static void put_nul(struct mtsi_input *input, size_t at)
{
	mtsi_must(at <= input->capacity);
	input->nul = input->data + at;
	input->under_nul = *input->nul;
	*input->nul = '\0';
}

static void take_nul(struct mtsi_input *input)
{
	if (input->nul != NULL) {
		*input->nul = input->under_nul;
		input->nul = NULL;
	}
}

void mtsi_input_begin(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	struct mts_client *client = worker->member.client;
	memset(input, 0, sizeof(*input));
	input->data = worker->small;
	input->capacity = MTSI_SMALL_INPUT;
	input->charged = client->saved != NULL || client->held || atomic_load(&client->wants) > 0;
	if (client->saved == NULL) {
		return;
	}
	input->end = client->saved_size;
	input->scanned = client->saved_scanned;
	if (client->saved_size <= COPIED && client->saved_size < input->capacity) {
		memcpy(input->data, client->saved, client->saved_size);
		free(client->saved);
	} else {
		input->data = client->saved;
		input->capacity = client->saved_capacity;
	}
	client->saved = NULL;
}

/* How much memory to save so many bytes in, so that what is to come finds room too. */
static size_t room_to_grow(const struct mtsi_worker *worker, size_t here)
{
	const size_t room = mtsi_frame_room(&mtsi_base_floor(worker->member.server)->options.framing);
	const size_t twice = here > room / 2 ? room : here * 2;
	const bool exact = here <= COPIED || twice < here
		|| mtsi_memory_tight(&mtsi_client_floor(worker->member.server)->memory);
	return exact ? here : twice;
}

/* How much to save in: it is charged from then on. */
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

/* All that is kept of its input is freed, and charged no more. */
static void give_back(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	if (owns_memory(worker)) {
		free(input->data);
	}
	input->data = NULL;
	if (input->charged) {
		(void)mtsi_memory_input(worker->member.client, 0);
	}
}

bool mtsi_input_save(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	struct mts_client *client = worker->member.client;
	const size_t here = input->end - input->start;
	take_nul(input);
	if (here == 0) {
		give_back(worker); /* but what it waits for it goes on waiting for */
		return true;
	}
	if (owns_memory(worker)) {
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
	/* Requests are at most 1 GiB, so these fit. */
	client->saved = input->data;
	client->saved_size = (uint32_t)here;
	client->saved_capacity = (uint32_t)input->capacity;
	client->saved_scanned = (uint32_t)input->scanned;
	input->data = NULL;
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

int mtsi_input_request(struct mtsi_worker *worker, const void **request, size_t *size)
{
	struct mtsi_input *input = &worker->input;
	const struct mtsi_framing *framing = &mtsi_base_floor(worker->member.server)->options.framing;
	const size_t here = input->end - input->start;
	const char *bytes = input->data + input->start;
	struct mtsi_frame frame;

	take_nul(input);
	int result = mtsi_frame_next(framing, bytes, here, &input->scanned, &frame);
	if (result == 0 && input->ended) {
		result = mtsi_frame_last(framing, bytes, here, &input->scanned, &frame);
	}
	if (result == 1) {
		*request = bytes + frame.offset;
		*size = frame.size;
		put_nul(input, input->start + frame.offset + frame.size);
		input->start += frame.consumed;
	}
	return result;
}

/* Moves what is here into the large buffer: 0 or -ENOMEM. */
static int use_large(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	char *before = input->data;
	const bool owned = owns_memory(worker);
	const size_t here = input->end - input->start;
	if (!mtsi_worker_large(worker)) {
		return -ENOMEM;
	}
	memcpy(worker->large, before + input->start, here);
	input->data = worker->large;
	input->capacity = MTSI_LARGE_INPUT;
	input->start = 0;
	input->end = here;
	if (owned) {
		free(before);
		mtsi_memory_input_at_most(worker->member.client,
			mtsi_on_demand(worker->member.server) ? MTSI_LARGE_INPUT + 1 : 0);
	}
	return 0;
}

/* Charges for so much input: 0, or -ENOSPC: not yet. */
static int charge(struct mtsi_worker *worker, size_t bytes)
{
	worker->input.charged = true;
	return mtsi_memory_input_at_least(worker->member.client, bytes) ? 0 : -ENOSPC;
}

/* Doubles memory of its own, up to what the largest request needs: 0, -ENOSPC or -ENOMEM. */
static int use_own(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	const size_t room = mtsi_frame_room(&mtsi_base_floor(worker->member.server)->options.framing);
	mtsi_must(input->capacity < room);
	const bool owned = owns_memory(worker);
	const size_t capacity = input->capacity > room / 2 ? room : input->capacity * 2;
	/* While it is moved there may be two. */
	const int result = charge(worker, capacity + 1 + (owned ? input->capacity + 1 : 0));
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
	input->data = memory;
	input->capacity = capacity;
	mtsi_memory_input_at_most(worker->member.client, capacity + 1);
	return 0;
}

/*
 * Makes room for more, with what is left of this request at the front: 0, -ENOSPC or -ENOMEM.
 * Memory of its own is left as soon as what is here fits into the large buffer; the small one for
 * good, for this client, once it was filled.
 */
static int make_room(struct mtsi_worker *worker)
{
	struct mtsi_input *input = &worker->input;
	const size_t here = input->end - input->start;
	if (owns_memory(worker) && input->start > 0 && here < MTSI_LARGE_INPUT) {
		return use_large(worker);
	}
	if (input->start > 0) {
		memmove(input->data, input->data + input->start, here);
		input->start = 0;
		input->end = here;
	}
	if (input->data == worker->small && input->full) {
		return use_large(worker);
	}
	return input->end == input->capacity ? use_own(worker) : 0;
}

static int connection_failed(struct mts_client *client)
{
	mtsi_client_lose(client);
	return -EPIPE;
}

/* All that had come in time has been taken: 0 when the peer has finished as well, or why it ends. */
static int end_of_last(struct mtsi_worker *worker, enum mtsi_wait kind)
{
	const int fd = worker->member.client->fd;
	if (mtsi_socket_unread(fd) == 0 && mtsi_socket_peer(fd) >= MTSI_PEER_FINISHED) {
		return 0;
	}
	if (!worker->late) {
		return -ECANCELED;
	}
	mtsi_deadline_end(worker->member.client, kind);
	return -ETIMEDOUT;
}

/* The server is stopping, or a wait has lasted too long: takes only what is here already. */
__attribute__((noinline)) static ssize_t receive_last(
	struct mtsi_worker *worker, void *buffer, size_t size, enum mtsi_wait kind)
{
	const int fd = worker->member.client->fd;
	if (!worker->last_turn) {
		worker->last_turn = true;
		worker->last_left = mtsi_socket_unread(fd);
	}
	if (worker->last_left == 0) {
		return end_of_last(worker, kind);
	}
	const ssize_t count = mtsi_socket_receive_now(
		fd, buffer, size < worker->last_left ? size : worker->last_left);
	if (count == 0 || count == -EAGAIN) {
		worker->last_left = 0;
		return end_of_last(worker, kind);
	}
	worker->last_left -= count > 0 ? (size_t)count : 0;
	return count;
}

void mtsi_input_late(struct mtsi_worker *worker)
{
	worker->late = true;
	worker->input.drained = false;
}

/* The deadline has the last word if it has shut the receiving side. */
static void forgive(struct mtsi_worker *worker)
{
	if (atomic_load(&worker->member.client->cause) == MTSI_NO_CAUSE) {
		worker->late = false;
		worker->last_turn = false;
	}
}

/* A first byte has come, late or not: a request has begun, which has a deadline of its own. */
__attribute__((noinline)) static void forgive_late(struct mtsi_worker *worker, enum mtsi_wait kind)
{
	if (worker->late && kind == MTSI_WAIT_IDLE) {
		forgive(worker);
	}
}

void mtsi_input_met(struct mtsi_worker *worker)
{
	mtsi_deadline_met(worker->member.client);
	if (worker->late) {
		forgive(worker);
	}
}

/* Somebody has ended the wait, and holds the lock until all that belongs to that is done. */
__attribute__((noinline)) static void wait_ended(struct mtsi_worker *worker)
{
	mtsi_lock_take(&worker->member.client->lock);
	mtsi_lock_release(&worker->member.client->lock);
	mtsi_input_late(worker);
}

/* Waits for the client's next bytes, in a callback or for a thread of its own. */
static ssize_t receive_waiting(
	struct mtsi_worker *worker, void *buffer, size_t size, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	mtsi_stint_step_aside(&worker->member);
	worker->input.drained = false;
	if (!mtsi_deadline_block(client, kind, MTSI_BLOCK_RECEIVE)) {
		mtsi_input_late(worker);
		return -EAGAIN;
	}
	mtsi_eviction_offer(worker->member.server, client->id);
	/* After it has said that it waits: who cuts it off now wakes it, who has need not (client.c). */
	if (atomic_load(&client->lost)) {
		(void)mtsi_deadline_unblock(client);
		return -EPIPE;
	}
	const ssize_t count = mtsi_socket_receive(client->fd, buffer, size);
	if (!mtsi_deadline_unblock(client)) {
		wait_ended(worker);
		if (count > 0) {
			forgive_late(worker, kind);
		}
	}
	return count;
}

bool mtsi_input_exhausted(const struct mtsi_worker *worker)
{
	return worker->input.drained && !mtsi_claim_again(worker->member.client)
		&& !mtsi_stopping(worker->member.server);
}

/* Takes what is there; -EAGAIN when that is nothing. */
static ssize_t receive_now(struct mtsi_worker *worker, void *buffer, size_t size)
{
	struct mts_client *client = worker->member.client;
	struct mtsi_input *input = &worker->input;
	if (input->drained && !mtsi_claim_again(client)) {
		return -EAGAIN;
	}
	mtsi_claim_clear(client);
	const ssize_t count = mtsi_socket_receive_now(client->fd, buffer, size);
	input->drained = count == -EAGAIN
		|| (count > 0 && (size_t)count < size && !atomic_load(&client->thorough));
	return count;
}

/* Some have come. */
static inline ssize_t note_received(struct mtsi_worker *worker, ssize_t count, bool on_demand)
{
	mtsi_count(&worker->member.counters, MTS_STAT_BYTES_IN, (uint64_t)count);
	if (!on_demand) {
		atomic_store_explicit(&worker->member.since, mtsi_clock_now(), memory_order_relaxed);
	}
	return count;
}

/* Whoever has cut it off while its owner slept may not have been able to reset it. */
static void reset_if_lost(struct mts_client *client)
{
	if (atomic_load(&client->lost)) {
		mtsi_client_lose(client);
	}
}

/* None have: what that means. Apart from the usual case, so that this one is short. */
__attribute__((noinline)) static ssize_t received_nothing(
	struct mtsi_worker *worker, void *buffer, size_t size, ssize_t count, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	if (atomic_load(&client->lost)) {
		reset_if_lost(client);
		return -EPIPE; /* not the peer has ended the stream, but whoever has cut it off */
	}
	if ((count == 0 || count == -EAGAIN)
		&& (worker->late || mtsi_stopping(worker->member.server))) {
		count = receive_last(worker, buffer, size, kind);
	}
	if (count > 0) {
		forgive_late(worker, kind);
		return note_received(worker, count, mtsi_on_demand(worker->member.server));
	}
	if (count == 0) {
		worker->input.ended = true;
	} else if (count == -EPIPE) {
		return connection_failed(client);
	}
	return count;
}

/*
 * The seam: the client's next bytes, for which to wait if that is the kind of a wait. As
 * mtsi_input_fill(), with their count instead of 1.
 */
static ssize_t receive(
	struct mtsi_worker *worker, void *buffer, size_t size, bool wait, enum mtsi_wait kind)
{
	struct mts_client *client = worker->member.client;
	const bool on_demand = mtsi_on_demand(worker->member.server);
	ssize_t count = 0;
	if (atomic_load_explicit(&client->lost, memory_order_relaxed)) {
		return -EPIPE;
	}
	if (!mtsi_stopping(worker->member.server) && !worker->late) {
		count = on_demand ? receive_now(worker, buffer, size) : -EAGAIN;
		if (count == -EAGAIN && (wait || !on_demand)) {
			count = receive_waiting(worker, buffer, size, kind);
		}
	}
	return count > 0 ? note_received(worker, count, on_demand)
					 : received_nothing(worker, buffer, size, count, kind);
}

/* Waits for so many milliseconds, or until nothing more can come of the client: true. */
static bool is_over_within(const struct mts_client *client, unsigned milliseconds)
{
	bool failed;
	const bool closed = mtsi_socket_wait_closed_for(client->fd, milliseconds, &failed);
	if (atomic_load(&client->lost) || failed || (closed && mtsi_socket_peek(client->fd) != 1)) {
		return true;
	}
	if (closed && milliseconds > 0) {
		mtsi_thread_pause(milliseconds); /* the socket waits for that no more */
	}
	return false;
}

/* Waits a little for memory, in a callback or for a thread of its own: 0, and try again, or an error. */
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
		return connection_failed(client);
	}
	if (!in_time) {
		mtsi_memory_content(client);
		return -ETIMEDOUT;
	}
	return 0;
}

/*
 * There is no memory to keep input in, but nothing of a request is here either: -ENOSPC when there
 * will be, and 0 when there is nothing to keep, since the stream has ended, or who waits for it
 * keeps its thread; -EAGAIN when nothing has come, or -EPIPE.
 */
static int anything_to_keep(struct mtsi_worker *worker, bool wait)
{
	struct mts_client *client = worker->member.client;
	mtsi_claim_clear(client);
	const ssize_t count = wait ? 0 : mtsi_socket_peek(client->fd);
	if (count == 1) {
		return -ENOSPC;
	}
	mtsi_memory_content(client);
	worker->input.drained = count == -EAGAIN;
	return count == -EPIPE ? connection_failed(client) : (int)count;
}

/* Makes room for more, and sees to it that what is received can be kept: as mtsi_input_fill(). */
static int prepare(struct mtsi_worker *worker, bool wait, enum mtsi_wait kind)
{
	const struct mtsi_input *input = &worker->input;
	const bool on_demand = mtsi_on_demand(worker->member.server);
	int result;
	do {
		result = make_room(worker);
		/* Only who parks has to keep what lies in a worker's buffer; at a stop what is partial is dropped. */
		if (result == 0 && on_demand && !mtsi_stopping(worker->member.server)
			&& mtsi_memory_tight(&mtsi_client_floor(worker->member.server)->memory)) {
			result = charge(worker, input->capacity + 1);
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
		result = connection_failed(worker->member.client);
	}
	return result;
}

int mtsi_input_fill(struct mtsi_worker *worker, bool wait)
{
	struct mtsi_input *input = &worker->input;
	const enum mtsi_wait kind = input->start < input->end ? MTSI_WAIT_REQUEST : MTSI_WAIT_IDLE;
	take_nul(input);
	const int result = prepare(worker, wait, kind);
	if (result != 0 || input->ended) {
		return result;
	}
	if (input->charged) {
		mtsi_memory_content(worker->member.client);
	}
	const size_t room = input->capacity - input->end;
	const ssize_t count = receive(worker, input->data + input->end, room, wait, kind);
	if (count <= 0) {
		return (int)count;
	}
	input->end += (size_t)count;
	input->full = input->end == input->capacity;
	worker->received += (size_t)count;
	return 1;
}

/*
 * The next bytes, into the program's memory. A page of that may take seconds, and the kernel holds
 * the socket's lock while it copies there, for which who shuts it down would wait. So they are
 * received where replies gather, of which there are none now, and copied from there.
 */
static ssize_t read_more(struct mtsi_worker *worker, void *buffer, size_t size)
{
	char *space = mtsi_output_space(worker, &size);
	const ssize_t count = receive(worker, space, size, true, MTSI_WAIT_REQUEST);
	if (count > 0) {
		memcpy(buffer, space, (size_t)count);
		reset_if_lost(worker->member.client);
	}
	return count;
}

ssize_t mtsi_input_read(struct mtsi_worker *worker, void *buffer, size_t size)
{
	struct mtsi_input *input = &worker->input;
	const size_t here = input->end - input->start;
	input->scanned = 0;
	if (here == 0) {
		return input->ended ? 0 : read_more(worker, buffer, size);
	}
	/* The current request stays valid, so its NUL goes back unless its place has been read. */
	char *const nul = input->nul;
	take_nul(input);
	const size_t count = size < here ? size : here;
	memcpy(buffer, input->data + input->start, count);
	input->start += count;
	if (nul != NULL) {
		put_nul(input, (size_t)(nul - input->data));
	}
	return (ssize_t)count;
}
