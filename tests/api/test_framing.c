/* SPDX-License-Identifier: MIT
 *
 * The same stream gives the same requests, however the network cuts it.
 *
 * The handler answers each request with its size and its bytes, so that what the peer receives is
 * a record of what the server took for requests. A stream is sent whole, cut in two at every byte,
 * and byte by byte; each part is sent only when the server has received the one before, so the cuts
 * are real.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framed.h"

enum { LIMIT = 8, MOST_REPLY = 512 };

static struct endings endings;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
}

static int delimited(mts_server *server)
{
	return mts_server_frame_delimited(server, "aab", 3);
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

/* What is sent; what must be taken for requests, each as "size:bytes"; how it must end. */
struct stream {
	int (*choose)(mts_server *server);
	const char *bytes;
	size_t size;
	const char *requests;
	int reason;
};

/* The largest request is LIMIT bytes in all of these. */
static const struct stream streams[] = {
	{mts_server_frame_lines, BYTES("one\n\ntwo\r\n\r\n\r\r\nfour"), "3:one0:3:two0:1:\r4:four",
		MTS_CLOSED_BY_PEER},
	{mts_server_frame_lines, BYTES("a\rb\n\r\nc\r"), "3:a\rb0:2:c\r", MTS_CLOSED_BY_PEER},
	{mts_server_frame_lines, BYTES("12345678\r\n12345678\n12345678"),
		"8:123456788:123456788:12345678", MTS_CLOSED_BY_PEER},
	{mts_server_frame_lines, BYTES("ok\n123456789\nno\n"), "2:ok", MTS_CLOSED_TOO_LARGE},
	{mts_server_frame_lines, BYTES("ok\n12345678\rx"), "2:ok", MTS_CLOSED_TOO_LARGE},
	{mts_server_frame_lines, BYTES("ok\n123456789"), "2:ok", MTS_CLOSED_TOO_LARGE},
	{delimited, BYTES("xaabaabaaaabaaaab"), "1:x0:2:aa2:aa", MTS_CLOSED_BY_PEER},
	{delimited, BYTES("12345678aab1234aaa5aab"), "8:123456788:1234aaa5", MTS_CLOSED_BY_PEER},
	{delimited, BYTES("xaab123456789aab"), "1:x", MTS_CLOSED_TOO_LARGE},
	{delimited, BYTES("xaabyaa"), "1:x", MTS_CLOSED_PROTOCOL},
	{framed_fixed, BYTES("abcdefghijkl"), "4:abcd4:efgh4:ijkl", MTS_CLOSED_BY_PEER},
	{framed_fixed, BYTES("abcdefg"), "4:abcd", MTS_CLOSED_PROTOCOL},
	{prefixed_1,
		BYTES("\1a\0\10"
			  "12345678\2yz"),
		"1:a0:8:123456782:yz", MTS_CLOSED_BY_PEER},
	{prefixed_1,
		BYTES("\1a\11"
			  "123456789"),
		"1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_1, BYTES("\1a\377"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_1, BYTES("\1a\2b"), "1:a", MTS_CLOSED_PROTOCOL},
	{prefixed_2_big,
		BYTES("\0\1a\0\0\0\10"
			  "12345678"),
		"1:a0:8:12345678", MTS_CLOSED_BY_PEER},
	{prefixed_2_big, BYTES("\0\1a\1\0x"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_2_big, BYTES("\0\1a\0"), "1:a", MTS_CLOSED_PROTOCOL},
	{prefixed_2_little,
		BYTES("\1\0a\0\0\10\0"
			  "12345678"),
		"1:a0:8:12345678", MTS_CLOSED_BY_PEER},
	{prefixed_2_little, BYTES("\1\0a\377\377"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_4_big, BYTES("\0\0\0\1a\0\0\0\0\0\0\0\2bc"), "1:a0:2:bc", MTS_CLOSED_BY_PEER},
	{prefixed_4_big, BYTES("\0\0\0\1a\200\0\0\0zz"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_4_big, BYTES("\0\0\0\1a\377\377\377\377"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_4_big, BYTES("\0\0\0\1a\0\0\0\11"), "1:a", MTS_CLOSED_TOO_LARGE},
	{framed_prefixed, BYTES("\1\0\0\0a\0\0\0\0\2\0\0\0bc"), "1:a0:2:bc", MTS_CLOSED_BY_PEER},
	{framed_prefixed, BYTES("\1\0\0\0a\0\0\0\200"), "1:a", MTS_CLOSED_TOO_LARGE},
	{prefixed_8_big,
		BYTES("\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\10"
			  "12345678"),
		"1:a8:12345678", MTS_CLOSED_BY_PEER},
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

/* One client that sends the stream in pieces: up to `first`, then `step` bytes each. */
static void play(mts_server *server, const struct stream *stream, size_t first, size_t step)
{
	char reply[MOST_REPLY];
	const size_t reply_size = expected_reply(stream->requests, reply);
	const uint64_t before = mts_server_stat(server, MTS_STAT_BYTES_IN);
	const int peer = peer_connect(server, 0);
	const int ended = gate_count(&endings.all);
	size_t end = first;
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
	mts_server *server = framed_server(stream->choose, &endings);
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
	mts_server *server = server_new(framed_record, NULL);
	ck_assert_int_eq(mts_server_frame_custom(server, count_shown, &shown), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		peer_send(peer, text + i, 1);
		server_wait_stat(server, MTS_STAT_BYTES_IN, i + 1);
	}
	peer_expect(peer, "\6\0\0\0first|\7\0\0\0second|\6\0\0\0third|", 31);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("framing");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, cuts_do_not_matter, 0, STREAMS);
	tcase_add_test(tcase, a_framer_is_told_what_it_has_seen);
	return suite_run();
}
