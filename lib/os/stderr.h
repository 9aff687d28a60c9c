/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_STDERR_H
#define MTSI_OS_STDERR_H

#include <stdbool.h>
#include <stddef.h>

/* Whether standard error goes to the journal of systemd, by JOURNAL_STREAM (systemd.exec(5)). */
bool mtsi_stderr_is_journal(void);

/*
 * Writes a line to standard error, in one write(2) where it takes all of it. It waits where there is
 * no room, and gives up at any other error. No SIGPIPE, and no cancellation point.
 */
void mtsi_stderr_write(const char *line, size_t size);

#endif
