/* SPDX-License-Identifier: MIT */
#ifndef MTSI_API_FAILURE_H
#define MTSI_API_FAILURE_H

#include <mtserver/export.h>
#include <mtserver/server.h>

/* Keeps the sentence for mts_server_error(), and returns `code`. */
int mtsi_fail(mts_server *server, int code, const char *format, ...) MTS_PRINTF(3, 4);

/*
 * For setters that are not live: 0, or -EINVAL without a server, or -EBUSY with a sentence that
 * names `what` when it runs or ran.
 */
int mtsi_configurable(mts_server *server, const char *what);

#endif
