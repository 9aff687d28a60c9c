/* SPDX-License-Identifier: MIT
 *
 * The stand-in: a thread of the library that polls where no worker does, so that connections are
 * taken and queued output goes on.
 *
 * With a thread per client that is always: every worker may wait for its client for ever. On demand
 * workers poll, and the stand-in sleeps; only while all of them that may be had are in callbacks does
 * it poll for them. What it finds waits in the ready line for the first worker that comes back. It
 * watches the epoll instance from outside (poll(2) of it, epoll(7)), and looks into it only when
 * there is something and still no worker has come to poll; so when one has, the two do not compete.
 *
 * It is a thread of its own, and not the keeper, because whoever polls accepts, and an accept can
 * sleep after all where others share the listener (accept.c). The keeper must not: deadlines, the
 * stop and every new thread depend on it.
 */
#include "engine/stand_in.h"

#include "engine/crew.h"
#include "engine/life.h"
#include "engine/line.h"
#include "engine/poller.h"
#include "engine/server.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/thread.h"

enum { STACK = 256 * 1024 };

void mtsi_stand_in_init(struct mtsi_stand_in *stand_in)
{
	mtsi_signal_init(&stand_in->called);
	stand_in->over = false;
	stand_in->left = false;
	stand_in->runs = false;
}

void mtsi_stand_in_free(struct mtsi_stand_in *stand_in)
{
	mtsi_signal_destroy(&stand_in->called);
}

/* On demand: waits until it is needed; false when it is to leave. */
static bool wait_for_call_locked(struct mts_server *server)
{
	struct mtsi_crew *crew = &server->crew;
	struct mtsi_stand_in *stand_in = &server->stand_in;
	crew->stand_in = mtsi_crew_lacks_poller_locked(server);
	while (!stand_in->over && !crew->stand_in) {
		(void)mtsi_signal_wait(&stand_in->called, &crew->lock, MTSI_NEVER);
		crew->stand_in = mtsi_crew_lacks_poller_locked(server);
	}
	return !stand_in->over;
}

static void poll_when_needed(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	while (wait_for_call_locked(server)) {
		mtsi_lock_release(&server->crew.lock);
		mtsi_alarm_sleep(-1, server->poll, -1, MTSI_NEVER);
		mtsi_crew_stand_in(server);
		mtsi_lock_take(&server->crew.lock);
	}
	mtsi_lock_release(&server->crew.lock);
}

static bool is_over(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	const bool over = server->stand_in.over;
	mtsi_lock_release(&server->crew.lock);
	return over;
}

static void poll_always(struct mts_server *server)
{
	while (!is_over(server)) {
		struct mtsi_line found = {NULL, NULL, 0};
		mtsi_poller_poll(server, NULL, MTSI_NEVER, &found);
		mtsi_crew_offer(server, &found);
	}
}

static void *body(void *argument)
{
	struct mts_server *server = argument;
	mtsi_life_enter(server);
	mtsi_thread_name("mts-poller");
	if (mtsi_on_demand(server)) {
		poll_when_needed(server);
	} else {
		poll_always(server);
	}
	mtsi_lock_take(&server->crew.lock);
	server->stand_in.left = true;
	mtsi_lock_release(&server->crew.lock);
	return NULL;
}

int mtsi_stand_in_start(struct mts_server *server)
{
	struct mtsi_stand_in *stand_in = &server->stand_in;
	stand_in->over = false;
	stand_in->left = false;
	const int result = mtsi_thread_start(&stand_in->thread, STACK, body, server);
	stand_in->runs = result == 0;
	return result;
}

void mtsi_stand_in_call(struct mtsi_stand_in *stand_in)
{
	mtsi_signal_one(&stand_in->called);
}

void mtsi_stand_in_dismiss(struct mts_server *server)
{
	mtsi_lock_take(&server->crew.lock);
	server->stand_in.over = true;
	mtsi_lock_release(&server->crew.lock);
	mtsi_stand_in_call(&server->stand_in);
	mtsi_poller_ring(server);
}

bool mtsi_stand_in_join(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_stand_in *stand_in = &server->stand_in;
	/* On demand a worker may have heard the bell that was meant for it; by now there is none. */
	mtsi_poller_ring(server);
	stand_in->runs = stand_in->runs && !mtsi_thread_join_until(stand_in->thread, deadline);
	return !stand_in->runs;
}

bool mtsi_stand_in_hangs_locked(const struct mts_server *server)
{
	return server->stand_in.over && !server->stand_in.left;
}
