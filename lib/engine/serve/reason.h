/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_REASON_H
#define MTSI_ENGINE_SERVE_REASON_H

#include <stdbool.h>

struct mts_client;
struct mtsi_worker;

/* Why a client ends, one of enum mts_closed: this, unless the server has ended it. Its worker. */
int mtsi_reason(const struct mts_client *client, int reason);

/*
 * The same where its input has ended, in this way: a result of mtsi_request_next(). What the program
 * should know is logged.
 */
int mtsi_reason_of_input(struct mtsi_worker *worker, int result);

/* Whether the handler returns the very error that a call of the library has given it. */
bool mtsi_reason_is_told(const struct mtsi_worker *worker, int verdict);

#endif
