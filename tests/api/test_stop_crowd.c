/* SPDX-License-Identifier: MIT
 *
 * A stop that meets a thousand clients in every state at once: idle, with half a request, in a handler, in
 * one that never returns, in a write to a peer that never reads, with output that waits for such a peer,
 * lingering, and being accepted at that very moment. It ends at its deadline; each client is closed once,
 * for the true reason; and the numbers say how many went by themselves, were cut off, or hang.
 *
 * A third of the crowd will do where the limit of open files is low, or valgrind or a sanitizer slows
 * everything down, the end of each thread most of all.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

enum { TIMEOUT = 500, QUEUED = 800 * 1024, MOST_OUTPUT = 1024 * 1024 };

/* The states; clients of a state are alike. */
enum state { SILENT, SERVED, HALF, BUSY, BLOCKED, QUEUEING, LINGERING, COMING, HANGING, STATES };

static const int crowd[STATES] = {
	[SILENT] = 200,
	[SERVED] = 200,
	[HALF] = 150,
	[BUSY] = 100,
	[BLOCKED] = 50,
	[QUEUEING] = 50,
	[LINGERING] = 100,
	[COMING] = 100,
	[HANGING] = 50,
};
enum { MOST = 200, MOST_HANGING = 50, NEEDED = 2200 };

static const char *const requests[STATES] = {
	[SILENT] = "",
	[SERVED] = "hello\n",
	[HALF] = "hello\nhalf",
	[BUSY] = "wait\n",
	[BLOCKED] = "flood\n",
	[QUEUEING] = "queue\n",
	[LINGERING] = "linger\n",
	[COMING] = "",
	[HANGING] = "hang\n",
};

static struct watch watch;
static mts_server *server;
static int share; /* of the crowd, in thirds */
static int peers[STATES][MOST];
static struct gate entered[STATES]; /* handlers that have come to the point */
static struct gate release = GATE; /* hung ones may return */

/* Who hangs, and what the log said of whom. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t hanging[MOST_HANGING];
static int hangs;
static int reported[MOST_HANGING];
static int other_errors;
static struct gate errors; /* lines of either kind */

static int count_of(enum state state)
{
	return crowd[state] * share / 3;
}

static int fill(mts_client *client, enum state state)
{
	static const char zeros[QUEUED];
	small_buffers(mts_client_fd(client));
	if (state == QUEUEING) {
		const int result = mts_client_write(client, zeros, sizeof(zeros));
		gate_add(&entered[QUEUEING]);
		return result == 0 ? MTS_KEEP : result;
	}
	gate_add(&entered[BLOCKED]);
	while (mts_client_write(client, zeros, sizeof(zeros)) == 0) {
	}
	return MTS_KEEP;
}

static int hang(mts_client *client)
{
	pthread_mutex_lock(&mutex);
	hanging[hangs++] = mts_client_id(client);
	pthread_mutex_unlock(&mutex);
	gate_add(&entered[HANGING]);
	gate_wait(&release, 1);
	return MTS_KEEP;
}

static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	(void)user;
	switch (line[0]) {
	case 'w':
		gate_add(&entered[BUSY]);
		gate_wait(&watch.stopping, 1);
		break;
	case 'f':
		return fill(client, BLOCKED);
	case 'q':
		return fill(client, QUEUEING);
	case 'l':
		gate_add(&entered[LINGERING]);
		wait_unread(mts_client_fd(client), 6);
		return MTS_CLOSE;
	case 'g':
		break;
	default:
		if (strcmp(line, "hang") == 0) {
			return hang(client);
		}
	}
	(void)mts_client_write(client, line, size);
	(void)mts_client_puts(client, "\n");
	return MTS_KEEP;
}

/* "client ID from ADDRESS: a callback still runs, since AGE ms" */
static void note_hung(const char *message)
{
	uint64_t id = 0;
	uint64_t age = 0;
	char address[64];
	const bool known = sscanf(message,
						   "client %" SCNu64 " from %63s a callback still runs, since %" SCNu64
						   " ms",
						   &id, address, &age)
			== 3
		&& age >= TIMEOUT && age < PATIENCE * 1000;
	int who = 0;
	while (who < hangs && hanging[who] != id) {
		who++;
	}
	if (known && who < hangs) {
		reported[who]++;
	} else {
		other_errors++;
	}
}

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	pthread_mutex_lock(&mutex);
	if (level <= MTS_LOG_ERR) {
		note_hung(message);
		gate_add(&errors);
	}
	pthread_mutex_unlock(&mutex);
	if (strncmp(message, "stopping", 8) == 0) {
		gate_add(&watch.stopping);
	}
}

static void prepare(void)
{
	share = most_descriptors() < NEEDED || is_slowed() ? 1 : 3;
	for (int i = 0; i < STATES; i++) {
		entered[i] = (struct gate)GATE;
	}
	errors = (struct gate)GATE;
	server = watch_server(&watch, obey, TIMEOUT, 0);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_INFO, NULL), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, MOST_OUTPUT), 0);
	ck_assert_int_eq(mts_server_set_stack_size(server, 128 * 1024), 0);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	server_start(server);
}

static int connect_one(enum state state)
{
	const int peer = peer_socket();
	if (state == BLOCKED || state == QUEUEING) {
		small_buffers(peer);
	}
	peer_connect_socket(peer, server);
	peer_puts(peer, requests[state]);
	return peer;
}

static void come(enum state state)
{
	for (int i = 0; i < count_of(state); i++) {
		peers[state][i] = connect_one(state);
		if (state == SERVED || state == HALF) {
			peer_expect_text(peers[state][i], "hello\n");
		}
	}
}

/* All but those who come at the last moment are in their state when this returns; how many. */
static int gather(bool hung)
{
	const enum state last = hung ? HANGING : LINGERING;
	int count = 0;
	for (int state = SILENT; state <= (int)last; state++) {
		if (state != COMING) {
			come((enum state)state);
			count += count_of((enum state)state);
		}
	}
	gate_wait(&entered[LINGERING], count_of(LINGERING));
	for (int i = 0; i < count_of(LINGERING); i++) {
		peer_puts(peers[LINGERING][i], "unread");
	}
	gate_wait(&watch.opened, count);
	gate_wait(&entered[BUSY], count_of(BUSY));
	gate_wait(&entered[BLOCKED], count_of(BLOCKED));
	gate_wait(&entered[QUEUEING], count_of(QUEUEING));
	gate_wait(&entered[HANGING], hung ? count_of(HANGING) : 0);
	gate_wait(&watch.closed, count_of(LINGERING));
	return count;
}

static void leave(bool hung)
{
	for (int state = SILENT; state < (hung ? STATES : HANGING); state++) {
		for (int i = 0; i < count_of((enum state)state); i++) {
			close(peers[state][i]);
		}
	}
}

static uint64_t stat_of(int which)
{
	return mts_server_stat(server, which);
}

/* Lingering sockets are cut off too, unless their time was up before. */
static void expect_numbers(int cut)
{
	const uint64_t lingered = (uint64_t)count_of(LINGERING);
	ck_assert_uint_eq(
		stat_of(MTS_STAT_CUT_OFF) + stat_of(MTS_STAT_TIMEOUTS), (uint64_t)cut + lingered);
	ck_assert_uint_eq(
		stat_of(MTS_STAT_DRAINED), stat_of(MTS_STAT_ACCEPTED) - lingered - (uint64_t)cut);
	ck_assert_uint_eq(stat_of(MTS_STAT_LINGERING), 0);
}

/* Whoever has had a reply to come has got it; and all are gone. */
static void expect_replies(void)
{
	for (int i = 0; i < count_of(BUSY); i++) {
		peer_expect_text(peers[BUSY][i], "wait\n");
		peer_expect_end(peers[BUSY][i]);
	}
	for (int i = 0; i < count_of(SILENT); i++) {
		peer_expect_end(peers[SILENT][i]);
	}
	for (int i = 0; i < count_of(BLOCKED); i++) {
		peer_expect_gone(peers[BLOCKED][i]);
		peer_expect_gone(peers[QUEUEING][i]);
	}
}

START_TEST(all_that_return)
{
	prepare();
	(void)gather(false);
	come(COMING);
	const uint64_t took = watch_stop(server, TIMEOUT, 0);
	ck_assert_uint_ge(took, TIMEOUT);
	ck_assert_uint_eq(stat_of(MTS_STAT_OPEN), 0);
	expect_numbers(count_of(BLOCKED) + count_of(QUEUEING));
	ck_assert_uint_eq(stat_of(MTS_STAT_HUNG), 0);
	expect_replies();
	leave(false);
	watch_destroy(server);
	watch_expect_some(&watch, MTS_CLOSED_BY_HANDLER, count_of(LINGERING));
	watch_expect_some(&watch, MTS_CLOSED_STOP, gate_count(&watch.opened) - count_of(LINGERING));
	ck_assert_int_eq(other_errors, 0);
}
END_TEST

/* Each that hangs is named once; all others have been closed by then, and these are in the end. */
START_TEST(some_hang)
{
	prepare();
	(void)gather(true);
	come(COMING);
	const int hung = count_of(HANGING);
	watch_stop(server, TIMEOUT, -EBUSY);
	gate_wait(&errors, hung); /* where the machine is late the log hook counts as hung until then */
	server_wait_stat(server, MTS_STAT_HUNG, (uint64_t)hung);
	ck_assert_uint_eq(stat_of(MTS_STAT_BUSY), (uint64_t)hung);
	ck_assert_uint_eq(stat_of(MTS_STAT_OPEN), (uint64_t)hung);
	expect_numbers(count_of(BLOCKED) + count_of(QUEUEING) + hung);
	ck_assert_int_eq(gate_count(&watch.opened) - gate_count(&watch.closed), hung);
	pthread_mutex_lock(&mutex);
	ck_assert_int_eq(other_errors, 0);
	for (int i = 0; i < hung; i++) {
		ck_assert_int_eq(reported[i], 1);
	}
	pthread_mutex_unlock(&mutex);
	expect_replies();
	ck_assert_int_eq(mts_server_destroy(server), -EBUSY);
	ck_assert_uint_eq(stat_of(MTS_STAT_HUNG), (uint64_t)hung);
	gate_add(&release);
	server_wait_stat(server, MTS_STAT_HUNG, 0);
	ck_assert_uint_eq(stat_of(MTS_STAT_OPEN), 0);
	expect_numbers(count_of(BLOCKED) + count_of(QUEUEING) + hung);
	watch_destroy(server);
	leave(true);
	watch_expect_some(&watch, MTS_CLOSED_BY_HANDLER, count_of(LINGERING));
	watch_expect_some(&watch, MTS_CLOSED_STOP, gate_count(&watch.opened) - count_of(LINGERING));
}
END_TEST

/* Nobody has stopped it: destroy does, and then everything is gone. */
START_TEST(destroyed)
{
	const int threads = settled_threads();
	const int descriptors = count_descriptors();
	prepare();
	(void)gather(false);
	come(COMING);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	expect_replies();
	leave(false);
	watch_expect_some(&watch, MTS_CLOSED_BY_HANDLER, count_of(LINGERING));
	watch_expect_some(&watch, MTS_CLOSED_STOP, gate_count(&watch.opened) - count_of(LINGERING));
	wait_threads(threads);
	ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("stop, a crowd");
	tcase_set_timeout(cases, 240);
	tcase_add_test(cases, all_that_return);
	tcase_add_test(cases, some_hang);
	tcase_add_test(cases, destroyed);
	return suite_run();
}
