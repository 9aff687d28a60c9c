/* SPDX-License-Identifier: MIT
 *
 * Reaching clients by their ids, from threads that own none of them: send, broadcast, kick.
 *
 * An id leads to a slot, never to freed memory, and under the slot's lock it is either this very
 * client, with its socket, or gone (clients.h). All that is done to the client is done under that
 * one lock, none of it waits, and no two clients are locked at once: a broadcast goes from slot to
 * slot, and whoever comes or goes meanwhile gets it or not. Messages of one thread to one client
 * are in order because that thread sends them one after the other, and the client's queue is one.
 *
 * Threads that send must not wait. A message
 * enters the queue whole before its first byte is sent, so it can be refused for want of memory or
 * room only as a whole, and from then on it is like any queued output: nothing gets into the middle
 * of it. Nor does it get into the middle of what a handler writes. What has gathered, and what one
 * call writes, are sent and queued in one critical section; only a writer that waits for room gives
 * the lock away with a part of its bytes sent and the others still in its own memory. While it
 * waits it says so (`writing`), and messages are refused: more than the limit waits, after all.
 * That also keeps senders from filling up again and again the room that it waits for. The same goes
 * for one that sends a file, which is done without the lock, because the disk may be slow.
 *
 * A client that ends takes no messages: it would have to wait for them, and senders
 * could keep it for ever. They are refused from before its last output is sent to the end.
 *
 * Sometimes the client must have a turn because of it: it is parked, and was kicked, or found lost,
 * or waited for less output than it now has. Then it is claimed, and left to the keeper, who offers
 * it to the crew. The caller does not do that itself. It may be any thread, with locks of the
 * program held: a worker that it made would inherit its CPUs and its priority.
 *
 * A message is the caller's memory, and a page of it may take seconds (push.c). It is touched before
 * the first lock is taken; what is large after that only by the kernel, as it copies to the queue.
 *
 * Claiming and handing over are one critical section of the client's lock. So when a stop has cut
 * all clients off, under that lock each, then whoever was claimed before is in the line, and nobody
 * comes any more: who is lost is not claimed again. The keeper looks into the line after that for
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
#include "engine/crew/crew.h"
#include "engine/serve/floor.h"
#include "engine/serve/output.h"
#include "os/foreign.h"
#include "os/lock.h"
#include "os/must.h"
#include "os/thread.h"
#include "wire/buffer.h"

enum { SMALL = 4096 }; /* bytes of a message that are copied sooner than faulted in */

/* What is to be sent from elsewhere. `foreign`: it is the program's memory, and faulted in. */
struct message {
	const void *data;
	size_t size;
	bool foreign;
};

/* Whether so much more would be too much. Where nothing waits, any one message is welcome. */
static bool too_much_locked(const struct mts_client *client, size_t size)
{
	const size_t queued = mtsi_buffer_size(&client->output);
	const size_t limit = mtsi_output_limit(client);
	return queued > 0 && (queued > limit || size > limit - queued);
}

/*
 * Into the queue: 0, -ENOMEM or -EFAULT. First it is in epoll: changing what that watches for
 * needs no memory, so once a part is sent the rest can be left to it.
 */
static int enqueue_locked(struct mts_client *client, const struct message *message)
{
	if (mtsi_registration_enter_locked(client) != 0) {
		return -ENOMEM;
	}
	const int result = message->foreign
		? mtsi_memory_append_foreign_locked(client, message->data, message->size)
		: mtsi_memory_append_locked(client, message->data, message->size);
	/* It is not for this client that too much waits. */
	return result == -ENOBUFS ? -ENOMEM : result;
}

/*
 * A message from elsewhere, under the client's lock, by any thread; never waits. All of it is sent
 * or queued: 0. None of it: -ENOENT when the client is not open for messages, -ENOBUFS when too
 * much waits, -ENOMEM, -EFAULT. `*turn`, in each case: the client is to have a turn, so claim it.
 */
static int take_message_locked(struct mts_client *client, const struct message *message, bool *turn)
{
	const size_t size = message->size;
	*turn = false;
	if (!mtsi_client_may_still(client, MTSI_MAY_MESSAGE)) {
		return -ENOENT;
	}
	if (client->writing) {
		return -ENOBUFS;
	}
	if (too_much_locked(client, size)) {
		/* Who polls may be late, and the socket take more by now. */
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

/* Leaves to the keeper who was claimed; whether it is to be woken. Under the lock of that client. */
static bool hand_over_locked(struct mts_server *server, struct mtsi_list *claimed)
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
	/* It is not lingering, or it would want no turn; and it cannot begin to under its lock. */
	if (turn && mtsi_claim(client)) {
		mtsi_list_add(&claimed, client);
		*wake = hand_over_locked(server, &claimed);
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

/* How many were reached; or -EFAULT, and nobody was. */
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

/* What a message needs that is on its way to clients. */
struct parcel {
	struct message message;
	char *copy; /* NULL: none */
	char small[SMALL];
};

/*
 * Sees to it that no page of the program's memory has to be waited for under the locks that follow:
 * 0, -EFAULT or -ENOMEM. A small message is copied, a large one faulted in, or copied where that
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

int mtsi_mailbox_kick(struct mts_server *server, uint64_t id)
{
	const int before = mtsi_thread_shield();
	struct mtsi_list claimed = {NULL, NULL, 0};
	int result = -ENOENT;
	bool wake = false;
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client != NULL) {
		/* Not one that is lost already: it ends by itself, and for another reason. */
		if (mtsi_client_may_still(client, MTSI_MAY_DROP)) {
			(void)mtsi_client_cut_locked(client, MTS_CLOSED_KICKED, &claimed);
			wake = hand_over_locked(server, &claimed);
			result = 0;
		}
		mtsi_lock_release(&client->lock);
	}
	if (wake) {
		mtsi_wake_keeper(server);
	}
	mtsi_thread_unshield(before);
	return result;
}
