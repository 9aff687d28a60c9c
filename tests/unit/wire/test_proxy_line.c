/*
 * Version 1 of the PROXY protocol.
 *
 * Tables say what a line announces, and with which of its bytes another is refused. Then each byte of
 * good lines is replaced by others: what has become of it must be refused at once if, and only if, no
 * line begins like that, which a second reading of headers (tests/unit/plain_proxy.h) is asked about.
 * The first byte, with which version 2 may begin as well, is tried in test_proxy.c.
 */
#include "../plain_proxy.h"

#include "../../api/support.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 107 };

#define GROUPS "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
#define MIXED "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"

static const struct {
	const char *line;
	int family;
	const char *peer; /* "" when the connection's own holds */
} announced[] = {
	{"PROXY TCP4 192.0.2.1 198.51.100.2 49152 443\r\n", AF_INET, "192.0.2.1:49152"},
	{"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", AF_INET, "0.0.0.0:0"},
	{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", AF_INET,
		"255.255.255.255:65535"},
	{"PROXY TCP4 10.99.100.249 1.2.3.4 9 10000\r\n", AF_INET, "10.99.100.249:9"},
	{"PROXY TCP6 2001:db8::1 2001:DB8::2 49152 443\r\n", AF_INET6, "[2001:db8::1]:49152"},
	{"PROXY TCP6 " GROUPS " " GROUPS " 65535 65535\r\n", AF_INET6, "[" GROUPS "]:65535"},
	{"PROXY TCP6 " GROUPS " " MIXED " 65535 65\r\n", AF_INET6, "[" GROUPS "]:65535"},
	{"PROXY TCP6 :: ::1 0 1\r\n", AF_INET6, "[::]:0"},
	{"PROXY TCP6 ::1 :: 1 0\r\n", AF_INET6, "[::1]:1"},
	{"PROXY TCP6 1:2:3:4:5:6:7:8 :: 1 0\r\n", AF_INET6, "[1:2:3:4:5:6:7:8]:1"},
	{"PROXY TCP6 1:2:3:4:5:6:7:: :: 1 0\r\n", AF_INET6, "[1:2:3:4:5:6:7:0]:1"},
	{"PROXY TCP6 ::2:3:4:5:6:7:8 :: 1 0\r\n", AF_INET6, "[0:2:3:4:5:6:7:8]:1"},
	{"PROXY TCP6 1:2:3::5:6:7:8 :: 1 0\r\n", AF_INET6, "[1:2:3:0:5:6:7:8]:1"},
	{"PROXY TCP6 1:: :: 1 0\r\n", AF_INET6, "[1::]:1"},
	{"PROXY TCP6 0001:00:0:000::aB:0Cd :: 1 0\r\n", AF_INET6, "[1::ab:cd]:1"},
	{"PROXY TCP6 fe80::1 fe80::2 5 0\r\n", AF_INET6, "[fe80::1]:5"},
	{"PROXY TCP6 1:2:3:4:5:6:7.8.9.10 :: 1 0\r\n", AF_INET6, "[1:2:3:4:5:6:708:90a]:1"},
	{"PROXY TCP6 ::1:2:3:4:5:1.2.3.4 :: 1 0\r\n", AF_INET6, "[0:1:2:3:4:5:102:304]:1"},
	{"PROXY TCP6 ::1.2.3.4 :: 1 0\r\n", AF_INET6, "[::1.2.3.4]:1"},
	{"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:0:0 80 1\r\n", AF_INET6, "192.0.2.1:80"},
	{"PROXY UNKNOWN\r\n", AF_UNSPEC, ""},
	{"PROXY UNKNOWN \r\n", AF_UNSPEC, ""},
	{"PROXY UNKNOWN \r\r\n", AF_UNSPEC, ""},
	{"PROXY UNKNOWN " GROUPS " " GROUPS " 65535 65535\r\n", AF_UNSPEC, ""},
	{"PROXY UNKNOWN PROXY \r TCP4 \n\t\xff\r\n", AF_UNSPEC, ""},
};

/* In a block that is larger, and in one that has no byte more. */
static int parse(const char *bytes, size_t size, struct mtsi_proxy *header)
{
	struct mtsi_proxy exact = {.size = 0};
	const int result = exact_proxy(bytes, size, &exact);

	ck_assert_int_eq(mtsi_proxy_parse(bytes, size, header), result);
	ck_assert(result != 1 || same_proxy(header, &exact));
	return result;
}

START_TEST(what_a_line_announces)
{
	for (size_t i = 0; i < sizeof(announced) / sizeof(*announced); i++) {
		const char *line = announced[i].line;
		struct mtsi_proxy header;
		char peer[MTSI_ADDRESS_TEXT];

		ck_assert_msg(parse(line, strlen(line), &header) == 1, "%s", line);
		ck_assert_uint_eq(header.size, strlen(line));
		ck_assert_int_eq(header.real, announced[i].family == AF_UNSPEC);
		ck_assert_int_eq(header.peer.family, announced[i].family);
		ck_assert_int_eq(header.local, false);
		ck_assert_uint_eq(header.tlvs_size, 0);
		ck_assert_uint_eq(header.peer.scope, 0);
		mtsi_peer_format(&header.peer, peer, sizeof(peer));
		ck_assert_str_eq(peer, announced[i].peer);
	}
}
END_TEST

/* Each line is whole with its last byte, not before, and whatever follows. */
START_TEST(a_line_cut_anywhere)
{
	for (size_t i = 0; i < sizeof(announced) / sizeof(*announced); i++) {
		const char *line = announced[i].line;
		const size_t size = strlen(line);
		struct mtsi_proxy whole;
		struct mtsi_proxy header;
		char longer[2 * LONGEST];

		for (size_t cut = 0; cut < size; cut++) {
			ck_assert_msg(parse(line, cut, &header) == 0, "%s: %zu", line, cut);
		}
		ck_assert_int_eq(parse(line, size, &whole), 1);
		for (int byte = 0; byte < 256; byte++) {
			memcpy(longer, line, size);
			memset(longer + size, byte, LONGEST);
			ck_assert_int_eq(parse(longer, size + (size_t)byte % LONGEST, &header), 1);
			ck_assert(same_proxy(&header, &whole));
		}
	}
}
END_TEST

/* With the bytes before `at` it may become a line, with `at` bytes no more. */
static const struct {
	const char *text;
	size_t at;
} refused[] = {
	{"GET / HTTP/1.1", 1},
	{"proxy", 1},
	{" PROXY", 1},
	{"POST", 2},
	{"PROXX", 5},
	{"PROXY\t", 6},
	{"PROXY\r\n", 6},
	{"PROXY  ", 7},
	{"PROXY tcp4", 7},
	{"PROXY UDP4", 8},
	{"PROXY TCP5", 10},
	{"PROXY TCP ", 10},
	{"PROXY TCP46", 11},
	{"PROXY TCP4\r", 11},
	{"PROXY TCP4  ", 12},
	{"PROXY UNKNOWn", 13},
	{"PROXY UNKNOWNS", 14},
	{"PROXY UNKNOWN\n", 14},
	{"PROXY UNKNOWN\r\r", 15},
	{"PROXY UNKNOWN\r ", 15},
	/* IPv4 addresses */
	{"PROXY TCP4 .", 12},
	{"PROXY TCP4 +", 12},
	{"PROXY TCP4 -", 12},
	{"PROXY TCP4 :", 12},
	{"PROXY TCP4 00", 13},
	{"PROXY TCP4 01", 13},
	{"PROXY TCP4 0x", 13},
	{"PROXY TCP4 1 ", 13},
	{"PROXY TCP4 1:", 13},
	{"PROXY TCP4 256", 14},
	{"PROXY TCP4 260", 14},
	{"PROXY TCP4 300", 14},
	{"PROXY TCP4 1000", 15},
	{"PROXY TCP4 1..", 14},
	{"PROXY TCP4 1.2.3 ", 17},
	{"PROXY TCP4 1.2.3.4.", 19},
	{"PROXY TCP4 1.2.3.4\t", 19},
	{"PROXY TCP4 1.2.3.4\r", 19},
	{"PROXY TCP4 1.2.3.4  ", 20},
	{"PROXY TCP4 1.2.3.4 ::", 20},
	{"PROXY TCP4 1.2.3.4 5.6.7.256", 28},
	/* ports */
	{"PROXY TCP4 1.2.3.4 5.6.7.8\r", 27},
	{"PROXY TCP4 1.2.3.4 5.6.7.8  ", 28},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 +1", 28},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 -1", 28},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 a", 28},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 \r", 28},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 00", 29},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 080", 29},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 1f", 29},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80\r", 30},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80  ", 31},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 65536", 32},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 65540", 32},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 99999", 32},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 100000", 33},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80 \r", 31},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80 00", 32},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80 65536", 35},
	/* the end */
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80 443 ", 34},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80 443\n", 34},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80 443\r\r", 35},
	{"PROXY TCP4 1.2.3.4 5.6.7.8 80 443\rG", 35},
	/* IPv6 addresses */
	{"PROXY TCP6 \r", 12},
	{"PROXY TCP6 .", 12},
	{"PROXY TCP6 [", 12},
	{"PROXY TCP6 g", 12},
	{"PROXY TCP6 G", 12},
	{"PROXY TCP6 :1", 13},
	{"PROXY TCP6 : ", 13},
	{"PROXY TCP6 1 ", 13},
	{"PROXY TCP6 1.", 13},
	{"PROXY TCP6 :::", 14},
	{"PROXY TCP6 ::.", 14},
	{"PROXY TCP6 1: ", 14},
	{"PROXY TCP6 1:.", 14},
	{"PROXY TCP6 12345", 16},
	{"PROXY TCP6 00000", 16},
	{"PROXY TCP6 1:::", 15},
	{"PROXY TCP6 ::1%", 15},
	{"PROXY TCP6 ::1\r", 15},
	{"PROXY TCP6 ::1 \r", 16},
	{"PROXY TCP6 ::1: ", 16},
	{"PROXY TCP6 ::1::", 16},
	{"PROXY TCP6 1::2::", 17},
	{"PROXY TCP6 ::12345", 18},
	{"PROXY TCP6 1:2:3:4:5:6:7 ", 25},
	{"PROXY TCP6 1:2:3:4:5:6:7:8:", 27},
	{"PROXY TCP6 1:2:3:4:5:6:7:8\r", 27},
	{"PROXY TCP6 1:2:3:4:5:6:7::8", 27},
	{"PROXY TCP6 ::1:2:3:4:5:6:7:", 27},
	{"PROXY TCP6 1::3:4:5:6:7:8:", 26},
	/* with an IPv4 address at their end */
	{"PROXY TCP6 1:2.", 15},
	{"PROXY TCP6 1:2:3:4:5:1.", 23},
	{"PROXY TCP6 1:2:3:4:5:6:7:1.", 27},
	{"PROXY TCP6 ::1:2:3:4:5:6:1.", 27},
	{"PROXY TCP6 ::01.", 16},
	{"PROXY TCP6 ::f.", 15},
	{"PROXY TCP6 ::1f.", 16},
	{"PROXY TCP6 ::256.", 17},
	{"PROXY TCP6 ::1000.", 18},
	{"PROXY TCP6 ::1..", 16},
	{"PROXY TCP6 ::1.f", 16},
	{"PROXY TCP6 ::1.02", 17},
	{"PROXY TCP6 ::1.2.3 ", 19},
	{"PROXY TCP6 ::1.2.3:", 19},
	{"PROXY TCP6 ::1.2.3.256", 22},
	{"PROXY TCP6 ::1.2.3.4.", 21},
	{"PROXY TCP6 ::1.2.3.4:", 21},
	{"PROXY TCP6 1.2.3.4 5.6.7.8 80 443\r\n", 13},
};

START_TEST(refused_at_once)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		const char *text = refused[i].text;
		const size_t size = strlen(text);
		struct mtsi_proxy header;
		char longer[LONGEST + 20];

		memset(longer, '\n', sizeof(longer));
		memcpy(longer, text, size);
		for (size_t cut = 0; cut < refused[i].at; cut++) {
			ck_assert_msg(parse(text, cut, &header) == 0, "%s: %zu", text, cut);
		}
		for (size_t cut = refused[i].at; cut <= sizeof(longer); cut++) {
			ck_assert_msg(parse(longer, cut, &header) == -EPROTO, "%s: %zu", text, cut);
		}
	}
}
END_TEST

/* A line that goes on: 105 bytes may be one, the 106th must be its CR. */
static void expect_too_long(const char *begin, char filling)
{
	struct mtsi_proxy header;
	char line[2 * LONGEST];

	memset(line, filling, sizeof(line));
	memcpy(line, begin, strlen(begin));
	for (size_t size = 0; size <= sizeof(line); size++) {
		ck_assert_int_eq(parse(line, size, &header), size < LONGEST - 1 ? 0 : -EPROTO);
	}
}

START_TEST(no_line_is_longer_than_107_bytes)
{
	struct mtsi_proxy header;
	char line[2 * LONGEST];

	expect_too_long("PROXY UNKNOWN ", 'x');
	expect_too_long("PROXY UNKNOWN ", '\n');
	expect_too_long("PROXY UNKNOWN ", '\0');
	expect_too_long("PROXY TCP6 " MIXED " " MIXED " 1", '1');
	expect_too_long("PROXY TCP6 " GROUPS " " MIXED " 65535 6", '5');

	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	for (size_t end = 14; end < LONGEST + 2; end++) {
		memcpy(line + end, "\r\n", 2);
		ck_assert_int_eq(parse(line, sizeof(line), &header), end + 2 <= LONGEST ? 1 : -EPROTO);
		ck_assert(end + 2 > LONGEST || header.size == end + 2);
		line[end] = 'x';
		line[end + 1] = 'x';
	}
	line[LONGEST - 2] = '\r';
	ck_assert_int_eq(parse(line, LONGEST - 1, &header), 0);
	ck_assert_int_eq(parse(line, LONGEST, &header), -EPROTO);
}
END_TEST

/* Whether something makes a line of these bytes: what is left of a field, and fields. */
static bool can_become_a_line(const char *bytes, size_t size)
{
	static const char *const rests[] = {"", "1", "1.1", "1.1.1", "1.1.1.1", ".1", ".1.1", ".1.1.1",
		":", "::", "PROXY TCP4", "ROXY TCP4", "OXY TCP4", "XY TCP4", "Y TCP4", " TCP4", "TCP4",
		"CP4", "P4", "4", "NKNOWN", "KNOWN", "NOWN", "OWN", "WN", "N"};
	static const char *const fields[] = {"\r\n", "\n", " 1\r\n", " 1 1\r\n", " :: 1 1\r\n",
		" 1.1.1.1 1 1\r\n", " :: :: 1 1\r\n", " 1.1.1.1 1.1.1.1 1 1\r\n"};
	char line[2 * LONGEST];

	memcpy(line, bytes, size);
	for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++) {
		for (size_t j = 0; j < sizeof(fields) / sizeof(*fields); j++) {
			struct mtsi_proxy header;
			const int added = snprintf(
				line + size, sizeof(line) - size, "%s%s", rests[i], fields[j]);

			if (plain_proxy(line, size + (size_t)added, &header) == 1) {
				return true;
			}
		}
	}
	return false;
}

static void try_bytes(const char *line, size_t at)
{
	static const char bytes[] = "0123456789aAfFgT46UP:. \r\n-+\t\xb1";
	char begin[LONGEST];

	memcpy(begin, line, at);
	for (size_t i = 0; i < sizeof(bytes); i++) { /* the NUL too */
		struct mtsi_proxy header;
		int result;
		int expected;

		begin[at] = bytes[i];
		result = exact_proxy(begin, at + 1, &header);
		expected = plain_proxy(begin, at + 1, &header) == 1 ? 1
			: can_become_a_line(begin, at + 1)              ? 0
															: -EPROTO;
		if (result != expected) {
			ck_abort_msg("%.*s and byte %d: %d", (int)at, line, bytes[i], result);
		}
	}
}

START_TEST(refused_when_nothing_makes_it_a_line)
{
	static const char *const lines[] = {
		"PROXY TCP4 192.0.2.1 25.255.100.0 49152 443\r\n",
		"PROXY TCP6 1:2:3:4:5:6:7:8 1:22:333:4444:5::8 1 0\r\n",
		"PROXY TCP6 ::2:3:4:5:6:7:8 1::3:4:5:6:7:8 1 0\r\n",
		"PROXY TCP6 1:2:3:4:5:6:7:: 1:2:3:4:5:6:7.80.9.10 65535 0\r\n",
		"PROXY TCP6 ::ffff:192.0.2.1 ::1:2:3:4:5:1.2.3.4 1 0\r\n",
		"PROXY UNKNOWN\r\n",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		for (size_t at = 1; at < strlen(lines[i]); at++) {
			try_bytes(lines[i], at);
		}
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("proxy_line");

	tcase_add_test(cases, what_a_line_announces);
	tcase_add_test(cases, a_line_cut_anywhere);
	tcase_add_test(cases, refused_at_once);
	tcase_add_test(cases, no_line_is_longer_than_107_bytes);
	tcase_add_test(cases, refused_when_nothing_makes_it_a_line);

	return suite_run_once();
}
