/* SPDX-License-Identifier: MIT
 *
 * The entry: the turn to accept, and which thread has it.
 *
 * accept(2) waits, unless the socket is non-blocking, and this property belongs to the socket, so
 * to all who share it. It is looked at before (accept.c), but another process may change it right
 * afterwards, and take the connection. Then this thread sleeps, and only the next connection can
 * wake it. So no lock is held over accept. Yet only one thread may accept at a time, since each
 * lets in as many clients as there is room for. It has a turn to accept, which is a mark under the
 * listeners' lock. Our own sockets have one turn between them. Sockets that were handed down, which
 * others may have too, have one each: a thread that sleeps there keeps no other from the rest.
 *
 * A thread that finds another one accepting leaves the connection to that: epoll is
 * level-triggered, so what waits is reported again. That happens at once, and in nearly every case
 * the other thread is done by then. If it takes longer, the listener is put off: it is not watched
 * for connections any more, until the turn is given back. So no thread polls in vain as long as
 * that lasts. Whether a listener is put off is written under the door's lock as well, since
 * listeners are armed under that.
 *
 * A listener that is closed while a thread accepts there is closed to all others. That thread may
 * be about to use its descriptor, so it closes the descriptor itself.
 */
#include "engine/door/entry.h"

#include "engine/door/door.h"
#include "engine/door/floor.h"
#include "engine/door/listener.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/poll.h"
#include "os/socket.h"

enum { FEW_TIMES = 4 };

static struct mtsi_entry *entry_of(struct mtsi_listeners *listeners, struct mtsi_listener *listener)
{
	return listener->traits.shared ? &listener->entry : &listeners->entry;
}

/*
 * Another thread accepts: this listener is reported again a few times, then not until that is over.
 */
static void pass_by_locked(
	struct mts_server *server, struct mtsi_entry *entry, struct mtsi_listener *listener)
{
	if (entry->passed == FEW_TIMES && !listener->put_off) {
		mtsi_door_put_off(server, listener, true);
		entry->put_off = true;
	}
	entry->passed += entry->passed < FEW_TIMES ? 1u : 0u;
}

int mtsi_entry_take(struct mts_server *server, uint64_t tag)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	struct mtsi_listener *listener = &listeners->list[tag - 1];
	struct mtsi_entry *entry = entry_of(listeners, listener);
	int fd = -1;
	mtsi_lock_take(&listeners->lock);
	if (entry->taken && !listeners->closed) {
		pass_by_locked(server, entry, listener);
	} else if (!listeners->closed && !atomic_load(&listener->dead)) {
		entry->taken = true;
		entry->passed = 0;
		fd = listener->fd;
	}
	mtsi_lock_release(&listeners->lock);
	return fd;
}

static void watch_again_locked(struct mts_server *server, const struct mtsi_entry *entry)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	for (size_t i = 0; i < listeners->count; i++) {
		struct mtsi_listener *listener = &listeners->list[i];
		if (listener->put_off && entry_of(listeners, listener) == entry) {
			mtsi_door_put_off(server, listener, false);
		}
	}
}

void mtsi_entry_give_back(struct mts_server *server, uint64_t tag)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	struct mtsi_entry *entry = entry_of(listeners, &listeners->list[tag - 1]);
	mtsi_lock_take(&listeners->lock);
	entry->taken = false;
	if (listeners->closed) {
		mtsi_listeners_drop_locked(server);
	} else if (entry->put_off) {
		entry->put_off = false;
		watch_again_locked(server, entry);
	}
	if (listeners->awaited > 0) {
		mtsi_signal_all(&listeners->left);
	}
	mtsi_lock_release(&listeners->lock);
}

static bool any_is_taken_locked(const struct mtsi_listeners *listeners)
{
	bool taken = listeners->entry.taken;
	for (size_t i = 0; i < listeners->count && !taken; i++) {
		taken = listeners->list[i].entry.taken;
	}
	return taken;
}

void mtsi_entry_wait_until_left(struct mts_server *server, uint64_t until)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	bool in_time = true;
	mtsi_lock_take(&listeners->lock);
	listeners->awaited++;
	while (in_time && any_is_taken_locked(listeners)) {
		in_time = mtsi_signal_wait(&listeners->left, &listeners->lock, until);
	}
	listeners->awaited--;
	mtsi_lock_release(&listeners->lock);
}

bool mtsi_entry_taken_locked(struct mtsi_listeners *listeners, const struct mtsi_listener *listener)
{
	const bool taken = listener->traits.shared ? listener->entry.taken : listeners->entry.taken;
	mtsi_lock_assert_held(&listeners->lock);
	return listener->fd >= 0 && taken;
}

const char *mtsi_entry_taken(struct mts_server *server)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	const char *text = NULL;
	mtsi_lock_take(&listeners->lock);
	for (size_t i = 0; i < listeners->count && text == NULL; i++) {
		if (listeners->list[i].traits.shared
			&& mtsi_entry_taken_locked(listeners, &listeners->list[i])) {
			text = listeners->list[i].text;
		}
	}
	mtsi_lock_release(&listeners->lock);
	return text;
}

int mtsi_entry_take_spare(struct mts_server *server)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	mtsi_lock_take(&listeners->lock);
	const int spare = listeners->spare;
	listeners->spare = -1;
	mtsi_lock_release(&listeners->lock);
	return spare;
}

void mtsi_entry_keep_spare(struct mts_server *server, int spare)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	mtsi_lock_take(&listeners->lock);
	if (listeners->spare < 0 && !listeners->closed) {
		listeners->spare = spare;
		spare = -1;
	}
	mtsi_lock_release(&listeners->lock);
	if (spare >= 0) {
		mtsi_socket_close(spare);
	}
}

void mtsi_entry_want_spare(struct mts_server *server)
{
	struct mtsi_listeners *listeners = &mtsi_door_floor(server)->listeners;
	mtsi_lock_take(&listeners->lock);
	const bool wanted = listeners->spare < 0;
	mtsi_lock_release(&listeners->lock);
	if (wanted) {
		mtsi_entry_keep_spare(server, mtsi_wake_open());
	}
}
