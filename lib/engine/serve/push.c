/* SPDX-License-Identifier: MIT
 *
 * From the writer's memory into the socket and the queue, in critical sections of the client's lock
 * between which the writer waits.
 *
 * Threads that must not be held up take that lock too: those that broadcast, kick, stop, or look at
 * deadlines. So the program's own memory is touched under it only when its pages are there. A page
 * may belong to a mapped file, and take seconds to come. So before each section, with no lock held,
 * what the section may touch is faulted in (`ready`). At first that is all of the write, up to 16
 * MiB, so that a write that cannot be read is refused before anything of it is sent. After a wait,
 * in which pages may have gone again, it is only as much as one section is likely to take; when
 * that is used up, there is another section. In between the writer waits for its memory, not for
 * the peer, so the peer's time does not run then.
 *
 * The memory may turn out to be unreadable all the same, because somebody has truncated the file
 * meanwhile. Then the kernel says so, in the send or when it copies to the queue, and nobody gets a
 * signal. If nothing of the write has gone yet, it is refused as a whole; else the stream is torn,
 * and the client is lost.
 */
#include "engine/serve/push.h"

#include <errno.h>
#include <stdint.h>

#include <mtserver/hooks.h>

#include "engine/base/counters.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/deadline.h"
#include "engine/client/memory.h"
#include "engine/client/registration.h"
#include "engine/crew/stint.h"
#include "engine/serve/worker.h"
#include "os/foreign.h"
#include "os/lock.h"
#include "wire/buffer.h"

enum { SECTION = 1024 * 1024 }; /* so many bytes are faulted in for each section after the first */

static size_t left_of(const struct mtsi_pieces *pieces)
{
	return pieces->ours.iov_len + pieces->theirs.iov_len;
}

/* How many bytes of the pieces may be touched. */
static size_t ready_of(const struct mtsi_pieces *pieces)
{
	return pieces->ours.iov_len + pieces->ready;
}

static void advance(struct iovec *iov, size_t count)
{
	iov->iov_base = (char *)iov->iov_base + count;
	iov->iov_len -= count;
}

static void advance_theirs(struct mtsi_pieces *pieces, size_t count)
{
	advance(&pieces->theirs, count);
	pieces->ready -= count;
	pieces->begun = pieces->begun || count > 0;
}

/* Lists what is to be sent, in order; how many parts. */
static unsigned short gather(
	const struct mtsi_buffer *queue, const struct mtsi_pieces *pieces, struct iovec *parts)
{
	unsigned short count = 0;
	if (mtsi_buffer_size(queue) > 0) {
		parts[count].iov_base = (void *)(uintptr_t)mtsi_buffer_bytes(queue);
		parts[count++].iov_len = mtsi_buffer_size(queue);
	}
	if (pieces->ours.iov_len > 0) {
		parts[count++] = pieces->ours;
	}
	if (pieces->ready > 0) {
		parts[count].iov_base = pieces->theirs.iov_base;
		parts[count++].iov_len = pieces->ready;
	}
	return count;
}

/* So many bytes of queue and pieces are sent. */
static void consume(struct mts_client *client, struct mtsi_pieces *pieces, size_t sent)
{
	const size_t queued = mtsi_buffer_size(&client->output);
	const size_t from_queue = sent < queued ? sent : queued;
	if (from_queue > 0) {
		mtsi_memory_consume_locked(client, from_queue);
	}
	sent -= from_queue;
	const size_t from_ours = sent < pieces->ours.iov_len ? sent : pieces->ours.iov_len;
	advance(&pieces->ours, from_ours);
	if (sent > from_ours) {
		advance_theirs(pieces, sent - from_ours);
	}
}

void mtsi_push_torn_locked(struct mts_client *client)
{
	mtsi_client_drop_locked(client);
	mtsi_client_lose_locked(client);
}

/*
 * Sends the queue and what is ready until all is gone or the socket is full: 0, -EPIPE, or -EFAULT.
 * Adds to *sent how many bytes.
 */
static int send_locked(struct mts_client *client, struct mtsi_pieces *pieces, size_t *sent)
{
	struct iovec parts[3];
	unsigned short count;
	while ((count = gather(&client->output, pieces, parts)) > 0) {
		const ssize_t result = mtsi_conn_send_locked(client, parts, count, pieces->more);
		if (result == -EAGAIN) {
			return 0;
		}
		if (result == -EFAULT && pieces->ready > 0) {
			return -EFAULT;
		}
		if (result < 0) {
			mtsi_push_torn_locked(client);
			return -EPIPE;
		}
		*sent += (size_t)result;
		consume(client, pieces, (size_t)result);
		if (ready_of(pieces) + mtsi_buffer_size(&client->output) == 0) {
			break;
		}
	}
	return 0;
}

int mtsi_push_queue_locked(struct mts_client *client, size_t *sent)
{
	struct mtsi_pieces none = {.more = false};
	return send_locked(client, &none, sent);
}

/* Queues what is ready: 0, -ENOMEM, -EFAULT, or -ENOBUFS: not all of it. */
static int queue_locked(struct mts_client *client, struct mtsi_pieces *pieces)
{
	struct iovec *ours = &pieces->ours;
	int result = mtsi_memory_append_locked(client, ours->iov_base, ours->iov_len);
	if (result == 0) {
		ours->iov_len = 0;
	}
	if (result == 0 && pieces->ready > 0) {
		result = mtsi_memory_append_foreign_locked(client, pieces->theirs.iov_base, pieces->ready);
		if (result == 0) {
			advance_theirs(pieces, pieces->ready);
		}
	}
	if (result == -ENOMEM) {
		mtsi_push_torn_locked(client);
	}
	return result;
}

/*
 * Sends what can be sent. 0: the rest is queued, which keeps the queue within `limit`. -EAGAIN: it
 * would not, so wait and call again. -ENOBUFS: there is no memory for the queue, so do the same.
 * -EINPROGRESS: all that was ready is gone, so call again with more. Where epoll cannot help, since
 * its memory is short, nothing may be left in the queue either. `waited`: this is not the first
 * call.
 */
static int push_locked(
	struct mts_client *client, struct mtsi_pieces *pieces, size_t limit, bool waited, size_t *sent)
{
	if (atomic_load(&client->lost)) {
		return -EPIPE;
	}
	if (pieces->faulty) {
		return -EFAULT;
	}
	waited = waited || mtsi_buffer_size(&client->output) > 0;
	int result = send_locked(client, pieces, sent);
	if (result != 0) {
		return result;
	}
	const size_t queued = mtsi_buffer_size(&client->output);
	const size_t left = left_of(pieces);
	if (!waited && queued + left == 0) {
		return 0;
	}
	if (left > 0 && queued + ready_of(pieces) == 0) {
		mtsi_deadline_output_locked(client, false, false); /* nobody waits for the peer */
		return -EINPROGRESS;
	}
	mtsi_deadline_output_locked(client, queued + left > 0, *sent > 0);
	if (queued + left > limit) {
		return -EAGAIN;
	}
	if (mtsi_registration_watch_room_locked(client, queued + left > 0) != 0) {
		return -EAGAIN;
	}
	result = left > 0 ? queue_locked(client, pieces) : 0;
	return result == 0 && left_of(pieces) > 0 ? -EINPROGRESS : result;
}

/*
 * The program's part cannot be read. -EINPROGRESS: the others can go on alone. -EFAULT: they
 * cannot.
 */
static int without_theirs_locked(struct mts_client *client, struct mtsi_pieces *pieces)
{
	pieces->theirs.iov_len = 0;
	pieces->ready = 0;
	pieces->faulty = false;
	pieces->refused = true;
	if (pieces->begun) {
		mtsi_push_torn_locked(client);
		return -EFAULT;
	}
	return -EINPROGRESS;
}

int mtsi_push_why_lost(const struct mts_client *client)
{
	return atomic_load(&client->cause) == MTS_CLOSED_WRITE_TIMEOUT ? -ETIMEDOUT : -EPIPE;
}

bool mtsi_push_wait(struct mtsi_worker *worker, bool memory)
{
	struct mts_client *client = worker->member.client;
	mtsi_stint_step_aside(&worker->member);
	if (!memory) {
		return mtsi_conn_wait_writable(client);
	}
	mtsi_conn_wait_writable_for(client, mtsi_memory_block(worker->member.server));
	mtsi_memory_unblock(worker->member.server);
	return false;
}

/* Whether another section follows one that had this result. */
static bool goes_on(int result)
{
	return result == -EAGAIN || result == -ENOBUFS || result == -EINPROGRESS;
}

/* Faults in what the next section may touch. */
static void fault_in(struct mts_client *client, struct mtsi_pieces *pieces, bool room)
{
	const size_t left = pieces->theirs.iov_len;
	if (left == 0 || atomic_load(&client->lost)) {
		return;
	}
	if (room) {
		/* From now on the writer waits for the peer only if something is queued. */
		mtsi_lock_take(&client->lock);
		const bool queued = mtsi_buffer_size(&client->output) > 0;
		if (!atomic_load(&client->lost)) {
			mtsi_deadline_output_locked(client, queued, false);
		}
		mtsi_lock_release(&client->lock);
	}
	pieces->ready = left < SECTION ? left : SECTION;
	pieces->faulty = mtsi_foreign_fault_in(pieces->theirs.iov_base, pieces->ready) != 0;
}

/*
 * The work of one critical section, which has sent `sent` bytes already; returns what push_locked()
 * does. `*wrote`: whether the client is known to have a writer that releases the lock in the middle
 * of its write.
 */
static int section_locked(struct mtsi_worker *worker, struct mtsi_pieces *pieces, size_t limit,
	bool waited, bool *wrote, size_t sent)
{
	struct mts_client *client = worker->member.client;
	int result = push_locked(client, pieces, limit, waited, &sent);
	if (result == -EFAULT) {
		result = without_theirs_locked(client, pieces);
	}
	worker->queued = mtsi_buffer_size(&client->output) > 0;
	const bool writes = goes_on(result) || worker->seizes;
	if (writes != *wrote) {
		*wrote = writes;
		client->writing = writes;
	}
	/* The replies have left the buffers: what is not sent yet is covered by `writing`. */
	atomic_store_explicit(&client->has_replies, false, memory_order_relaxed);
	mtsi_count(&worker->member.counters, MTS_STAT_BYTES_OUT, sent);
	return result;
}

static int section(
	struct mtsi_worker *worker, struct mtsi_pieces *pieces, size_t limit, bool waited, bool *wrote)
{
	struct mts_client *client = worker->member.client;
	mtsi_lock_take(&client->lock);
	const int result = section_locked(worker, pieces, limit, waited, wrote, 0);
	mtsi_lock_release(&client->lock);
	return result;
}

/* The sections after the first, which had the result `result`. */
__attribute__((noinline)) static int push_on(
	struct mtsi_worker *worker, struct mtsi_pieces *pieces, size_t limit, int result, bool wrote)
{
	bool waited = false;
	while (goes_on(result)) {
		bool room = false;
		if (result != -EINPROGRESS) {
			room = mtsi_push_wait(worker, result == -ENOBUFS);
			waited = true;
		}
		fault_in(worker->member.client, pieces, room);
		result = section(worker, pieces, limit, waited, &wrote);
	}
	if (result == -ENOMEM || result == -EFAULT) {
		worker->failed = result;
	}
	if (result == -EPIPE && waited) {
		return mtsi_push_why_lost(worker->member.client);
	}
	return result == 0 && pieces->refused ? -EFAULT : result;
}

int mtsi_push(struct mtsi_worker *worker, struct mtsi_pieces *pieces, size_t limit)
{
	bool wrote = worker->seizes;
	const int result = section(worker, pieces, limit, false, &wrote);
	return result == 0 ? 0 : push_on(worker, pieces, limit, result, wrote);
}

/*
 * Not all of the replies have gone out at once; the socket has said `said`, so many bytes or an error,
 * or has not been asked: 0. Releases the lock.
 */
__attribute__((noinline)) static int push_rest_locked(
	struct mtsi_worker *worker, ssize_t said, size_t limit)
{
	struct mtsi_replies *replies = &worker->replies;
	struct mts_client *client = worker->member.client;
	const size_t sent = said > 0 ? (size_t)said : 0;
	struct mtsi_pieces pieces = {
		.ours = {replies->data + sent, replies->size - sent}, .more = worker->corked > 0};
	bool wrote = worker->seizes;
	replies->size = 0;
	replies->mark = 0;
	if (said < 0 && said != -EAGAIN) {
		mtsi_push_torn_locked(client);
	}
	const int result = section_locked(worker, &pieces, limit, false, &wrote, sent);
	mtsi_lock_release(&client->lock);
	return result == 0 ? 0 : push_on(worker, &pieces, limit, result, wrote);
}

int mtsi_push_replies(struct mtsi_worker *worker, size_t limit)
{
	struct mtsi_replies *replies = &worker->replies;
	struct mts_client *client = worker->member.client;
	ssize_t sent = 0;
	mtsi_lock_take(&client->lock);
	if (mtsi_buffer_size(&client->output) == 0 && !atomic_load(&client->lost)) {
		sent = mtsi_conn_send_one_locked(client, replies->data, replies->size, worker->corked > 0);
	}
	if (sent != (ssize_t)replies->size) {
		return push_rest_locked(worker, sent, limit);
	}
	worker->queued = false;
	atomic_store_explicit(&client->has_replies, false, memory_order_relaxed);
	mtsi_lock_release(&client->lock);
	mtsi_count(&worker->member.counters, MTS_STAT_BYTES_OUT, replies->size);
	replies->size = 0;
	replies->mark = 0;
	return 0;
}
