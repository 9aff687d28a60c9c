/* SPDX-License-Identifier: MIT
 *
 * A handler that returns the very error which a call of the library gave it: its client ends for the true
 * reason, what it has written is sent, and the log speaks of no failed handler.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static struct endings endings;
static struct gate entered;
static struct gate go_on;
static _Atomic int blamed; /* lines of the log about the handler */
static _Atomic int told;
static _Atomic uint64_t id;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
	entered = go_on = (struct gate)GATE;
	blamed = 0;
	told = 0;
}

static void note(int level, const char *message, void *user)
{
	(void)level;
	(void)user;
	if (strstr(message, "the handler returned") != NULL) {
		blamed++;
	}
}

static int writes(mts_client *client, const void *request, size_t size, void *user)
{
	static const char bytes[8192];
	(void)request;
	(void)size;
	(void)user;
	id = mts_client_id(client);
	gate_add(&entered);
	gate_wait(&go_on, 1);
	int result = 0;
	while (result == 0) {
		result = mts_client_write(client, bytes, sizeof(bytes));
	}
	told = result;
	return result;
}

static int asks(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&entered);
	int result = 1;
	while (result == 1) {
		result = mts_client_next(client, &request, &size);
	}
	told = result;
	(void)mts_client_puts(client, "sorry");
	return result;
}

static int reads(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	told = (int)mts_client_read(client, &byte, 1);
	(void)mts_client_puts(client, "sorry");
	return told;
}

static mts_server *server_with(mts_handler handler)
{
	mts_server *server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 100), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_DEBUG, NULL), 0);
	server_start(server);
	return server;
}

static void expect(mts_server *server, int error, int reason)
{
	endings_expect(&endings, reason, 1);
	server_end(server); /* the last line of the log is out */
	ck_assert_int_eq(told, error);
	ck_assert_int_eq(blamed, 0);
}

START_TEST(the_peer_is_gone_while_it_writes)
{
	mts_server *server = server_with(writes);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	gate_wait(&entered, 1);
	peer_reset(peer);
	gate_add(&go_on);
	expect(server, -EPIPE, MTS_CLOSED_BY_PEER);
}
END_TEST

START_TEST(it_is_kicked_while_it_writes)
{
	mts_server *server = server_with(writes);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	gate_wait(&entered, 1);
	ck_assert_int_eq(mts_server_kick(server, id), 0);
	gate_add(&go_on);
	peer_expect_gone(peer);
	close(peer);
	expect(server, -EPIPE, MTS_CLOSED_KICKED);
}
END_TEST

START_TEST(the_peer_does_not_read)
{
	mts_server *server = server_with(writes);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_WRITE, 50), 0);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	gate_add(&go_on);
	expect(server, -ETIMEDOUT, MTS_CLOSED_WRITE_TIMEOUT);
	close(peer);
}
END_TEST

static const struct {
	mts_handler handler;
	const char *more; /* after the request */
	bool finishes; /* the peer does, then */
	int timeout; /* -1: none */
	int error;
	int reason;
} calls[] = {
	{asks, "", false, MTS_TIMEOUT_IDLE, -ETIMEDOUT, MTS_CLOSED_IDLE},
	{asks, "half", false, MTS_TIMEOUT_REQUEST, -ETIMEDOUT, MTS_CLOSED_REQUEST_TIMEOUT},
	{reads, "", false, MTS_TIMEOUT_REQUEST, -ETIMEDOUT, MTS_CLOSED_REQUEST_TIMEOUT},
	{asks,
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789\n",
		false, -1, -EMSGSIZE, MTS_CLOSED_TOO_LARGE},
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

START_TEST(a_call_that_waits_says_so)
{
	mts_server *server = server_with(calls[_i].handler);
	if (calls[_i].timeout >= 0) {
		ck_assert_int_eq(mts_server_set_timeout(server, calls[_i].timeout, 50), 0);
	}
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	peer_puts(peer, calls[_i].more);
	peer_expect_text(peer, "sorry"); /* nothing that was written is dropped */
	peer_expect_end(peer);
	close(peer);
	expect(server, calls[_i].error, calls[_i].reason);
}
END_TEST

START_TEST(the_stream_breaks_off)
{
	mts_server *server = server_new(asks, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, 4), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_DEBUG, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on");
	peer_finish(peer);
	peer_expect_text(peer, "sorry");
	peer_expect_end(peer);
	close(peer);
	expect(server, -EPROTO, MTS_CLOSED_PROTOCOL);
}
END_TEST

START_TEST(the_server_stops)
{
	mts_server *server = server_with(asks);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	gate_wait(&entered, 1);
	mts_server_stop(server);
	peer_expect_text(peer, "sorry");
	peer_expect_end(peer);
	close(peer);
	expect(server, -ECANCELED, MTS_CLOSED_STOP);
}
END_TEST

/* An error of its own, though it has such a number: nobody but the handler has failed. */
static int fails_by_itself(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	return *(const int *)user;
}

START_TEST(the_handler_has_failed)
{
	static int errors[] = {-EPIPE, -ETIMEDOUT, -ECANCELED, -EMSGSIZE, -EPROTO, -ENOMEM, -EIO};
	mts_server *server = server_new(fails_by_itself, &errors[_i]);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_on_log(server, note, MTS_LOG_DEBUG, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on");
	peer_expect_gone(peer);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	server_end(server);
	ck_assert_int_eq(blamed, 1);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("reasons");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, the_peer_is_gone_while_it_writes);
	tcase_add_test(tcase, it_is_kicked_while_it_writes);
	tcase_add_test(tcase, the_peer_does_not_read);
	tcase_add_loop_test(tcase, a_call_that_waits_says_so, 0, CALLS);
	tcase_add_test(tcase, the_stream_breaks_off);
	tcase_add_test(tcase, the_server_stops);
	tcase_add_loop_test(tcase, the_handler_has_failed, 0, 7);
	return suite_run();
}
