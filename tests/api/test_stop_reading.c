/* SPDX-License-Identifier: MIT
 *
 * A request in progress goes on being received after a stop, until the stop's deadline: a callback that
 * reads beside requests, at the moment of the stop or later. No new request is waited for.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stage.h"

enum { BODY = 100000, SHORT = 300 };

static int family;
static struct gate stopped; /* the callback may go on: the server has been asked to stop */
static struct gate done; /* a callback has got what it wanted */

static void setup(void)
{
	stage_setup();
	stopped = (struct gate)GATE;
	done = (struct gate)GATE;
}

/* How a callback receives what belongs to its request. */
enum how { READ, EXACT, LINE, HOWS };

static void read_body(mts_client *client, enum how how)
{
	static __thread char body[BODY + 1];
	const void *line;
	size_t size;
	size_t got = 0;
	ssize_t count;
	switch (how) {
	case READ:
		while (got < BODY && (count = mts_client_read(client, body, sizeof(body))) > 0) {
			got += (size_t)count;
		}
		ck_assert_uint_eq(got, BODY);
		break;
	case EXACT:
		ck_assert_int_eq(mts_client_read_exact(client, body, BODY), BODY);
		break;
	default:
		ck_assert_int_eq(mts_client_read_line(client, &line, &size), 1);
		ck_assert_uint_eq(size, SHORT);
		break;
	}
}

static void send_body(int peer, enum how how)
{
	static char body[BODY];
	memset(body, 'b', sizeof(body));
	if (how == LINE) {
		body[SHORT] = '\n';
	}
	peer_send(peer, body, how == LINE ? SHORT + 1 : BODY);
}

/* Where the callback is at the stop: it reads; not yet, but later; it asks for a request first. */
enum when { NOW, LATER, AFTER_NEXT, WHENS };

struct upload {
	enum how how;
	enum when when;
};

static void receive_upload(mts_client *client, const struct upload *upload)
{
	const void *request;
	size_t size;
	gate_add(&entered);
	if (upload->when != NOW) {
		gate_wait(&stopped, 1);
	}
	if (upload->when == AFTER_NEXT) {
		ck_assert_int_eq(mts_client_next(client, &request, &size), -ECANCELED);
	}
	gate_add(&done);
	read_body(client, upload->how);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -ECANCELED);
	ck_assert_int_eq(mts_client_gone(client), MTS_GONE_STOP);
	ck_assert_int_eq(mts_client_puts(client, "whole"), 0);
}

static int take_upload(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	receive_upload(client, user);
	return MTS_KEEP;
}

/* Stops the server, and waits until it has told its clients: one that waits for a request ends. */
static void stop_server(mts_server *server, uint64_t opened)
{
	const int idle = peer_connect(server, 0);
	peer_puts(idle, "half of a request");
	server_wait_stat(server, MTS_STAT_ACCEPTED, opened + 1);
	library_rests();
	mts_server_stop(server);
	peer_expect_gone(idle);
	close(idle);
}

static mts_server *uploading(mts_handler handler, void *user)
{
	mts_server *server = server_on(family, handler, user);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 1000 * PATIENCE), 0);
	return server;
}

static void expect_upload(mts_server *server, const struct upload *upload, uint64_t opened)
{
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	gate_wait(&entered, 1);
	stop_server(server, opened);
	gate_add(&stopped);
	gate_wait(&done, 1); /* a request asked for now would be what comes next */
	send_body(peer, upload->how);
	peer_expect_text(peer, "whole");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_STOP, 2);
	close(peer);
	server_end(server);
}

START_TEST(goes_on)
{
	struct upload upload = {(enum how)(_i % HOWS), (enum when)(_i / HOWS % WHENS)};
	family = _i / HOWS / WHENS;
	expect_upload(uploading(take_upload, &upload), &upload, 1);
}
END_TEST

/* Before the first request: the first client of the test is the one that uploads. */
static int upload_first(mts_client *client, void *user)
{
	if (gate_count(&entered) == 0) {
		ck_assert_int_eq(mts_client_read(client, &(char[3]){0}, 3), 3);
		receive_upload(client, user);
	}
	return 0;
}

START_TEST(in_the_open_hook)
{
	struct upload upload = {EXACT, (enum when)_i};
	family = TCP;
	mts_server *server = uploading(answer_keep, NULL);
	ck_assert_int_eq(mts_server_on_open(server, upload_first, &upload), 0);
	expect_upload(server, &upload, 0);
}
END_TEST

/* The peer's end of stream is told from that of a stop. */
static int read_to_the_end(mts_client *client, const void *request, size_t size, void *user)
{
	char bytes[8];
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	ck_assert_int_eq(mts_client_read_exact(client, bytes, sizeof(bytes)), 4);
	ck_assert_mem_eq(bytes, "tail", 4);
	ck_assert_int_eq(mts_client_read(client, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(mts_client_puts(client, "ended"), 0);
	return MTS_KEEP;
}

START_TEST(until_the_peer_ends)
{
	family = _i;
	mts_server *server = uploading(read_to_the_end, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	gate_wait(&entered, 1);
	stop_server(server, 1);
	peer_puts(peer, "tail");
	peer_finish(peer);
	peer_expect_text(peer, "ended");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

/* What comes behind the body is a new request: of these only what had arrived is looked at. */
static int body_of_four(mts_client *client, const void *request, size_t size, void *user)
{
	char body[4];
	(void)request;
	(void)size;
	(void)user;
	if (gate_add(&entered) == 1) {
		ck_assert_int_eq(mts_client_read_exact(client, body, sizeof(body)), sizeof(body));
		ck_assert_mem_eq(body, "body", sizeof(body));
		gate_add(&done);
		gate_wait(&leave, 1);
	}
	return mts_client_puts(client, "served");
}

START_TEST(what_has_arrived_by_then_is_served)
{
	family = _i;
	mts_server *server = uploading(body_of_four, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	gate_wait(&entered, 1);
	stop_server(server, 1);
	peer_puts(peer, "bodysecond\nhalf");
	gate_wait(&done, 1);
	gate_add(&leave);
	peer_expect_text(peer, "servedserved");
	peer_expect_gone(peer);
	ck_assert_int_eq(gate_count(&entered), 2);
	close(peer);
	server_end(server);
}
END_TEST

/* Reads on and on, until it is told that the client is lost. */
static _Atomic uint64_t reader;

static int read_for_ever(mts_client *client, const void *request, size_t size, void *user)
{
	char bytes[64];
	ssize_t count;
	(void)request;
	(void)size;
	(void)user;
	reader = mts_client_id(client);
	gate_add(&entered);
	while ((count = mts_client_read(client, bytes, sizeof(bytes))) > 0) {
	}
	ck_assert_int_eq(count, -EPIPE);
	gate_add(&done);
	return MTS_KEEP;
}

START_TEST(until_the_deadline)
{
	family = _i;
	mts_server *server = uploading(read_for_ever, NULL);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 50), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nand some");
	gate_wait(&entered, 1);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(gate_count(&done), 1);
	endings_expect(&endings, MTS_CLOSED_STOP, 1);
	peer_expect_gone(peer);
	close(peer);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Other ends of a client that is read from after a stop. */
enum end { KICKED, RESET, ENDS };

START_TEST(ended_otherwise)
{
	family = TCP;
	mts_server *server = uploading(read_for_ever, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	gate_wait(&entered, 1);
	stop_server(server, 1);
	if (_i == KICKED) {
		ck_assert_int_eq(mts_server_kick(server, reader), 0);
		peer_expect_gone(peer);
		close(peer);
	} else {
		peer_reset(peer);
	}
	gate_wait(&done, 1);
	server_end(server);
	ck_assert_int_eq(endings.reasons[_i == KICKED ? MTS_CLOSED_KICKED : MTS_CLOSED_BY_PEER], 1);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_STOP], 1);
}
END_TEST

/* Many clients, each somewhere between two requests, or in a body, when the stop comes. */
enum { CROWD = 16 };

static int count_or_cancel(mts_client *client, const void *request, size_t size, void *user)
{
	char body[4];
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	const ssize_t count = mts_client_read_exact(client, body, sizeof(body));
	/* It may have been woken out of the wait for this very request. But it is never a short body. */
	ck_assert_msg(count == sizeof(body) || count == -ECANCELED, "%zd", count);
	return count < 0 ? (int)count : mts_client_puts(client, "ok");
}

START_TEST(no_body_is_cut_short)
{
	int peers[CROWD];
	family = _i % FAMILIES;
	mts_server *server = uploading(count_or_cancel, NULL);
	server_start(server);
	for (int i = 0; i < CROWD; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "go\nbodygo\n");
	}
	gate_wait(&entered, 1 + _i);
	mts_server_stop(server);
	for (int i = 0; i < CROWD; i++) {
		(void)send(peers[i], "body", 4, MSG_NOSIGNAL);
	}
	for (int i = 0; i < CROWD; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("stop_reading");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, goes_on, 0, HOWS * WHENS * FAMILIES);
	tcase_add_loop_test(tcase, in_the_open_hook, 0, WHENS);
	tcase_add_loop_test(tcase, until_the_peer_ends, 0, FAMILIES);
	tcase_add_loop_test(tcase, what_has_arrived_by_then_is_served, 0, FAMILIES);
	tcase_add_loop_test(tcase, until_the_deadline, 0, FAMILIES);
	tcase_add_loop_test(tcase, ended_otherwise, 0, ENDS);
	tcase_add_loop_test(tcase, no_body_is_cut_short, 0, 2 * CROWD);
	return suite_run();
}
