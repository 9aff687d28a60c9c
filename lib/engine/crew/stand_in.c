/* SPDX-License-Identifier: MIT
 *
 * The stand-in: a thread of the library that polls where no worker does, so that connections are
 * accepted, and queued output is sent on.
 *
 * With a thread per client it always polls, since every worker may wait for its client for ever. On
 * demand workers poll, and the stand-in sleeps. It polls for them only while all workers that may
 * be had are in callbacks. What it finds then waits in the ready list for the first worker that
 * comes back. It watches the epoll instance from outside (poll(2) of it, epoll(7)), and looks into
 * it only when there is something and still no worker has come to poll. So once a worker has come,
 * the two do not compete.
 *
 * It is a thread of its own, and not the keeper, because the thread that polls accepts, and an
 * accept can sleep after all where others share the listener (accept.c). The keeper must not sleep
 * there: deadlines, the stop and every new thread depend on it.
 *
 * While the stand-in makes an accept that may sleep, it is away. The first time it is away it wakes
 * the keeper, which then looks every 50 ms, as long as there was such an accept since the look
 * before. So a server that takes many connections pays for 20 looks a second, and one that takes
 * none pays for none. If the stand-in has been in the same accept since the look before, it sleeps
 * there, and the keeper makes another one. The one that was replaced leaves when it comes back,
 * after it has handed on what it has found. A listener can hold up only one thread in this way,
 * since a thread must have the entry of the listener to accept there (entry.c).
 */
#include "engine/crew/stand_in.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/floor.h"
#include "engine/base/inside.h"
#include "engine/base/name.h"
#include "engine/base/wake.h"
#include "engine/client/list.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"

enum { STACK = 256 * 1024 };

static const uint64_t look_time = 50 * MTSI_MILLISECOND;

void mtsi_stand_in_init(struct mtsi_stand_in *stand_in, mtsi_poll_once *poll)
{
	stand_in->poll = poll;
	mtsi_signal_init(&stand_in->called);
	stand_in->over = false;
	stand_in->present = 0;
	stand_in->current = 0;
	stand_in->lacking = false;
	stand_in->stints = 0;
	stand_in->away = false;
	stand_in->watched = false;
	stand_in->look_at = 0;
	stand_in->seen = 0;
	stand_in->threads = NULL;
	stand_in->count = 0;
}

void mtsi_stand_in_free(struct mtsi_stand_in *stand_in)
{
	mtsi_signal_destroy(&stand_in->called);
	free(stand_in->threads);
}

/* Whether the stand-in with this number is to go on. */
static bool is_on_locked(const struct mtsi_stand_in *stand_in, unsigned number)
{
	return !stand_in->over && stand_in->current == number;
}

/* On demand: waits until it is needed; false when it is to leave. */
static bool wait_for_call_locked(struct mts_server *server, unsigned number)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_stand_in *stand_in = &mtsi_crew_floor(server)->stand_in;
	if (!is_on_locked(stand_in, number)) {
		return false;
	}
	crew->stand_in = mtsi_crew_lacks_poller_locked(server);
	while (is_on_locked(stand_in, number) && !crew->stand_in) {
		(void)mtsi_signal_wait(&stand_in->called, &crew->lock, MTSI_NEVER);
		crew->stand_in = mtsi_crew_lacks_poller_locked(server);
	}
	return is_on_locked(stand_in, number);
}

/* Polls once for the workers, without waiting. */
static void poll_for_workers(struct mts_server *server)
{
	struct mtsi_crew *crew = &mtsi_crew_floor(server)->crew;
	struct mtsi_list found = {NULL, NULL, 0};
	mtsi_lock_take(&crew->lock);
	const bool alone = crew->pollers == 0;
	mtsi_lock_release(&crew->lock);
	if (!alone) {
		return;
	}
	/*
	 * The stand-in does not count as a poller: if a worker is needed to poll, one is still needed.
	 */
	mtsi_crew_floor(server)->stand_in.poll(server, NULL, 0, &found);
	const uint64_t now = mtsi_clock_now();
	mtsi_lock_take(&crew->lock);
	crew->rung = false;
	mtsi_crew_append_locked(crew, &found, now);
	const struct mtsi_relief relief = mtsi_crew_relieve_locked(server);
	mtsi_lock_release(&crew->lock);
	mtsi_crew_send(server, relief);
}

static void poll_when_needed(struct mts_server *server, unsigned number)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	while (wait_for_call_locked(server, number)) {
		mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
		mtsi_alarm_sleep(-1, mtsi_base_floor(server)->poll, -1, MTSI_NEVER);
		poll_for_workers(server);
		mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	}
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
}

static bool is_on(struct mts_server *server, unsigned number)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const bool on = is_on_locked(&mtsi_crew_floor(server)->stand_in, number);
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return on;
}

static void poll_always(struct mts_server *server, unsigned number)
{
	while (is_on(server, number)) {
		struct mtsi_list found = {NULL, NULL, 0};
		mtsi_crew_floor(server)->stand_in.poll(server, NULL, MTSI_NEVER, &found);
		mtsi_crew_offer(server, &found);
	}
}

static void *body(void *argument)
{
	struct mts_server *server = argument;
	(void)mtsi_thread_shield();
	mtsi_inside_enter(server);
	mtsi_name_thread(server, "poller");
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const unsigned number = mtsi_crew_floor(server)->stand_in.current;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	if (mtsi_on_demand(server)) {
		poll_when_needed(server, number);
	} else {
		poll_always(server, number);
	}
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	mtsi_crew_floor(server)->stand_in.present--;
	mtsi_signal_all(&mtsi_crew_floor(server)->crew.gone);
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return NULL;
}

/* Joins stand-ins that had been replaced, and have ended. */
static void join_ended(struct mtsi_stand_in *stand_in)
{
	for (size_t i = stand_in->count; i-- > 0;) {
		if (mtsi_thread_join_until(stand_in->threads[i], 0)) {
			stand_in->threads[i] = stand_in->threads[--stand_in->count];
		}
	}
}

/* Makes the thread that is lacking: 0 or a negative errno value. */
static int make_stand_in(struct mts_server *server)
{
	struct mtsi_stand_in *stand_in = &mtsi_crew_floor(server)->stand_in;
	join_ended(stand_in);
	pthread_t *threads = realloc(stand_in->threads, (stand_in->count + 1) * sizeof(*threads));
	if (threads == NULL) {
		return -ENOMEM;
	}
	stand_in->threads = threads;
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	stand_in->present++;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	const int result = mtsi_thread_start(&threads[stand_in->count], STACK, body, server);
	stand_in->count += result == 0 ? 1 : 0;
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	stand_in->present -= result == 0 ? 0 : 1;
	stand_in->lacking = result != 0;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return result;
}

int mtsi_stand_in_start(struct mts_server *server)
{
	mtsi_crew_floor(server)->stand_in.over = false;
	return make_stand_in(server);
}

uint64_t mtsi_stand_in_leave_poll(struct mts_server *server)
{
	struct mtsi_stand_in *stand_in = &mtsi_crew_floor(server)->stand_in;
	const uint64_t now = mtsi_clock_now();
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const uint64_t stint = ++stand_in->stints;
	const bool first = !stand_in->watched;
	stand_in->away = true;
	stand_in->watched = true;
	if (first) {
		stand_in->seen = stint;
		stand_in->look_at = mtsi_clock_after(now, look_time);
	}
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	if (first) {
		mtsi_wake_keeper(server);
	}
	return stint;
}

void mtsi_stand_in_return_to_poll(struct mts_server *server, uint64_t stint)
{
	struct mtsi_stand_in *stand_in = &mtsi_crew_floor(server)->stand_in;
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	if (stand_in->stints == stint) {
		stand_in->away = false;
	}
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
}

/* Looks whether the stand-in sleeps; whether another one has to be made. */
static bool look_after_locked(struct mtsi_stand_in *stand_in, uint64_t now)
{
	const bool same = stand_in->seen == stand_in->stints;
	if (same && stand_in->away) {
		stand_in->current++;
		stand_in->stints++; /* the one that is away has been replaced */
		stand_in->away = false;
		stand_in->lacking = true;
	}
	stand_in->watched = !same || stand_in->lacking;
	stand_in->seen = stand_in->stints;
	stand_in->look_at = mtsi_clock_after(now, look_time);
	return stand_in->lacking;
}

uint64_t mtsi_stand_in_look(struct mts_server *server, uint64_t now)
{
	struct mtsi_stand_in *stand_in = &mtsi_crew_floor(server)->stand_in;
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const bool looks = stand_in->watched && !stand_in->over;
	const bool lacking = looks && now >= stand_in->look_at && look_after_locked(stand_in, now);
	const uint64_t due = looks && stand_in->watched ? stand_in->look_at : MTSI_NEVER;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	if (lacking) {
		(void)make_stand_in(server); /* if that fails, the next look tries again */
	}
	return due;
}

void mtsi_stand_in_call(struct mtsi_stand_in *stand_in)
{
	mtsi_signal_all(&stand_in->called);
}

void mtsi_stand_in_dismiss(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	mtsi_crew_floor(server)->stand_in.over = true;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	mtsi_stand_in_call(&mtsi_crew_floor(server)->stand_in);
	mtsi_wake_poller(server);
}

bool mtsi_stand_in_join(struct mts_server *server, uint64_t deadline)
{
	struct mtsi_stand_in *stand_in = &mtsi_crew_floor(server)->stand_in;
	while (stand_in->count > 0) {
		/*
		 * Another thread, a worker or another stand-in, may have taken the bell that was meant for
		 * this one.
		 */
		mtsi_wake_poller(server);
		if (!mtsi_thread_join_until(stand_in->threads[stand_in->count - 1], deadline)) {
			return false;
		}
		stand_in->count--;
	}
	return true;
}

bool mtsi_stand_in_has_left(struct mts_server *server)
{
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	const bool left = mtsi_crew_floor(server)->stand_in.present == 0;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return left;
}

bool mtsi_stand_in_is_leaving(struct mts_server *server)
{
	const struct mtsi_stand_in *stand_in = &mtsi_crew_floor(server)->stand_in;
	mtsi_lock_take(&mtsi_crew_floor(server)->crew.lock);
	/* The ones that have been replaced sleep in an accept, and do not leave by themselves. */
	const bool leaving = stand_in->over && stand_in->present == 1 && !stand_in->away;
	mtsi_lock_release(&mtsi_crew_floor(server)->crew.lock);
	return leaving;
}

bool mtsi_stand_in_hangs_locked(struct mts_server *server)
{
	return mtsi_crew_floor(server)->stand_in.over && mtsi_crew_floor(server)->stand_in.present > 0;
}
