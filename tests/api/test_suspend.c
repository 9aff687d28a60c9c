/* SPDX-License-Identifier: MIT
 *
 * A server that accepts nobody for a while. Who connects meanwhile waits in the kernel, and is served
 * afterwards; who is in is served as ever. What no call can see is in fault/test_suspend.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "full.h"

static struct gate suspended; /* lines of the log */
static struct gate resumed;

static void note(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_INFO && strncmp(message, "suspended: ", 11) == 0) {
		gate_add(&suspended);
	}
	if (level == MTS_LOG_INFO && strncmp(message, "resumed: ", 9) == 0) {
		gate_add(&resumed);
	}
}

static mts_server *watched(mts_server *server)
{
	suspended = resumed = (struct gate)GATE;
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_INFO, NULL), 0);
	return server;
}

/* A server of lines with a listener of each kind: TCP, Unix, and a socket that was handed over. */
enum { LISTENERS = 3 };

static mts_server *everywhere(void)
{
	mts_server *server = watched(server_on(UNIX, answer_echo, NULL));
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, listening_socket(AF_INET, 100)), 0);
	return server;
}

static void expect_accepted(mts_server *server, uint64_t count)
{
	library_rests();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), count);
}

START_TEST(connections_wait)
{
	int before[LISTENERS];
	int peers[LISTENERS];
	mts_server *server = everywhere();
	server_start(server);
	for (size_t i = 0; i < LISTENERS; i++) {
		before[i] = peer_connect(server, i);
		peer_ask(before[i], "before");
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(mts_server_suspend(server), 0);
	}
	for (size_t i = 0; i < LISTENERS; i++) {
		peers[i] = peer_connect(server, i);
		peer_puts(peers[i], "hello");
	}
	expect_accepted(server, LISTENERS);
	for (size_t i = 0; i < LISTENERS; i++) {
		peer_ask(before[i], "still here");
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(mts_server_resume(server), 0);
	}
	for (size_t i = 0; i < LISTENERS; i++) {
		peer_expect_text(peers[i], "hello");
		close(peers[i]);
		close(before[i]);
		peer_visit(server, i);
	}
	mts_server_stop(server);
	server_join(server);
	ck_assert_int_eq(gate_count(&suspended), 1);
	ck_assert_int_eq(gate_count(&resumed), 1);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Before the start it is only noted: it starts suspended, or as ever. */
START_TEST(before_the_start)
{
	mts_server *server = everywhere();
	ck_assert_int_eq(mts_server_suspend(server), 0);
	if (_i == 1) {
		ck_assert_int_eq(mts_server_resume(server), 0);
	}
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hello");
	if (_i == 0) {
		gate_wait(&suspended, 1);
		expect_accepted(server, 0);
		ck_assert_int_eq(mts_server_resume(server), 0);
	}
	peer_expect_text(peer, "hello");
	close(peer);
	mts_server_stop(server);
	server_join(server);
	ck_assert_int_eq(gate_count(&suspended), _i == 0);
	ck_assert_int_eq(gate_count(&resumed), _i == 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

START_TEST(after_the_stop)
{
	mts_server *server = everywhere();
	if (_i == 0) {
		server_start(server);
		ck_assert_int_eq(mts_server_suspend(server), 0);
	}
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_suspend(server), -ECANCELED);
	ck_assert_int_eq(mts_server_resume(server), -ECANCELED);
	if (_i == 0) {
		server_join(server);
		ck_assert_int_eq(mts_server_suspend(server), -ECANCELED);
		ck_assert_int_eq(mts_server_resume(server), -ECANCELED);
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* The stop waits for nobody, and who is still in the queue is not served by this server. */
START_TEST(stopped_meanwhile)
{
	mts_server *server = everywhere();
	server_start(server);
	const int inside = peer_connect(server, (size_t)_i);
	peer_ask(inside, "hello");
	ck_assert_int_eq(mts_server_suspend(server), 0);
	const int peer = peer_connect(server, (size_t)_i);
	server_end(server);
	peer_expect_end(inside);
	peer_expect_gone(peer);
	close(inside);
	close(peer);
}
END_TEST

static int obey(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	(void)user;
	mts_server *server = mts_client_server(client);
	const int answer = strcmp(request, "suspend") == 0 ? mts_server_suspend(server)
													   : mts_server_resume(server);
	mts_client_printf(client, "%d\n", answer);
	return MTS_KEEP;
}

START_TEST(from_a_callback)
{
	mts_server *server = watched(server_new(obey, NULL));
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "suspend\n");
	peer_expect_text(peer, "0\n");
	const int waiting = peer_connect(server, 0);
	peer_puts(waiting, "suspend\n");
	expect_accepted(server, 1);
	peer_puts(peer, "resume\n");
	peer_expect_text(peer, "0\n");
	peer_expect_text(waiting, "0\n");
	close(peer);
	close(waiting);
	server_end(server);
}
END_TEST

/* Whatever is done with those for whom there is no room, these are not even looked at. */
START_TEST(full_or_not)
{
	static const int policies[] = {MTS_OVERLOAD_WAIT, MTS_OVERLOAD_REFUSE, MTS_OVERLOAD_EVICT};
	mts_server *server = full_start(policies[_i], 1);
	const int inside = peer_connect(server, 0);
	full_ask(inside);
	library_rests();
	ck_assert_int_eq(mts_server_suspend(server), 0);
	const int peer = peer_connect(server, 0);
	expect_accepted(server, 1);
	full_ask(inside);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	close(inside);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	expect_accepted(server, 1);
	ck_assert_int_eq(mts_server_set_max_clients(server, 5), 0);
	expect_accepted(server, 1);
	ck_assert_int_eq(mts_server_resume(server), 0);
	full_ask(peer);
	close(peer);
	server_end(server);
}
END_TEST

/* It was accepted before, and waits at the door until the one that is busy has gone. */
START_TEST(who_is_held_comes_in)
{
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 1);
	const int busy = peer_connect(server, 0);
	peer_puts(busy, "hold\n");
	gate_wait(&full.entered, 1);
	const int held = peer_connect(server, 0);
	library_rests(); /* it has been accepted by then */
	ck_assert_int_eq(mts_server_suspend(server), 0);
	const int late = peer_connect(server, 0);
	gate_add(&full.release);
	peer_expect_text(busy, "hold\n");
	close(busy);
	full_ask(held);
	expect_accepted(server, 2);
	ck_assert_int_eq(mts_server_resume(server), 0);
	close(held);
	full_ask(late);
	close(late);
	server_end(server);
}
END_TEST

START_TEST(it_adopts)
{
	int ends[2];
	mts_server *server = everywhere();
	server_start(server);
	ck_assert_int_eq(mts_server_suspend(server), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), 0);
	peer_ask(ends[1], "hello");
	close(ends[1]);
	server_end(server);
}
END_TEST

static struct race {
	mts_server *server;
	_Atomic bool over;
} race;

static void *suspend_and_resume(void *unused)
{
	(void)unused;
	while (!race.over) {
		ck_assert_int_eq(mts_server_suspend(race.server), 0);
		ck_assert_int_eq(mts_server_resume(race.server), 0);
	}
	return NULL;
}

/* Nobody is forgotten in any order of the two, by several threads. */
START_TEST(again_and_again)
{
	enum { THREADS = 2, VISITS = 200 };
	pthread_t threads[THREADS];
	race.server = everywhere();
	race.over = false;
	server_start(race.server);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, suspend_and_resume, NULL), 0);
	}
	for (size_t i = 0; i < VISITS; i++) {
		const int peer = peer_connect(race.server, i % LISTENERS);
		peer_ask(peer, "hello");
		close(peer);
	}
	race.over = true;
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	peer_visit(race.server, 0);
	server_end(race.server);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("suspend and resume");
	tcase_add_checked_fixture(tests, full_setup, NULL);
	tcase_add_test(tests, connections_wait);
	tcase_add_loop_test(tests, before_the_start, 0, 2);
	tcase_add_loop_test(tests, after_the_stop, 0, 2);
	tcase_add_loop_test(tests, stopped_meanwhile, 0, LISTENERS);
	tcase_add_test(tests, from_a_callback);
	tcase_add_loop_test(tests, full_or_not, 0, 3);
	tcase_add_test(tests, who_is_held_comes_in);
	tcase_add_test(tests, it_adopts);
	tcase_add_test(tests, again_and_again);
	return suite_run();
}
