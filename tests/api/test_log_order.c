/* SPDX-License-Identifier: MIT
 *
 * What a log hook may rely on: all messages come on one thread, which runs nothing else of the program's and
 * owes nothing to the threads that do; in the order in which they were said; from the first to the last, and
 * none after run or join has answered 0.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "watch.h"

enum { FAILING = 8, LIVES = 200, NICER = 5, LINES = 64 };

static struct gate said;
static char lines[LINES][256];
static pid_t speakers[LINES];
static _Atomic int elsewhere; /* callbacks on the thread of the last message */
static _Atomic pid_t speaker;
static _Atomic bool answered; /* run has answered 0 */
static _Atomic int late; /* messages after that */
static uint64_t ids[LINES]; /* of clients, in the order in which they came, one after the other */
static _Atomic int opened;
static _Atomic int niceness; /* of the speaker, at the last message */

static void setup(void)
{
	said = (struct gate)GATE;
	atomic_store(&opened, 0);
	atomic_store(&elsewhere, 0);
	atomic_store(&speaker, 0);
	atomic_store(&answered, false);
	atomic_store(&late, 0);
}

static void note(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	const int place = gate_count(&said);
	if (atomic_load(&answered)) {
		atomic_fetch_add(&late, 1);
	}
	snprintf(lines[place % LINES], sizeof(lines[0]), "%s", message);
	speakers[place % LINES] = gettid();
	atomic_store(&speaker, gettid());
	atomic_store(&niceness, getpriority(PRIO_PROCESS, 0));
	gate_add(&said);
}

static void look(void)
{
	atomic_fetch_add(&elsewhere, gettid() == atomic_load(&speaker));
}

/* Changes its thread, as a handler may, and fails. */
static int fail_on(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	look();
	(void)setpriority(PRIO_PROCESS, 0, atomic_load(&niceness) + NICER);
	return -EIO;
}

static int opens(mts_client *client, void *user)
{
	(void)user;
	ids[atomic_fetch_add(&opened, 1) % LINES] = mts_client_id(client);
	look();
	return 0;
}

static void closes(mts_client *client, int reason, void *user)
{
	(void)client;
	(void)reason;
	(void)user;
	look();
}

static void thread_hook(void *user)
{
	gate_add(user);
	look();
}

static mts_server *new_server(struct gate *threads)
{
	mts_server *server = server_new(fail_on, NULL);
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_INFO, NULL), 0);
	ck_assert_int_eq(mts_server_on_open(server, opens, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, closes, NULL), 0);
	ck_assert_int_eq(mts_server_on_thread(server, thread_hook, NULL, threads), 0);
	return server;
}

static void be_failed(const mts_server *server)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "x");
	peer_expect_gone(peer);
	close(peer);
}

/* One after the other: so they are said in the order of their clients. */
START_TEST(one_thread_in_order)
{
	struct gate threads = GATE;
	const int before = getpriority(PRIO_PROCESS, 0);
	mts_server *server = new_server(&threads);
	server_start(server);
	gate_wait(&said, 1);
	for (int i = 0; i < FAILING; i++) {
		be_failed(server);
	}
	server_end(server);
	const int count = gate_count(&said);
	ck_assert_int_eq(count, FAILING + 3);
	ck_assert_int_eq(strncmp(lines[0], "serving", 7), 0);
	for (int i = 1; i <= FAILING; i++) {
		unsigned long long id = 0;
		ck_assert_int_eq(sscanf(lines[i], "client %llu from", &id), 1);
		ck_assert_uint_eq(id, ids[i - 1]);
	}
	ck_assert_int_eq(strncmp(lines[count - 2], "stopping", 8), 0);
	ck_assert_str_eq(lines[count - 1], "stopped");
	for (int i = 0; i < count; i++) {
		ck_assert_int_eq(speakers[i], speakers[0]);
	}
	ck_assert_int_ne(speakers[0], gettid());
	ck_assert_int_eq(atomic_load(&elsewhere), 0);
	ck_assert_int_ge(gate_count(&threads), 1);
	ck_assert_int_eq(atomic_load(&niceness), before);
}
END_TEST

/* Whatever happens at the end, run and join have the last word. */
START_TEST(none_after_the_answer)
{
	struct gate threads = GATE;
	int lived = 0;
	for (int i = 0; i < LIVES; i++) {
		atomic_store(&answered, false);
		mts_server *server = new_server(&threads);
		const bool run = i % 4 == 3;
		if (run) {
			mts_server_stop(server);
			ck_assert_int_eq(mts_server_run(server), 0);
		} else {
			server_start(server);
			if (i % 4 == 1) {
				be_failed(server);
			}
			mts_server_stop(server);
			ck_assert_int_eq(mts_server_join(server), 0);
		}
		atomic_store(&answered, true);
		const int count = gate_count(&said);
		ck_assert_str_eq(lines[(count - 1) % LINES], "stopped");
		lived += count;
		said = (struct gate)GATE;
		ck_assert_int_eq(mts_server_destroy(server), 0);
		ck_assert_int_eq(atomic_load(&late), 0);
		ck_assert_int_eq(gate_count(&said), 0);
	}
	ck_assert_int_ge(lived, 3 * LIVES);
}
END_TEST

/* On several servers, each has its own. */
START_TEST(several_servers)
{
	struct gate threads = GATE;
	mts_server *first = new_server(&threads);
	server_start(first);
	gate_wait(&said, 1);
	const pid_t one = speakers[0];
	mts_server *second = new_server(&threads);
	server_start(second);
	gate_wait(&said, 2);
	ck_assert_int_ne(speakers[1], one);
	server_end(second);
	server_end(first);
	ck_assert_int_eq(gate_count(&said), 6);
	ck_assert_int_eq(speakers[5], one);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("log, its order");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, one_thread_in_order);
	tcase_add_test(cases, none_after_the_answer);
	tcase_add_test(cases, several_servers);
	return suite_run();
}
