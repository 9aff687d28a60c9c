/* SPDX-License-Identifier: MIT
 *
 * A full server that lets who comes in at the expense of who is idle: just as many go as are needed, the
 * next comes when one is gone, and who is not idle stays.
 */
#include "full.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(one_goes_for_each_who_comes)
{
	enum { ROOM = 3, COMERS = 30 };
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, ROOM);
	int peers[ROOM + COMERS];
	for (int i = 0; i < ROOM + COMERS; i++) {
		peers[i] = full_visit(server);
	}
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, COMERS);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), COMERS);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), ROOM);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	ck_assert_int_eq(full.most_inside, ROOM);
	int gone = 0;
	for (int i = 0; i < ROOM + COMERS; i++) {
		gone += full_try(peers[i]) ? 0 : 1;
		close(peers[i]);
	}
	ck_assert_int_eq(gone, COMERS);
	server_end(server);
}
END_TEST

/* The one that goes counts until its close hook has returned, and only then the other comes. */
START_TEST(nobody_comes_before_the_other_has_gone)
{
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 1);
	const int first = full_visit(server);
	full.slow_close = true;
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	gate_wait(&full.closing, 1);
	full_patience(1);
	gate_add(&full.release);
	peer_expect_text(second, "hello\n");
	peer_expect_gone(first);
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_int_eq(full.most_inside, 1);
	gate_add(&full.release);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Several close hooks take their time at once: so many new ones come as go, and no more go. */
START_TEST(as_many_go_as_come)
{
	enum { ROOM = 6, COMERS = 4 };
	int peers[ROOM + COMERS];
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, ROOM);
	for (int i = 0; i < ROOM; i++) {
		peers[i] = full_visit(server);
	}
	full.slow_close = true;
	for (int i = ROOM; i < ROOM + COMERS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "hello\n");
		gate_wait(&full.closing, i - ROOM + 1);
	}
	full_patience(ROOM);
	for (int i = 0; i < COMERS; i++) {
		gate_add(&full.release);
	}
	for (int i = ROOM; i < ROOM + COMERS; i++) {
		peer_expect_text(peers[i], "hello\n");
	}
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, COMERS);
	ck_assert_int_eq(full.most_inside, ROOM);
	full.slow_close = false;
	for (int i = 0; i < ROOM + COMERS; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/* Who is being served is not idle; as soon as it is, it goes, with its reply. */
START_TEST(nobody_is_idle)
{
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 2);
	const int first = peer_connect(server, 0);
	const int second = peer_connect(server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&full.entered, 1);
	peer_puts(second, "hold\n");
	gate_wait(&full.entered, 2);
	const int third = peer_connect(server, 0);
	peer_puts(third, "hello\n");
	full_patience(2);
	gate_add(&full.release);
	gate_add(&full.release);
	peer_expect_text(third, "hello\n");
	peer_expect_text(first, "hold\n");
	peer_expect_text(second, "hold\n");
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_int_eq(full.most_inside, 2);
	close(first);
	close(second);
	close(third);
	server_end(server);
}
END_TEST

/* The first one is being served, so it is not idle; the second one has come, and waits. */
static mts_server *one_inside(const char *asked, int *first, int *second)
{
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 1);
	*first = peer_connect(server, 0);
	peer_puts(*first, asked);
	gate_wait(&full.entered, 1);
	*second = peer_connect(server, 0);
	peer_puts(*second, "hello\n");
	full_patience(1);
	return server;
}

/* Or somebody leaves by itself, and nobody goes. */
START_TEST(somebody_leaves)
{
	int first;
	int second;
	mts_server *server = one_inside("hold\nclose\n", &first, &second);
	gate_add(&full.release);
	peer_expect_text(second, "hello\n");
	peer_expect_text(first, "hold\n");
	peer_expect_end(first);
	endings_expect(&full.endings, MTS_CLOSED_BY_HANDLER, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Or the limit is raised. */
START_TEST(the_limit_is_raised)
{
	int first;
	int second;
	mts_server *server = one_inside("hold\n", &first, &second);
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	peer_expect_text(second, "hello\n");
	gate_add(&full.release);
	peer_expect_text(first, "hold\n");
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Above a limit that was lowered nobody goes for that alone; but all that it takes for the next one. */
START_TEST(the_limit_is_lowered)
{
	enum { ROOM = 5 };
	int peers[ROOM];
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, ROOM);
	for (int i = 0; i < ROOM; i++) {
		peers[i] = full_visit(server);
	}
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	full_patience(ROOM);
	for (int i = 0; i < ROOM; i++) {
		full_ask(peers[i]);
	}
	const int last = full_visit(server);
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, ROOM - 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), 2);
	for (int i = 0; i < ROOM; i++) {
		close(peers[i]);
	}
	close(last);
	server_end(server);
}
END_TEST

START_TEST(half_a_request_is_not_idle)
{
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "hel");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 3);
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	full_patience(1);
	peer_puts(first, "lo\n");
	peer_expect_text(first, "hello\n");
	peer_expect_text(second, "hello\n");
	peer_expect_gone(first);
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

START_TEST(output_that_waits_is_not_idle)
{
	char bytes[65536];
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	small_buffers(first);
	peer_puts(first, "pour\n");
	server_wait_stat(server, MTS_STAT_REQUESTS, 1);
	server_wait_stat(server, MTS_STAT_BUSY, 0);
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	full_patience(1);
	for (size_t left = FULL_POURED; left > 0;) {
		const ssize_t count = recv(first, bytes, left < sizeof(bytes) ? left : sizeof(bytes), 0);
		ck_assert_msg(count > 0, "with %zu bytes left: %s", left, strerror(errno));
		left -= (size_t)count;
	}
	peer_expect_text(second, "hello\n");
	peer_expect_gone(first);
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* A handler that waits in mts_client_next() for the next request: that is idle too. */
START_TEST(a_conversation_is_ended)
{
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "converse\n");
	peer_expect_text(first, "and then?\n");
	peer_puts(first, "nothing\n");
	peer_expect_text(first, "and then?\n");
	const int second = full_visit(server);
	peer_expect_gone(first);
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_int_eq(full.most_inside, 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* It has been idle for longest, but its request waits in the line: the other one goes, which is idle. */
START_TEST(a_request_in_the_line_is_not_idle)
{
	mts_server *server = full_server(MTS_OVERLOAD_EVICT, 3);
	if (test_model == MTS_THREAD_ON_DEMAND) {
		ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	}
	server_start(server);
	const int waits = full_visit(server);
	library_rests();
	const int idle = full_visit(server);
	library_rests();
	const int holds = peer_connect(server, 0);
	peer_puts(holds, "hold\n");
	gate_wait(&full.entered, 1);
	peer_puts(waits, "hello\n");
	library_rests();
	const int comes = peer_connect(server, 0);
	peer_puts(comes, "hello\n");
	peer_expect_gone(idle);
	gate_add(&full.release);
	peer_expect_text(waits, "hello\n");
	peer_expect_text(comes, "hello\n");
	full_ask(waits);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 1);
	close(waits);
	close(idle);
	close(holds);
	close(comes);
	server_end(server);
}
END_TEST

static int ask_first(mts_client *client, void *user)
{
	const void *name;
	size_t size;
	(void)user;
	gate_add(&full.opened);
	return mts_client_next(client, &name, &size) == 1 ? 0 : -1;
}

/* One whose open hook asks it something, and which says nothing: that is idle as well. */
START_TEST(who_does_not_get_past_the_open_hook)
{
	mts_server *server = full_server(MTS_OVERLOAD_EVICT, 1);
	ck_assert_int_eq(mts_server_on_open(server, ask_first, NULL), 0);
	server_start(server);
	const int first = peer_connect(server, 0);
	gate_wait(&full.opened, 1);
	const int second = peer_connect(server, 0);
	peer_puts(second, "my name\nhello\n");
	peer_expect_text(second, "hello\n");
	peer_expect_gone(first);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/*
 * Who seems to have sent something, which the server does not get to see, is not idle; but however many
 * they are, they shield nobody who is. Three ask once and are idle, then three more come.
 */
enum { SHIELDS = 70, IDLE = 3 };

static void expect_the_idle_to_go(mts_server *server, size_t listener, const int *shields)
{
	int peers[2 * IDLE];
	for (int i = 0; i < 2 * IDLE; i++) {
		peers[i] = peer_connect(server, listener);
		full_ask(peers[i]);
		if (i == IDLE - 1) {
			library_rests(); /* who has its reply need not be idle yet */
		}
	}
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, IDLE);
	for (int i = 0; i < IDLE; i++) {
		peer_expect_gone(peers[i]);
	}
	full_patience(SHIELDS + 2 * IDLE);
	ck_assert_int_eq(full.most_inside, SHIELDS + IDLE);
	for (int i = 0; i < 2 * IDLE; i++) {
		close(peers[i]);
	}
	for (int i = 0; i < SHIELDS; i++) {
		close(shields[i]);
	}
	server_end(server);
}

START_TEST(urgent_bytes_shield_nobody)
{
	int shields[SHIELDS];
	char name[64];
	mts_server *server = full_server(MTS_OVERLOAD_EVICT, SHIELDS + IDLE);
	snprintf(name, sizeof(name), "unix:@mts-evict-%d", (int)getpid());
	ck_assert_int_eq(mts_server_listen(server, name), 0);
	server_start(server);
	for (int i = 0; i < SHIELDS; i++) {
		shields[i] = peer_connect(server, (size_t)_i);
		full_ask(shields[i]);
	}
	for (int i = 0; i < SHIELDS; i++) {
		const ssize_t sent = send(shields[i], "!", 1, MSG_OOB | MSG_NOSIGNAL);
		ck_assert(sent == 1 || errno == EOPNOTSUPP); /* not on every kernel's Unix sockets */
		if (sent != 1) {
			peer_puts(shields[i], "!");
		}
	}
	server_wait_stat(server, MTS_STAT_BYTES_IN, SHIELDS * (6 + 1));
	expect_the_idle_to_go(server, (size_t)_i, shields);
}
END_TEST

/* The first ones have it; they do not hear of a single byte. */
static int open_below_the_mark(mts_client *client, void *user)
{
	const int mark = 100;
	(void)user;
	if (gate_count(&full.opened) < SHIELDS) {
		(void)setsockopt(mts_client_fd(client), SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	}
	full.inside++;
	full.most_inside = full.inside > full.most_inside ? full.inside : full.most_inside;
	gate_add(&full.opened);
	return 0;
}

START_TEST(low_water_marks_shield_nobody)
{
	int shields[SHIELDS];
	mts_server *server = full_server(MTS_OVERLOAD_EVICT, SHIELDS + IDLE);
	ck_assert_int_eq(mts_server_on_open(server, open_below_the_mark, NULL), 0);
	server_start(server);
	for (int i = 0; i < SHIELDS; i++) {
		shields[i] = peer_connect(server, 0);
		gate_wait(&full.opened, i + 1);
	}
	library_rests(); /* they wait */
	for (int i = 0; i < SHIELDS; i++) {
		peer_puts(shields[i], "!");
	}
	expect_the_idle_to_go(server, 0, shields);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("overload, evicting");
	tcase_add_checked_fixture(tcase, full_setup, NULL);
	tcase_add_test(tcase, one_goes_for_each_who_comes);
	tcase_add_test(tcase, nobody_comes_before_the_other_has_gone);
	tcase_add_test(tcase, as_many_go_as_come);
	tcase_add_test(tcase, nobody_is_idle);
	tcase_add_test(tcase, somebody_leaves);
	tcase_add_test(tcase, the_limit_is_raised);
	tcase_add_test(tcase, the_limit_is_lowered);
	tcase_add_test(tcase, half_a_request_is_not_idle);
	tcase_add_test(tcase, output_that_waits_is_not_idle);
	tcase_add_test(tcase, a_request_in_the_line_is_not_idle);
	tcase_add_test(tcase, a_conversation_is_ended);
	tcase_add_test(tcase, who_does_not_get_past_the_open_hook);
	tcase_add_loop_test(tcase, urgent_bytes_shield_nobody, 0, 2);
	tcase_add_test(tcase, low_water_marks_shield_nobody);
	return suite_run();
}
