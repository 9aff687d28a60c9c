/* SPDX-License-Identifier: MIT
 *
 * Messages for the program's log hook, until they are lines: then they go to the thread that calls
 * the hook (logger.c). A message is not even formatted when there is no hook, or when its level is
 * too high. When messages of one kind come too fast they are counted instead, and the next message
 * of that kind that is shown says how many were left out. Whatever a message contains is escaped,
 * so one message is one line.
 */
#include "engine/base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/floor.h"
#include "engine/base/log_lines.h"
#include "engine/base/logger.h"
#include "engine/base/name.h"
#include "engine/base/ranks.h"
#include "os/clock.h"
#include "os/lock.h"
#include "wire/address.h"
#include "wire/escape.h"

enum { MESSAGE = 512 };

static const struct {
	int level;
	unsigned rate;
} kinds[MTSI_LOG_KIND_COUNT] = {
#define ROW(name, level, rate) [MTSI_LOG_##name] = {level, rate},
	MTSI_LOG_KINDS(ROW)
#undef ROW
};

void mtsi_log_init(struct mtsi_log *log)
{
	memset(log, 0, sizeof(*log));
	mtsi_lock_init(&log->lock, MTSI_RANK_LOG);
	mtsi_signal_init(&log->come);
	mtsi_signal_init(&log->said);
	atomic_init(&log->hung, false);
}

void mtsi_log_free(struct mtsi_log *log)
{
	mtsi_signal_destroy(&log->said);
	mtsi_signal_destroy(&log->come);
	mtsi_lock_destroy(&log->lock);
}

static bool is_wanted(const struct mtsi_log *log, enum mtsi_log_kind kind)
{
	return log->hook != NULL && kinds[kind].level <= log->max_level;
}

/* Whether this message may be shown; how many before it were not. */
static bool admit_message(struct mtsi_log *log, enum mtsi_log_kind kind, unsigned *suppressed)
{
	const uint64_t second = mtsi_clock_now() / MTSI_SECOND;
	mtsi_lock_take(&log->lock);
	if (log->kinds[kind].second != second) {
		log->kinds[kind].second = second;
		log->kinds[kind].count = 0;
	}
	const bool shown = log->kinds[kind].count < kinds[kind].rate;
	if (shown) {
		log->kinds[kind].count++;
		*suppressed = log->kinds[kind].suppressed;
		log->kinds[kind].suppressed = 0;
	} else {
		log->kinds[kind].suppressed++;
	}
	mtsi_lock_release(&log->lock);
	return shown;
}

/* Hands "name: prefix + text" to the thread that calls the hook, unless there have been too many. */
static void say_message(
	struct mts_server *server, enum mtsi_log_kind kind, const char *prefix, const char *text)
{
	struct mtsi_log *log = &mtsi_base_floor(server)->log;
	unsigned suppressed = 0;
	char message[2 * MESSAGE];
	char line[MTSI_LOG_LINE];
	static_assert(sizeof(line) >= MTSI_NAME + 1 + MTSI_ESCAPE_SIZE(sizeof(message)), "a line fits");
	if (!admit_message(log, kind, &suppressed)) {
		return;
	}
	int size = snprintf(message, sizeof(message), "%s%s", prefix, text);
	if (suppressed > 0 && size >= 0 && (size_t)size < sizeof(message)) {
		(void)snprintf(message + size, sizeof(message) - (size_t)size,
			" (%u more like this were left out)", suppressed);
	}
	const size_t begun = mtsi_name_prefix(server, line, sizeof(line));
	(void)mtsi_escape(line + begun, sizeof(line) - begun, message, strlen(message));
	mtsi_logger_put(log, kinds[kind].level, UINT64_C(1) + suppressed, line);
}

void mtsi_log(struct mts_server *server, enum mtsi_log_kind kind, const char *format, ...)
{
	char text[MESSAGE];
	va_list arguments;
	if (is_wanted(&mtsi_base_floor(server)->log, kind)) {
		va_start(arguments, format);
		(void)vsnprintf(text, sizeof(text), format, arguments);
		va_end(arguments);
		say_message(server, kind, "", text);
	}
}

void mtsi_log_client(struct mts_server *server, enum mtsi_log_kind kind, uint64_t id,
	const struct mtsi_peer *peer, const char *format, ...)
{
	char text[MESSAGE];
	char address[MTSI_ADDRESS_TEXT] = "";
	char prefix[MESSAGE];
	va_list arguments;
	if (is_wanted(&mtsi_base_floor(server)->log, kind)) {
		va_start(arguments, format);
		(void)vsnprintf(text, sizeof(text), format, arguments);
		va_end(arguments);
		(void)mtsi_peer_format(peer, address, sizeof(address));
		(void)snprintf(prefix, sizeof(prefix), "client %" PRIu64 " from %s: ", id, address);
		say_message(server, kind, prefix, text);
	}
}
