/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_LOG_H
#define MTSI_ENGINE_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mtserver/export.h>
#include <mtserver/hooks.h>

#include "os/lock.h"
#include "os/thread_end.h"

struct mtsi_log_lines;
struct mtsi_peer;
struct mts_server;

/*
 * The kinds of messages, with their levels, and how many of a kind may come in a second. There is a
 * bound for what the world can cause as often as it likes, and none for what the library says once.
 *
 * Messages of MTS_LOG_DEBUG stand where something is rare, or costs a system call or a thread
 * anyway. So none tells that a client is parked or claimed: every request comes that way, and not
 * even one more comparison belongs there. Tests and a debugger can see it (engine/run/dump.h).
 */
#define MTSI_LOG_KINDS(X) \
	X(START, MTS_LOG_INFO, 1000) \
	X(STOP, MTS_LOG_INFO, 1000) \
	X(SUSPENDED, MTS_LOG_INFO, 1000) \
	X(HUNG, MTS_LOG_ERR, 1000) \
	X(ACCEPT, MTS_LOG_ERR, 1) \
	X(LIMIT, MTS_LOG_WARNING, 1000) \
	X(POLL, MTS_LOG_ERR, 1) \
	X(REFUSED, MTS_LOG_NOTICE, 1) \
	X(DENIED, MTS_LOG_NOTICE, 1) \
	X(EVICTED, MTS_LOG_NOTICE, 10) \
	X(THREAD, MTS_LOG_WARNING, 1) \
	X(LISTENER, MTS_LOG_ERR, 1000) \
	X(LEFT_OUT, MTS_LOG_NOTICE, 1000) \
	X(PATH, MTS_LOG_WARNING, 1000) \
	X(NOTIFY, MTS_LOG_WARNING, 1) \
	X(HANDLER, MTS_LOG_WARNING, 10) \
	X(CLIENT, MTS_LOG_WARNING, 10) \
	X(MEMORY, MTS_LOG_WARNING, 10) \
	X(TIMEOUT, MTS_LOG_NOTICE, 10) \
	X(TOO_LARGE, MTS_LOG_NOTICE, 10) \
	X(PROTOCOL, MTS_LOG_NOTICE, 10) \
	X(PROXY, MTS_LOG_NOTICE, 10) \
	X(MADE, MTS_LOG_DEBUG, 10) \
	X(ENDED, MTS_LOG_DEBUG, 10) \
	X(RELIEVED, MTS_LOG_DEBUG, 10) \
	X(IDLE, MTS_LOG_DEBUG, 10)

#define MTSI_LOG_NAME(name, level, rate) MTSI_LOG_##name,
enum mtsi_log_kind { MTSI_LOG_KINDS(MTSI_LOG_NAME) MTSI_LOG_KIND_COUNT };
#undef MTSI_LOG_NAME

/* Where messages go. The first three are constant while the server runs. */
struct mtsi_log {
	mts_log_hook hook;
	void *user;
	int max_level;
	struct mtsi_lock lock; /* guards what follows */
	struct {
		uint64_t second; /* the second that is being counted */
		unsigned count; /* messages in that second */
		unsigned suppressed; /* since one was shown */
	} kinds[MTSI_LOG_KIND_COUNT];

	/* The rest belongs to the thread that says them (logger.c). */
	struct mtsi_log_lines *lines; /* what is still to be said; NULL: there is no such thread */
	struct mtsi_signal come; /* a line has come, or the thread is to end */
	struct mtsi_signal said; /* all that there was has been said; or the thread is over */
	bool unsaid; /* there is something to say, or it is being said */
	bool ending; /* the thread is to end when it has said all; no more lines are taken */
	bool over; /* the thread says nothing any more */
	_Atomic bool
		hung; /* a wait for the thread was in vain, and it has not caught up; set under the lock */
	bool runs; /* the thread is not joined; who starts, ends or frees the server, one at a time */
	struct mtsi_thread_end end; /* of the thread, once it is over */
};

void mtsi_log_init(struct mtsi_log *log);
void mtsi_log_free(struct mtsi_log *log);

/*
 * Says something: puts it into the queue of the thread that calls the hook. It waits for nothing
 * but the log's own lock, so any thread may call it, also one of the program's, whatever locks are
 * held.
 */
void mtsi_log(struct mts_server *server, enum mtsi_log_kind kind, const char *format, ...)
	MTS_PRINTF(3, 4);

/* The same about a client, which is named first. */
void mtsi_log_client(struct mts_server *server, enum mtsi_log_kind kind, uint64_t id,
	const struct mtsi_peer *peer, const char *format, ...) MTS_PRINTF(5, 6);

#endif
