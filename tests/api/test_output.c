/* SPDX-License-Identifier: MIT
 *
 * From writes to the peer: every byte, in order, at the pace of the peer, and within the limit.
 *
 * The sockets' own buffers are made small where a test is about what waits in the library, so that
 * a megabyte is more than the kernel takes.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stage.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

/* A server and a peer between whom the kernel holds as little as it can. */
static mts_server *narrow_server(mts_handler handler, void *user, size_t max_output)
{
	mts_server *server = server_of_lines(handler, user, &endings);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, max_output), 0);
	return server;
}

/* Writes as many bytes of the pattern as the line says, in steps of the second number. */
static int write_pattern(mts_client *client, const void *request, size_t size, void *user)
{
	char *end;
	const size_t total = strtoul(request, &end, 10);
	const size_t step = strtoul(end, NULL, 10);
	char *bytes = malloc(step);
	int result = 0;
	(void)size;
	(void)user;
	ck_assert_ptr_nonnull(bytes);
	for (size_t at = 0; at < total && result == 0; at += step) {
		const size_t count = total - at < step ? total - at : step;
		pattern_fill(bytes, count, at);
		result = mts_client_write(client, bytes, count);
	}
	free(bytes);
	ck_assert_int_eq(result, 0);
	gate_add(&entered);
	return MTS_KEEP;
}

START_TEST(ten_megabytes_to_a_slow_reader)
{
	static const char *const lines[] = {
		"10485760 10485760\n", "10485760 70000\n", "3145728 1777\n", "262144 1\n"};
	static const size_t sizes[] = {10485760, 10485760, 3145728, 262144};
	mts_server *server = server_of_lines(write_pattern, NULL, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	for (size_t i = 0; i < 4; i++) {
		peer_puts(peer, lines[i]);
		peer_expect_pattern(peer, sizes[i], 0);
	}
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	ck_assert_uint_eq(
		mts_server_stat(server, MTS_STAT_BYTES_OUT), 10485760 + 10485760 + 3145728 + 262144);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(past_the_limit_a_write_waits_for_the_peer)
{
	mts_server *server = narrow_server(write_pattern, NULL, 64 * KIB);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "2097152 4096\n");
	const uint64_t taken = server_settled_bytes(server);
	ck_assert_uint_lt(taken, 1 * MIB);
	ck_assert_int_eq(gate_count(&entered), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 1);
	peer_expect_pattern(peer, 2 * MIB, 0);
	gate_wait(&entered, 1);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(one_write_larger_than_the_limit_waits_too)
{
	mts_server *server = narrow_server(write_pattern, NULL, 1);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "2097152 2097152\n");
	ck_assert_uint_lt(server_settled_bytes(server), 1 * MIB);
	ck_assert_int_eq(gate_count(&entered), 0);
	peer_expect_pattern(peer, 2 * MIB, 0);
	gate_wait(&entered, 1);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(below_the_limit_the_rest_follows_by_itself)
{
	mts_server *server = narrow_server(write_pattern, NULL, 4 * MIB);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "2097152 4096\n");
	gate_wait(&entered, 1); /* the handler is done, and nobody has read */
	server_wait_stat(server, MTS_STAT_BUSY, 0);
	ck_assert_uint_lt(mts_server_stat(server, MTS_STAT_BYTES_OUT), 2 * MIB);
	peer_expect_pattern(peer, 2 * MIB, 0);
	peer_puts(peer, "100000 7\n"); /* the order holds across handlers */
	peer_puts(peer, "50 50\n");
	peer_expect_pattern(peer, 100000, 0);
	peer_expect_pattern(peer, 50, 0);
	gate_wait(&entered, 3);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(the_limit_is_live)
{
	mts_server *server = narrow_server(write_pattern, NULL, 4 * MIB);
	server_start(server);
	const int first = peer_connect_small(server);
	const int second = peer_connect_small(server);
	peer_puts(first, "2097152 4096\n");
	gate_wait(&entered, 1);
	ck_assert_int_eq(mts_server_set_max_output(server, 4096), 0);
	peer_puts(second, "2097152 4096\n");
	server_wait_stat(server, MTS_STAT_BUSY, 1);
	server_settled_bytes(server);
	ck_assert_int_eq(gate_count(&entered), 1);
	peer_expect_pattern(second, 2 * MIB, 0);
	gate_wait(&entered, 2);
	peer_expect_pattern(first, 2 * MIB, 0);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

static int write_until_lost(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[64 * KIB];
	sigset_t pending;
	int result = 0;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	while (result == 0) {
		result = mts_client_write(client, bytes, sizeof(bytes));
	}
	ck_assert_int_eq(result, -EPIPE);
	ck_assert_int_eq(mts_client_write(client, bytes, 1), -EPIPE);
	ck_assert_int_eq(mts_client_puts(client, "x"), -EPIPE);
	ck_assert_int_eq(mts_client_printf(client, "%d", 1), -EPIPE);
	ck_assert_int_eq(mts_client_flush(client), -EPIPE);
	ck_assert_int_eq(mts_client_read(client, bytes, sizeof(bytes)), -EPIPE);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -EPIPE);
	ck_assert_int_eq(mts_client_gone(client), MTS_GONE_RESET);
	/* The library's threads block signals, so one that was raised would be waiting now. */
	ck_assert_int_eq(sigpending(&pending), 0);
	ck_assert_int_eq(sigismember(&pending, SIGPIPE), 0);
	return MTS_KEEP;
}

START_TEST(a_peer_that_is_gone_ends_the_write)
{
	char bytes[5000];
	mts_server *server = server_of_lines(write_until_lost, NULL, &endings);
	server_start(server);
	for (int round = 1; round <= 20; round++) {
		const int peer = peer_connect(server, 0);
		peer_puts(peer, "go\n");
		gate_wait(&entered, round);
		if (round % 4 != 0) {
			ck_assert_int_gt(recv(peer, bytes, sizeof(bytes), MSG_WAITALL), 0);
		}
		if (round % 2 == 0) {
			peer_reset(peer);
		} else {
			close(peer); /* with input unread, so that is a reset as well */
		}
		endings_expect(&endings, MTS_CLOSED_BY_PEER, round);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CLOSED), 20);
	server_end(server);
}
END_TEST

START_TEST(a_peer_that_has_finished_gets_its_replies)
{
	mts_server *server = narrow_server(write_pattern, NULL, 64 * KIB);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "300000 3000\n5 1\n400000 400000\n20 20");
	peer_finish(peer);
	peer_expect_pattern(peer, 300000, 0);
	peer_expect_pattern(peer, 5, 0);
	peer_expect_pattern(peer, 400000, 0);
	peer_expect_pattern(peer, 20, 0);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(peer);
	server_end(server);
}
END_TEST

/* "reply" is answered, "flush" at once; "bad" is written, and refused with what `user` names. */
static int refuse_bad(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	ck_assert_int_eq(mts_client_printf(client, "%s.", (const char *)request), 0);
	if (strcmp(request, "flush") == 0) {
		ck_assert_int_eq(mts_client_flush(client), 0);
	}
	if (strcmp(request, "sent, then bad") == 0) {
		ck_assert_int_eq(mts_client_flush(client), 0);
		ck_assert_int_eq(mts_client_puts(client, "never seen"), 0);
	}
	return strstr(request, "bad") == NULL ? MTS_KEEP : *(const int *)user;
}

static void check_refusal(int verdict, const char *lines, const char *replies)
{
	mts_server *server = server_of_lines(refuse_bad, &verdict, &endings);
	stage_setup();
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, lines);
	peer_expect_text(peer, replies);
	ck_assert_uint_eq(peer_expect_torn(peer), 0);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BYTES_OUT), strlen(replies));
	close(peer);
	server_end(server);
}

START_TEST(an_error_drops_only_what_its_handler_wrote)
{
	check_refusal(-EIO, "bad\n", "");
	check_refusal(-EIO, "reply\nreply\nbad\n", "reply.reply.");
	check_refusal(-EPERM, "flush\nreply\nbad\n", "flush.reply.");
	check_refusal(-1, "reply\nsent, then bad\n", "reply.sent, then bad.");
	check_refusal(2, "reply\nbad\n", "reply.");
	check_refusal(1000, "bad\n", "");
}
END_TEST

static int never_mind(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return -ECONNREFUSED;
}

START_TEST(an_error_does_not_wait_for_the_peer_to_finish)
{
	mts_server *server = server_of_lines(never_mind, NULL, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nand much more, without end");
	peer_expect_gone(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 0);
	close(peer);
	server_end(server);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_test(tcase, ten_megabytes_to_a_slow_reader);
	tcase_add_test(tcase, past_the_limit_a_write_waits_for_the_peer);
	tcase_add_test(tcase, one_write_larger_than_the_limit_waits_too);
	tcase_add_test(tcase, below_the_limit_the_rest_follows_by_itself);
	tcase_add_test(tcase, the_limit_is_live);
	tcase_add_test(tcase, a_peer_that_is_gone_ends_the_write);
	tcase_add_test(tcase, a_peer_that_has_finished_gets_its_replies);
	tcase_add_test(tcase, an_error_drops_only_what_its_handler_wrote);
	tcase_add_test(tcase, an_error_does_not_wait_for_the_peer_to_finish);
}

int main(void)
{
	TCase *tcase = suite_begin("output");
	add_tests(tcase);
	return suite_run();
}
