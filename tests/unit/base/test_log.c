/* SPDX-License-Identifier: MIT
 *
 * Messages: by level, at a bounded rate, one line each. The clock is the test's: the linker puts the
 * function below in the place of the library's.
 *
 * The server is not started, only the thread that calls the hook; each test waits until it has said what
 * there was before it looks.
 */
#include "engine/base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../../api/support.h"
#include "engine/base/logger.h"
#include "engine/run/server.h"
#include "os/clock.h"

static const uint64_t beginning = 1000 * MTSI_SECOND;
static uint64_t now = 1000 * MTSI_SECOND;

uint64_t __wrap_mtsi_clock_now(void);

uint64_t __wrap_mtsi_clock_now(void)
{
	return now;
}

static mts_server *server;
static int messages;
static int last_level;
static char last[8192];

static void note(int level, const char *message, void *user)
{
	ck_assert_ptr_eq(user, &messages);
	messages++;
	last_level = level;
	(void)strncpy(last, message, sizeof(last) - 1);
}

static void setup(void)
{
	server = server_create(answer_close, NULL);
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_DEBUG, &messages), 0);
	ck_assert_int_eq(mtsi_logger_start(server), 0);
	messages = 0;
}

static void teardown(void)
{
	now = beginning;
	ck_assert(mtsi_logger_end(&mtsi_base_floor(server)->log, MTSI_NEVER));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

/* How many messages have come, all that were sent. */
static int heard(void)
{
	ck_assert(mtsi_logger_wait(&mtsi_base_floor(server)->log, MTSI_NEVER));
	return messages;
}

static const char *last_heard(void)
{
	(void)heard();
	return last;
}

static const struct {
	enum mtsi_log_kind kind;
	int level;
	unsigned rate;
} kinds[] = {
#define ROW(name, level, rate) {MTSI_LOG_##name, level, rate},
	MTSI_LOG_KINDS(ROW)
#undef ROW
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Each kind comes at its level, and only to those who want to hear of that. */
START_TEST(levels)
{
	for (int max = 0; max <= MTS_LOG_DEBUG; max++) {
		const int before = heard();
		ck_assert_int_eq(mts_server_on_log(server, note, max, &messages), 0);
		mtsi_log(server, kinds[_i].kind, "level %d", max);
		const int after = heard();
		ck_assert_int_eq(after - before, kinds[_i].level <= max);
		if (after > before) {
			ck_assert_int_eq(last_level, kinds[_i].level);
		}
		now += MTSI_SECOND;
	}
	ck_assert_int_eq(mts_server_on_log(server, NULL, MTS_LOG_DEBUG, NULL), 0);
	mtsi_log(server, kinds[_i].kind, "to nobody");
}
END_TEST

/* So many a second and no more; the first one of the next second says how many were left out. */
START_TEST(rates)
{
	const unsigned rate = kinds[_i].rate;
	char expected[64];
	for (unsigned second = 0; second < 3; second++) {
		for (unsigned i = 0; i < 2 * rate + 3; i++) {
			mtsi_log(server, kinds[_i].kind, "the same");
		}
		ck_assert_int_eq(heard(), (int)(rate * (second + 1)));
		now += MTSI_SECOND;
	}
	messages = 0;
	mtsi_log(server, kinds[_i].kind, "the same");
	(void)snprintf(
		expected, sizeof(expected), "the same (%u more like this were left out)", rate + 3);
	ck_assert_str_eq(last_heard(), expected);
	ck_assert_int_eq(messages, 1);
	now += MTSI_SECOND;
	mtsi_log(server, kinds[_i].kind, "the same");
	ck_assert_str_eq(last_heard(), "the same");
}
END_TEST

/* One kind does not silence another. */
START_TEST(kinds_are_counted_apart)
{
	for (int i = 0; i < KINDS; i++) {
		for (unsigned j = 0; j < kinds[i].rate; j++) {
			mtsi_log(server, kinds[i].kind, "x");
		}
		(void)heard(); /* more do not fit at once */
	}
	const int before = heard();
	for (int i = 0; i < KINDS; i++) {
		mtsi_log(server, kinds[i].kind, "x");
	}
	ck_assert_int_eq(heard(), before);
	now = MTSI_NEVER;
	for (int i = 0; i < KINDS; i++) {
		mtsi_log(server, kinds[i].kind, "x");
	}
	ck_assert_int_eq(heard(), before + KINDS);
}
END_TEST

/* Whatever it contains, it is one line, and what is too long is cut. */
START_TEST(one_line_each)
{
	char text[2000];
	memset(text, '\n', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	mtsi_log(server, MTSI_LOG_START, "a%sb", "\n\r\x1b[31m\t");
	ck_assert_ptr_null(strpbrk(last_heard(), "\n\r\x1b\t"));
	ck_assert_int_eq(last[0], 'a');
	ck_assert_int_eq(last[strlen(last) - 1], 'b');
	mtsi_log(server, MTSI_LOG_START, "%s", text);
	ck_assert_ptr_null(strchr(last_heard(), '\n'));
	ck_assert_uint_gt(strlen(last), 500);
	mtsi_log(server, MTSI_LOG_START, "%s", "");
	ck_assert_str_eq(last_heard(), "");
}
END_TEST

/* The longest that there can be: each of its bytes is spelled out. */
START_TEST(the_longest_line)
{
	const struct mtsi_peer peer = {.ip = {127, 0, 0, 1}, .port = 5000, .family = AF_INET};
	char text[2000];
	memset(text, '\x01', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	mtsi_log_client(server, MTSI_LOG_START, 1, &peer, "%s", text);
	const char *line = last_heard();
	ck_assert_uint_gt(strlen(line), 1000);
	ck_assert_str_eq(line + strlen(line) - 4, "\\x01");
}
END_TEST

START_TEST(who_it_is_about)
{
	const struct mtsi_peer peer = {.ip = {127, 0, 0, 1}, .port = 5000, .family = AF_INET};
	const struct mtsi_peer unknown = {.family = AF_UNSPEC};
	mtsi_log_client(server, MTSI_LOG_CLIENT, 42, &peer, "%s", "is gone");
	ck_assert_str_eq(last_heard(), "client 42 from 127.0.0.1:5000: is gone");
	mtsi_log_client(server, MTSI_LOG_CLIENT, UINT64_MAX, &unknown, "is gone");
	ck_assert_ptr_nonnull(strstr(last_heard(), "client 18446744073709551615"));
	ck_assert_ptr_nonnull(strstr(last, ": is gone"));
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("log");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, levels, 0, KINDS);
	tcase_add_loop_test(cases, rates, 0, KINDS);
	tcase_add_test(cases, kinds_are_counted_apart);
	tcase_add_test(cases, one_line_each);
	tcase_add_test(cases, the_longest_line);
	tcase_add_test(cases, who_it_is_about);
	return suite_run_once();
}
