/* SPDX-License-Identifier: MIT
 *
 * The edges of what callbacks read and put back: how much may be here; what is put back when the
 * callback returns, which no event tells of; a stop, a kick, or want of memory in the middle.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

enum { LEAST = 16 * 1024, MOST = 20000, HUGE_BYTES = 1024 * 1024 };

static char bytes[HUGE_BYTES + 1];

static mts_server *fixed_server(mts_handler handler, size_t request, size_t largest)
{
	mts_server *server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, request), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, largest), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

static void ends(mts_server *server, int peer, int reason)
{
	peer_expect_end(peer);
	endings_expect(&endings, reason, 1);
	close(peer);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	server_end(server);
}

static void finish(mts_server *server, int peer, int reason)
{
	peer_finish(peer);
	ends(server, peer, reason);
}

/* "again N" is put back as "again N-1", and so on; others are echoed. */
static int again(mts_client *client, const void *request, size_t size, void *user)
{
	char text[32];
	const long left = strncmp(request, "again ", 6) == 0 ? atol((const char *)request + 6) : 0;
	(void)user;
	if (left > 0) {
		(void)snprintf(text, sizeof(text), left > 1 ? "again %ld\n" : "half", left - 1);
		ck_assert_int_eq(mts_client_unread(client, text, strlen(text)), 0);
		ck_assert_int_eq(mts_client_puts(client, "."), 0);
		return MTS_KEEP;
	}
	ck_assert_int_eq(mts_client_printf(client, "<%.*s>", (int)size, (const char *)request), 0);
	return MTS_KEEP;
}

/* The peer sends nothing more, so no event comes; and there are more of them than one turn has. */
START_TEST(what_is_put_back_needs_no_event)
{
	enum { TIMES = 200 };
	mts_server *server = server_of_lines(again, NULL, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "again 200\n");
	for (int i = 0; i < TIMES; i++) {
		peer_expect_text(peer, ".");
	}
	library_rests(); /* the client may be parked now, with half a line */
	peer_puts(peer, " and half\n");
	peer_expect_text(peer, "<half and half>");
	finish(server, peer, MTS_CLOSED_BY_PEER);
}
END_TEST

static int greet_oneself(mts_client *client, void *user)
{
	(void)user;
	return mts_client_unread(client, "from the hook\nand ", 18);
}

START_TEST(the_open_hook_puts_back)
{
	mts_server *server = server_of_lines(again, NULL, &endings);
	ck_assert_int_eq(mts_server_on_open(server, greet_oneself, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_expect_text(peer, "<from the hook>");
	peer_puts(peer, "the peer\n");
	peer_expect_text(peer, "<and the peer>");
	finish(server, peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* Of `size` bytes put back one after the other, from the last to the first, all can be read. */
static void fill_up(mts_client *client, size_t most)
{
	pattern_fill(bytes, most, 0);
	for (size_t left = most; left > 0; left--) {
		ck_assert_int_eq(mts_client_unread(client, bytes + left - 1, 1), 0);
	}
	ck_assert_int_eq(mts_client_unread(client, bytes, 1), -EMSGSIZE);
	ck_assert_int_eq(mts_client_pending(client), (ssize_t)most);
	ck_assert_uint_ge(mts_server_stat(mts_client_server(client), MTS_STAT_MEMORY), most);
	memset(bytes, 0, most);
	ck_assert_int_eq(mts_client_read_exact(client, bytes, most), (ssize_t)most);
	ck_assert_int_eq(mts_client_write(client, bytes, most), 0);
	ck_assert_int_eq(mts_client_pending(client), 0);
}

static int put_much_back(mts_client *client, const void *request, size_t size, void *user)
{
	const size_t most = *(const size_t *)user;
	ck_assert_int_eq(mts_client_unread(client, bytes, most + 1), -EMSGSIZE);
	ck_assert_int_eq(mts_client_unread(client, bytes, SIZE_MAX), -EMSGSIZE);
	ck_assert_int_eq(mts_client_pending(client), 0);
	fill_up(client, most);
	pattern_fill(bytes, most, most);
	ck_assert_int_eq(mts_client_unread(client, bytes, most), 0);
	ck_assert_int_eq(mts_client_unread(client, "x", 1), -EMSGSIZE);
	ck_assert_int_eq(mts_client_read_exact(client, bytes, most), (ssize_t)most);
	ck_assert_int_eq(mts_client_write(client, bytes, most), 0);
	ck_assert_mem_eq(request, "go", size);
	return MTS_KEEP;
}

START_TEST(as_much_as_may_be_here)
{
	const size_t limits[] = {2, LEAST, LEAST + 1, 100000};
	size_t most = limits[_i] > LEAST ? limits[_i] : LEAST;
	mts_server *server = server_new(put_much_back, &most);
	ck_assert_int_eq(mts_server_frame_fixed(server, 2), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, limits[_i]), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	peer_expect_pattern(peer, 2 * most, 0);
	finish(server, peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* More than all clients may have: nothing has changed, and the client stays. */
static int want_memory(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	ck_assert_int_eq(mts_client_unread(client, "abc", 3), 0);
	ck_assert_int_eq(mts_client_unread(client, bytes, HUGE_BYTES / 2), -ENOMEM);
	ck_assert_int_eq(mts_client_pending(client), 3);
	ck_assert_int_eq(mts_client_read_exact(client, bytes, 3), 3);
	ck_assert_mem_eq(bytes, "abc", 3);
	ck_assert_mem_eq(request, "go", size);
	ck_assert_int_eq(mts_client_puts(client, "stays"), 0);
	return MTS_KEEP;
}

START_TEST(no_memory_to_put_back)
{
	mts_server *server = fixed_server(want_memory, 2, HUGE_BYTES);
	ck_assert_int_eq(mts_server_set_max_memory(server, 64 * 1024), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	peer_expect_text(peer, "stays");
	finish(server, peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/* Reads lines until there is none, and answers with their sizes. */
static int read_lines(mts_client *client, const void *request, size_t size, void *user)
{
	const int *expected = user;
	int result;
	while ((result = mts_client_read_line(client, &request, &size)) == 1) {
		ck_assert_int_eq(((const char *)request)[size], '\0');
		ck_assert_int_eq(mts_client_printf(client, "%zu,", size), 0);
	}
	ck_assert_int_eq(result, *expected);
	ck_assert_int_eq(mts_client_read_line(client, &request, &size), *expected);
	return MTS_KEEP;
}

static void send_line(int peer, size_t size, const char *end)
{
	memset(bytes, 'l', size);
	memcpy(bytes + size, end, strlen(end));
	peer_send(peer, bytes, size + strlen(end));
}

/* Lines need more room than any request of this server does. */
START_TEST(lines_up_to_the_largest_request)
{
	int expected = _i == 0 ? 0 : -EMSGSIZE;
	mts_server *server = server_new(read_lines, &expected);
	ck_assert_int_eq(mts_server_frame_fixed(server, 2), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, MOST), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	send_line(peer, MOST, "\r\n\n");
	peer_expect_text(peer, "20000,0,");
	send_line(peer, MOST - 1, "\n\r\n\r\r\n");
	peer_expect_text(peer, "19999,0,1,");
	send_line(peer, MOST + (size_t)_i, _i == 1 ? "" : "\n");
	if (_i > 0) {
		ends(server, peer, MTS_CLOSED_TOO_LARGE);
		return;
	}
	peer_expect_text(peer, "20000,");
	peer_puts(peer, "last\r");
	peer_finish(peer);
	peer_expect_text(peer, "5,");
	ends(server, peer, MTS_CLOSED_BY_PEER);
}
END_TEST

/*
 * A stop has ended the wait for a request: what has come can still be read, and put back, but no more
 * comes. A conversation that was in mts_client_next() has no request in progress.
 */
static int wait_for_more(mts_client *client, const void *request, size_t size, void *user)
{
	const bool *line = user;
	gate_add(&entered);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -ECANCELED);
	if (*line) {
		ck_assert_int_eq(mts_client_read_line(client, &request, &size), -ECANCELED);
		ck_assert_int_eq(mts_client_pending(client), 4);
		ck_assert_int_eq(mts_client_read_exact(client, bytes, 4), 4);
		ck_assert_mem_eq(bytes, "half", 4);
	} else {
		ck_assert_int_eq(mts_client_read_exact(client, bytes, 5), -ECANCELED);
	}
	ck_assert_int_eq(mts_client_unread(client, "a line\nmore", 11), 0);
	ck_assert_int_eq(mts_client_read_line(client, &request, &size), 1);
	ck_assert_str_eq(request, "a line");
	ck_assert_int_eq(mts_client_next(client, &request, &size), -ECANCELED);
	ck_assert_int_eq(mts_client_read_exact(client, bytes, 4), 4);
	ck_assert_int_eq(mts_client_read_line(client, &request, &size), -ECANCELED);
	ck_assert_int_eq(mts_client_puts(client, "stopped"), 0);
	return -ECANCELED; /* it says what it was told: no failure */
}

START_TEST(stopped_in_the_middle)
{
	bool line = _i == 0;
	mts_server *server = server_of_lines(wait_for_more, &line, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nhalf");
	gate_wait(&entered, 1);
	library_rests();
	mts_server_stop(server);
	peer_expect_text(peer, "stopped");
	ends(server, peer, MTS_CLOSED_STOP);
}
END_TEST

/* What framing has searched in vain may hold lines. */
static int read_after_framing(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&entered);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -ECANCELED);
	ck_assert_int_eq(mts_client_read_line(client, &request, &size), 1);
	ck_assert_str_eq(request, "a line");
	ck_assert_int_eq(mts_client_read_line(client, &request, &size), -ECANCELED);
	ck_assert_int_eq(mts_client_pending(client), 4);
	ck_assert_int_eq(mts_client_puts(client, "stopped"), 0);
	return MTS_KEEP;
}

START_TEST(a_line_that_framing_has_searched)
{
	mts_server *server = server_new(read_after_framing, NULL);
	ck_assert_int_eq(mts_server_frame_delimited(server, "|", 1), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go|a line\nhalf");
	gate_wait(&entered, 1);
	library_rests();
	mts_server_stop(server);
	peer_expect_text(peer, "stopped");
	ends(server, peer, MTS_CLOSED_STOP);
}
END_TEST

static _Atomic uint64_t waiting;

static int wait_for_kick(mts_client *client, const void *request, size_t size, void *user)
{
	const bool *line = user;
	ck_assert_int_eq(mts_client_unread(client, "half", 4), 0);
	waiting = mts_client_id(client);
	gate_add(&entered);
	ck_assert_int_eq(*line ? mts_client_read_line(client, &request, &size)
						   : (int)mts_client_read_exact(client, bytes, 5),
		-EPIPE);
	ck_assert_int_eq(mts_client_unread(client, "half", 4), -EPIPE);
	ck_assert_int_eq(mts_client_pending(client), -EPIPE);
	return MTS_KEEP;
}

START_TEST(kicked_in_the_middle)
{
	bool line = _i == 0;
	mts_server *server = server_of_lines(wait_for_kick, &line, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	gate_wait(&entered, 1);
	ck_assert_int_eq(mts_server_kick(server, waiting), 0);
	peer_expect_gone(peer);
	endings_expect(&endings, MTS_CLOSED_KICKED, 1);
	close(peer);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	server_end(server);
}
END_TEST

/* A client that leaves while much is put back, or is parked so, gives all of it back. */
static int put_back_and_return(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	ck_assert_int_eq(mts_client_unread(client, bytes, LEAST), 0);
	return MTS_KEEP;
}

START_TEST(parked_with_much_put_back)
{
	mts_server *server = fixed_server(put_back_and_return, MOST, MOST);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_send(peer, bytes, MOST);
	server_wait_stat(server, MTS_STAT_REQUESTS, 1);
	peer_send(peer, bytes, MOST - LEAST);
	server_wait_stat(server, MTS_STAT_REQUESTS, 2);
	library_rests();
	ck_assert_uint_gt(mts_server_stat(server, MTS_STAT_MEMORY), LEAST);
	finish(server, peer, MTS_CLOSED_PROTOCOL);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("reading_edges");
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_test(tcase, what_is_put_back_needs_no_event);
	tcase_add_test(tcase, the_open_hook_puts_back);
	tcase_add_loop_test(tcase, as_much_as_may_be_here, 0, 4);
	tcase_add_test(tcase, no_memory_to_put_back);
	tcase_add_loop_test(tcase, lines_up_to_the_largest_request, 0, 4);
	tcase_add_loop_test(tcase, stopped_in_the_middle, 0, 2);
	tcase_add_test(tcase, a_line_that_framing_has_searched);
	tcase_add_loop_test(tcase, kicked_in_the_middle, 0, 2);
	tcase_add_test(tcase, parked_with_much_put_back);
	return suite_run();
}
