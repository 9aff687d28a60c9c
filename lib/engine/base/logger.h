/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_LOGGER_H
#define MTSI_ENGINE_BASE_LOGGER_H

#include <stdbool.h>
#include <stdint.h>

struct mts_server;
struct mtsi_log;

/*
 * The thread that calls the program's log hook. Who starts the server starts it, the keeper and who
 * frees the server end it, never two at a time.
 */

/* Makes it, if there is a hook: 0, or a negative errno value, and then nothing is left. */
int mtsi_logger_start(struct mts_server *server);

/* Hands it a line: see mtsi_log_lines_put(). Any thread; it never waits for the hook. */
void mtsi_logger_put(struct mtsi_log *log, int level, uint64_t messages, const char *text);

/* Waits until all has been said; false: not by `deadline`. */
bool mtsi_logger_wait(struct mtsi_log *log, uint64_t deadline);

/*
 * The same, and takes no more lines from now on, and ends it: after true the hook is not called any
 * more. After false it goes on by itself, and this may be called again.
 */
bool mtsi_logger_end(struct mtsi_log *log, uint64_t deadline);

/* Whether one of the two has waited in vain, and it is still at it. Any thread. */
bool mtsi_logger_hung(const struct mtsi_log *log);

#endif
