/* SPDX-License-Identifier: MIT
 *
 * Reaching clients by their ids, from threads that own none of them: send, broadcast, close, kick.
 *
 * An id leads to a slot, never to freed memory. Under the slot's lock the client is either this
 * very one, with its socket, or gone (clients.h). All that is done to the client is done under that
 * one lock, none of it waits, and no two clients are locked at once. A broadcast goes from slot to
 * slot; a client that comes or goes meanwhile may get it or not. Messages of one thread to one
 * client are in order because that thread sends them one after the other, and the client has only
 * one queue.
 *
 * Threads that send must not wait. A message enters the queue whole before its first byte is sent,
 * so it can be refused for want of memory or room only as a whole, and from then on it is like any
 * queued output: nothing gets into the middle of it. Nor does it get into the middle of what a
 * handler writes. What has gathered, and what one call writes, are sent and queued in one critical
 * section. Only a writer that waits for room releases the lock with some of its bytes sent and the
 * others still in its own memory. While it waits it says so (`writing`), and messages are refused:
 * after all, more than the limit waits. That also keeps senders from filling up, again and again,
 * the room that the writer waits for. The same is true while a worker sends a file, which is done
 * without the lock, because the disk may be slow.
 *
 * A client that ends takes no messages: it would have to wait for them, and senders could keep it
 * for ever. Messages are refused from the moment before its last output is sent, or from the moment
 * at which it is told to finish; or, if it is owed a reply then (ticket.h), at which that is complete.
 * They are also refused once our side of the stream has ended.
 *
 * Sometimes a parked client must have a turn because of this: it was kicked, told to finish, or found lost, or less
 * of its output waits now, as it has waited for. Then it is claimed, and left to the keeper, which
 * offers it to the crew. The caller does not offer it itself: it may be any thread, it may hold
 * locks of the program, and a worker that it made would inherit its CPUs and its priority.
 *
 * A message lies in the caller's memory, and a page of that may take seconds to come (push.c). So
 * all of it is touched before the first lock is taken. After that only a large message is touched
 * again, and only by the kernel, when it copies the message into the queue.
 *
 * Claiming and handing over are one critical section of the client's lock. A stop cuts off all
 * clients, each under its lock. After that, every client that was claimed before is in the line,
 * and no other comes: a lost client is not claimed again. Then the keeper looks into the line for
 * the last time, while the crew is still there (stop.c).
 */
#include "engine/serve/mailbox.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver/hooks.h>

#include "engine/base/floor.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/client/claim.h"
#include "engine/client/client.h"
#include "engine/client/clients.h"
#include "engine/client/list.h"
#include "engine/client/memory.h"
#include "engine/client/registration.h"
#include "engine/client/ticket.h"
#include "engine/crew/crew.h"
#include "engine/serve/fault.h"
#include "engine/serve/floor.h"
#include "engine/serve/output.h"
#include "engine/serve/worker.h"
#include "os/foreign.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/thread.h"
#include "wire/buffer.h"

enum { SMALL = 4096 }; /* so many bytes of a message are rather copied than faulted in */

/* A message from elsewhere. `foreign`: it lies in the program's memory, and is faulted in. */
struct message {
	const void *data;
	size_t size;
	bool foreign;
};

/*
 * Whether so many bytes more would be too much. Where nothing waits, any one message is accepted.
 */
static bool too_much_locked(const struct mts_client *client, size_t size)
{
	const size_t queued = mtsi_buffer_size(&client->output);
	const size_t limit = mtsi_output_limit(client);
	return queued > 0 && (queued > limit || size > limit - queued);
}

/*
 * Puts a message into the queue: 0, -ENOMEM or -EFAULT. The client is put into epoll before that:
 * later on, to change what epoll watches for needs no memory, so once a part is sent, epoll can be
 * relied on for the rest.
 */
static int enqueue_locked(struct mts_client *client, const struct message *message)
{
	if (mtsi_registration_enter_locked(client) != 0) {
		return -ENOMEM;
	}
	const int result = message->foreign
		? mtsi_memory_append_foreign_locked(client, message->data, message->size)
		: mtsi_memory_append_locked(client, message->data, message->size);
	/* -ENOBUFS would say that too much waits for this client, which is not the case. */
	return result == -ENOBUFS ? -ENOMEM : result;
}

/*
 * Sends or queues a message. Under the client's lock; never waits. 0: all of it is sent or queued.
 * Else none of it is: -ENOENT when the client is lost, -ENOBUFS when too much waits, -ENOMEM, -EFAULT.
 * `*turn`, in each case: the client is to have a turn, so claim it.
 */
static int put_message_locked(struct mts_client *client, const struct message *message, bool *turn)
{
	const size_t size = message->size;
	if (too_much_locked(client, size)) {
		/* The thread that polls may be late, and the socket may take more by now. */
		*turn = mtsi_output_continue_locked(client);
		if (atomic_load(&client->lost)) {
			return -ENOENT;
		}
		if (too_much_locked(client, size)) {
			return -ENOBUFS;
		}
	}
	const bool first = mtsi_buffer_size(&client->output) == 0;
	const int result = enqueue_locked(client, message);
	if (result != 0) {
		return result;
	}
	if (first) {
		*turn = mtsi_output_continue_locked(client) || *turn;
		if (mtsi_buffer_size(&client->output) > 0) {
			(void)mtsi_registration_watch_room_locked(client, true);
		}
	}
	return atomic_load(&client->lost) ? -ENOENT : 0;
}

/*
 * Takes a message from elsewhere, by any thread; the rest as above. -ENOENT also when the client is
 * not open for messages.
 */
static int take_message_locked(struct mts_client *client, const struct message *message, bool *turn)
{
	*turn = false;
	if (!mtsi_client_may_still(client, MTSI_MAY_MESSAGE) || mtsi_client_is_shut(client)) {
		return -ENOENT;
	}
	if (mtsi_client_finishes(client) && !mtsi_ticket_is_open_locked(client)) {
		return -ENOENT;
	}
	return client->writing ? -ENOBUFS : put_message_locked(client, message, turn);
}

void mtsi_mailbox_init(struct mtsi_mailbox *mailbox)
{
	mtsi_lock_init(&mailbox->lock, MTSI_RANK_MAILBOX);
	mailbox->claimed = (struct mtsi_list){NULL, NULL, 0};
}

void mtsi_mailbox_free(struct mtsi_mailbox *mailbox)
{
	mtsi_must(mailbox->claimed.count == 0);
	mtsi_lock_destroy(&mailbox->lock);
}

bool mtsi_mailbox_put_locked(struct mts_server *server, struct mtsi_list *claimed)
{
	const bool any = claimed->count > 0;
	if (any) {
		mtsi_lock_take(&mtsi_serve_floor(server)->mailbox.lock);
		mtsi_list_join(&mtsi_serve_floor(server)->mailbox.claimed, claimed);
		mtsi_lock_release(&mtsi_serve_floor(server)->mailbox.lock);
	}
	return any;
}

void mtsi_mailbox_offer(struct mts_server *server)
{
	struct mtsi_list claimed = {NULL, NULL, 0};
	mtsi_lock_take(&mtsi_serve_floor(server)->mailbox.lock);
	mtsi_list_join(&claimed, &mtsi_serve_floor(server)->mailbox.claimed);
	mtsi_lock_release(&mtsi_serve_floor(server)->mailbox.lock);
	mtsi_crew_offer(server, &claimed);
}

/* One message to one client; sets *wake when the keeper is to be woken. */
static int post_locked(struct mts_client *client, const struct message *message, bool *wake)
{
	struct mts_server *server = client->server;
	struct mtsi_list claimed = {NULL, NULL, 0};
	bool turn;
	const int result = take_message_locked(client, message, &turn);
	/*
	 * It does not linger, or it would want no turn; and it cannot begin to, since its lock is held.
	 */
	if (turn && mtsi_claim(client)) {
		mtsi_list_add(&claimed, client);
		*wake = mtsi_mailbox_put_locked(server, &claimed);
	}
	if (result == -ENOBUFS || result == -ENOMEM) {
		mtsi_count_shared(server, MTS_STAT_UNSENT, 1);
	}
	return result;
}

static int send_to(struct mts_server *server, uint64_t id, const struct message *message)
{
	int result = -ENOENT;
	bool wake = false;
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client != NULL) {
		result = post_locked(client, message, &wake);
		mtsi_lock_release(&client->lock);
	}
	if (wake) {
		mtsi_wake_keeper(server);
	}
	return result;
}

/* How many clients the message has reached; or -EFAULT, and it has reached none. */
static ssize_t send_to_all(struct mts_server *server, const struct message *message)
{
	ssize_t reached = 0;
	size_t slot = 0;
	bool wake = false;
	bool readable = true;
	struct mts_client *client;
	while ((client = mtsi_clients_lock_next(server, &slot)) != NULL) {
		const int result = post_locked(client, message, &wake);
		mtsi_lock_release(&client->lock);
		reached += result == 0 ? 1 : 0;
		readable = readable && result != -EFAULT;
	}
	if (wake) {
		mtsi_wake_keeper(server);
	}
	return reached == 0 && !readable ? -EFAULT : reached;
}

/* What has to be kept of a message while it is on its way to clients. */
struct parcel {
	struct message message;
	char *copy; /* NULL: none */
	char small[SMALL];
};

/*
 * Sees to it that no page of the program's memory has to be waited for under the locks that follow:
 * 0, -EFAULT or -ENOMEM. A small message is copied. A large one is faulted in, or copied where that
 * cannot be done.
 */
static int wrap_up(struct parcel *parcel, const void *data, size_t size)
{
	parcel->copy = NULL;
	parcel->message = (struct message){parcel->small, size, false};
	if (size <= SMALL) {
		if (size > 0) {
			memcpy(parcel->small, data, size);
		}
		return 0;
	}
	int result = mtsi_foreign_fault_in(data, size);
	parcel->message = (struct message){data, size, true};
	if (result == -ENOSYS) {
		parcel->copy = malloc(size);
		result = parcel->copy == NULL ? -ENOMEM : mtsi_foreign_copy(parcel->copy, data, size);
		parcel->message = (struct message){parcel->copy, size, false};
	}
	return result;
}

int mtsi_mailbox_send(struct mts_server *server, uint64_t id, const void *data, size_t size)
{
	struct parcel parcel;
	const int before = mtsi_thread_shield();
	int result = wrap_up(&parcel, data, size);
	if (result == 0) {
		result = send_to(server, id, &parcel.message);
	}
	free(parcel.copy);
	mtsi_thread_unshield(before);
	return result;
}

/* What has gathered goes out first, by way of the queue: 0; -ENOBUFS, and it is where it was. */
static int put_replies_locked(struct mtsi_worker *worker)
{
	struct mtsi_replies *replies = &worker->replies;
	struct mts_client *client = worker->member.client;
	const struct message message = {replies->data, replies->size, false};
	if (replies->size == 0) {
		return 0;
	}
	if (too_much_locked(client, replies->size)) {
		/* As for a message: the socket may take more by now. The owner is here, and needs no turn. */
		(void)mtsi_output_continue_locked(client);
		if (atomic_load(&client->lost)) {
			return 0;
		}
		if (too_much_locked(client, replies->size)) {
			return -ENOBUFS;
		}
	}
	if (enqueue_locked(client, &message) != 0) {
		return -ENOBUFS;
	}
	replies->size = 0;
	replies->mark = 0;
	atomic_store_explicit(&client->has_replies, false, memory_order_relaxed);
	(void)mtsi_output_continue_locked(client); /* its owner is here, and needs no turn */
	return 0;
}

int mtsi_mailbox_try(struct mtsi_worker *worker, const void *data, size_t size)
{
	struct mts_client *client = worker->member.client;
	struct parcel parcel;
	bool turn = false;
	const bool silent = mtsi_fault_is_silent(worker);
	int result = wrap_up(&parcel, data, size);
	mtsi_lock_take(&client->lock);
	if (result == 0 && !atomic_load(&client->lost)) {
		result = put_replies_locked(worker);
	}
	if (result == 0 && !atomic_load(&client->lost)) {
		result = put_message_locked(client, &parcel.message, &turn);
		worker->replies.mark = result == 0 ? 0
										   : worker->replies.mark; /* none are left: see fault.c */
	}
	if (atomic_load(&client->lost)) {
		result = -EPIPE;
	} else if (mtsi_buffer_size(&client->output) > 0) {
		(void)mtsi_registration_watch_room_locked(client, true);
	}
	worker->queued = mtsi_buffer_size(&client->output) > 0;
	mtsi_lock_release(&client->lock);
	free(parcel.copy);
	if (result != 0 && silent) {
		mtsi_fault_stays_silent(worker);
	}
	return result == -ENOMEM ? -ENOBUFS : result;
}

ssize_t mtsi_mailbox_broadcast(struct mts_server *server, const void *data, size_t size)
{
	struct parcel parcel;
	const int before = mtsi_thread_shield();
	ssize_t reached = wrap_up(&parcel, data, size);
	if (reached == 0) {
		reached = send_to_all(server, &parcel.message);
	}
	free(parcel.copy);
	mtsi_thread_unshield(before);
	return reached;
}

/* Not if it is lost already: then it ends by itself, and for another reason. */
static bool kick_locked(struct mts_client *client, struct mtsi_list *claimed)
{
	return mtsi_client_may_still(client, MTSI_MAY_DROP)
		&& mtsi_client_cut_locked(client, MTS_CLOSED_KICKED, claimed);
}

/* Ends a client in one of two ways: 0 or -ENOENT. */
static int end_by_id(struct mts_server *server, uint64_t id,
	bool (*end_locked)(struct mts_client *client, struct mtsi_list *claimed))
{
	const int before = mtsi_thread_shield();
	struct mtsi_list claimed = {NULL, NULL, 0};
	int result = -ENOENT;
	bool wake = false;
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client != NULL) {
		result = end_locked(client, &claimed) ? 0 : -ENOENT;
		wake = mtsi_mailbox_put_locked(server, &claimed);
		mtsi_lock_release(&client->lock);
	}
	if (wake) {
		mtsi_wake_keeper(server);
	}
	mtsi_thread_unshield(before);
	return result;
}

int mtsi_mailbox_close(struct mts_server *server, uint64_t id)
{
	return end_by_id(server, id, mtsi_client_finish_locked);
}

int mtsi_mailbox_kick(struct mts_server *server, uint64_t id)
{
	return end_by_id(server, id, kick_locked);
}
