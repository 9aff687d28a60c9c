/* SPDX-License-Identifier: MIT
 *
 * What a callback does with its client: writes, conversations, raw reads, questions about it.
 *
 * Most servers here frame lines, and their handler does what the line names, so a test reads as a
 * dialogue. What only a callback can see is checked in the callback; a failed check there ends the
 * test's process like any other.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

enum { LONG_TEXT = 200000 };

/* What tests and callbacks tell each other; one test runs in a process at a time. */
static mts_server *started_lines(mts_handler handler)
{
	mts_server *server = server_of_lines(handler, NULL, &endings);
	server_start(server);
	return server;
}

static int write_all_kinds(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	ck_assert_int_eq(mts_client_write(client, "a\0b", 3), 0);
	ck_assert_int_eq(mts_client_write(client, "x", 0), 0);
	ck_assert_int_eq(mts_client_write(client, NULL, 0), 0);
	ck_assert_int_eq(mts_client_puts(client, ""), 0);
	ck_assert_int_eq(mts_client_puts(client, "puts"), 0);
	ck_assert_int_eq(mts_client_printf(client, "%s", ""), 0);
	ck_assert_int_eq(mts_client_printf(client, "<%d %s %c>", -7, "text", '!'), 0);
	ck_assert_int_eq(mts_client_printf(client, "%*d|", LONG_TEXT, 1), 0);
	ck_assert_int_eq(mts_client_printf(client, "%1023d", 2), 0);
	ck_assert_int_eq(mts_client_printf(client, "%1024d", 3), 0);
	return MTS_CLOSE;
}

START_TEST(writes_arrive_in_order)
{
	mts_server *server = started_lines(write_all_kinds);
	const int peer = peer_connect(server, 0);
	char *text = malloc(LONG_TEXT + 2);
	peer_puts(peer, "go\n");
	peer_expect(peer, "a\0bputs<-7 text !>", 18);
	(void)snprintf(text, LONG_TEXT + 2, "%*d|", LONG_TEXT, 1);
	peer_expect(peer, text, LONG_TEXT + 1);
	(void)snprintf(text, LONG_TEXT, "%1023d%1024d", 2, 3);
	peer_expect(peer, text, 1023 + 1024);
	peer_expect_end(peer);
	free(text);
	close(peer);
	server_end(server);
}
END_TEST

static int refuse_nonsense(mts_client *client, const void *request, size_t size, void *user)
{
	const char *volatile none = NULL; /* the compiler is not to see through it */
	char byte;
	(void)user;
	ck_assert_int_eq(mts_client_write(client, none, 1), -EINVAL);
	ck_assert_int_eq(mts_client_puts(client, none), -EINVAL);
	ck_assert_int_eq(mts_client_next(client, NULL, &size), -EINVAL);
	ck_assert_int_eq(mts_client_next(client, &request, NULL), -EINVAL);
	ck_assert_int_eq(mts_client_read(client, NULL, 1), -EINVAL);
	ck_assert_int_eq(mts_client_read(client, &byte, 0), -EINVAL);
	ck_assert_int_eq(mts_client_puts(client, "still well"), 0);
	return MTS_CLOSE;
}

START_TEST(nonsense_is_refused_and_does_no_harm)
{
	mts_server *server = started_lines(refuse_nonsense);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "still well");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

static int watched_peer = -1;

/* Three requests in one segment: nothing may be on its way before the last one is handled. */
static int reply_unseen(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)user;
	ck_assert_uint_eq(size, 1);
	if (gate_count(&entered) == 0) {
		gate_wait(&leave, 1); /* all three are in the socket, or in the buffer behind this one */
	}
	ck_assert_int_eq(mts_client_printf(client, "reply %c,", *(const char *)request), 0);
	ck_assert_int_eq(recv(watched_peer, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	ck_assert_uint_eq(mts_server_stat(mts_client_server(client), MTS_STAT_BYTES_OUT), 0);
	gate_add(&entered);
	return MTS_KEEP;
}

START_TEST(replies_to_pipelined_requests_go_out_together)
{
	char got[64];
	mts_server *server = started_lines(reply_unseen);
	watched_peer = peer_connect(server, 0);
	peer_puts(watched_peer, "1\n2\n3\n");
	gate_add(&leave);
	gate_wait(&entered, 3);
	server_wait_stat(server, MTS_STAT_BYTES_OUT, 24);
	ck_assert_int_eq(recv(watched_peer, got, sizeof(got), 0), 24);
	ck_assert_mem_eq(got, "reply 1,reply 2,reply 3,", 24);
	close(watched_peer);
	server_end(server);
}
END_TEST

static int flush_between(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	ck_assert_int_eq(mts_client_flush(client), 0);
	ck_assert_int_eq(mts_client_puts(client, "first"), 0);
	ck_assert_int_eq(mts_client_flush(client), 0);
	gate_wait(&leave, 1);
	ck_assert_int_eq(mts_client_puts(client, "second"), 0);
	return MTS_CLOSE;
}

START_TEST(flush_sends_now)
{
	mts_server *server = started_lines(flush_between);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "first");
	gate_add(&leave);
	peer_expect_text(peer, "second");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

/* Asks until there is no answer; what that was is the test's. */
static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	const int *expected = user;
	int result;
	do {
		ck_assert_int_eq(mts_client_printf(client, "%.*s?", (int)size, (const char *)request), 0);
		result = mts_client_next(client, &request, &size);
		ck_assert(result != 1 || ((const char *)request)[size] == '\0');
	} while (result == 1);
	ck_assert_int_eq(result, *expected);
	ck_assert_ptr_null(request);
	ck_assert_uint_eq(size, 0);
	request = &size;
	ck_assert_int_eq(mts_client_next(client, &request, &size), *expected);
	ck_assert_ptr_null(request);
	ck_assert_int_eq(mts_client_puts(client, "bye"), 0);
	return MTS_KEEP;
}

static mts_server *conversation(int *expected)
{
	mts_server *server = server_new(converse, expected);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

START_TEST(next_converses_to_the_last_line)
{
	int expected = 0;
	mts_server *server = conversation(&expected);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "one\n");
	peer_expect_text(peer, "one?");
	peer_puts(peer, "two\r\n");
	peer_expect_text(peer, "two?");
	peer_puts(peer, "three\nfour");
	peer_finish(peer);
	peer_expect_text(peer, "three?four?bye");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 4);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(next_tells_of_a_request_too_large)
{
	int expected = -EMSGSIZE;
	mts_server *server = conversation(&expected);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 4), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "good\nlarge\n");
	peer_expect_text(peer, "good?bye");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(next_tells_of_a_cut_request)
{
	int expected = -EPROTO;
	mts_server *server = conversation(&expected);
	ck_assert_int_eq(mts_server_frame_fixed(server, 4), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "goodcut");
	peer_finish(peer);
	peer_expect_text(peer, "good?bye");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_PROTOCOL, 1);
	close(peer);
	server_end(server);
}
END_TEST

static int wait_for_stop(mts_client *client, const void *request, size_t size, void *user)
{
	char bytes[8];
	(void)user;
	gate_add(&entered);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -ECANCELED);
	ck_assert_int_eq(mts_client_read(client, bytes, sizeof(bytes)), 4);
	ck_assert_mem_eq(bytes, "half", 4);
	ck_assert_int_eq(mts_client_read(client, bytes, sizeof(bytes)), -ECANCELED);
	ck_assert_int_eq(mts_client_puts(client, "stopped"), 0);
	return MTS_KEEP;
}

START_TEST(next_and_read_end_with_a_stop)
{
	mts_server *server = started_lines(wait_for_stop);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nhalf");
	gate_wait(&entered, 1);
	library_rests(); /* it waits for a request: who does not yet may read on after the stop */
	mts_server_stop(server);
	peer_expect_text(peer, "stopped");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_STOP, 1);
	close(peer);
	server_end(server);
}
END_TEST

static int ask_name(mts_client *client, void *user)
{
	const void *request;
	size_t size;
	(void)user;
	ck_assert_int_eq(mts_client_puts(client, "name? "), 0);
	ck_assert_int_eq(mts_client_next(client, &request, &size), 1);
	mts_client_set_data(client, strdup(request));
	return 0;
}

static int greet(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	(void)user;
	ck_assert_int_eq(mts_client_printf(client, "%s, %s!", (const char *)request,
						 (const char *)mts_client_data(client)),
		0);
	return MTS_KEEP;
}

static void free_name(mts_client *client, int reason, void *user)
{
	ck_assert_str_eq(mts_client_data(client), "Ann");
	free(mts_client_data(client));
	endings_note(client, reason, user);
}

START_TEST(the_open_hook_may_converse)
{
	mts_server *server = server_of_lines(greet, NULL, &endings);
	ck_assert_int_eq(mts_server_on_open(server, ask_name, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, free_name, &endings), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_expect_text(peer, "name? ");
	peer_puts(peer, "Ann\nhello\n");
	peer_expect_text(peer, "hello, Ann!");
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(peer);
	server_end(server);
}
END_TEST

/* Reads as many raw bytes as the line says, in small pieces; the line itself must stay. */
static int take_raw(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	size_t left = strtoul(line, NULL, 10);
	char body[100];
	size_t have = 0;
	(void)user;
	while (have < left) {
		const size_t most = left - have < 3 ? left - have : 3;
		const ssize_t count = mts_client_read(client, body + have, most);
		ck_assert_int_gt(count, 0);
		ck_assert_int_le(count, (ssize_t)most);
		have += (size_t)count;
		ck_assert_uint_eq(strlen(line), size);
		ck_assert_uint_eq(strtoul(line, NULL, 10), left);
	}
	ck_assert_int_eq(mts_client_printf(client, "[%.*s]", (int)left, body), 0);
	return MTS_KEEP;
}

START_TEST(read_takes_what_is_here_then_the_socket)
{
	mts_server *server = started_lines(take_raw);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "4\nab\nc3\nxyz0\n7\n12");
	peer_expect_text(peer, "[ab\nc][xyz][]");
	peer_puts(peer, "345");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 20);
	peer_puts(peer, "672\n\n\n");
	peer_expect_text(peer, "[1234567][\n\n]");
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(peer);
	server_end(server);
}
END_TEST

static int read_to_the_end(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)user;
	ck_assert_str_eq(request, "go");
	ck_assert_int_eq(mts_client_puts(client, "reading"), 0);
	for (const char *next = "raw\n"; *next != '\0'; next++) {
		ck_assert_int_eq(mts_client_read(client, &byte, 1), 1);
		ck_assert_int_eq(byte, *next);
	}
	ck_assert_int_eq(mts_client_read(client, &byte, 1), 0);
	ck_assert_int_eq(mts_client_read(client, &byte, 1), 0);
	ck_assert_str_eq(request, "go");
	ck_assert_int_eq(mts_client_next(client, &request, &size), 0);
	ck_assert_int_eq(mts_client_puts(client, ", read"), 0);
	return MTS_KEEP;
}

START_TEST(read_flushes_and_tells_the_end)
{
	mts_server *server = started_lines(read_to_the_end);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "reading"); /* it was sent before the wait */
	peer_puts(peer, "ra");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 5);
	peer_puts(peer, "w\n");
	peer_finish(peer);
	peer_expect_text(peer, ", read");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("client");
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_test(tcase, writes_arrive_in_order);
	tcase_add_test(tcase, nonsense_is_refused_and_does_no_harm);
	tcase_add_test(tcase, replies_to_pipelined_requests_go_out_together);
	tcase_add_test(tcase, flush_sends_now);
	tcase_add_test(tcase, next_converses_to_the_last_line);
	tcase_add_test(tcase, next_tells_of_a_request_too_large);
	tcase_add_test(tcase, next_tells_of_a_cut_request);
	tcase_add_test(tcase, next_and_read_end_with_a_stop);
	tcase_add_test(tcase, the_open_hook_may_converse);
	tcase_add_test(tcase, read_takes_what_is_here_then_the_socket);
	tcase_add_test(tcase, read_flushes_and_tells_the_end);
	return suite_run();
}
