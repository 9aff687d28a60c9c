/*
 * Socket addresses as text, and struct mtsi_peer.
 *
 * A table of inet addresses serves both: each is shown in buffers of every size, of which a small
 * one holds nothing rather than half an address, and survives being kept as a peer.  Unix names are
 * shown escaped, whatever the kernel says their length is, and cut between two escapes.  Addresses
 * that are too short for their family are in blocks of exactly their size, so that sanitizers see
 * any access outside.
 */
#include "wire/address.h"

#include "../../api/support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

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
	TCase *cases = suite_begin("address");

	tcase_add_test(cases, inet_text);
	tcase_add_test(cases, unix_text);
	tcase_add_test(cases, longest_unix_text);
	tcase_add_test(cases, cut_unix_text);
	tcase_add_test(cases, no_address);
	tcase_add_test(cases, peer_round_trip);
	tcase_add_test(cases, unix_peer);

	return suite_run_once();
}
