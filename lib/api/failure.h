/* SPDX-License-Identifier: MIT */
#ifndef MTSI_API_FAILURE_H
#define MTSI_API_FAILURE_H

#include <stdbool.h>

#include <mtserver/export.h>
#include <mtserver/server.h>

#include "engine/run/server.h"

/* Keeps the sentence for mts_server_error(), and returns `code`. */
int mtsi_fail(mts_server *server, int code, const char *format, ...) MTS_PRINTF(3, 4);

/*
 * Whether the calling process has only a copy of this server: it is a child, made by fork(2), of the
 * one that started it. Then nothing may be locked, waited for or changed (engine/run/abandon.c), and the
 * answer is -ECHILD, with no sentence.
 */
static inline bool mtsi_foreign(const mts_server *server)
{
	return mtsi_home_left(&server->home);
}

/* For every call that would do such things: 0, -EINVAL without a server, or -ECHILD. */
int mtsi_usable(const mts_server *server);

/*
 * For setters that are not live: 0, or one of these, or, when the server runs or ran, -EBUSY with a
 * sentence that names `what`.
 */
int mtsi_configurable(mts_server *server, const char *what);

#endif
