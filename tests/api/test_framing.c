/* SPDX-License-Identifier: MIT
 *
 * The same stream gives the same requests, however the network cuts it.
 *
 * The handler answers each request with its size and its bytes, so that what the peer receives is a
 * record of what the server took for requests. A stream is sent whole, cut in two at every byte, and
 * byte by byte; each part is sent only when the server has received the one before, so the cuts are real.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { LIMIT = 8, MOST_REPLY = 512, KIB = 1024, MIB = 1024 * 1024 };

static struct endings endings;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
}

static int record(mts_client *client, const void *request, size_t size, void *user)
{
	const uint32_t length = (uint32_t)size;
	(void)user;
	ck_assert_ptr_nonnull(request);
	ck_assert_int_eq(((const char *)request)[size], '\0');
	ck_assert_int_eq(mts_client_write(client, &length, sizeof(length)), 0);
	ck_assert_int_eq(mts_client_write(client, request, size), 0);
	return MTS_KEEP;
}

static mts_server *framed_server(int (*choose)(mts_server *))
{
	mts_server *server = server_new(record, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(choose(server), 0);
	return server;
}

static int delimited(mts_server *server)
{
	return mts_server_frame_delimited(server, "aab", 3);
}

static int fixed(mts_server *server)
{
	return mts_server_frame_fixed(server, 4);
}

static int prefixed_1(mts_server *server)
{
	return mts_server_frame_prefixed(server, 1, MTS_BIG_ENDIAN);
}

static int prefixed_2_big(mts_server *server)
{
	return mts_server_frame_prefixed(server, 2, MTS_BIG_ENDIAN);
}

static int prefixed_2_little(mts_server *server)
{
	return mts_server_frame_prefixed(server, 2, MTS_LITTLE_ENDIAN);
}

static int prefixed_4_big(mts_server *server)
{
	return mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN);
}

static int prefixed_4_little(mts_server *server)
{
	return mts_server_frame_prefixed(server, 4, MTS_LITTLE_ENDIAN);
}

static int prefixed_8_big(mts_server *server)
{
	return mts_server_frame_prefixed(server, 8, MTS_BIG_ENDIAN);
}

static int prefixed_8_little(mts_server *server)
{
	return mts_server_frame_prefixed(server, 8, MTS_LITTLE_ENDIAN);
}

/* A request ends with a bar; a dollar sign is an error, a hash promises more than there is. */
static ssize_t find_bar(const void *data, size_t size, size_t scanned, void *user)
{
	const char *bytes = data;
	(void)user;
	ck_assert_uint_ge(size, 1);
	ck_assert_uint_le(scanned, size);
	for (size_t i = scanned; i < size; i++) {
		switch (bytes[i]) {
		case '|':
			return (ssize_t)i + 1;
		case '$':
			return -EBADMSG;
		case '#':
			return (ssize_t)size + 1;
		default:
			break;
		}
	}
	return 0;
}

static int custom(mts_server *server)
{
	return mts_server_frame_custom(server, find_bar, NULL);
}

/* A literal without its NUL, and its size. */
#define BYTES(literal) literal, sizeof(literal) - 1

/* What is sent; what must be taken for requests: each in the text as "size:bytes"; how it must end. */
struct stream {
	int (*choose)(mts_server *server);
	const char *bytes;
	size_t size;
	const char *requests;
	int reason;
};

/* The largest request is LIMIT bytes in all of these; requests before the end are answered always. */
static const struct stream streams[] = {
	{mts_server_frame_lines, BYTES("one\n\ntwo\r\n\r\n\r\r\nfour"), "3:one0:3:two0:1:\r4:four",
		MTS_CLOSED_BY_PEER},
	{mts_server_frame_lines, BYTES("a\rb\n\r\nc\r"), "3:a\rb0:2:c\r", MTS_CLOSED_BY_PEER},
	{mts_server_frame_lines, BYTES("12345678\r\n12345678\n12345678"), "8:123456788:123456788:12345678",
		MTS_CLOSED_BY_PEER},
	{mts_server_frame_lines, BYTES("ok\n123456789\nno\n"), "2:ok", MTS_CLOSED_TOO_LARGE},
	{mts_server_frame_lines, BYTES("ok\n12345678\rx"), "2:ok", MTS_CLOSED_TOO_LARGE},
	{mts_server_frame_lines, BYTES("ok\n123456789"), "2:ok", MTS_CLOSED_TOO_LARGE},
	{delimited, BYTES("xaabaabaaaabaaaab"), "1:x0:2:aa2:aa", MTS_CLOSED_BY_PEER},
	{delimited, BYTES("12345678aab1234aaa5aab"), "8:123456788:1234aaa5", MTS_CLOSED_BY_PEER},
	{delimited, BYTES("xaab123456789aab"), "1:x", MTS_CLOSED_TOO_LARGE},
	{delimited, BYTES("xaabyaa"), "1:x", MTS_CLOSED_PROTOCOL},
	{fixed, BYTES("abcdefghijkl"), "4:abcd4:efgh4:ijkl", MTS_CLOSED_BY_PEER},
	{fixed, BYTES("abcdefg"), "4:abcd", MTS_CLOSED_PROTOCOL},
	{prefixed_1, BYTES("\1a\0\10" "12345678\2yz"), "1:a0:8:123456782:yz", MTS_CLOSED_BY_PEER},
	{prefixed_1, BYTES("\1a\11" "123456789"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_1, BYTES("\1a\377"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_1, BYTES("\1a\2b"), "1:a", MTS_CLOSED_PROTOCOL},
	{prefixed_2_big, BYTES("\0\1a\0\0\0\10" "12345678"), "1:a0:8:12345678", MTS_CLOSED_BY_PEER},
	{prefixed_2_big, BYTES("\0\1a\1\0x"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_2_big, BYTES("\0\1a\0"), "1:a", MTS_CLOSED_PROTOCOL},
	{prefixed_2_little, BYTES("\1\0a\0\0\10\0" "12345678"), "1:a0:8:12345678", MTS_CLOSED_BY_PEER},
	{prefixed_2_little, BYTES("\1\0a\377\377"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_4_big, BYTES("\0\0\0\1a\0\0\0\0\0\0\0\2bc"), "1:a0:2:bc", MTS_CLOSED_BY_PEER},
	{prefixed_4_big, BYTES("\0\0\0\1a\200\0\0\0zz"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_4_big, BYTES("\0\0\0\1a\377\377\377\377"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_4_big, BYTES("\0\0\0\1a\0\0\0\11"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_4_little, BYTES("\1\0\0\0a\0\0\0\0\2\0\0\0bc"), "1:a0:2:bc", MTS_CLOSED_BY_PEER},
	{prefixed_4_little, BYTES("\1\0\0\0a\0\0\0\200"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_8_big, BYTES("\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\10" "12345678"), "1:a8:12345678",
		MTS_CLOSED_BY_PEER},
	{prefixed_8_big, BYTES("\0\0\0\0\0\0\0\1a\0\0\0\1\0\0\0\1b"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_8_big, BYTES("\0\0\0\0\0\0\0\1a\200\0\0\0\0\0\0\0"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_8_big, BYTES("\0\0\0\0\0\0\0\1a\377\377\377\377\377\377\377\377"), "1:a",
		MTS_CLOSED_TOO_LARGE},
	{prefixed_8_little, BYTES("\1\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0b"), "1:a0:1:b",
		MTS_CLOSED_BY_PEER},
	{prefixed_8_little, BYTES("\1\0\0\0\0\0\0\0a\370\377\377\377\377\377\377\377"), "1:a",
		MTS_CLOSED_TOO_LARGE},
	{custom, BYTES("a|||1234567|x|"), "2:a|1:|1:|8:1234567|2:x|", MTS_CLOSED_BY_PEER},
	{custom, BYTES("a|12345678|"), "2:a|", MTS_CLOSED_TOO_LARGE},
	{custom, BYTES("a|b"), "2:a|", MTS_CLOSED_PROTOCOL},
	{custom, BYTES("a|b$c|"), "2:a|", MTS_CLOSED_PROTOCOL},
	{custom, BYTES("a|12#"), "2:a|", MTS_CLOSED_PROTOCOL},
	{custom, BYTES("a|1234567#89"), "2:a|", MTS_CLOSED_PROTOCOL},
};

enum { STREAMS = sizeof(streams) / sizeof(streams[0]) };

/* From the table's text to what record() writes. */
static size_t expected_reply(const char *requests, char *reply)
{
	size_t size = 0;
	while (*requests != '\0') {
		char *body;
		const uint32_t length = (uint32_t)strtoul(requests, &body, 10);
		ck_assert_int_eq(*body, ':');
		ck_assert_uint_lt(size + sizeof(length) + length, MOST_REPLY);
		memcpy(reply + size, &length, sizeof(length));
		memcpy(reply + size + sizeof(length), body + 1, length);
		size += sizeof(length) + length;
		requests = body + 1 + length;
	}
	return size;
}

/* Small pieces are sent at once. */
static void hurry(int peer)
{
	const int on = 1;
	ck_assert_int_eq(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

/* One client that sends the stream in pieces: up to `first`, then `step` bytes each. */
static void play(mts_server *server, const struct stream *stream, size_t first, size_t step)
{
	char reply[MOST_REPLY];
	const size_t reply_size = expected_reply(stream->requests, reply);
	const uint64_t before = mts_server_stat(server, MTS_STAT_BYTES_IN);
	const int peer = peer_connect(server, 0);
	const int ended = gate_count(&endings.all);
	size_t end = first;
	hurry(peer);
	for (size_t at = 0; at < stream->size; at = end, end += step) {
		end = end < stream->size ? end : stream->size;
		if (send(peer, stream->bytes + at, end - at, MSG_NOSIGNAL) < 0) {
			break; /* it was too large already, and the server has closed */
		}
		while (mts_server_stat(server, MTS_STAT_BYTES_IN) < before + end
			&& gate_count(&endings.all) == ended) {
		}
	}
	(void)shutdown(peer, SHUT_WR); /* may fail after a reset */
	peer_expect(peer, reply, reply_size);
	peer_expect_gone(peer);
	gate_wait(&endings.all, ended + 1);
	close(peer);
}

START_TEST(cuts_do_not_matter)
{
	const struct stream *stream = &streams[_i];
	mts_server *server = framed_server(stream->choose);
	ck_assert_int_eq(mts_server_set_max_request(server, LIMIT), 0);
	server_start(server);
	for (size_t cut = 1; cut <= stream->size; cut++) {
		play(server, stream, cut, stream->size);
	}
	play(server, stream, 1, 1);
	play(server, stream, 2, 3);
	endings_expect(&endings, stream->reason, (int)stream->size + 2);
	server_end(server);
}
END_TEST

/* Looks for a bar, and notes what it is shown; there is one client only. */
static size_t shown;

static ssize_t count_shown(const void *data, size_t size, size_t scanned, void *user)
{
	ck_assert_uint_eq(scanned, shown);
	ck_assert_ptr_eq(user, &shown);
	const char *bar = memchr((const char *)data + scanned, '|', size - scanned);
	shown = bar == NULL ? size : 0;
	return bar == NULL ? 0 : bar - (const char *)data + 1;
}

START_TEST(a_framer_is_told_what_it_has_seen)
{
	static const char text[] = "first|second|third|";
	mts_server *server = server_new(record, NULL);
	ck_assert_int_eq(mts_server_frame_custom(server, count_shown, &shown), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	hurry(peer);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		peer_send(peer, text + i, 1);
		server_wait_stat(server, MTS_STAT_BYTES_IN, i + 1);
	}
	peer_expect(peer, "\6\0\0\0first|\7\0\0\0second|\6\0\0\0third|", 31);
	close(peer);
	server_end(server);
}
END_TEST

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
	check_limit(framed_server(mts_server_frame_lines), 64 * KIB);
}
END_TEST

START_TEST(a_limit_set_wins_in_any_order)
{
	mts_server *server = framed_server(mts_server_frame_lines);
	ck_assert_int_eq(mts_server_set_max_request(server, 100000), 0);
	check_limit(server, 100000);
	setup();
	server = server_new(record, NULL);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 1000), 0);
	ck_assert_int_eq(mts_server_frame_fixed(server, 77), 0);
	ck_assert_int_eq(mts_server_frame_lines(server), 0); /* the last choice counts */
	check_limit(server, 1000);
}
END_TEST

START_TEST(fixed_requests_above_the_limit_cannot_start)
{
	mts_server *server = framed_server(fixed);
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
	mts_server *server = server_new(record, NULL);
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
	mts_server *server = framed_server(prefixed_4_little);
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
	mts_server *server = framed_server(prefixed_4_little);
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
	mts_server *server = framed_server(prefixed_4_little);
	server_start(server);
	const int peer = peer_connect(server, 0);
	hurry(peer);
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
	Suite *suite = suite_create("framing");
	TCase *tcase = tcase_create("framing");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, cuts_do_not_matter, 0, STREAMS);
	tcase_add_test(tcase, a_framer_is_told_what_it_has_seen);
	tcase_add_test(tcase, the_limit_is_64_kib_by_default);
	tcase_add_test(tcase, a_limit_set_wins_in_any_order);
	tcase_add_test(tcase, fixed_requests_above_the_limit_cannot_start);
	tcase_add_test(tcase, fixed_requests_may_be_as_large_as_they_say);
	tcase_add_test(tcase, large_requests_give_their_memory_back);
	tcase_add_test(tcase, a_length_alone_costs_no_memory);
	tcase_add_test(tcase, long_streams_of_requests);
	tcase_add_test(tcase, raw_requests_keep_within_the_limit);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
