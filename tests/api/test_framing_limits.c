/* SPDX-License-Identifier: MIT
 *
 * How large requests may be, and what they cost: limits to the byte, memory that is given back,
 * buffers that are used at every offset.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framed.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

static struct endings endings;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
}

/* Requests of exactly the limit and one byte more, with the default limit or one that was set. */
static void check_limit(mts_server *server, size_t limit)
{
	char *bytes = malloc(limit + 2);
	const uint32_t length = (uint32_t)limit;
	ck_assert_ptr_nonnull(bytes);
	pattern_fill(bytes, limit + 1, 0);
	for (size_t i = 0; i <= limit; i++) {
		bytes[i] = bytes[i] == '\n' ? ' ' : bytes[i];
	}
	bytes[limit] = '\n';
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_send(peer, bytes, limit + 1);
	peer_expect(peer, &length, sizeof(length));
	peer_expect(peer, bytes, limit);
	bytes[limit] = 'x';
	bytes[limit + 1] = '\n';
	peer_send(peer, bytes, limit + 2);
	peer_expect_gone(peer);
	endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
	free(bytes);
	close(peer);
	server_end(server);
}

START_TEST(the_limit_is_64_kib_by_default)
{
	check_limit(framed_server(mts_server_frame_lines, &endings), 64 * KIB);
}
END_TEST

START_TEST(a_limit_set_wins_in_any_order)
{
	mts_server *server = framed_server(mts_server_frame_lines, &endings);
	ck_assert_int_eq(mts_server_set_max_request(server, 100000), 0);
	check_limit(server, 100000);
	setup();
	server = server_new(framed_record, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 1000), 0);
	ck_assert_int_eq(mts_server_frame_fixed(server, 77), 0);
	ck_assert_int_eq(mts_server_frame_lines(server), 0); /* the last choice counts */
	check_limit(server, 1000);
}
END_TEST

START_TEST(fixed_requests_above_the_limit_cannot_start)
{
	mts_server *server = framed_server(framed_fixed, &endings);
	ck_assert_int_eq(mts_server_set_max_request(server, 3), 0);
	ck_assert_int_eq(mts_server_start(server), -EINVAL);
	ck_assert_str_ne(mts_server_error(server), "");
	ck_assert_int_eq(mts_server_run(server), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_request(server, 4), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "four");
	peer_expect(peer, "\4\0\0\0four", 8);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(fixed_requests_may_be_as_large_as_they_say)
{
	enum { SIZE = 300000 };
	const uint32_t length = SIZE;
	char *bytes = malloc(SIZE);
	mts_server *server = server_new(framed_record, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, SIZE), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	pattern_fill(bytes, SIZE, 0);
	peer_send(peer, bytes, SIZE);
	peer_expect(peer, &length, sizeof(length));
	peer_expect_pattern(peer, SIZE, 0);
	free(bytes);
	close(peer);
	server_end(server);
}
END_TEST

/* What the C library has handed out. Sanitizers have an allocator of their own, which shows 0. */
static size_t in_use(void)
{
	const struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static void send_large(int peer, char *bytes, size_t size)
{
	const uint32_t length = (uint32_t)size;
	peer_send(peer, &length, sizeof(length));
	pattern_fill(bytes, size, 0);
	peer_send(peer, bytes, size);
	peer_expect(peer, &length, sizeof(length));
	peer_expect_pattern(peer, size, 0);
}

START_TEST(large_requests_give_their_memory_back)
{
	char *bytes = malloc(2 * MIB);
	mts_server *server = framed_server(framed_prefixed, &endings);
	ck_assert_int_eq(mts_server_set_max_request(server, 2 * MIB), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	send_large(peer, bytes, 10);
	const size_t before = in_use();
	for (int i = 0; i < 5; i++) {
		send_large(peer, bytes, 1 * MIB);
		send_large(peer, bytes, 2 * MIB);
	}
	send_large(peer, bytes, 20);
	ck_assert_uint_lt(in_use(), before + 64 * KIB); /* the client is still there, and idle */
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	free(bytes);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(a_length_alone_costs_no_memory)
{
	const uint32_t length = 1024 * MIB;
	mts_server *server = framed_server(framed_prefixed, &endings);
	ck_assert_int_eq(mts_server_set_max_request(server, length), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_send(peer, "\1\0\0\0x", 5);
	peer_expect(peer, "\1\0\0\0x", 5);
	const size_t before = in_use();
	peer_send(peer, &length, sizeof(length));
	peer_send(peer, "begun", 5);
	server_wait_stat(server, MTS_STAT_BYTES_IN, 14);
	ck_assert_uint_lt(in_use(), before + 64 * KIB);
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_PROTOCOL, 1);
	close(peer);
	server_end(server);
}
END_TEST

/* Pipelined requests at all offsets of the receive buffer, some larger than it. */
START_TEST(long_streams_of_requests)
{
	enum { COUNT = 3000, MOST = 40000 };
	char *bytes = malloc(MOST);
	mts_server *server = framed_server(framed_prefixed, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	pattern_fill(bytes, MOST, 0);
	for (uint32_t i = 0; i < COUNT; i += 20) {
		for (uint32_t j = i; j < i + 20; j++) {
			const uint32_t length = j % 97 == 0 ? 17000 + j : j % 401;
			peer_send(peer, &length, sizeof(length));
			peer_send(peer, bytes, length);
		}
		for (uint32_t j = i; j < i + 20; j++) {
			const uint32_t length = j % 97 == 0 ? 17000 + j : j % 401;
			peer_expect(peer, &length, sizeof(length));
			peer_expect_pattern(peer, length, 0);
		}
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), COUNT);
	free(bytes);
	close(peer);
	server_end(server);
}
END_TEST

static size_t largest_raw;

static int count_raw(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	ck_assert_uint_ge(size, 1);
	ck_assert_int_eq(((const char *)request)[size], '\0');
	largest_raw = size > largest_raw ? size : largest_raw;
	return mts_client_write(client, request, size) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static void check_raw(size_t set, size_t limit)
{
	enum { SIZE = 50000 };
	char bytes[SIZE];
	mts_server *server = server_new(count_raw, NULL);
	ck_assert_int_eq(mts_server_frame_raw(server), 0);
	ck_assert(set == 0 || mts_server_set_max_request(server, set) == 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	pattern_fill(bytes, SIZE, 0);
	largest_raw = 0;
	peer_send(peer, bytes, SIZE);
	peer_expect_pattern(peer, SIZE, 0);
	close(peer);
	server_end(server);
	ck_assert_uint_le(largest_raw, limit);
}

START_TEST(raw_requests_keep_within_the_limit)
{
	check_raw(0, 1024);
	check_raw(1, 1);
	check_raw(100, 100);
	check_raw(20000, 20000);
	check_raw(5 * MIB, 5 * MIB);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("framing limits");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, the_limit_is_64_kib_by_default);
	tcase_add_test(tcase, a_limit_set_wins_in_any_order);
	tcase_add_test(tcase, fixed_requests_above_the_limit_cannot_start);
	tcase_add_test(tcase, fixed_requests_may_be_as_large_as_they_say);
	tcase_add_test(tcase, large_requests_give_their_memory_back);
	tcase_add_test(tcase, a_length_alone_costs_no_memory);
	tcase_add_test(tcase, long_streams_of_requests);
	tcase_add_test(tcase, raw_requests_keep_within_the_limit);
	return suite_run();
}
