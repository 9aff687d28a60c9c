/* SPDX-License-Identifier: MIT
 *
 * A relay that does not come to its end: one side is slow, dead, reset or silent, or the server ends it. The
 * handler is told, and the client's peer gets a reset, never an end of stream that the other side has not sent.
 */
#include "route.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHORT = 200, LONG = 10 * 60 * 1000 }; /* milliseconds */

/* Sends until the other side takes no more. */
static void fill(int fd)
{
	static const char bytes[64 * 1024];
	wait_until(send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) < 0);
	library_rests();
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
		library_rests();
	}
}

/* How much of a relay is going on when it ends. */
enum before { NOTHING, PEER_ENDED, FAR_ENDED, FAR_FULL, PEER_FULL, PEER_ENDED_FAR_FULL, BEFORES };

/*
 * The relay has begun, and has come to this point; no timeout is near. The handler returns what it was told,
 * or closes the client: the reason is the same.
 */
static void begin(struct route *route, int way, enum route_kind kind)
{
	const enum before before = (enum before)(way % BEFORES);
	route_make(route, kind);
	reach.answers[3] = way / BEFORES;
	ck_assert_int_eq(mts_server_set_timeout(route->server, MTS_TIMEOUT_IDLE, LONG), 0);
	ck_assert_int_eq(mts_server_set_timeout(route->server, MTS_TIMEOUT_WRITE, LONG), 0);
	route_start(route, "");
	if (before == PEER_ENDED) {
		peer_finish(route->peer);
		peer_expect_end(route->far);
	} else if (before == FAR_ENDED) {
		peer_finish(route->far);
		peer_expect_end(route->peer);
	} else if (before == FAR_FULL) {
		fill(route->peer);
	} else if (before == PEER_FULL) {
		fill(route->far);
	} else if (before == PEER_ENDED_FAR_FULL) {
		fill(route->peer);
		peer_finish(route->far);
		peer_finish(route->peer);
	}
	library_rests();
}

/* The client's peer has got a reset, whatever came before. */
static void expect_torn(struct route *route, int way)
{
	if (way % BEFORES != FAR_ENDED && way % BEFORES != PEER_ENDED_FAR_FULL) {
		(void)peer_expect_torn(route->peer);
	}
	close(route->peer);
	route->peer = -1;
}

START_TEST(kicked)
{
	struct route route;
	begin(&route, _i, ROUTE_TCP);
	ck_assert_int_eq(mts_server_kick(route.server, reach.ids[0]), 0);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_KICKED), -EPIPE);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_KICKED);
	expect_torn(&route, _i);
	route_end(&route);
}
END_TEST

/* A stop lets it go on until its deadline; then it is cut. */
START_TEST(stopped_late)
{
	struct route route;
	begin(&route, _i, ROUTE_TCP);
	ck_assert_int_eq(mts_server_set_timeout(route.server, MTS_TIMEOUT_STOP, SHORT), 0);
	mts_server_stop(route.server);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_STOP), -EPIPE);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_STOP);
	expect_torn(&route, _i);
	route_end(&route);
}
END_TEST

/* During a stop, or once it is told to close, it goes on as before, and comes to its end. */
START_TEST(finished)
{
	struct route route;
	begin(&route, _i / 2, ROUTE_TCP);
	if (_i % 2 == 0) {
		mts_server_stop(route.server);
	} else {
		ck_assert_int_eq(mts_server_close(route.server, reach.ids[0]), 0);
	}
	for (int i = 0; i < 3; i++) {
		library_rests();
		if (_i / 2 != PEER_ENDED) {
			peer_puts(route.peer, "ping");
			peer_expect_text(route.far, "ping");
		}
		if (_i / 2 != FAR_ENDED) {
			peer_puts(route.far, "pong");
			peer_expect_text(route.peer, "pong");
		}
	}
	if (_i / 2 != PEER_ENDED) {
		peer_finish(route.peer);
	}
	if (_i / 2 != FAR_ENDED) {
		peer_finish(route.far);
		peer_expect_end(route.peer);
	}
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_BY_HANDLER), 0);
	route_end(&route);
}
END_TEST

/* Neither side says anything. */
START_TEST(idle)
{
	struct route route;
	begin(&route, _i, ROUTE_TCP);
	ck_assert_int_eq(mts_server_set_timeout(route.server, MTS_TIMEOUT_IDLE, SHORT), 0);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_IDLE), -ETIMEDOUT);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_DEADLINE);
	ck_assert_uint_eq(mts_server_stat(route.server, MTS_STAT_TIMEOUTS), 1);
	expect_torn(&route, _i);
	route_end(&route);
}
END_TEST

/* One side takes nothing. */
START_TEST(takes_nothing)
{
	struct route route;
	begin(&route, _i, _i == FAR_FULL + BEFORES ? ROUTE_UNIX : ROUTE_TCP);
	ck_assert_int_eq(mts_server_set_timeout(route.server, MTS_TIMEOUT_WRITE, SHORT), 0);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_WRITE_TIMEOUT), -ETIMEDOUT);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_DEADLINE);
	ck_assert_uint_eq(mts_server_stat(route.server, MTS_STAT_TIMEOUTS), 1);
	expect_torn(&route, _i);
	route_end(&route);
}
END_TEST

/* What it is relayed to is reset: so is the client. */
START_TEST(far_is_reset)
{
	struct route route;
	begin(&route, _i, ROUTE_TCP);
	peer_reset(route.far);
	route.far = -1;
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_ERROR), -ECONNRESET);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_RESET);
	expect_torn(&route, _i);
	route_end(&route);
}
END_TEST

/* The client is reset: what it is relayed to can be told by the handler. */
START_TEST(peer_is_reset)
{
	struct route route;
	begin(&route, _i, ROUTE_TCP);
	peer_reset(route.peer);
	route.peer = -1;
	if (_i % BEFORES == PEER_ENDED) {
		peer_puts(route.far, "anybody there?");
	}
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_BY_PEER), -EPIPE);
	route_end(&route);
}
END_TEST

/* It was reset, or has ended, before the relay. */
START_TEST(far_was_gone)
{
	struct route route;
	route_make(&route, _i == 2 ? ROUTE_UNIX : ROUTE_TCP);
	if (_i == 0) {
		peer_reset(route.far);
	} else {
		peer_puts(route.far, "was here");
		close(route.far);
	}
	route.far = -1;
	route_start(&route, "");
	if (_i > 0) {
		peer_expect_text(route.peer, "was here");
		peer_expect_end(route.peer);
		peer_finish(route.peer);
	}
	const int result = route_over(&route, _i == 0 ? MTS_CLOSED_ERROR : MTS_CLOSED_BY_HANDLER);
	ck_assert_int_eq(result, _i == 0 ? -ECONNRESET : 0);
	route_end(&route);
}
END_TEST

/* Each side reads late, and gets all the same. */
START_TEST(slow_but_alive)
{
	struct route route;
	route_make(&route, (enum route_kind)_i);
	route_start(&route, "");
	for (int i = 0; i < 2; i++) {
		static char bytes[64 * 1024];
		const int from = i == 0 ? route.peer : route.far;
		const int to = i == 0 ? route.far : route.peer;
		uint64_t sent = 0;
		for (int rests = 0; rests < 3;) {
			pattern_fill(bytes, sizeof(bytes), sent);
			const ssize_t count = send(from, bytes, sizeof(bytes), MSG_DONTWAIT);
			sent += count > 0 ? (uint64_t)count : 0;
			rests += count > 0 ? 0 : 1;
			library_rests();
		}
		peer_expect_pattern(to, sent, 0);
	}
	peer_finish(route.peer);
	peer_finish(route.far);
	ck_assert_int_eq(route_over(&route, MTS_CLOSED_BY_HANDLER), 0);
	route_end(&route);
}
END_TEST

/* A client that is idle in a relay makes no room for another. */
START_TEST(it_is_not_evicted)
{
	struct route route;
	route_make(&route, ROUTE_TCP);
	ck_assert_int_eq(mts_server_set_max_clients(route.server, 2), 0);
	ck_assert_int_eq(mts_server_set_overload(route.server, MTS_OVERLOAD_EVICT), 0);
	route_start(&route, "");
	const int second = peer_connect(route.server, 0);
	gate_wait(&reach.opened, 2);
	library_rests();
	const int third = peer_connect(route.server, 0);
	peer_expect_gone(second);
	peer_puts(route.far, "still here");
	peer_expect_text(route.peer, "still here");
	close(second);
	close(third);
	peer_finish(route.peer);
	peer_finish(route.far);
	gate_wait(&reach.endings.all, 3);
	ck_assert_int_eq(reach.answers[0], 0);
	route_end(&route);
}
END_TEST

/* During a stop a relay may still begin, unless a call has ended the receiving and said so. */
static bool asks_before;

static int relay_late(mts_client *client, const void *request, size_t size, void *user)
{
	const struct route *route = user;
	gate_add(&reach.entered);
	if (asks_before) {
		reach.answers[4] = mts_client_next(client, &request, &size);
	}
	gate_wait(&reach.leave, 1);
	reach.answers[0] = mts_client_relay(client, route->near);
	reach.answers[1] = mts_client_puts(client, "sorry\n");
	return MTS_CLOSE;
}

START_TEST(begun_during_a_stop)
{
	struct route route;
	asks_before = _i == 1;
	route_make(&route, ROUTE_TCP);
	mts_server *other = reach_server(relay_late, &route);
	server_start(other);
	const int peer = peer_connect(other, 0);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 1);
	library_rests(); /* it waits for the next request, if it does */
	mts_server_stop(other);
	gate_add(&reach.leave);
	if (!asks_before) {
		peer_puts(route.far, "still here");
		peer_expect_text(peer, "still here");
		peer_finish(peer);
		peer_expect_end(route.far);
		peer_finish(route.far);
	} else {
		peer_expect_text(peer, "sorry\n");
	}
	peer_expect_end(peer);
	ck_assert_int_eq(mts_server_join(other), 0);
	ck_assert_int_eq(reach.answers[0], asks_before ? -ECANCELED : 0);
	ck_assert_int_eq(reach.answers[1], asks_before ? 0 : -EPIPE);
	ck_assert_int_eq(reach.answers[4], asks_before ? -ECANCELED : 0);
	close(peer);
	ck_assert_int_eq(mts_server_destroy(other), 0);
	mts_server_destroy(route.server);
	close(route.near);
	close(route.far);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("relay_ends");
	tcase_add_checked_fixture(tests, reach_setup, NULL);
	tcase_add_loop_test(tests, kicked, 0, 2 * BEFORES);
	tcase_add_loop_test(tests, stopped_late, 0, 2 * BEFORES);
	tcase_add_loop_test(tests, finished, 0, 2 * (FAR_ENDED + 1));
	tcase_add_loop_test(tests, idle, NOTHING, FAR_ENDED + 1);
	tcase_add_loop_test(tests, idle, BEFORES, BEFORES + FAR_ENDED + 1);
	tcase_add_loop_test(tests, takes_nothing, FAR_FULL, BEFORES);
	tcase_add_loop_test(tests, takes_nothing, BEFORES + FAR_FULL, 2 * BEFORES);
	tcase_add_loop_test(tests, far_is_reset, NOTHING, BEFORES);
	tcase_add_loop_test(tests, far_is_reset, BEFORES, 2 * BEFORES);
	tcase_add_loop_test(tests, peer_is_reset, NOTHING, FAR_ENDED + 1);
	tcase_add_loop_test(tests, peer_is_reset, BEFORES, BEFORES + PEER_FULL + 1);
	tcase_add_loop_test(tests, far_was_gone, 0, 3);
	tcase_add_loop_test(tests, slow_but_alive, 0, ROUTE_KINDS);
	tcase_add_test(tests, it_is_not_evicted);
	tcase_add_loop_test(tests, begun_during_a_stop, 0, 2);
	return suite_run();
}
