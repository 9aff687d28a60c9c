/* SPDX-License-Identifier: MIT
 *
 * Tells epoll, in its own words, what is wanted.
 *
 * Clients are watched for edges: after an event that was reported, no further one comes for the
 * same thing. A client's place in epoll is made once and then changed, which needs no memory. A
 * client that leaves is taken out explicitly: if a child process still holds the descriptor,
 * closing it here would leave it in epoll, where it would go on raising events (epoll(7)).
 */
#include "engine/client/registration.h"

#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "os/lock.h"
#include "os/poll.h"

/*
 * Has epoll watch a client for these events; 0: for nothing. Not inlined, since it has many
 * callers.
 */
__attribute__((noinline)) static int change_locked(struct mts_client *client, uint32_t events)
{
	const int poll = mtsi_base_floor(client->server)->poll;
	mtsi_lock_assert_held(&client->lock);
	if (events == client->watched) {
		return 0;
	}
	int result = 0;
	if (events == 0) {
		mtsi_poll_remove(poll, client->fd);
	} else if (client->watched == 0) {
		result = mtsi_poll_add(poll, client->fd, events, client->id);
	} else {
		result = mtsi_poll_change(poll, client->fd, events, client->id);
	}
	if (result == 0) {
		client->watched = events;
	}
	return result;
}

/* The same, except that watching for room stays as it is; false when epoll's memory is short. */
static bool change_but_room(struct mts_client *client, uint32_t events)
{
	mtsi_lock_take(&client->lock);
	const uint32_t room = client->watched & MTSI_POLL_OUT;
	const bool changed = change_locked(client, events | room) == 0;
	mtsi_lock_release(&client->lock);
	return changed;
}

bool mtsi_registration_watch_input(struct mts_client *client)
{
	return change_but_room(client, MTSI_POLL_IN | MTSI_POLL_RDHUP | MTSI_POLL_PRI | MTSI_POLL_EDGE);
}

void mtsi_registration_ignore_input(struct mts_client *client)
{
	(void)change_but_room(client, MTSI_POLL_EDGE);
}

int mtsi_registration_watch_room_locked(struct mts_client *client, bool wanted)
{
	const uint32_t others = client->watched & ~MTSI_POLL_OUT;
	return change_locked(client, wanted ? others | MTSI_POLL_OUT : others);
}

void mtsi_registration_watch_end_locked(struct mts_client *client)
{
	(void)change_locked(client, MTSI_POLL_IN | MTSI_POLL_RDHUP | MTSI_POLL_EDGE);
}

void mtsi_registration_report_again(struct mts_client *client)
{
	mtsi_lock_take(&client->lock);
	if (client->watched != 0) {
		(void)mtsi_poll_change(
			mtsi_base_floor(client->server)->poll, client->fd, client->watched, client->id);
	}
	mtsi_lock_release(&client->lock);
}

int mtsi_registration_enter_locked(struct mts_client *client)
{
	return client->watched == 0 ? change_locked(client, MTSI_POLL_EDGE) : 0;
}

void mtsi_registration_leave_locked(struct mts_client *client)
{
	(void)change_locked(client, 0);
}

int mtsi_registration_enter_listener(struct mts_server *server, int fd, uint64_t tag)
{
	return mtsi_poll_add(mtsi_base_floor(server)->poll, fd, 0, tag);
}

void mtsi_registration_watch_listener(
	struct mts_server *server, int fd, uint64_t tag, bool connections)
{
	const uint32_t events = connections ? MTSI_POLL_IN | MTSI_POLL_RDHUP : MTSI_POLL_RDHUP;
	(void)mtsi_poll_change(mtsi_base_floor(server)->poll, fd, events, tag);
}

void mtsi_registration_leave_listener(struct mts_server *server, int fd)
{
	mtsi_poll_remove(mtsi_base_floor(server)->poll, fd);
}

int mtsi_registration_watch_bell(int poll, int bell, uint64_t tag)
{
	return mtsi_poll_add(poll, bell, MTSI_POLL_IN, tag);
}
