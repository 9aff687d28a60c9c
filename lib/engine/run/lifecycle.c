/* SPDX-License-Identifier: MIT
 *
 * A server's life, seen from the program's threads: make, start, wait, stop, free.
 *
 * All work is done on threads of the library; a thread that runs or joins a server only waits here.
 * So the program's signal handlers and its callbacks never meet on one thread, and run is no more
 * than start and join.
 *
 * Stopping may happen in a signal handler, so it sets a flag and writes to an eventfd, nothing
 * else. The stop sets the flag before it reads the descriptor, and the starter publishes the
 * descriptor before the keeper reads the flag (both sequentially consistent). So one of the two
 * sees the other, and a stop before or during the start is not lost. The descriptor stays open
 * until the server is freed, so a late stop never writes to one that is somebody else's.
 *
 * Freeing waits for the threads that wait here: each counts itself in and out under the lock, and
 * touches nothing here once it is out. Freeing also waits for threads and signal handlers that are
 * in a stop: the run may be over, and known to be, before its stopper has written to the eventfd.
 * These count themselves in before they set the flag, and out when they are done.
 */
#include "engine/run/lifecycle.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/floor.h"
#include "engine/base/inside.h"
#include "engine/base/log.h"
#include "engine/base/logger.h"
#include "engine/base/name.h"
#include "engine/base/options.h"
#include "engine/base/ranks.h"
#include "engine/base/wake.h"
#include "engine/client/clients.h"
#include "engine/client/deadline.h"
#include "engine/client/floor.h"
#include "engine/client/memory.h"
#include "engine/client/registration.h"
#include "engine/crew/crew.h"
#include "engine/crew/floor.h"
#include "engine/crew/hire.h"
#include "engine/crew/stand_in.h"
#include "engine/crew/threads.h"
#include "engine/crew/watchdog.h"
#include "engine/door/door.h"
#include "engine/door/floor.h"
#include "engine/door/listener.h"
#include "engine/run/abandon.h"
#include "engine/run/dump.h"
#include "engine/run/keeper.h"
#include "engine/run/notify.h"
#include "engine/run/poller.h"
#include "engine/run/server.h"
#include "engine/run/stop.h"
#include "engine/run/work.h"
#include "engine/serve/floor.h"
#include "engine/serve/mailbox.h"
#include "os/alarm.h"
#include "os/clock.h"
#include "os/home.h"
#include "os/lock.h"
#include "os/poll.h"
#include "os/socket.h"
#include "os/thread.h"

enum { KEEPER_STACK = 256 * 1024 };

/* How long a worker that has left, and then the log, may take to end when the server is freed. */
static const uint64_t ending_time = MTSI_SECOND;

static void init_life(struct mtsi_lifecycle *lifecycle)
{
	mtsi_lock_init(&lifecycle->lock, MTSI_RANK_LIFECYCLE);
	mtsi_signal_init(&lifecycle->changed);
	atomic_init(&lifecycle->state, MTSI_LIFECYCLE_NEW);
	atomic_init(&lifecycle->stoppers, 0);
}

struct mts_server *mtsi_lifecycle_new(mts_handler handler, void *user)
{
	struct mts_server *server = calloc(1, sizeof(*server));
	if (server == NULL) {
		return NULL;
	}
	mtsi_options_init(&mtsi_base_floor(server)->options, handler, user);
	mtsi_clients_init(&mtsi_client_floor(server)->clients);
	mtsi_door_floor_init(server);
	mtsi_crew_init(server, mtsi_work);
	mtsi_watchdog_init(&mtsi_crew_floor(server)->watchdog);
	mtsi_stand_in_init(&mtsi_crew_floor(server)->stand_in, mtsi_poller_poll);
	mtsi_deadlines_init(&mtsi_client_floor(server)->deadlines);
	mtsi_memory_init(&mtsi_client_floor(server)->memory);
	mtsi_mailbox_init(&mtsi_serve_floor(server)->mailbox);
	mtsi_log_init(&mtsi_base_floor(server)->log);
	init_life(&server->lifecycle);
	mtsi_tasks_init(&server->tasks);
	mtsi_home_init(&server->home);
	mtsi_base_floor(server)->poll = -1;
	mtsi_crew_floor(server)->alarm = -1;
	atomic_init(&mtsi_base_floor(server)->bell, -1);
	atomic_init(&mtsi_base_floor(server)->wake, -1);
	atomic_init(&mtsi_base_floor(server)->stopping, MTSI_STOP_NONE);
	mtsi_dump_enlist(server);
	return server;
}

static void close_if_open(int fd)
{
	if (fd >= 0) {
		mtsi_socket_close(fd);
	}
}

static void free_server(struct mts_server *server)
{
	mtsi_dump_strike(server);
	mtsi_listeners_free(server);
	close_if_open(mtsi_base_floor(server)->poll);
	close_if_open(mtsi_crew_floor(server)->alarm);
	close_if_open(atomic_load(&mtsi_base_floor(server)->bell));
	close_if_open(atomic_load(&mtsi_base_floor(server)->wake));
	mtsi_clients_free(&mtsi_client_floor(server)->clients);
	mtsi_crew_free(server);
	mtsi_stand_in_free(&mtsi_crew_floor(server)->stand_in);
	mtsi_door_floor_free(server);
	mtsi_deadlines_free(&mtsi_client_floor(server)->deadlines);
	mtsi_memory_free(&mtsi_client_floor(server)->memory);
	mtsi_mailbox_free(&mtsi_serve_floor(server)->mailbox);
	mtsi_tasks_free(&server->tasks);
	mtsi_notify_free(server);
	mtsi_log_free(&mtsi_base_floor(server)->log);
	mtsi_signal_destroy(&server->lifecycle.changed);
	mtsi_lock_destroy(&server->lifecycle.lock);
	mtsi_options_free(&mtsi_base_floor(server)->options);
	mtsi_home_free(&server->home);
	free(server);
}

static int open_descriptors(struct mts_server *server)
{
	enum { POLL, BELL, WAKE, ALARM, ALL };
	const int fds[ALL] = {mtsi_poll_open(), mtsi_wake_open(), mtsi_wake_open(), mtsi_alarm_open()};
	int result = 0;
	for (int i = 0; i < ALL && result == 0; i++) {
		result = fds[i] < 0 ? fds[i] : 0;
	}
	if (result == 0) {
		result = mtsi_registration_watch_bell(fds[POLL], fds[BELL], MTSI_BELL_TAG);
	}
	if (result < 0) {
		for (int i = 0; i < ALL; i++) {
			close_if_open(fds[i]);
		}
		return result;
	}
	server->opened_by = mtsi_home_self();
	mtsi_base_floor(server)->poll = fds[POLL];
	mtsi_crew_floor(server)->alarm = fds[ALARM];
	atomic_store(&mtsi_base_floor(server)->bell, fds[BELL]);
	atomic_store(&mtsi_base_floor(server)->wake, fds[WAKE]);
	return 0;
}

static void *keeper_body(void *argument)
{
	struct mts_server *server = argument;
	(void)mtsi_thread_shield();
	mtsi_inside_enter(server);
	mtsi_name_thread(server, "keeper");
	/* Not before the start is complete: callbacks must find a server that runs. */
	mtsi_lock_take(&server->lifecycle.lock);
	mtsi_lock_release(&server->lifecycle.lock);
	mtsi_keeper(server);
	const int result = mtsi_stop(server);
	mtsi_lock_take(&server->lifecycle.lock);
	server->lifecycle.result = result;
	atomic_store(&server->lifecycle.state, MTSI_LIFECYCLE_ENDED);
	mtsi_signal_all(&server->lifecycle.changed);
	mtsi_lock_release(&server->lifecycle.lock);
	return NULL;
}

/*
 * A failed start leaves a server that can be started again; what is open stays for that. But a
 * child process that starts it gets descriptors of its own, since these are shared with the parent.
 */
static int prepare_server(struct mts_server *server, const char **why)
{
	*why = "cannot start: the size of requests is above the largest that is allowed";
	int result = mtsi_options_settle(&mtsi_base_floor(server)->options);
	if (result == 0) {
		mtsi_memory_settle(server);
		*why = "cannot start: no descriptor for events";
		if (mtsi_base_floor(server)->poll >= 0 && server->opened_by != mtsi_home_self()) {
			mtsi_abandon_descriptors(server);
		}
		result = mtsi_base_floor(server)->poll < 0 ? open_descriptors(server) : 0;
	}
	if (result == 0) {
		*why = "cannot start: the listeners cannot be watched";
		result = mtsi_listeners_prepare(server);
		mtsi_door_prepare(server);
	}
	return result;
}

static int join_locked(struct mtsi_lifecycle *lifecycle)
{
	lifecycle->waiters++;
	while (atomic_load(&lifecycle->state) != MTSI_LIFECYCLE_ENDED) {
		(void)mtsi_signal_wait(&lifecycle->changed, &lifecycle->lock, MTSI_NEVER);
	}
	lifecycle->waiters--;
	mtsi_signal_all(&lifecycle->changed);
	return lifecycle->result;
}

/* The stand-in and the keeper. They inherit from the caller, and workers from the keeper. */
static int start_serving(struct mts_server *server)
{
	int result = mtsi_stand_in_start(server);
	if (result != 0) {
		return result;
	}
	result = mtsi_thread_start(&server->lifecycle.keeper, KEEPER_STACK, keeper_body, server);
	if (result != 0) {
		mtsi_stand_in_dismiss(server);
		(void)mtsi_stand_in_join(server, MTSI_NEVER);
	}
	return result;
}

/* The thread for the log comes first: the others have something to say from their beginning. */
static int start_threads(struct mts_server *server)
{
	int result = mtsi_logger_start(server);
	if (result == 0) {
		result = start_serving(server);
		if (result != 0) {
			(void)mtsi_logger_end(
				&mtsi_base_floor(server)->log, MTSI_NEVER); /* it has nothing to say */
		}
	}
	return result;
}

static int start_locked(struct mts_server *server, const char **why)
{
	struct mtsi_lifecycle *lifecycle = &server->lifecycle;
	if (atomic_load(&lifecycle->state) != MTSI_LIFECYCLE_NEW) {
		return -EALREADY;
	}
	mtsi_home_settle(&server->home);
	int result = prepare_server(server, why);
	if (result == 0) {
		*why = "cannot start: no thread";
		result = start_threads(server);
	}
	if (result == 0) {
		lifecycle->keeper_runs = true;
		atomic_store(&lifecycle->state, MTSI_LIFECYCLE_RUNNING);
	} else {
		mtsi_home_unsettle(&server->home);
	}
	return result;
}

/*
 * Starting and beginning to wait are one critical section. So a thread that destroys the server
 * meanwhile finds it either not started, or with the waiter counted.
 */
int mtsi_lifecycle_start(struct mts_server *server, bool wait, const char **why)
{
	const int before = mtsi_thread_shield();
	mtsi_lock_take(&server->lifecycle.lock);
	int result = start_locked(server, why);
	if (result == 0 && wait) {
		result = join_locked(&server->lifecycle);
		*why = NULL;
	}
	mtsi_lock_release(&server->lifecycle.lock);
	mtsi_thread_unshield(before);
	return result;
}

int mtsi_lifecycle_join(struct mts_server *server)
{
	const int before = mtsi_thread_shield();
	mtsi_lock_take(&server->lifecycle.lock);
	const int result = join_locked(&server->lifecycle);
	mtsi_lock_release(&server->lifecycle.lock);
	mtsi_thread_unshield(before);
	return result;
}

void mtsi_lifecycle_stop(struct mts_server *server)
{
	atomic_fetch_add(&server->lifecycle.stoppers, 1);
	if (mtsi_begin_stop(server)) {
		mtsi_wake_keeper(server);
	}
	atomic_fetch_sub(&server->lifecycle.stoppers, 1);
}

/* Waits until the run is over and no thread waits for it any more. */
static void settle(struct mts_server *server)
{
	struct mtsi_lifecycle *lifecycle = &server->lifecycle;
	mtsi_lock_take(&lifecycle->lock);
	if (atomic_load(&lifecycle->state) != MTSI_LIFECYCLE_NEW) {
		(void)join_locked(lifecycle);
	}
	while (lifecycle->waiters > 0) {
		(void)mtsi_signal_wait(&lifecycle->changed, &lifecycle->lock, MTSI_NEVER);
	}
	const bool join = lifecycle->keeper_runs;
	lifecycle->keeper_runs = false;
	mtsi_lock_release(&lifecycle->lock);
	if (join) {
		mtsi_thread_join(lifecycle->keeper);
	}
}

/*
 * Lets the crew go: false when callbacks still run. After a run that ended while callbacks ran,
 * there may be clients left that have no worker: for these, workers are made once more.
 */
static bool finish_clients(struct mts_server *server)
{
	uint64_t now = mtsi_clock_now();
	const uint64_t end = mtsi_clock_after(now, ending_time);
	if (mtsi_threads_dismiss(server, 0)) {
		return true;
	}
	mtsi_stop_unopened(server);
	if (!mtsi_threads_take_up(server)) {
		return mtsi_threads_dismiss(server, 0);
	}
	do {
		(void)mtsi_threads_join(server, MTSI_NEVER);
		(void)mtsi_hire(server, now);
		if (mtsi_threads_dismiss(server, mtsi_clock_after(now, MTSI_MILLISECOND))) {
			return true;
		}
		now = mtsi_clock_now();
	} while (now < end);
	mtsi_threads_give_up(server);
	return false;
}

/* Joins all threads that are left, which run no callback any more; false when one hangs. */
static bool wait_for_ends(struct mts_server *server)
{
	const uint64_t end = mtsi_clock_after(mtsi_clock_now(), ending_time);
	uint64_t now;
	do {
		now = mtsi_clock_now();
		(void)mtsi_threads_join(server, MTSI_NEVER);
		if (mtsi_threads_count(server) == 0) {
			return mtsi_stand_in_join(server, end)
				&& mtsi_logger_end(&mtsi_base_floor(server)->log, end);
		}
		mtsi_thread_pause(1);
	} while (now < end);
	return false;
}

int mtsi_lifecycle_destroy(struct mts_server *server)
{
	const int before = mtsi_thread_shield();
	mtsi_lifecycle_stop(server);
	settle(server);
	while (atomic_load(&server->lifecycle.stoppers) > 0) {
		mtsi_thread_yield();
	}
	const bool all_gone = finish_clients(server) && wait_for_ends(server);
	if (all_gone) {
		free_server(server);
	}
	mtsi_thread_unshield(before);
	return all_gone ? 0 : -EBUSY;
}
