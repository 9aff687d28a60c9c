/* SPDX-License-Identifier: MIT
 *
 * Lines that wait for the program's hook, in a fixed number of bytes. They lie one after the other;
 * when the end of the bytes is reached, all of them are moved to the beginning.
 *
 * When there is no room, the new line is lost, since the older ones tell how the trouble began.
 * Only a line about an error takes the place of others: of lines that are about no error, and of
 * these the latest first. (These would have been lost themselves had they come a little later.) So
 * errors are lost only when nothing but errors waits.
 *
 * What is lost is counted where it is missing: each line knows how many messages are missing before
 * it, and what is missing after the last line is kept for the next one. So no such number is lost
 * with a line, and a reader of the log sees where it has a gap.
 */
#include "engine/base/log_lines.h"

#include <string.h>

#include <mtserver/hooks.h>

#include "os/must.h"

/* Stands before each line's text. It may lie at any address, so it is copied in and out. */
struct record {
	size_t size; /* of the record, with the text and its NUL */
	uint64_t messages; /* how many messages the line stands for */
	struct mtsi_log_loss before; /* what is missing before it */
	int level;
};

static const struct mtsi_log_loss nothing;

void mtsi_log_lines_init(struct mtsi_log_lines *lines)
{
	lines->lost = nothing;
	lines->first = 0;
	lines->end = 0;
}

static struct record read_at(const struct mtsi_log_lines *lines, size_t place)
{
	struct record record;
	memcpy(&record, lines->bytes + place, sizeof(record));
	return record;
}

static void write_at(struct mtsi_log_lines *lines, size_t place, const struct record *record)
{
	memcpy(lines->bytes + place, record, sizeof(*record));
}

static void lose(struct mtsi_log_loss *loss, uint64_t count, int level)
{
	if (count > 0 && (loss->count == 0 || level < loss->level)) {
		loss->level = level;
	}
	loss->count += count;
}

/* Takes out the line at this place; how many it stood for is added to the gap in its place. */
static void drop_at(struct mtsi_log_lines *lines, size_t place)
{
	const struct record dropped = read_at(lines, place);
	struct mtsi_log_loss loss = dropped.before;
	const size_t behind = place + dropped.size;
	lose(&loss, dropped.messages, dropped.level);
	if (behind == lines->end) {
		lose(&lines->lost, loss.count, loss.level);
	} else {
		struct record next = read_at(lines, behind);
		lose(&next.before, loss.count, loss.level);
		write_at(lines, behind, &next);
	}
	memmove(lines->bytes + place, lines->bytes + behind, lines->end - behind);
	lines->end -= dropped.size;
}

/* Loses the latest line that is about no error; false: there is none. */
static bool drop_latest(struct mtsi_log_lines *lines)
{
	size_t found = lines->end;
	size_t size;
	for (size_t place = lines->first; place < lines->end; place += size) {
		const struct record record = read_at(lines, place);
		if (record.level > MTS_LOG_ERR) {
			found = place;
		}
		size = record.size;
	}
	if (found == lines->end) {
		return false;
	}
	drop_at(lines, found);
	return true;
}

static size_t room(const struct mtsi_log_lines *lines)
{
	return MTSI_LOG_BYTES - (lines->end - lines->first);
}

static void move_to_beginning(struct mtsi_log_lines *lines)
{
	memmove(lines->bytes, lines->bytes + lines->first, lines->end - lines->first);
	lines->end -= lines->first;
	lines->first = 0;
}

void mtsi_log_lines_put(
	struct mtsi_log_lines *lines, int level, uint64_t messages, const char *text)
{
	struct record record = {.messages = messages, .level = level};
	const size_t length = strlen(text) + 1;
	record.size = sizeof(record) + length;
	mtsi_must(length <= MTSI_LOG_LINE);
	while (room(lines) < record.size) {
		if (level > MTS_LOG_ERR || !drop_latest(lines)) {
			lose(&lines->lost, messages, level);
			return;
		}
	}
	if (MTSI_LOG_BYTES - lines->end < record.size) {
		move_to_beginning(lines);
	}
	record.before = lines->lost;
	lines->lost = nothing;
	write_at(lines, lines->end, &record);
	memcpy(lines->bytes + lines->end + sizeof(record), text, length);
	lines->end += record.size;
}

bool mtsi_log_lines_take(struct mtsi_log_lines *lines, struct mtsi_log_line *line)
{
	line->here = lines->first < lines->end;
	if (!line->here) {
		line->lost = lines->lost;
		lines->lost = nothing;
		return line->lost.count > 0;
	}
	const struct record record = read_at(lines, lines->first);
	line->lost = record.before;
	line->level = record.level;
	memcpy(line->text, lines->bytes + lines->first + sizeof(record), record.size - sizeof(record));
	lines->first += record.size;
	return true;
}
