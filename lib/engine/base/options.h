/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_OPTIONS_H
#define MTSI_ENGINE_BASE_OPTIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <mtserver/handler.h>
#include <mtserver/hooks.h>
#include <mtserver/limits.h>
#include <mtserver/threads.h>

#include "os/clock.h"
#include "wire/frame.h"

enum { MTSI_TIMEOUTS = MTS_TIMEOUT_HANDSHAKE + 1 };
enum { MTSI_NAME = 64 }; /* the longest name of a server, with its NUL */

/*
 * What the program has chosen. Written by the configuring thread before the server runs, then
 * constant; starting a thread makes it visible there. Options that are live, so may be changed
 * later, are atomic, and read anew at each use.
 */
struct mtsi_options {
	mts_handler handler;
	void *user;

	mts_open_hook on_open;
	void *on_open_user;
	mts_fault_hook on_fault;
	void *on_fault_user;
	mts_close_hook on_close;
	void *on_close_user;
	mts_thread_hook on_thread_start;
	mts_thread_hook on_thread_end;
	void *on_thread_user;

	char name[MTSI_NAME]; /* "": none was given */

	struct mtsi_framing framing; /* its limit is settled when the server starts */
	size_t max_request; /* 0: by the kind of framing */

	_Atomic int model; /* one of enum mts_thread_model; a stop may come while it is chosen */
	_Atomic unsigned max_threads; /* live; 0: no limit but that of clients */
	size_t stack_size;
	int backlog;
	bool shares_port; /* SO_REUSEPORT */
	unsigned defer_accept; /* seconds */
	unsigned keepalive; /* seconds; 0: as the system has it */
	int overload; /* one of enum mts_overload */

	_Atomic size_t max_output;
	_Atomic size_t max_memory; /* 0: by the other limits */
	_Atomic unsigned timeouts[MTSI_TIMEOUTS]; /* milliseconds, 0: never; by enum mts_timeout */
	_Atomic unsigned drain; /* live; milliseconds of grace after a stop; 0: none */
	_Atomic bool handlers_timed; /* a handler may have a deadline, the server's or a client's own */
};

/* A timeout, in nanoseconds; MTSI_NEVER: there is none. Any thread. */
static inline uint64_t mtsi_timeout(const struct mtsi_options *options, enum mts_timeout which)
{
	const unsigned timeout = atomic_load_explicit(&options->timeouts[which], memory_order_relaxed);
	return timeout == 0 ? MTSI_NEVER : timeout * MTSI_MILLISECOND;
}

/* The defaults. */
void mtsi_options_init(struct mtsi_options *options, mts_handler handler, void *user);
void mtsi_options_free(struct mtsi_options *options);

/* Chooses a framing; what an earlier choice held is freed. */
void mtsi_options_frame(struct mtsi_options *options, const struct mtsi_framing *framing);

/* Settles the largest request: 0, or -EINVAL when fixed requests are larger than the limit. */
int mtsi_options_settle(struct mtsi_options *options);

#endif
