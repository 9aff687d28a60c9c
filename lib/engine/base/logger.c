/* SPDX-License-Identifier: MIT
 *
 * The one thread that calls the program's log hook. A hook may block for ever: because its pipe is
 * full, or because it waits for a mutex of the program, which is held by a thread that calls this
 * library. So other threads only put their messages into a queue, under a lock that is never held
 * over the hook. Whatever the hook does, it delays nothing but messages.
 *
 * The thread is made by the thread that calls start, before anything is said, so it has inherited
 * nothing from callbacks. Without a hook there is no such thread. It counts as inside of the
 * server, like all threads that run callbacks.
 *
 * The thread ends when it is told to, once it has said all there is. Others wait for that up to a
 * deadline; after that the hook counts as hung, until the thread has caught up. A message that was
 * put into the queue before the thread was told to end is said; a later one is not taken. Once the
 * thread has been joined, nothing can call the hook any more.
 */
#include "engine/base/logger.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/floor.h"
#include "engine/base/inside.h"
#include "engine/base/log.h"
#include "engine/base/log_lines.h"
#include "engine/base/name.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"
#include "os/thread_end.h"

/*
 * The line at hand lies on the stack, beside what the program has asked for. A hook may need more
 * stack than the handlers, for which the program may have chosen a small one.
 */
enum { OWN_STACK = 16 * 1024, LEAST_STACK = 256 * 1024 };

/* Waits for something to say; false: no more will come. */
static bool next_locked(struct mtsi_log *log, struct mtsi_log_line *line)
{
	while (!mtsi_log_lines_take(log->lines, line)) {
		log->unsaid = false;
		atomic_store(&log->hung, false);
		mtsi_signal_all(&log->said);
		if (log->ending) {
			return false;
		}
		(void)mtsi_signal_wait(&log->come, &log->lock, MTSI_NEVER);
	}
	return true;
}

/* The only place where the hook is called. */
static void call_hook(struct mts_server *server, const struct mtsi_log_line *line)
{
	const struct mtsi_log *log = &mtsi_base_floor(server)->log;
	if (line->lost.count > 0) {
		char text[96 + MTSI_NAME];
		const size_t begun = mtsi_name_prefix(server, text, sizeof(text));
		(void)snprintf(text + begun, sizeof(text) - begun,
			"%" PRIu64 " messages are missing here: the log hook was too slow for them",
			line->lost.count);
		log->hook(line->lost.level, text, log->user);
	}
	if (line->here) {
		log->hook(line->level, line->text, log->user);
	}
}

/* Runs also when the hook ends the thread, by pthread_exit(3): then nothing is said any more. */
static void finish_logger(void *argument)
{
	struct mtsi_log *log = argument;
	mtsi_lock_take(&log->lock);
	mtsi_thread_end_note(&log->end);
	log->over = true;
	atomic_store(&log->hung, false);
	mtsi_signal_all(&log->said);
	mtsi_lock_release(&log->lock);
	mtsi_thread_end_reached();
}

static void *logger_body(void *argument)
{
	struct mts_server *server = argument;
	struct mtsi_log *log = &mtsi_base_floor(server)->log;
	struct mtsi_log_line line;
	bool more;
	(void)mtsi_thread_shield(); /* the program cannot cancel it */
	mtsi_inside_enter(server);
	mtsi_name_thread(server, "log");
	pthread_cleanup_push(finish_logger, log);
	do {
		mtsi_lock_take(&log->lock);
		more = next_locked(log, &line);
		mtsi_lock_release(&log->lock);
		if (more) {
			call_hook(server, &line);
		}
	} while (more);
	pthread_cleanup_pop(1);
	return NULL;
}

static void free_lines(struct mtsi_log *log)
{
	mtsi_lock_take(&log->lock);
	struct mtsi_log_lines *lines = log->lines;
	log->lines = NULL;
	mtsi_lock_release(&log->lock);
	free(lines);
}

int mtsi_logger_start(struct mts_server *server)
{
	struct mtsi_log *log = &mtsi_base_floor(server)->log;
	if (log->hook == NULL) {
		return 0;
	}
	struct mtsi_log_lines *lines = malloc(sizeof(*lines));
	if (lines == NULL) {
		return -ENOMEM;
	}
	mtsi_log_lines_init(lines);
	mtsi_lock_take(&log->lock);
	log->lines = lines;
	log->unsaid = false;
	log->ending = false;
	log->over = false;
	mtsi_lock_release(&log->lock);
	const size_t chosen = mtsi_base_floor(server)->options.stack_size;
	const size_t stack = (chosen > LEAST_STACK ? chosen : LEAST_STACK) + OWN_STACK;
	pthread_t thread;
	const int result = mtsi_thread_start(&thread, stack, logger_body, server);
	log->runs = result == 0;
	if (result != 0) {
		free_lines(log);
	}
	return result;
}

void mtsi_logger_put(struct mtsi_log *log, int level, uint64_t messages, const char *text)
{
	mtsi_lock_take(&log->lock);
	if (log->lines != NULL && !log->ending) {
		mtsi_log_lines_put(log->lines, level, messages, text);
		log->unsaid = true;
		mtsi_signal_one(&log->come);
	}
	mtsi_lock_release(&log->lock);
}

bool mtsi_logger_wait(struct mtsi_log *log, uint64_t deadline)
{
	if (!log->runs) {
		return true;
	}
	mtsi_lock_take(&log->lock);
	while (log->unsaid && !log->over && mtsi_signal_wait(&log->said, &log->lock, deadline)) {
	}
	const bool said = !log->unsaid || log->over;
	atomic_store(&log->hung, !said);
	mtsi_lock_release(&log->lock);
	return said;
}

/* The thread says nothing more, but may still be in a destructor of the program: joins it. */
static bool join_logger(struct mtsi_log *log, uint64_t deadline)
{
	const bool joined = mtsi_thread_ended_until(&log->end, deadline);
	atomic_store(&log->hung, !joined);
	if (joined) {
		log->runs = false;
		free_lines(log);
	}
	return joined;
}

bool mtsi_logger_end(struct mtsi_log *log, uint64_t deadline)
{
	if (!log->runs) {
		return true;
	}
	mtsi_lock_take(&log->lock);
	log->ending = true;
	mtsi_signal_one(&log->come);
	while (!log->over && mtsi_signal_wait(&log->said, &log->lock, deadline)) {
	}
	const bool over = log->over;
	atomic_store(&log->hung, !over);
	mtsi_lock_release(&log->lock);
	return over && join_logger(log, deadline);
}

bool mtsi_logger_hung(const struct mtsi_log *log)
{
	return atomic_load(&log->hung);
}
