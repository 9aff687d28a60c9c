/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_LOGGER_H
#define MTSI_ENGINE_BASE_LOGGER_H

#include <stdbool.h>
#include <stdint.h>

struct mts_server;
struct mtsi_log;

/*
 * The thread that calls the program's log hook. It is started by the thread that starts the server,
 * and ended by the keeper or by the thread that frees the server; never by two at a time.
 */

/* Makes the thread, if there is a hook: 0, or a negative errno value, and then nothing is left. */
int mtsi_logger_start(struct mts_server *server);

/* Hands a line to the thread: see mtsi_log_lines_put(). Any thread; never waits for the hook. */
void mtsi_logger_put(struct mtsi_log *log, int level, uint64_t messages, const char *text);

/* Waits until all has been said; false: not by `deadline`. */
bool mtsi_logger_wait(struct mtsi_log *log, uint64_t deadline);

/*
 * The same; also, no more lines are taken from now on, and the thread ends. After true the hook is
 * not called any more. After false the thread goes on by itself, and this may be called again.
 */
bool mtsi_logger_end(struct mtsi_log *log, uint64_t deadline);

/*
 * Whether one of these two has waited in vain, and the thread has not caught up since. Any thread.
 */
bool mtsi_logger_hung(const struct mtsi_log *log);

#endif
