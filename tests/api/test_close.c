/* SPDX-License-Identifier: MIT
 *
 * A client that is closed by its id finishes what it has begun, gets all that is meant for it, and ends once,
 * whatever it does at that moment.
 */
#include "reach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLOSERS = 4, ROUNDS = 30, MESSAGES = 50 };

static int close_client(mts_server *server, int which)
{
	return mts_server_close(server, reach.ids[which]);
}

/* It has ended as after MTS_CLOSE, and nobody finds it any more. */
static void expect_closed(mts_server *server, int which)
{
	endings_expect(&reach.endings, MTS_CLOSED_BY_HANDLER, 1);
	ck_assert_int_eq(close_client(server, which), -ENOENT);
	ck_assert_int_eq(mts_server_kick(server, reach.ids[which]), -ENOENT);
	ck_assert_int_eq(gate_count(&reach.endings.all), 1);
}

static void end_with(mts_server *server, int peer)
{
	close(peer);
	server_end(server);
	ck_assert_int_eq(gate_count(&reach.endings.all), gate_count(&reach.opened));
}

/* Idle, or in the middle of sending a request: what was sent to it arrives, and then the end. */
START_TEST(closed_while_idle)
{
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	const int peer = reach_join(server);
	if (_i == 1) {
		peer_puts(peer, "half of a request");
	}
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], "bye\n", 4), 0);
	ck_assert_int_eq(close_client(server, 0), 0);
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], "late\n", 5), -ENOENT);
	ck_assert_int_eq(mts_server_broadcast(server, "late\n", 5), 0);
	ck_assert_int_eq(close_client(server, 0), -ENOENT);
	peer_expect_text(peer, "bye\n");
	peer_expect_end(peer);
	expect_closed(server, 0);
	const int other = peer_connect(server, 0);
	peer_ask(other, "still served\n");
	close(other);
	end_with(server, peer);
}
END_TEST

/* So much waits for it that it gets no turn; all of that arrives, and then the end. */
START_TEST(closed_with_output_waiting)
{
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	const int peer = reach_join(server);
	const uint64_t size = reach_until_refused(server, reach.ids[0]);
	peer_puts(peer, "one\n");
	ck_assert_int_eq(close_client(server, 0), 0);
	peer_expect_pattern(peer, size, 0);
	/* What came at the same time as the close may have been handled before. */
	char answer[8];
	ck_assert_int_le(recv(peer, answer, sizeof(answer), MSG_WAITALL), 4);
	expect_closed(server, 0);
	end_with(server, peer);
}
END_TEST

static int wait_in_next(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&reach.entered);
	reach.answers[0] = mts_client_next(client, &request, &size);
	reach.answers[1] = mts_client_gone(client);
	reach.answers[2] = mts_client_puts(client, "farewell\n");
	reach.answers[3] = mts_client_next(client, &request, &size);
	return reach.answers[0] == -ECANCELED ? (int)reach.answers[4] : MTS_CLOSE;
}

/*
 * It waits in mts_client_next(): with nothing, or with half of a request. What it then writes arrives,
 * whatever it returns: to stay, to close, or what it was told.
 */
START_TEST(closed_in_next)
{
	static const int verdicts[] = {MTS_KEEP, MTS_CLOSE, -ECANCELED};
	mts_server *server = _i < 6 ? reach_server(wait_in_next, NULL)
								: server_on(UNIX, wait_in_next, NULL);
	if (_i == 6) {
		ck_assert_int_eq(mts_server_frame_lines(server), 0);
		ck_assert_int_eq(mts_server_on_open(server, reach_open, NULL), 0);
		ck_assert_int_eq(mts_server_on_close(server, endings_note, &reach.endings), 0);
	}
	reach.answers[4] = verdicts[_i % 3];
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, _i < 3 ? "go\n" : "go\nhalf");
	gate_wait(&reach.entered, 1);
	library_rests();
	ck_assert_int_eq(close_client(server, 0), 0);
	peer_expect_text(peer, "farewell\n");
	peer_expect_end(peer);
	expect_closed(server, 0);
	ck_assert_int_eq(reach.answers[0], -ECANCELED);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_CLOSED);
	ck_assert_int_eq(reach.answers[2], 0);
	ck_assert_int_eq(reach.answers[3], -ECANCELED);
	end_with(server, peer);
}
END_TEST

static int read_a_body(mts_client *client, const void *request, size_t size, void *user)
{
	char body[10];
	size_t have = 0;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&reach.entered);
	while (have < sizeof(body)) {
		const ssize_t count = mts_client_read(client, body + have, sizeof(body) - have);
		reach.answers[0] = (int)count;
		if (count <= 0) {
			return MTS_CLOSE;
		}
		have += (size_t)count;
	}
	reach.answers[1] = mts_client_gone(client);
	mts_client_write(client, body, sizeof(body));
	return MTS_KEEP;
}

/* It reads what belongs to its request: that goes on, and what follows is not handled. */
START_TEST(closed_in_read)
{
	mts_server *server = reach_server(read_a_body, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n12345");
	gate_wait(&reach.entered, 1);
	if (_i == 1) {
		library_rests(); /* so it waits in the read; else perhaps not yet */
	}
	ck_assert_int_eq(close_client(server, 0), 0);
	peer_puts(peer, "67890go\n1234567890");
	peer_expect_text(peer, "1234567890");
	peer_expect_end(peer);
	expect_closed(server, 0);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_CLOSED);
	ck_assert_int_eq(gate_count(&reach.entered), 1);
	end_with(server, peer);
}
END_TEST

/* It waits for its peer to read: all that it writes arrives. */
START_TEST(closed_while_it_writes)
{
	mts_server *server = reach_server(reach_pour, NULL);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go\ngo\n");
	gate_wait(&reach.entered, 1);
	ck_assert_int_eq(close_client(server, 0), 0);
	peer_expect_pattern(peer, 4 * REACH_MIB, 0);
	peer_expect_end(peer);
	expect_closed(server, 0);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(gate_count(&reach.entered), 1);
	end_with(server, peer);
}
END_TEST

static int close_itself(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&reach.entered);
	mts_client_write(client, request, size);
	reach.answers[0] = mts_server_close(mts_client_server(client), mts_client_id(client));
	mts_client_puts(client, " and more");
	reach.answers[1] = mts_client_gone(client);
	return (int)reach.answers[2];
}

/* Its requests that have come with this one are handled no more; nor is one that breaks the rules. */
START_TEST(closed_with_requests_left)
{
	static char much[200000];
	mts_server *server = reach_server(close_itself, NULL);
	ck_assert_int_eq(mts_server_set_max_request(server, 1000), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	memset(much, 'x', sizeof(much));
	if (_i == 0) {
		peer_puts(peer, "one\ntwo\nthree\n");
	} else {
		memcpy(much, "one\n", 4);
		peer_send(peer, much, sizeof(much));
	}
	peer_expect_text(peer, "one and more");
	peer_expect_end(peer);
	expect_closed(server, 0);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_CLOSED);
	ck_assert_int_eq(gate_count(&reach.entered), 1);
	end_with(server, peer);
}
END_TEST

static int open_and_close(mts_client *client, void *user)
{
	const void *request;
	size_t size;
	(void)reach_open(client, user);
	reach.answers[0] = mts_server_close(mts_client_server(client), mts_client_id(client));
	if (reach.answers[1] == 1) {
		reach.answers[2] = mts_client_next(client, &request, &size);
	}
	mts_client_puts(client, "hello and goodbye");
	return 0;
}

/* Its open hook closes it: it is open, and ends, with no request handled. */
START_TEST(closed_in_the_open_hook)
{
	mts_server *server = reach_server(close_itself, NULL);
	reach.answers[1] = _i;
	ck_assert_int_eq(mts_server_on_open(server, open_and_close, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "one\n");
	peer_expect_text(peer, "hello and goodbye");
	peer_expect_end(peer);
	expect_closed(server, 0);
	ck_assert_int_eq(reach.answers[2], _i == 1 ? -ECANCELED : 0);
	ck_assert_int_eq(gate_count(&reach.entered), 0);
	end_with(server, peer);
}
END_TEST

static int wait_and_answer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	gate_add(&reach.entered);
	gate_wait(&reach.leave, 1);
	reach.answers[0] = mts_client_puts(client, "answer");
	reach.answers[1] = mts_client_gone(client);
	return (int)reach.answers[2];
}

static mts_server *server_with_one_busy(int *peer)
{
	mts_server *server = reach_server(wait_and_answer, NULL);
	server_start(server);
	*peer = peer_connect(server, 0);
	peer_puts(*peer, "one\ntwo\n");
	gate_wait(&reach.entered, 1);
	return server;
}

/* A kick, the peer's reset, a failed handler, or a stop after it: one end, for one reason. */
START_TEST(closed_and_then)
{
	enum { KICK, RESET, FAILURE, STOP };
	static const int reasons[] = {
		MTS_CLOSED_KICKED, MTS_CLOSED_BY_PEER, MTS_CLOSED_ERROR, MTS_CLOSED_BY_HANDLER};
	int peer;
	mts_server *server = server_with_one_busy(&peer);
	reach.answers[2] = _i == FAILURE ? -EIO : MTS_KEEP;
	ck_assert_int_eq(close_client(server, 0), 0);
	if (_i == KICK) {
		ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
		ck_assert_int_eq(close_client(server, 0), -ENOENT);
	} else if (_i == RESET) {
		peer_reset(peer);
	} else if (_i == STOP) {
		mts_server_stop(server);
	}
	gate_add(&reach.leave);
	if (_i == STOP) {
		peer_expect_text(peer, "answer");
		peer_expect_end(peer);
	} else if (_i != RESET) {
		peer_expect_gone(peer);
	}
	endings_expect(&reach.endings, reasons[_i], 1);
	ck_assert_int_eq(reach.answers[0], _i == KICK ? -EPIPE : 0);
	if (_i == KICK || _i == STOP) {
		ck_assert_int_eq(reach.answers[1], _i == KICK ? MTS_GONE_KICKED : MTS_GONE_CLOSED);
	}
	if (_i != RESET) {
		close(peer);
	}
	server_end(server);
	ck_assert_int_eq(gate_count(&reach.endings.all), 1);
	ck_assert_int_eq(gate_count(&reach.entered), 1);
}
END_TEST

/* Nobody has these numbers. */
START_TEST(nobody_to_close)
{
	mts_server *server = reach_server(reach_echo, NULL);
	ck_assert_int_eq(mts_server_close(server, 1), -ENOENT);
	server_start(server);
	const int peer = reach_join(server);
	ck_assert_int_eq(mts_server_close(server, 0), -ENOENT);
	ck_assert_int_eq(mts_server_close(server, reach.ids[0] + 1), -ENOENT);
	ck_assert_int_eq(mts_server_close(server, UINT64_MAX), -ENOENT);
	peer_ask(peer, "served\n");
	end_with(server, peer);
}
END_TEST

/* The slot of one that was closed is used again, and the next client in it is served. */
START_TEST(the_next_is_served)
{
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	for (int i = 0; i < REACH_CLIENTS; i++) {
		const int peer = reach_join(server);
		peer_ask(peer, "once more\n");
		ck_assert_int_eq(close_client(server, i), 0);
		peer_expect_end(peer);
		close(peer);
		server_wait_stat(server, MTS_STAT_CLOSED, (uint64_t)i + 1);
	}
	server_end(server);
}
END_TEST

struct sender {
	mts_server *server;
	pthread_t thread;
	int result;
};

/* Sends, then closes: what it has sent was before. */
static void *send_and_close(void *argument)
{
	struct sender *sender = argument;
	int sent = 0;
	while (sent < MESSAGES && mts_server_send(sender->server, reach.ids[0], "x\n", 2) == 0) {
		sent++;
	}
	(void)mts_server_close(sender->server, reach.ids[0]);
	sender->result = sent;
	return NULL;
}

/* Several do so with one client: it gets each message that was taken, and then the end. */
START_TEST(what_was_sent_before_arrives)
{
	struct sender senders[CLOSERS];
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	const int peer = reach_join(server);
	for (int i = 0; i < CLOSERS; i++) {
		senders[i].server = server;
		ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, send_and_close, &senders[i]), 0);
	}
	int sent = 0;
	for (int i = 0; i < CLOSERS; i++) {
		ck_assert_int_eq(pthread_join(senders[i].thread, NULL), 0);
		sent += senders[i].result;
	}
	for (int i = 0; i < sent; i++) {
		peer_expect_text(peer, "x\n");
	}
	peer_expect_end(peer);
	expect_closed(server, 0);
	end_with(server, peer);
}
END_TEST

static _Atomic int told;

struct ender {
	mts_server *server;
	pthread_t thread;
	bool kicks;
};

static void *end_all(void *argument)
{
	const struct ender *ender = argument;
	for (int i = 0; i < REACH_CLIENTS; i++) {
		const uint64_t id = reach.ids[i];
		if (ender->kicks) {
			(void)mts_server_kick(ender->server, id);
		} else {
			told += mts_server_close(ender->server, id) == 0 ? 1 : 0;
		}
	}
	return NULL;
}

/*
 * "1", then "2", each whole, as many as were handled, and the end. Who was kicked may be reset instead; and
 * so may who has got no answer, since it may have sent after the close.
 */
static void peer_expect_answers(int peer, bool torn)
{
	char got[8] = "";
	size_t have = 0;
	ssize_t count;
	while ((count = recv(peer, got + have, sizeof(got) - 1 - have, 0)) > 0) {
		have += (size_t)count;
	}
	ck_assert(count == 0 || ((torn || have == 0) && errno == ECONNRESET));
	ck_assert(torn || have % 2 == 0);
	ck_assert_mem_eq(got, "1\n2\n", have < 4 ? have : 4);
	ck_assert_uint_le(have, 4);
}

/*
 * Requests are on their way to many clients as several threads close them; others kick them, or the
 * server stops, or the peers end. Each ends once; each request has its whole answer or none.
 */
START_TEST(closed_by_many)
{
	enum { ALONE, KICKED, STOPPED, ENDED };
	struct ender enders[CLOSERS];
	int peers[REACH_CLIENTS];
	for (int round = 0; round < ROUNDS; round++) {
		reach_setup();
		told = 0;
		mts_server *server = reach_server(reach_echo, NULL);
		server_start(server);
		for (int i = 0; i < REACH_CLIENTS; i++) {
			peers[i] = reach_join(server);
		}
		for (int i = 0; i < CLOSERS; i++) {
			enders[i].server = server;
			enders[i].kicks = _i == KICKED && i % 2 == 1;
			ck_assert_int_eq(pthread_create(&enders[i].thread, NULL, end_all, &enders[i]), 0);
		}
		for (int i = 0; i < REACH_CLIENTS; i++) {
			(void)send(peers[i], "1\n2\n", 4, MSG_NOSIGNAL);
			if (_i == ENDED) {
				(void)shutdown(peers[i], SHUT_WR);
			}
		}
		if (_i == STOPPED) {
			mts_server_stop(server);
		}
		for (int i = 0; i < CLOSERS; i++) {
			ck_assert_int_eq(pthread_join(enders[i].thread, NULL), 0);
		}
		gate_wait(&reach.endings.all, REACH_CLIENTS);
		for (int i = 0; i < REACH_CLIENTS; i++) {
			peer_expect_answers(peers[i], _i == KICKED);
			close(peers[i]);
		}
		server_end(server);
		ck_assert_int_eq(gate_count(&reach.endings.all), REACH_CLIENTS);
		ck_assert_int_le(told, REACH_CLIENTS);
		ck_assert_int_eq(reach.endings.reasons[MTS_CLOSED_ERROR], 0);
		if (_i == ALONE) {
			ck_assert_int_eq(told, REACH_CLIENTS);
			ck_assert_int_eq(reach.endings.reasons[MTS_CLOSED_BY_HANDLER], REACH_CLIENTS);
		}
	}
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("close");
	tcase_add_checked_fixture(tests, reach_setup, NULL);
	tcase_add_loop_test(tests, closed_while_idle, 0, 2);
	tcase_add_test(tests, closed_with_output_waiting);
	tcase_add_loop_test(tests, closed_in_next, 0, 7);
	tcase_add_loop_test(tests, closed_in_read, 0, 2);
	tcase_add_test(tests, closed_while_it_writes);
	tcase_add_loop_test(tests, closed_with_requests_left, 0, 2);
	tcase_add_loop_test(tests, closed_in_the_open_hook, 0, 2);
	tcase_add_loop_test(tests, closed_and_then, 0, 4);
	tcase_add_test(tests, nobody_to_close);
	tcase_add_test(tests, the_next_is_served);
	tcase_add_test(tests, what_was_sent_before_arrives);
	tcase_add_loop_test(tests, closed_by_many, 0, 4);
	return suite_run();
}
