/* SPDX-License-Identifier: MIT
 *
 * What a client is told for which there is no room.
 *
 * It has most likely sent its first request already, or is about to, and a close with input unread
 * would be a reset, which may destroy what it was told. So it lingers like a client that has ended
 * (linger.c), without ever having been one: the door does not count it, and neither does its address.
 * But it lingers only while there is a place, so that it takes none from a client whose reply is on
 * its way, and while descriptors are free. These are counted by their numbers, since the kernel gives
 * out the lowest that is free. Otherwise it is told, and closed at once.
 *
 * All of this is done by the thread that accepts, so nothing waits: what the socket does not take
 * whole at once is dropped, and the connection reset. The words may change at any time, so they are
 * copied under the door's lock, and sent without it.
 *
 * Who may begin with a PROXY header is told nothing before that header is whole.
 */
#include "engine/door/refusal.h"

#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include "engine/base/counters.h"
#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/door/address_book.h"
#include "engine/door/door.h"
#include "engine/door/floor.h"
#include "engine/door/linger.h"
#include "os/bind.h"
#include "os/lock.h"
#include "os/socket.h"

void mtsi_refusal_set(struct mts_server *server, const void *words, size_t size)
{
	struct mtsi_refusal *refusal = &mtsi_door_floor(server)->refusal;
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	if (size > 0) {
		memcpy(refusal->words, words, size);
	}
	refusal->size = size;
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
}

/* Copies the words: how many bytes. */
static size_t copy_words(struct mts_server *server, char *words)
{
	const struct mtsi_refusal *refusal = &mtsi_door_floor(server)->refusal;
	mtsi_lock_take(&mtsi_door_floor(server)->door.lock);
	const size_t size = refusal->size;
	memcpy(words, refusal->words, size);
	mtsi_lock_release(&mtsi_door_floor(server)->door.lock);
	return size;
}

/* Counts what was sent: whether that is all. */
static bool is_whole(struct mts_server *server, ssize_t sent, size_t size)
{
	if (sent > 0) {
		mtsi_count_shared(server, MTS_STAT_BYTES_OUT, (uint64_t)sent);
	}
	return sent == (ssize_t)size;
}

/* Sends the words, and nothing more from here on: whether all is well. */
static bool tell(struct mts_client *client, const char *words, size_t size)
{
	bool dropped;
	mtsi_lock_take(&client->lock);
	if (size > 0 && !atomic_load(&client->lost)
		&& !is_whole(client->server, mtsi_conn_send_one_locked(client, words, size, false), size)) {
		mtsi_client_drop_locked(client);
	}
	mtsi_lock_release(&client->lock);
	return mtsi_client_seal(client, false, &dropped);
}

static bool may_linger(const struct mts_client *client)
{
	const size_t next = (size_t)client->fd + 1;
	return mtsi_linger_has_room(client->server)
		&& next + MTSI_RESERVED_DESCRIPTORS <= mtsi_descriptor_limit();
}

void mtsi_refusal_turn_away(struct mts_client *client)
{
	char words[MTSI_MOST_REFUSAL];
	const size_t size = client->awaits_header ? 0 : copy_words(client->server, words);
	if (size == 0) {
		mtsi_door_turn_away(client);
		return;
	}
	mtsi_count_shared(client->server, MTS_STAT_REFUSED, 1);
	mtsi_address_book_leave(client);
	const bool told = tell(client, words, size);
	mtsi_linger_or_close(client, !told || !may_linger(client), 0);
}

bool mtsi_refusal_tell(struct mts_client *client)
{
	char words[MTSI_MOST_REFUSAL];
	const size_t size = copy_words(client->server, words);
	const bool told = tell(client, words, size);
	return size > 0 && told && may_linger(client);
}

void mtsi_refusal_close(struct mts_server *server, int fd, bool tells)
{
	char words[MTSI_MOST_REFUSAL];
	const size_t size = tells ? copy_words(server, words) : 0;
	mtsi_count_shared(server, MTS_STAT_REFUSED, 1);
	if (size > 0 && !is_whole(server, mtsi_socket_send_one_now(fd, words, size, false), size)) {
		mtsi_socket_abort(fd);
	} else {
		mtsi_socket_close_now(fd);
	}
}
