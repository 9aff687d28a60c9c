/* SPDX-License-Identifier: MIT
 *
 * A ready log hook: each message is one line on standard error. The line is put together first, so
 * that it can be written in one go, and is no longer than what a pipe takes as a whole.
 */
#include <string.h>

#include <mtserver/hooks.h>

#include "os/clock.h"
#include "os/stderr.h"

enum {
	LINE = 4096, /* PIPE_BUF of Linux, pipe(7); with the newline */
	CUT = 3 /* the dots that stand for the rest of a message */
};

struct line {
	size_t size;
	char text[LINE];
};

/* A byte that would end the line, or steer a terminal, becomes a question mark. */
static void append(struct line *line, const char *text)
{
	const size_t room = LINE - 1 - line->size;
	const size_t whole = strnlen(text, room + 1);
	const size_t size = whole <= room ? whole : room - CUT;
	for (size_t i = 0; i < size; i++) {
		const unsigned char byte = (unsigned char)text[i];
		line->text[line->size++] = byte < ' ' || byte == 0x7f ? '?' : text[i];
	}
	if (size < whole) {
		memcpy(line->text + line->size, "...", CUT);
		line->size += CUT;
	}
}

static void begin_line(struct line *line, int level)
{
	static const char *const names[] = {
		"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"};
	const int last = (int)(sizeof(names) / sizeof(names[0])) - 1;
	const int known = level < last ? (level > 0 ? level : 0) : last;
	line->size = 0;
	if (mtsi_stderr_is_journal()) {
		const char digit[] = {(char)('0' + known), '\0'};
		append(line, "<");
		append(line, digit);
		append(line, ">");
	} else {
		char time[MTSI_CLOCK_TEXT];
		mtsi_clock_text(time);
		append(line, time);
		append(line, " ");
		append(line, names[known]);
		append(line, ": ");
	}
}

void mts_log_stderr(int level, const char *message, void *user)
{
	struct line line;
	(void)user;
	begin_line(&line, level);
	append(&line, message != NULL ? message : "");
	line.text[line.size++] = '\n';
	mtsi_stderr_write(line.text, line.size);
}
