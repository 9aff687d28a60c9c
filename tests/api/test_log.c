/* SPDX-License-Identifier: MIT
 *
 * What the library tells the program: at which level, how often at most, and always one clean line.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static struct endings endings;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
}

static int answer_error(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return -EIO;
}

/* How many messages of each level came, and the text of the last one; each is a line. */
struct journal {
	pthread_mutex_t mutex;
	int levels[8];
	int suppressed; /* messages that tell of others left out */
	char last[8][512];
};

static void keep_journal(int level, const char *message, void *user)
{
	struct journal *journal = user;
	ck_assert_int_ge(level, 0);
	ck_assert_int_lt(level, 8);
	ck_assert_str_ne(message, "");
	for (const char *c = message; *c != '\0'; c++) {
		ck_assert(isprint((unsigned char)*c));
	}
	pthread_mutex_lock(&journal->mutex);
	journal->levels[level]++;
	journal->suppressed += strstr(message, "left out") != NULL;
	(void)snprintf(journal->last[level], sizeof(journal->last[level]), "%s", message);
	pthread_mutex_unlock(&journal->mutex);
}

static int count_of(struct journal *journal, const int *number)
{
	pthread_mutex_lock(&journal->mutex);
	const int count = *number;
	pthread_mutex_unlock(&journal->mutex);
	return count;
}

static void end_with(mts_server *server, const char *text, int reason)
{
	const int before = endings.reasons[reason];
	const int all = gate_count(&endings.all);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, text);
	peer_expect_gone(peer);
	gate_wait(&endings.all, all + 1);
	ck_assert_int_eq(endings.reasons[reason], before + 1);
	close(peer);
}

static mts_server *logging_server(struct journal *journal, int max_level)
{
	mts_server *server = server_new(answer_error, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 10), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_on_log(server, keep_journal, max_level, journal), 0);
	server_start(server);
	return server;
}

START_TEST(the_log_has_levels)
{
	static const int expected[8][8] = {
		[MTS_LOG_ERR] = {0},
		[MTS_LOG_WARNING] = {[MTS_LOG_WARNING] = 1},
		[MTS_LOG_NOTICE] = {[MTS_LOG_WARNING] = 1, [MTS_LOG_NOTICE] = 1},
		[MTS_LOG_INFO] = {[MTS_LOG_WARNING] = 1, [MTS_LOG_NOTICE] = 1, [MTS_LOG_INFO] = 3},
		[MTS_LOG_DEBUG] = {[MTS_LOG_WARNING] = 1, [MTS_LOG_NOTICE] = 1, [MTS_LOG_INFO] = 3},
	};
	for (int level = MTS_LOG_ERR; level <= MTS_LOG_DEBUG; level++) {
		struct journal journal = {.mutex = PTHREAD_MUTEX_INITIALIZER};
		mts_server *server = logging_server(&journal, level);
		end_with(server, "fail\n", MTS_CLOSED_ERROR);
		end_with(server, "12345678901\n", MTS_CLOSED_TOO_LARGE);
		server_end(server);
		for (int i = 0; i < 7; i++) {
			ck_assert_msg(journal.levels[i] == expected[level][i], "%d of level %d up to %d: %s",
				journal.levels[i], i, level, journal.last[i]);
		}
		if (level >= MTS_LOG_NOTICE) {
			ck_assert_ptr_nonnull(strstr(journal.last[MTS_LOG_NOTICE], "127.0.0.1:"));
			ck_assert_ptr_nonnull(strstr(journal.last[MTS_LOG_NOTICE], "10 bytes"));
			ck_assert_ptr_nonnull(strstr(journal.last[MTS_LOG_WARNING], strerror(EIO)));
		}
	}
}
END_TEST

START_TEST(the_log_is_bounded)
{
	enum { FAILURES = 300 };
	struct journal journal = {.mutex = PTHREAD_MUTEX_INITIALIZER};
	mts_server *server = logging_server(&journal, MTS_LOG_WARNING);
	const uint64_t start = now_ms();
	for (int i = 0; i < FAILURES; i++) {
		end_with(server, "fail\n", MTS_CLOSED_ERROR);
	}
	/* What was left out is told as soon as one is shown again. */
	const bool some_left_out = now_ms() - start < (FAILURES / 10 - 2) * 1000;
	while (some_left_out && count_of(&journal, &journal.suppressed) == 0) {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		end_with(server, "fail\n", MTS_CLOSED_ERROR);
		poll(NULL, 0, 20);
	}
	const uint64_t seconds = (now_ms() - start) / 1000 + 2;
	server_end(server);
	ck_assert_int_ge(journal.levels[MTS_LOG_WARNING], 1);
	ck_assert_uint_le((uint64_t)journal.levels[MTS_LOG_WARNING], 10 * seconds);
}
END_TEST

/* How many messages of the level DEBUG had this text in them. */
static _Atomic int made;
static _Atomic int ended;
static _Atomic int idle;
static _Atomic int relieved;
static _Atomic int other;

static void tell_apart(int level, const char *message, void *user)
{
	(void)user;
	if (level != MTS_LOG_DEBUG) {
		return;
	}
	if (strstr(message, "thread is made") != NULL) {
		atomic_fetch_add(&made, 1);
	} else if (strstr(message, "thread that served ends") != NULL) {
		atomic_fetch_add(&ended, 1);
	} else if (strncmp(message, "client ", 7) == 0 && strstr(message, "idle for") != NULL) {
		atomic_fetch_add(&idle, 1);
	} else if (strncmp(message, "relieves", 8) == 0) {
		atomic_fetch_add(&relieved, 1);
	} else {
		atomic_fetch_add(&other, 1);
	}
}

static int wait_a_little(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	poll(NULL, 0, 20);
	return mts_client_write(client, request, size) < 0 ? MTS_CLOSE : MTS_KEEP;
}

static mts_server *telling_server(int max_level)
{
	mts_server *server = server_new(wait_a_little, NULL);
	made = ended = idle = relieved = other = 0;
	ck_assert_int_eq(mts_server_on_log(server, tell_apart, max_level, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 50), 0);
	server_start(server);
	return server;
}

/* One that stays too long, after a request. */
static void be_idle(const mts_server *server)
{
	const int before = gate_count(&endings.all);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "x");
	peer_expect_end(peer);
	gate_wait(&endings.all, before + 1);
	close(peer);
}

/* Threads come and go, clients are idle for too long, and nothing is said of a request. */
START_TEST(debug_tells_of_threads_and_deadlines)
{
	mts_server *server = telling_server(MTS_LOG_DEBUG);
	be_idle(server);
	server_end(server);
	ck_assert_int_ge(made, 1);
	ck_assert_int_eq(ended, made);
	ck_assert_int_eq(idle, 1);
	ck_assert_int_eq(other, 0);
}
END_TEST

/* On demand another thread takes over from one that waits; nobody has to where each client has its own. */
START_TEST(debug_tells_of_relief)
{
	mts_server *server = telling_server(MTS_LOG_DEBUG);
	be_idle(server);
	if (test_model == MTS_THREAD_ON_DEMAND) {
		for (const uint64_t start = now_ms(); relieved == 0;) {
			ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
			be_idle(server);
		}
	}
	server_end(server);
	if (test_model == MTS_THREAD_PER_CLIENT) {
		ck_assert_int_eq(relieved, 0);
	}
}
END_TEST

/* Who has not asked for it gets none of it. */
START_TEST(debug_is_asked_for)
{
	mts_server *server = telling_server(MTS_LOG_INFO);
	be_idle(server);
	server_end(server);
	ck_assert_int_eq(made + ended + idle + relieved + other, 0);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("log");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, the_log_has_levels);
	tcase_add_test(tcase, the_log_is_bounded);
	tcase_add_test(tcase, debug_tells_of_threads_and_deadlines);
	tcase_add_test(tcase, debug_tells_of_relief);
	tcase_add_test(tcase, debug_is_asked_for);
	return suite_run();
}
