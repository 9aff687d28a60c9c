/* SPDX-License-Identifier: MIT
 *
 * The thread for the log, without a server around it: what is said while the hook hangs waits, and what does
 * not fit is told of; nobody waits for the hook but who wants it ended, and he not for longer than he likes.
 */
#include "engine/base/logger.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../api/support.h"
#include "engine/base/log.h"
#include "engine/base/log_lines.h"
#include "engine/run/server.h"
#include "os/clock.h"

enum { MOST = 4000 };

static mts_server *server;
static struct mtsi_log *logger;
static struct gate entered;
static struct gate go;
static pthread_mutex_t mutex; /* of the program */

/* What the hook was told. */
static char heard[MOST][64];
static int levels[MOST];
static struct gate count;

static void note(int level, const char *message, void *user)
{
	(void)user;
	gate_add(&entered);
	gate_wait(&go, 1);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	const int place = gate_count(&count);
	(void)snprintf(heard[place % MOST], sizeof(heard[0]), "%s", message);
	levels[place % MOST] = level;
	gate_add(&count);
}

static void setup(void)
{
	entered = go = count = (struct gate)GATE;
	ck_assert_int_eq(pthread_mutex_init(&mutex, NULL), 0);
	server = server_create(answer_close, NULL);
	logger = &mtsi_base_floor(server)->log;
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mtsi_logger_start(server), 0);
}

static void teardown(void)
{
	ck_assert(mtsi_logger_end(logger, MTSI_NEVER));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

/* Puts `messages` lines, numbered, of that level. */
static void put(int level, int messages)
{
	char text[64];
	for (int i = 0; i < messages; i++) {
		(void)snprintf(text, sizeof(text), "%d at level %d", i, level);
		mtsi_logger_put(logger, level, 1, text);
	}
}

/* How many the i-th message says are missing; 0: it is another one. */
static int missing(int i)
{
	int number = 0;
	return strstr(heard[i], "messages are missing here") != NULL
			&& sscanf(heard[i], "%d ", &number) == 1
		? number
		: 0;
}

/* All that was put while the hook hung comes, in order, or is told of; errors last to be lost. */
START_TEST(too_much)
{
	put(MTS_LOG_INFO, 1);
	gate_wait(&entered, 1);
	put(MTS_LOG_NOTICE, 3000);
	put(MTS_LOG_ERR, 300);
	gate_add(&go);
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	int notices = 0;
	int errors = 0;
	int lost = 0;
	const int total = gate_count(&count);
	ck_assert_str_eq(heard[0], "0 at level 6");
	for (int i = 1; i < total; i++) {
		char expected[64];
		if (missing(i) > 0) {
			ck_assert_int_eq(levels[i], MTS_LOG_NOTICE);
			lost += missing(i);
			continue;
		}
		const bool error = levels[i] == MTS_LOG_ERR;
		const int number = error ? errors++ : notices++;
		(void)snprintf(expected, sizeof(expected), "%d at level %d", number, levels[i]);
		ck_assert_str_eq(heard[i], expected);
	}
	ck_assert_int_eq(errors, 300);
	ck_assert_int_gt(notices, 100);
	ck_assert_int_gt(lost, 0);
	ck_assert_int_eq(notices + lost, 3000);
}
END_TEST

/* Nothing follows what is lost: it is told of by itself. */
START_TEST(too_much_in_the_end)
{
	put(MTS_LOG_INFO, 1);
	gate_wait(&entered, 1);
	put(MTS_LOG_NOTICE, 3000);
	gate_add(&go);
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	const int total = gate_count(&count);
	ck_assert_int_eq(missing(total - 1) + total - 2, 3000);
}
END_TEST

/* The line that tells of it begins with the server's name too. */
START_TEST(too_much_for_a_named_server)
{
	ck_assert(mtsi_logger_end(logger, MTSI_NEVER));
	ck_assert_int_eq(mts_server_set_name(server, "front"), 0);
	ck_assert_int_eq(mtsi_logger_start(server), 0);
	put(MTS_LOG_INFO, 1);
	gate_wait(&entered, 1);
	put(MTS_LOG_NOTICE, 3000);
	gate_add(&go);
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	const char *last = heard[gate_count(&count) - 1];
	ck_assert_ptr_nonnull(strstr(last, " messages are missing here"));
	ck_assert_int_eq(strncmp(last, "front: ", 7), 0);
}
END_TEST

/* Several at once: each one's own are in order. */
enum { WRITERS = 4, EACH = 250 };

static void *write_some(void *argument)
{
	const int writer = *(const int *)argument;
	char text[64];
	for (int i = 0; i < EACH; i++) {
		(void)snprintf(text, sizeof(text), "%d %d", writer, i);
		mtsi_logger_put(logger, MTS_LOG_NOTICE, 1, text);
	}
	return NULL;
}

START_TEST(from_many_threads)
{
	pthread_t threads[WRITERS];
	int writers[WRITERS];
	int next[WRITERS] = {0};
	gate_add(&go);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	ck_assert_int_eq(gate_count(&count), WRITERS * EACH);
	for (int i = 0; i < WRITERS * EACH; i++) {
		int writer = -1;
		int number = -1;
		ck_assert_int_eq(sscanf(heard[i], "%d %d", &writer, &number), 2);
		ck_assert(writer >= 0 && writer < WRITERS);
		ck_assert_int_eq(number, next[writer]++);
	}
}
END_TEST

/* Who says something holds a mutex that the hook wants. */
START_TEST(with_a_mutex_of_the_program)
{
	gate_add(&go);
	pthread_mutex_lock(&mutex);
	put(MTS_LOG_NOTICE, 2);
	gate_wait(&entered, 1);
	put(MTS_LOG_NOTICE, 2);
	ck_assert_int_eq(gate_count(&count), 0);
	pthread_mutex_unlock(&mutex);
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	ck_assert_int_eq(gate_count(&count), 4);
}
END_TEST

/* Who waits for a hook that hangs gives up in time, and then it counts as hung until it has caught up. */
START_TEST(it_hangs)
{
	ck_assert(mtsi_logger_wait(logger, 0));
	put(MTS_LOG_NOTICE, 3);
	gate_wait(&entered, 1);
	ck_assert(!mtsi_logger_hung(logger));
	ck_assert(!mtsi_logger_wait(logger, mtsi_clock_now() + MTSI_MILLISECOND));
	ck_assert(mtsi_logger_hung(logger));
	gate_add(&go);
	wait_until(!mtsi_logger_hung(logger));
	ck_assert_int_eq(gate_count(&count), 3);
	ck_assert(mtsi_logger_wait(logger, 0));
}
END_TEST

/* The same for who wants it ended: what was put before comes still, what is put later does not. */
START_TEST(it_hangs_at_the_end)
{
	put(MTS_LOG_NOTICE, 3);
	gate_wait(&entered, 1);
	ck_assert(!mtsi_logger_end(logger, mtsi_clock_now() + MTSI_MILLISECOND));
	ck_assert(mtsi_logger_hung(logger));
	put(MTS_LOG_ERR, 1);
	gate_add(&go);
	ck_assert(mtsi_logger_end(logger, MTSI_NEVER));
	ck_assert(!mtsi_logger_hung(logger));
	ck_assert_int_eq(gate_count(&count), 3);
	put(MTS_LOG_ERR, 1);
	ck_assert(mtsi_logger_end(logger, MTSI_NEVER));
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	ck_assert_int_eq(gate_count(&count), 3);
}
END_TEST

static pthread_key_t key;

static void destructor(void *value)
{
	(void)value;
	gate_add(&entered);
	gate_wait(&go, 2);
}

static void leave_something(int level, const char *message, void *user)
{
	(void)level;
	(void)message;
	(void)user;
	(void)pthread_setspecific(key, &key);
}

/* A destructor of what the hook has left with its thread is the program's code as well. */
START_TEST(its_destructor_hangs)
{
	ck_assert_int_eq(pthread_key_create(&key, destructor), 0);
	ck_assert_int_eq(mts_server_on_log(server, leave_something, MTS_LOG_DEBUG, NULL), 0);
	put(MTS_LOG_NOTICE, 1);
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	ck_assert(!mtsi_logger_end(logger, mtsi_clock_now() + 10 * MTSI_MILLISECOND));
	gate_wait(&entered, 1);
	ck_assert(mtsi_logger_hung(logger));
	gate_add(&go);
	gate_add(&go);
	ck_assert(mtsi_logger_end(logger, MTSI_NEVER));
	ck_assert(!mtsi_logger_hung(logger));
	ck_assert_int_eq(pthread_key_delete(key), 0);
}
END_TEST

static void leave_the_thread(int level, const char *message, void *user)
{
	(void)level;
	(void)message;
	(void)user;
	gate_add(&entered);
	pthread_exit(NULL);
}

/* It may not, but that costs only the messages. */
START_TEST(its_thread_is_ended)
{
	ck_assert_int_eq(mts_server_on_log(server, leave_the_thread, MTS_LOG_DEBUG, NULL), 0);
	put(MTS_LOG_NOTICE, 1);
	gate_wait(&entered, 1);
	put(MTS_LOG_NOTICE, 3000);
	ck_assert(mtsi_logger_wait(logger, MTSI_NEVER));
	ck_assert(mtsi_logger_end(logger, MTSI_NEVER));
	ck_assert_int_eq(gate_count(&entered), 1);
}
END_TEST

/* It can be started again, as by a start that failed before. */
START_TEST(once_more)
{
	gate_add(&go);
	for (int i = 1; i <= 100; i++) {
		put(MTS_LOG_NOTICE, 1);
		ck_assert(mtsi_logger_end(logger, MTSI_NEVER));
		ck_assert_int_eq(gate_count(&count), i);
		ck_assert_int_eq(mtsi_logger_start(server), 0);
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("logger");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, too_much);
	tcase_add_test(cases, too_much_in_the_end);
	tcase_add_test(cases, too_much_for_a_named_server);
	tcase_add_test(cases, from_many_threads);
	tcase_add_test(cases, with_a_mutex_of_the_program);
	tcase_add_test(cases, it_hangs);
	tcase_add_test(cases, it_hangs_at_the_end);
	tcase_add_test(cases, its_destructor_hangs);
	tcase_add_test(cases, its_thread_is_ended);
	tcase_add_test(cases, once_more);
	return suite_run_once();
}
