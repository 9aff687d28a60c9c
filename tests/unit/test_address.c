/*
 * Addresses: what the parser takes and refuses, with the clause it gives; how addresses are shown;
 * that a peer survives its compact form.
 */
#include "wire/address.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

START_TEST(accepted_inet)
{
	static const struct {
		const char *text;
		enum mtsi_place_kind kind;
		const char *host;
		uint16_t port;
	} cases[] = {
		{"5000", MTSI_PLACE_ANY, "", 5000},
		{"0", MTSI_PLACE_ANY, "", 0},
		{"65535", MTSI_PLACE_ANY, "", 65535},
		{"080", MTSI_PLACE_ANY, "", 80},
		{"*:5000", MTSI_PLACE_ANY, "", 5000},
		{"*:0", MTSI_PLACE_ANY, "", 0},
		{"localhost:5000", MTSI_PLACE_LOOPBACK, "", 5000},
		{"LocalHost:65535", MTSI_PLACE_LOOPBACK, "", 65535},
		{"LOCALHOST:0", MTSI_PLACE_LOOPBACK, "", 0},
		{"localhost.:1", MTSI_PLACE_NAME, "localhost.", 1},
		{"localhosts:1", MTSI_PLACE_NAME, "localhosts", 1},
		{"localhos:1", MTSI_PLACE_NAME, "localhos", 1},
		{"127.0.0.1:0", MTSI_PLACE_NAME, "127.0.0.1", 0},
		{"0.0.0.0:80", MTSI_PLACE_NAME, "0.0.0.0", 80},
		{"255.255.255.255:80", MTSI_PLACE_NAME, "255.255.255.255", 80},
		{"[::1]:5000", MTSI_PLACE_NAME, "::1", 5000},
		{"[::]:5000", MTSI_PLACE_NAME, "::", 5000},
		{"[fe80::1%eth0]:5000", MTSI_PLACE_NAME, "fe80::1%eth0", 5000},
		{"[fe80::1%2]:5000", MTSI_PLACE_NAME, "fe80::1%2", 5000},
		{"[::ffff:1.2.3.4]:5", MTSI_PLACE_NAME, "::ffff:1.2.3.4", 5},
		{"[2001:DB8:1:2:3:4:5:6]:5", MTSI_PLACE_NAME, "2001:DB8:1:2:3:4:5:6", 5},
		{"name:5000", MTSI_PLACE_NAME, "name", 5000},
		{"a.b-c_d.example:5000", MTSI_PLACE_NAME, "a.b-c_d.example", 5000},
		{"4f2a9c:5000", MTSI_PLACE_NAME, "4f2a9c", 5000},
		{"1.2.3.example:5000", MTSI_PLACE_NAME, "1.2.3.example", 5000},
		{"0xyz:5000", MTSI_PLACE_NAME, "0xyz", 5000},
		{"UNIX:5000", MTSI_PLACE_NAME, "UNIX", 5000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_place place;
		const char *why = NULL;
		int result = mtsi_place_parse(cases[i].text, &place, &why);

		ck_assert_msg(result == 0, "%s: %s", cases[i].text, why);
		ck_assert_msg(place.kind == cases[i].kind, "%s: kind %d", cases[i].text, (int)place.kind);
		ck_assert_str_eq(place.host, cases[i].host);
		ck_assert_uint_eq(place.port, cases[i].port);
		ck_assert_uint_eq(place.path_size, 0);
	}
}
END_TEST

#define PORT "the port is not a number between 0 and 65535"
#define NO_PORT "the port is missing, as in localhost:5000"
#define NO_PORT6 "the port is missing, as in [::1]:5000"
#define NO_HOST "the host is missing; every address is written *:5000"
#define BRACKETS "an IPv6 address is written in brackets, as in [::1]:5000"
#define NOT_IPV6 "what is in brackets is not an IPv6 address"
#define NOT_IPV4 "the host is not an IPv4 address of four decimal numbers"
#define NO_NAME "the host contains a character that no host name has"
#define ZONE "what follows the % is not the name of an interface"
#define NOT_COLON "the closing bracket is not followed by a colon and a port"

START_TEST(refused)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{NULL, "the address is empty"},
		{"", "the address is empty"},
		{"localhost", NO_PORT},
		{"127.0.0.1", NO_PORT},
		{"*", NO_PORT},
		{" ", NO_PORT},
		{"-1", NO_PORT},
		{"5000 ", NO_PORT},
		{"0x50", NO_PORT},
		{"/tmp/socket", NO_PORT},
		{"unix", NO_PORT},
		{"localhost:", NO_PORT},
		{"*:", NO_PORT},
		{"65536", PORT},
		{"99999999999999999999999999", PORT},
		{"4294967296", PORT},
		{"18446744073709551616", PORT},
		{"localhost:65536", PORT},
		{"localhost:4294967376", PORT},
		{"localhost:+80", PORT},
		{"localhost:-1", PORT},
		{"localhost: 80", PORT},
		{"localhost:80 ", PORT},
		{"localhost:80\n", PORT},
		{"localhost:0x50", PORT},
		{"localhost:http", PORT},
		{"localhost:8e1", PORT},
		{"localhost:\331\240", PORT},
		{"[::1]:5000:1", PORT},
		{"[::1]:65536", PORT},
		{"[::1]:-1", PORT},
		{":5000", NO_HOST},
		{":", NO_HOST},
		{":x", NO_HOST},
		{"::", BRACKETS},
		{"::1", BRACKETS},
		{"::1:5000", BRACKETS},
		{"fe80::1%eth0:5000", BRACKETS},
		{"localhost:80:80", BRACKETS},
		{"*:80:80", BRACKETS},
		{"http://localhost:80", BRACKETS},
		{"[]:5000", NOT_IPV6},
		{"[%eth0]:5000", NOT_IPV6},
		{"[localhost]:5000", NOT_IPV6},
		{"[127.0.0.1]:5000", NOT_IPV6},
		{"[::g]:5000", NOT_IPV6},
		{"[::1 ]:5000", NOT_IPV6},
		{"[1:2:3:4:5:6:7:8:9]:5000", NOT_IPV6},
		{"[[::1]]:5000", NOT_IPV6},
		{"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:5000", NOT_IPV6},
		{"[fe80::1%]:5000", ZONE},
		{"[fe80::1%a b]:5000", ZONE},
		{"[fe80::1%a%b]:5000", ZONE},
		{"[fe80::1%a\n]:5000", ZONE},
		{"[::1]", NO_PORT6},
		{"[::1]:", NO_PORT},
		{"[::1]5000", NOT_COLON},
		{"[::1] :5000", NOT_COLON},
		{"[::1]]:5000", NOT_COLON},
		{"[", "the closing bracket is missing"},
		{"[::1", "the closing bracket is missing"},
		{"[::1:5000", "the closing bracket is missing"},
		{"::1]:5000", BRACKETS},
		{"a b:80", NO_NAME},
		{" localhost:80", NO_NAME},
		{"localhost :80", NO_NAME},
		{"**:80", NO_NAME},
		{"*.example:80", NO_NAME},
		{"user@host:80", NO_NAME},
		{"host/path:80", NO_NAME},
		{"h\303\266st:80", NO_NAME},
		{"host\033[2J:80", NO_NAME},
		{"-1%:80", NO_NAME},
		{"5000:5000", NOT_IPV4},
		{"127.1:80", NOT_IPV4},
		{"127.0.0.256:80", NOT_IPV4},
		{"127.0.0.1.1:80", NOT_IPV4},
		{"127.0.0.1.:80", NOT_IPV4},
		{"127.0.0.0x1:80", NOT_IPV4},
		{"0x7f000001:80", NOT_IPV4},
		{"0X7F000001:80", NOT_IPV4},
		{"0x:80", NOT_IPV4},
		{"2130706433:80", NOT_IPV4},
		{"example.1:80", NOT_IPV4},
		{"unix:", "the path of the Unix socket is missing"},
		{"unix:@", "the name of the abstract Unix socket is missing"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_place place;
		const char *why = NULL;
		int result = mtsi_place_parse(cases[i].text, &place, &why);
		const char *text = cases[i].text == NULL ? "NULL" : cases[i].text;

		ck_assert_msg(result == -EINVAL, "%s: %d", text, result);
		ck_assert_msg(strcmp(why, cases[i].why) == 0, "%s: %s", text, why);
	}
}
END_TEST

/* Every byte in the middle of a host, and as the whole port. */
START_TEST(every_byte)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

	for (int byte = 1; byte < 256; byte++) {
		char host[] = "a_b:80";
		char port[] = "host:_";
		struct mtsi_place place;
		const char *why;
		int expected = strchr(allowed, byte) != NULL ? 0 : -EINVAL;

		host[1] = (char)byte;
		port[5] = (char)byte;
		ck_assert_msg(mtsi_place_parse(host, &place, &why) == expected, "byte %d in host", byte);
		expected = byte >= '0' && byte <= '9' ? 0 : -EINVAL;
		ck_assert_msg(mtsi_place_parse(port, &place, &why) == expected, "byte %d in port", byte);
	}
}
END_TEST

static int parse_filled(const char *head, char filling, size_t count, const char *tail,
	struct mtsi_place *place, const char **why)
{
	size_t head_size = strlen(head);
	char *text = malloc(head_size + count + strlen(tail) + 1);
	int result;

	ck_assert_ptr_nonnull(text);
	memcpy(text, head, head_size);
	memset(text + head_size, filling, count);
	memcpy(text + head_size + count, tail, strlen(tail) + 1);
	result = mtsi_place_parse(text, place, why);
	free(text);
	return result;
}

START_TEST(long_texts)
{
	static const struct {
		const char *head;
		char filling;
		size_t count;
		const char *tail;
		int expected;
	} cases[] = {
		{"", 'a', 255, ":80", 0},
		{"", 'a', 256, ":80", -EINVAL},
		{"", 'a', 1000000, ":80", -EINVAL},
		{"", 'a', 1000000, "", -EINVAL},
		{"", '.', 255, ":80", 0},
		{"", ':', 1000000, "80", -EINVAL},
		{"", '[', 1000000, "", -EINVAL},
		{"", '9', 1000000, "", -EINVAL},
		{"", '0', 1000000, "80", 0},
		{"localhost:", '9', 1000000, "", -EINVAL},
		{"[::1%", 'a', 251, "]:80", 0},
		{"[::1%", 'a', 252, "]:80", -EINVAL},
		{"[", '1', 1000000, "]:80", -EINVAL},
		{"unix:", 'a', 107, "", 0},
		{"unix:", 'a', 108, "", -ENAMETOOLONG},
		{"unix:@", 'a', 106, "", 0},
		{"unix:@", 'a', 107, "", -ENAMETOOLONG},
		{"unix:/", 'a', 1000000, "", -ENAMETOOLONG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_place place;
		const char *why = NULL;
		int result = parse_filled(
			cases[i].head, cases[i].filling, cases[i].count, cases[i].tail, &place, &why);

		ck_assert_msg(result == cases[i].expected, "case %zu: %d, %s", i, result, why);
		ck_assert((result == 0) == (*why == '\0'));
	}
}
END_TEST

START_TEST(accepted_unix)
{
	static const struct {
		const char *text;
		const char *bytes;
		size_t size;
	} cases[] = {
		{"unix:/run/a", "/run/a", 7},
		{"unix:a", "a", 2},
		{"unix:../a b:c", "../a b:c", 9},
		{"unix:5000", "5000", 5},
		{"unix:./@name", "./@name", 8},
		{"unix:/a\nb", "/a\nb", 5},
		{"unix:@name", "\0name", 5},
		{"unix:@a", "\0a", 2},
		{"unix:@@", "\0@", 2},
		{"unix:@/a:b", "\0/a:b", 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mtsi_place place;
		const char *why = NULL;
		char text[MTSI_ADDRESS_TEXT];

		ck_assert_int_eq(mtsi_place_parse(cases[i].text, &place, &why), 0);
		ck_assert_int_eq(place.kind, MTSI_PLACE_UNIX);
		ck_assert_int_eq(place.path.sun_family, AF_UNIX);
		ck_assert_uint_eq(place.path_size, PATH_OFFSET + cases[i].size);
		ck_assert_mem_eq(place.path.sun_path, cases[i].bytes, cases[i].size);
		ck_assert_uint_eq(place.port, 0);
		ck_assert_str_eq(place.host, "");

		/* What is shown is what was asked for, unless it has bytes that must be escaped. */
		ck_assert_int_gt(mtsi_address_format((const struct sockaddr *)&place.path, place.path_size,
							 text, sizeof(text)),
			0);
		if (strchr(cases[i].text, '\n') == NULL) {
			ck_assert_str_eq(text, cases[i].text);
		} else {
			ck_assert_str_eq(text, "unix:/a\\nb");
		}
	}
}
END_TEST

/* An inet address from text: with a colon it is IPv6. */
static socklen_t inet_address(
	const char *ip, uint32_t scope, uint16_t port, struct sockaddr_storage *storage)
{
	memset(storage, 0, sizeof(*storage));
	if (strchr(ip, ':') == NULL) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

		ck_assert_int_eq(inet_pton(AF_INET, ip, &in.sin_addr), 1);
		memcpy(storage, &in, sizeof(in));
		return sizeof(in);
	}

	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};

	ck_assert_int_eq(inet_pton(AF_INET6, ip, &in6.sin6_addr), 1);
	memcpy(storage, &in6, sizeof(in6));
	return sizeof(in6);
}

static const struct {
	const char *ip;
	uint32_t scope;
	uint16_t port;
	const char *expected;
} inet_cases[] = {
	{"127.0.0.1", 0, 49152, "127.0.0.1:49152"},
	{"0.0.0.0", 0, 0, "0.0.0.0:0"},
	{"255.255.255.255", 0, 65535, "255.255.255.255:65535"},
	{"1.2.3.4", 0, 256, "1.2.3.4:256"},
	{"::1", 0, 49152, "[::1]:49152"},
	{"::", 0, 0, "[::]:0"},
	{"fe80::1", 2, 5, "[fe80::1%2]:5"},
	{"fe80::1", 0, 5, "[fe80::1]:5"},
	{"fe80:1111:2222:3333:4444:5555:6666:7777", 4294967295, 65535,
		"[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535"},
	{"::ffff:1.2.3.4", 0, 80, "1.2.3.4:80"},
	{"::ffff:255.255.255.255", 3, 65535, "255.255.255.255:65535"},
};

#define INET_CASES (sizeof(inet_cases) / sizeof(*inet_cases))

START_TEST(inet_text)
{
	for (size_t i = 0; i < INET_CASES; i++) {
		struct sockaddr_storage storage;
		socklen_t length = inet_address(
			inet_cases[i].ip, inet_cases[i].scope, inet_cases[i].port, &storage);
		const char *expected = inet_cases[i].expected;
		size_t whole = strlen(expected);

		/* Every size of the buffer; half an address is never shown. */
		for (size_t size = 1; size <= whole + 2; size++) {
			char *out = malloc(size);
			int result;

			ck_assert_ptr_nonnull(out);
			result = mtsi_address_format((struct sockaddr *)&storage, length, out, size);
			ck_assert_int_eq(result, size > whole ? (int)whole : -EINVAL);
			ck_assert_str_eq(out, size > whole ? expected : "");
			free(out);
		}
	}
}
END_TEST

START_TEST(unix_text)
{
	static const struct {
		const char *path;
		size_t count; /* bytes of sun_path that the length covers */
		const char *expected;
	} cases[] = {
		{"", 0, "unix"},
		{"/run/a", 7, "unix:/run/a"},
		{"/run/a", 6, "unix:/run/a"},
		{"/run/a", PATH_SIZE, "unix:/run/a"},
		{"/a\nb\\\377", 7, "unix:/a\\nb\\\\\\xff"},
		{"\0name", 5, "unix:@name"},
		{"\0a\0b", 4, "unix:@a\\x00b"},
		{"\0a\0", 3, "unix:@a\\x00"},
		{"\0", 1, "unix:@"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		char out[MTSI_ADDRESS_TEXT];
		size_t given = cases[i].count < 8 ? cases[i].count : 8;
		int result;

		memcpy(un.sun_path, cases[i].path, given > 7 ? 7 : given);
		result = mtsi_address_format(
			(struct sockaddr *)&un, (socklen_t)(PATH_OFFSET + cases[i].count), out, sizeof(out));
		ck_assert_str_eq(out, cases[i].expected);
		ck_assert_int_eq(result, (int)strlen(cases[i].expected));
	}
}
END_TEST

/* The longest names there are: all 108 bytes used, each shown as four characters. */
START_TEST(longest_unix_text)
{
	struct sockaddr_storage storage = {.ss_family = AF_UNIX};
	char out[MTSI_ADDRESS_TEXT + 8];
	char *path = (char *)&storage + PATH_OFFSET;
	const struct sockaddr *address = (const struct sockaddr *)&storage;

	memset(path, 1, PATH_SIZE + 1); /* the one more must not be shown */
	for (socklen_t extra = 0; extra <= 1; extra++) {
		size_t size = extra == 0 ? MTSI_ADDRESS_TEXT : sizeof(out);
		socklen_t length = (socklen_t)(PATH_OFFSET + PATH_SIZE) + extra;
		int result = mtsi_address_format(address, length, out, size);

		ck_assert_int_eq(result, (int)(5 + 4 * PATH_SIZE));
		ck_assert_uint_eq(strlen(out), 5 + 4 * PATH_SIZE);
	}
	path[0] = '\0';
	ck_assert_int_eq(
		mtsi_address_format(address, sizeof(struct sockaddr_un), out, MTSI_ADDRESS_TEXT),
		(int)(6 + 4 * (PATH_SIZE - 1)));
}
END_TEST

START_TEST(cut_unix_text)
{
	static const struct {
		size_t size;
		int expected;
		const char *text;
	} cases[] = {
		{1, -EINVAL, ""},
		{5, -EINVAL, ""},
		{6, 5, "unix:"},
		{7, 6, "unix:a"},
		{8, 6, "unix:a"},
		{10, 6, "unix:a"},
		{11, 10, "unix:a\\x01"},
		{12, 11, "unix:a\\x01b"},
		{13, 11, "unix:a\\x01b"},
	};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "a\001b"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *out = malloc(cases[i].size);

		ck_assert_ptr_nonnull(out);
		ck_assert_int_eq(
			mtsi_address_format((struct sockaddr *)&un, sizeof(un), out, cases[i].size),
			cases[i].expected);
		ck_assert_str_eq(out, cases[i].text);
		free(out);
	}
}
END_TEST

START_TEST(no_address)
{
	struct sockaddr_storage storage;
	const struct sockaddr *address = (const struct sockaddr *)&storage;
	struct mtsi_peer peer;
	char out[MTSI_ADDRESS_TEXT] = "x";
	static const char *const ips[] = {"127.0.0.1", "::1"};

	ck_assert_int_eq(mtsi_address_format(NULL, 16, out, sizeof(out)), -EINVAL);
	ck_assert_str_eq(out, "");
	for (size_t i = 0; i < 2; i++) {
		socklen_t whole = inet_address(ips[i], 0, 1, &storage);

		ck_assert_int_eq(mtsi_address_format(address, whole, NULL, 0), -EINVAL);
		ck_assert_int_eq(mtsi_address_format(address, UINT32_MAX, out, sizeof(out)), -EINVAL);
		ck_assert_int_eq(
			mtsi_address_format(address, sizeof(storage) + 1, out, sizeof(out)), -EINVAL);
		for (socklen_t length = 0; length < whole; length++) {
			void *copy = malloc(length == 0 ? 1 : length);

			ck_assert_ptr_nonnull(copy);
			memcpy(copy, &storage, length);
			out[0] = 'x';
			ck_assert_int_eq(mtsi_address_format(copy, length, out, sizeof(out)), -EINVAL);
			ck_assert_str_eq(out, "");
			mtsi_peer_from(&peer, copy, length);
			ck_assert_int_eq(peer.family, AF_UNSPEC);
			free(copy);
		}
	}
	inet_address("127.0.0.1", 0, 1, &storage);
	storage.ss_family = AF_UNSPEC;
	ck_assert_int_eq(mtsi_address_format(address, sizeof(storage), out, sizeof(out)), -EINVAL);
	storage.ss_family = AF_UNIX + 0x100;
	mtsi_peer_from(&peer, address, sizeof(storage));
	ck_assert_int_eq(peer.family, AF_UNSPEC);
	mtsi_peer_from(&peer, NULL, 16);
	ck_assert_int_eq(peer.family, AF_UNSPEC);
	ck_assert_uint_eq(mtsi_peer_to(&peer, &storage), 0);
	ck_assert_int_eq(storage.ss_family, AF_UNSPEC);
	ck_assert_int_eq(mtsi_peer_format(&peer, out, sizeof(out)), -EINVAL);
	ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(peer_round_trip)
{
	for (size_t i = 0; i < INET_CASES; i++) {
		struct sockaddr_storage before;
		struct sockaddr_storage after;
		struct mtsi_peer peer;
		char out[MTSI_ADDRESS_TEXT];
		socklen_t length = inet_address(
			inet_cases[i].ip, inet_cases[i].scope, inet_cases[i].port, &before);

		memset(&peer, 0xff, sizeof(peer));
		memset(&after, 0xff, sizeof(after));
		mtsi_peer_from(&peer, (struct sockaddr *)&before, length);
		ck_assert_uint_eq(peer.port, inet_cases[i].port);
		ck_assert_uint_eq(mtsi_peer_to(&peer, &after), length);
		ck_assert_mem_eq(&after, &before, sizeof(before));
		ck_assert_int_eq(
			mtsi_peer_format(&peer, out, sizeof(out)), (int)strlen(inet_cases[i].expected));
		ck_assert_str_eq(out, inet_cases[i].expected);
	}
}
END_TEST

START_TEST(unix_peer)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/a"};
	static const socklen_t lengths[] = {PATH_OFFSET, PATH_OFFSET + 7, sizeof(un)};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct mtsi_peer peer;
		struct sockaddr_storage storage;
		char out[8];

		mtsi_peer_from(&peer, (struct sockaddr *)&un, lengths[i]);
		ck_assert_int_eq(mtsi_peer_format(&peer, out, sizeof(out)), 4);
		ck_assert_str_eq(out, "unix");
		ck_assert_uint_eq(mtsi_peer_to(&peer, &storage), PATH_OFFSET);
		ck_assert_int_eq(storage.ss_family, AF_UNIX);
		ck_assert_int_eq(mtsi_peer_format(&peer, out, 4), -EINVAL);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *cases = tcase_create("address");

	tcase_add_test(cases, accepted_inet);
	tcase_add_test(cases, refused);
	tcase_add_test(cases, every_byte);
	tcase_add_test(cases, long_texts);
	tcase_add_test(cases, accepted_unix);
	tcase_add_test(cases, inet_text);
	tcase_add_test(cases, unix_text);
	tcase_add_test(cases, longest_unix_text);
	tcase_add_test(cases, cut_unix_text);
	tcase_add_test(cases, no_address);
	tcase_add_test(cases, peer_round_trip);
	tcase_add_test(cases, unix_peer);
	suite_add_tcase(suite, cases);

	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_NORMAL);

	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
