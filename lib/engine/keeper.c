/* SPDX-License-Identifier: MIT
 *
 * The keeper: the one thread that waits for everything but input of the clients that are served. It
 * takes connections and offers them to the crew, sends queued output on when a socket takes more,
 * lets sockets linger, and sees to deadlines: lingering, pauses of accept, threads that could not
 * be made, the stop. It never runs a handler and never waits for a client, so nothing that a
 * program or a peer does holds it up; only the log hook runs here.
 *
 * It sleeps in epoll until something happens or is due. What others do that moves a deadline
 * forward wakes it (mtsi_keeper_wake()), so the deadlines are reckoned anew before each sleep.
 *
 * A stale event is harmless: events carry the client's id, and an id whose client is gone finds
 * nothing, even when its slot or descriptor is in use again (clients.c).
 */
#include "engine/keeper.h"

#include "engine/accept.h"
#include "engine/drain.h"
#include "engine/output.h"
#include "engine/server.h"
#include "os/clock.h"
#include "os/poll.h"

enum { EVENTS = 64 };

void mtsi_keeper_wake(const struct mts_server *server)
{
	const int wake = atomic_load(&server->wake);
	if (wake >= 0) {
		mtsi_wake_up(wake);
	}
}

static void client_event(struct mts_server *server, uint64_t id)
{
	struct mts_client *client = mtsi_clients_lock(server, id);
	if (client == NULL) {
		return;
	}
	const bool lingers = client->stage == MTSI_CLIENT_LINGERING;
	if (!lingers) {
		mtsi_output_continue_locked(client);
	}
	mtsi_lock_release(&client->lock);
	/* Only the keeper ends lingering, so it is still there. */
	if (lingers) {
		mtsi_linger_event(client);
	}
}

static void dispatch(struct mts_server *server, const struct mtsi_poll_event *event)
{
	const uint64_t tag = event->tag;
	if (tag == MTSI_WAKE_TAG) {
		mtsi_wake_clear(atomic_load(&server->wake));
	} else if (mtsi_listeners_tag(&server->listeners, tag)) {
		if ((event->events & (MTSI_POLL_HUP | MTSI_POLL_RDHUP)) != 0) {
			mtsi_listeners_bury(server, tag);
		} else {
			mtsi_accept(server, tag);
		}
	} else {
		client_event(server, tag);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Does what is due; when the next thing is. */
static uint64_t reckon(struct mts_server *server, uint64_t now)
{
	uint64_t due = mtsi_linger_expire(server, now);
	due = earlier(due, mtsi_door_resume(server, now));
	return earlier(due, mtsi_crew_retry(server, now));
}

void mtsi_keeper_tick(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_poll_event events[EVENTS];
	const uint64_t due = earlier(reckon(server, mtsi_clock_now()), deadline);
	const int count = mtsi_poll_wait(server->poll, events, EVENTS, due);
	for (int i = 0; i < count; i++) {
		dispatch(server, &events[i]);
	}
}

int mtsi_keeper(struct mts_server *server)
{
	mtsi_door_open(server);
	mtsi_log(server, MTSI_LOG_START, "serving, at most %zu clients", mtsi_door_max_clients(server));
	while (!mtsi_stopping(server)) {
		mtsi_keeper_tick(server, MTSI_NEVER);
	}
	return mtsi_drain(server);
}
