/* SPDX-License-Identifier: MIT
 *
 * Who is kicked is gone, whatever it does at that moment, and whatever its handler says of it.
 */
#include "reach.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { KICKERS = 8 };

static int wait_in_next(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&reach.entered);
	reach.answers[0] = mts_client_next(client, &request, &size);
	reach.answers[1] = mts_client_gone(client);
	gate_add(&reach.leave);
	return MTS_KEEP;
}

static int wait_in_read(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&reach.entered);
	do {
		reach.answers[0] = (int)mts_client_read(client, &byte, 1);
	} while (reach.answers[0] > 0);
	reach.answers[1] = mts_client_gone(client);
	gate_add(&reach.leave);
	return MTS_CLOSE;
}

static int wait_for_the_kick(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	gate_add(&reach.entered);
	while (mts_client_gone(client) == 0) {
		poll(NULL, 0, 1);
	}
	/* Who kicks says why before it cuts the client off; what is gathered in between is dropped. */
	int result;
	while ((result = mts_client_puts(client, "x")) == 0) {
		poll(NULL, 0, 1);
	}
	reach.answers[0] = result;
	reach.answers[1] = mts_client_gone(client);
	gate_add(&reach.leave);
	return -EPIPE;
}

static int kick_itself(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	gate_add(&reach.entered);
	mts_client_puts(client, "dropped");
	(void)mts_server_kick(mts_client_server(client), mts_client_id(client));
	reach.answers[0] = mts_client_flush(client);
	reach.answers[1] = mts_client_gone(client);
	gate_add(&reach.leave);
	return MTS_CLOSE;
}

static const mts_handler blocked[] = {
	wait_in_next, wait_in_read, reach_pour, wait_for_the_kick, kick_itself};
enum { BLOCKED = sizeof(blocked) / sizeof(blocked[0]) };

/* Whatever its handler waits in, it wakes up and is told; whatever that returns, it was the kick. */
START_TEST(kicked_in_its_handler)
{
	mts_server *server = reach_server(blocked[_i], NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nhalf of another");
	gate_wait(&reach.entered, 1);
	(void)mts_server_kick(server, reach.ids[0]);
	gate_wait(&reach.leave, 1);
	peer_expect_gone(peer);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	ck_assert_int_eq(reach.answers[0], -EPIPE);
	ck_assert_int_eq(reach.answers[1], MTS_GONE_KICKED);
	ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), -ENOENT);
	close(peer);
	server_end(server);
}
END_TEST

/* Such a connection cannot be reset; with input unread in it its callback is woken all the same. */
START_TEST(kicked_on_a_unix_socket)
{
	char address[64];
	mts_server *server = server_create(blocked[_i], NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, reach_open, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &reach.endings), 0);
	(void)snprintf(address, sizeof(address), "unix:@mts-kick-%d", (int)getpid());
	ck_assert_int_eq(mts_server_listen(server, address), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 1);
	peer_puts(peer, "unread");
	if (blocked[_i] == reach_pour) {
		wait_until(mts_server_stat(server, MTS_STAT_BYTES_OUT) > 0);
	}
	(void)mts_server_kick(server, reach.ids[0]);
	gate_wait(&reach.leave, 1);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	ck_assert_int_eq(reach.answers[0], -EPIPE);
	peer_expect_gone(peer);
	close(peer);
	server_end(server);
}
END_TEST

static int kick_and_keep(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	gate_add(&reach.entered);
	(void)mts_server_kick(mts_client_server(client), mts_client_id(client));
	return MTS_KEEP;
}

/* What has come with the request is handled no more. */
START_TEST(kicked_with_requests_left)
{
	mts_server *server = reach_server(kick_and_keep, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "one\ntwo\nthree\n");
	peer_expect_gone(peer);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	close(peer);
	server_end(server);
	ck_assert_int_eq(gate_count(&reach.entered), 1);
}
END_TEST

static int pour_and_close(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[200000];
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(bytes, sizeof(bytes), 0);
	for (int i = 0; i < 10; i++) {
		mts_client_write(client, bytes, sizeof(bytes));
		gate_add(&reach.entered);
	}
	return MTS_CLOSE;
}

/* Parked: idle; with a message waiting, for a peer that does not read. */
START_TEST(kicked_while_parked)
{
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	const int other = reach_join(server);
	const int peer = reach_join(server);
	if (_i == 1) {
		(void)reach_until_refused(server, reach.ids[1]);
	}
	ck_assert_int_eq(mts_server_kick(server, reach.ids[1]), 0);
	ck_assert_int_eq(mts_server_kick(server, reach.ids[1]), -ENOENT);
	peer_expect_gone(peer);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	peer_ask(other, "still served\n");
	close(peer);
	close(other);
	server_end(server);
}
END_TEST

/*
 * It has been told to close, but its peer does not read what it has been sent: nobody can send to it
 * any more, or it would never end; kicking it is what ends it.
 */
START_TEST(kicked_while_it_ends)
{
	mts_server *server = reach_server(pour_and_close, NULL);
	ck_assert_int_eq(mts_server_set_max_output(server, 3 * REACH_MIB), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 10);
	wait_until(mts_server_send(server, reach.ids[0], NULL, 0) == -ENOENT);
	ck_assert_int_eq(gate_count(&reach.endings.all), 0);
	ck_assert_int_eq(mts_server_broadcast(server, "x", 1), 0);
	ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	peer_expect_gone(peer);
	close(peer);
	server_end(server);
}
END_TEST

static _Atomic int successes;

struct kicker {
	mts_server *server;
	pthread_t thread;
};

static void *kick_all(void *argument)
{
	const struct kicker *kicker = argument;
	for (int i = 0; i < REACH_CLIENTS; i++) {
		successes += mts_server_kick(kicker->server, reach.ids[i]) == 0 ? 1 : 0;
	}
	return NULL;
}

/* Many kick the same ones: each of these is kicked by one. */
START_TEST(kicked_by_many)
{
	struct kicker kickers[KICKERS];
	int peers[REACH_CLIENTS];
	mts_server *server = reach_server(reach_echo, NULL);
	server_start(server);
	for (int i = 0; i < REACH_CLIENTS; i++) {
		peers[i] = reach_join(server);
	}
	for (int i = 0; i < KICKERS; i++) {
		kickers[i].server = server;
		ck_assert_int_eq(pthread_create(&kickers[i].thread, NULL, kick_all, &kickers[i]), 0);
	}
	for (int i = 0; i < KICKERS; i++) {
		ck_assert_int_eq(pthread_join(kickers[i].thread, NULL), 0);
	}
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, REACH_CLIENTS);
	ck_assert_int_eq(successes, REACH_CLIENTS);
	for (int i = 0; i < REACH_CLIENTS; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/* Stopped while clients that were kicked have not had their last turn: each ends once all the same. */
START_TEST(kicked_and_stopped)
{
	for (int round = 0; round < 20; round++) {
		reach_setup();
		int peers[REACH_CLIENTS];
		mts_server *server = reach_server(reach_echo, NULL);
		server_start(server);
		for (int i = 0; i < REACH_CLIENTS; i++) {
			peers[i] = reach_join(server);
		}
		if (round % 2 == 0) {
			mts_server_stop(server);
		}
		int kicked = 0;
		for (int i = 0; i < REACH_CLIENTS; i++) {
			kicked += mts_server_kick(server, reach.ids[i]) == 0 ? 1 : 0;
		}
		server_end(server);
		ck_assert_int_eq(gate_count(&reach.endings.all), REACH_CLIENTS);
		ck_assert_int_eq(reach.endings.reasons[MTS_CLOSED_KICKED], kicked);
		for (int i = 0; i < REACH_CLIENTS; i++) {
			close(peers[i]);
		}
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("kick");
	tcase_add_checked_fixture(cases, reach_setup, NULL);
	tcase_add_loop_test(cases, kicked_in_its_handler, 0, BLOCKED);
	tcase_add_loop_test(
		cases, kicked_on_a_unix_socket, 0, BLOCKED - 1); /* the last one waits for nothing */
	tcase_add_test(cases, kicked_with_requests_left);
	tcase_add_loop_test(cases, kicked_while_parked, 0, 2);
	tcase_add_test(cases, kicked_while_it_ends);
	tcase_add_test(cases, kicked_by_many);
	tcase_add_test(cases, kicked_and_stopped);
	return suite_run();
}
