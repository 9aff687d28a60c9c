/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_REASON_H
#define MTSI_ENGINE_SERVE_REASON_H

#include <stdbool.h>

struct mts_client;
struct mtsi_worker;

/*
 * Why a client ends, one of enum mts_closed: `reason`, unless the server has ended it. Its worker.
 */
int mtsi_reason(const struct mts_client *client, int reason);

/*
 * The same where its input has ended with `result`, a result of mtsi_request_next(). Logs what the
 * program should know.
 */
int mtsi_reason_of_input(struct mtsi_worker *worker, int result);

/*
 * The same where its handler has failed with `verdict`: what that has written is dropped, as far as
 * it is not sent, and the failure is logged, unless it is what a call of the library has told it.
 */
int mtsi_reason_of_failure(struct mtsi_worker *worker, int verdict);

#endif
