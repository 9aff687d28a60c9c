/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_LOG_LINES_H
#define MTSI_ENGINE_BASE_LOG_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bytes all lines that wait may take; and one line, with its NUL. */
enum { MTSI_LOG_BYTES = 64 * 1024, MTSI_LOG_LINE = 4 * 1024 + 128 };

/* Messages that are missing in one place, and the level of the most important of them. */
struct mtsi_log_loss {
	uint64_t count;
	int level; /* valid if any are missing */
};

/* What is to be said next: first what is missing before the line, then the line. */
struct mtsi_log_line {
	struct mtsi_log_loss lost;
	bool here; /* there is a line; if not, messages are missing at the end */
	int level;
	char text[MTSI_LOG_LINE];
};

/* A bounded queue of lines. Its user has a lock for it. */
struct mtsi_log_lines {
	struct mtsi_log_loss lost; /* what is missing after the last line */
	size_t first; /* the offset in `bytes` at which the first line begins */
	size_t end; /* and at which the last one ends */
	char bytes[MTSI_LOG_BYTES];
};

void mtsi_log_lines_init(struct mtsi_log_lines *lines);

/*
 * Appends a line of less than MTSI_LOG_LINE bytes, which stands for so many messages: itself, and
 * those that it says were left out. What does not fit is lost, and counted in its place.
 */
void mtsi_log_lines_put(
	struct mtsi_log_lines *lines, int level, uint64_t messages, const char *text);

/* Takes what is to be said next; false: there is nothing. */
bool mtsi_log_lines_take(struct mtsi_log_lines *lines, struct mtsi_log_line *line);

#endif
