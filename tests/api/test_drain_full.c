/* SPDX-License-Identifier: MIT
 *
 * The grace after a stop where the server is full, and somebody is held at the door: who has connected
 * before the stop comes in when others go, and is served like them.
 */
#include "full.h"

#include <string.h>
#include <unistd.h>

enum { LONG = 1000000, SHORT = 50 };

static mts_server *server;
static int inside; /* a client that is being served */
static int held; /* one for which there is no room */

static struct gate grace; /* it has begun */
static const char hold_and_close[] = "hold\nclose\n";

static void on_log(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_INFO && strncmp(message, "clients have up to ", 19) == 0) {
		gate_add(&grace);
	}
}

static void hold_one(int milliseconds, const char *requests)
{
	full_setup();
	grace = (struct gate)GATE;
	server = full_server(MTS_OVERLOAD_EVICT, 1);
	ck_assert_int_eq(mts_server_on_log(server, on_log, MTS_LOG_INFO, NULL), 0);
	ck_assert_int_eq(mts_server_set_drain(server, (unsigned)milliseconds), 0);
	server_start(server);
	inside = peer_connect(server, 0);
	peer_puts(inside, requests);
	gate_wait(&full.entered, 1);
	held = peer_connect(server, 0);
	full_patience(1);
}

static void stop(void)
{
	mts_server_stop(server);
	gate_wait(&grace, 1);
}

static void finish(uint64_t refused)
{
	server_join(server);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), refused);
	close(inside);
	close(held);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

/* Others go: it comes in, has its request, which is the last, and then its end. */
START_TEST(there_is_room_in_time)
{
	hold_one(LONG, hold_and_close);
	stop();
	gate_add(&full.release);
	peer_expect_text(inside, "hold\n");
	peer_expect_end(inside);
	gate_wait(&full.opened, 2);
	library_rests();
	peer_puts(held, "hello\n");
	peer_expect_text(held, "hello\n");
	peer_expect_end(held);
	finish(0);
	ck_assert_int_eq(full.endings.reasons[MTS_CLOSED_BY_HANDLER], 1);
	ck_assert_int_eq(full.endings.reasons[MTS_CLOSED_STOP], 1);
	ck_assert_int_eq(full.most_inside, 1);
}
END_TEST

/* Whoever is inside may be idle by then, and does not give way: it may still have a request. */
START_TEST(nobody_gives_way)
{
	hold_one(LONG, "hold\n");
	stop();
	gate_add(&full.release);
	peer_expect_text(inside, "hold\n");
	library_rests();
	peer_puts(inside, "one more\n");
	peer_expect_text(inside, "one more\n");
	peer_expect_end(inside);
	peer_puts(held, "hello\n");
	peer_expect_text(held, "hello\n");
	peer_expect_end(held);
	finish(0);
	ck_assert_int_eq(full.endings.reasons[MTS_CLOSED_STOP], 2);
}
END_TEST

/* The limit is raised. */
START_TEST(the_limit_is_raised)
{
	hold_one(LONG, hold_and_close);
	stop();
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	peer_puts(held, "hello\n");
	peer_expect_text(held, "hello\n");
	peer_expect_end(held);
	endings_expect(&full.endings, MTS_CLOSED_STOP, 1);
	gate_add(&full.release);
	peer_expect_text(inside, "hold\n");
	peer_expect_end(inside);
	finish(0);
}
END_TEST

/* There is no room until the grace is over: it is turned away, as at a stop without one. */
START_TEST(there_is_none_in_time)
{
	hold_one(_i == 0 ? SHORT : 0, hold_and_close);
	mts_server_stop(server);
	peer_expect_gone(held);
	gate_add(&full.release);
	peer_expect_text(inside, "hold\n");
	peer_expect_end(inside);
	finish(1);
	ck_assert_int_eq(gate_count(&full.opened), 1);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("the grace of a full server");
	tcase_add_test(cases, there_is_room_in_time);
	tcase_add_test(cases, nobody_gives_way);
	tcase_add_test(cases, the_limit_is_raised);
	tcase_add_loop_test(cases, there_is_none_in_time, 0, 2);
	return suite_run();
}
