/*
 * Version 2 of the PROXY protocol, and its TLVs.
 *
 * Headers are written here as haproxy's doc/proxy-protocol.txt describes them, and as haproxy sends
 * them for send-proxy-v2, send-proxy-v2-ssl-cn and proxy-v2-options crc32c. Checksums come from a
 * program of its own, whose answer for "123456789" is the one that is published: e3069283.
 */
#include "../plain_proxy.h"

#include "../../api/support.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(literal) literal, sizeof(literal) - 1

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV4 \
	"\xc0\x00\x02\x01" \
	"\xc6\x33\x64\x02" \
	"\xc0\x00" \
	"\x01\xbb"
#define IPV6 \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02" \
	"\xc0\x00" \
	"\x01\xbb"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
#define TEN "/run/a.soc"
#define NUL49 \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define PATHS TEN NUL49 NUL49 TEN NUL49 NUL49 /* 108 bytes each */
#define SSL_CN \
	"\x20\0\x1d\x05\0\0\0\0" \
	"\x21\0\x07TLSv1.3" \
	"\x22\0\x0b" \
	"example.com"

static const struct {
	const char *bytes;
	size_t size;
	int family;
	const char *peer;
	size_t tlvs;
	size_t tlvs_size;
} announced[] = {
	{BYTES(SIGNATURE "\x21\x11\0\x0c" IPV4), AF_INET, "192.0.2.1:49152", 28, 0},
	{BYTES(SIGNATURE "\x21\x21\0\x24" IPV6), AF_INET6, "[2001:db8::1]:49152", 52, 0},
	{BYTES(SIGNATURE "\x21\x21\0\x24" MAPPED MAPPED "\0\0\0\0"), AF_INET6, "192.0.2.1:0", 52, 0},
	{BYTES(SIGNATURE "\x21\x31\0\xd8" PATHS), AF_UNIX, "unix", 232, 0},
	{BYTES(SIGNATURE "\x21\0\0\0"), AF_UNSPEC, "", 16, 0},
	{BYTES(SIGNATURE "\x21\0\0\x05\x01\0\x02h2"), AF_UNSPEC, "", 16, 5},
	{BYTES(SIGNATURE "\x21\x11\0\x2c" IPV4 SSL_CN), AF_INET, "192.0.2.1:49152", 28, 32},
	{BYTES(SIGNATURE "\x21\x31\0\xf8" PATHS SSL_CN), AF_UNIX, "unix", 232, 32},
	/* nothing but the checksum; among others, with padding; with the connection's own endpoints */
	{BYTES(SIGNATURE "\x21\x11\0\x13" IPV4 "\x03\0\x04\xa4\x30\x0a\x8d"), AF_INET,
		"192.0.2.1:49152", 28, 7},
	{BYTES(SIGNATURE "\x21\x11\0\x23" IPV4 "\x04\0\x02\xff\xff"
					 "\x01\0\x02h2"
					 "\x03\0\x04\xf4\x0e\xfb\x8b"
					 "\x05\0\x03"
					 "abc"),
		AF_INET, "192.0.2.1:49152", 28, 23},
	{BYTES(SIGNATURE "\x21\0\0\x07\x03\0\x04\x3e\xc9\x89\x4e"), AF_UNSPEC, "", 16, 7},
	/* padding alone, of no bytes; the same type twice; types that nobody knows */
	{BYTES(SIGNATURE "\x21\x11\0\x12" IPV4 "\x04\0\0\x04\0\0"), AF_INET, "192.0.2.1:49152", 28, 6},
	{BYTES(SIGNATURE "\x21\x11\0\x14" IPV4 "\xea\0\x01\x01\xea\0\x01\x02"), AF_INET,
		"192.0.2.1:49152", 28, 8},
};

static const struct {
	const char *bytes;
	size_t size;
} local[] = {
	{BYTES(SIGNATURE "\x20\0\0\0")},
	{BYTES(SIGNATURE "\x20\x11\0\x0c" IPV4)},
	{BYTES(SIGNATURE "\x20\x12\0\x01\xff")},
	{BYTES(SIGNATURE "\x20\xff\0\x07\x03\0\x04\0\0\0\0")},
	{BYTES(SIGNATURE "\x20\x21\0\x02\x01\xff")},
};

/* In a block that has no byte more, and that is left alone unless there is a header. */
static int parse(const void *bytes, size_t size, struct mtsi_proxy *header)
{
	unsigned char before[sizeof(*header)]; /* which are no values: no bool is like that */
	int result;

	memset(before, 0x5a, sizeof(before));
	memcpy(header, before, sizeof(before));
	result = exact_proxy(bytes, size, header);
	ck_assert(result == 1 || memcmp(header, before, sizeof(before)) == 0);
	return result;
}

/* Whole with the last byte, not before, and whatever follows. */
static void expect_whole(const char *bytes, size_t size, struct mtsi_proxy *header)
{
	char *longer = malloc(size + 40);

	ck_assert_ptr_nonnull(longer);
	for (size_t cut = 0; cut < size; cut++) {
		ck_assert_int_eq(parse(bytes, cut, header), 0);
	}
	ck_assert_int_eq(parse(bytes, size, header), 1);
	ck_assert_uint_eq(header->size, size);
	memcpy(longer, bytes, size);
	for (int byte = 0; byte < 256; byte++) {
		struct mtsi_proxy again;

		memset(longer + size, byte, 40);
		ck_assert_int_eq(parse(longer, size + 1 + (size_t)byte % 40, &again), 1);
		ck_assert(same_proxy(&again, header));
	}
	free(longer);
}

START_TEST(what_is_announced)
{
	for (size_t i = 0; i < sizeof(announced) / sizeof(*announced); i++) {
		struct mtsi_proxy header;
		char peer[MTSI_ADDRESS_TEXT];

		expect_whole(announced[i].bytes, announced[i].size, &header);
		ck_assert_int_eq(header.real, announced[i].family == AF_UNSPEC);
		ck_assert_int_eq(header.local, false);
		ck_assert_int_eq(header.peer.family, announced[i].family);
		mtsi_peer_format(&header.peer, peer, sizeof(peer));
		ck_assert_str_eq(peer, announced[i].peer);
		ck_assert_uint_eq(header.tlvs, announced[i].tlvs);
		ck_assert_uint_eq(header.tlvs_size, announced[i].tlvs_size);
	}
}
END_TEST

/* The proxy itself: whatever the rest says, its bytes are passed over, and nothing is in them. */
START_TEST(health_checks)
{
	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++) {
		struct mtsi_proxy header;

		expect_whole(local[i].bytes, local[i].size, &header);
		ck_assert(header.local && header.real);
		ck_assert_int_eq(header.peer.family, AF_UNSPEC);
		ck_assert_uint_eq(header.tlvs_size, 0);
	}
}
END_TEST

/* Announced clients have an origin like those who connect: for limits they are the same. */
START_TEST(origins)
{
	struct mtsi_proxy plain;
	struct mtsi_proxy mapped;
	struct mtsi_proxy path;
	struct mtsi_origin a;
	struct mtsi_origin b;

	ck_assert_int_eq(parse(announced[0].bytes, announced[0].size, &plain), 1);
	ck_assert_int_eq(parse(announced[2].bytes, announced[2].size, &mapped), 1);
	ck_assert_int_eq(parse(announced[3].bytes, announced[3].size, &path), 1);
	ck_assert(mtsi_peer_origin(&plain.peer, &a) && mtsi_peer_origin(&mapped.peer, &b));
	ck_assert(a.number == b.number && a.host == b.host && a.scope == b.scope && a.kind == b.kind);

	ck_assert(mtsi_peer_origin(&path.peer, &a));
	ck_assert_int_eq(a.kind, AF_UNIX);
	ck_assert_uint_eq(a.number, UINT32_MAX); /* as of a socket whose user is unknown; not root */
}
END_TEST

/* Every value of each of the first bytes. */
START_TEST(the_fixed_part)
{
	static const char good[] = SIGNATURE "\x21\x11\0\x0c";

	for (size_t at = 0; at < 14; at++) {
		for (int byte = 0; byte < 256; byte++) {
			char begin[14];
			struct mtsi_proxy header;
			bool fits = (char)byte == good[at];

			memcpy(begin, good, at);
			begin[at] = (char)byte;
			fits = fits || (at == 0 && byte == 'P') || (at == 12 && byte == 0x20)
				|| (at == 13 && (byte == 0 || byte == 0x21 || byte == 0x31));
			ck_assert_int_eq(parse(begin, at + 1, &header), fits ? 0 : -EPROTO);
		}
	}
	for (int family = 0; family < 256; family++) {
		char begin[] = SIGNATURE "\x20\x11";
		struct mtsi_proxy header;

		begin[13] = (char)family;
		ck_assert_int_eq(parse(begin, 14, &header), 0);
	}
}
END_TEST

static int parse_length(unsigned command, unsigned family, size_t length, size_t cut)
{
	static char bytes[MTSI_PROXY_MOST + 1];
	struct mtsi_proxy header;

	memcpy(bytes, SIGNATURE, 12);
	bytes[12] = (char)command;
	bytes[13] = (char)family;
	bytes[14] = (char)(length >> 8);
	bytes[15] = (char)(length & 0xff);
	return parse(bytes, cut, &header);
}

START_TEST(lengths)
{
	static const struct {
		unsigned family;
		size_t addresses;
	} families[] = {{0, 0}, {0x11, 12}, {0x21, 36}, {0x31, 216}};
	enum { LONGEST = MTSI_PROXY_MOST - 16 };
	static const size_t large[] = {
		219, 255, 256, LONGEST - 1, LONGEST, LONGEST + 1, LONGEST + 16, LONGEST + 17, 65535};

	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		const unsigned family = families[i].family;
		const size_t addresses = families[i].addresses;

		for (size_t length = 0; length < addresses + 3; length++) {
			const int expected = length == addresses ? 0 : -EPROTO;

			ck_assert_int_eq(parse_length(0x21, family, length, 15), 0);
			ck_assert_int_eq(parse_length(0x21, family, length, 16),
				length == 0 && expected == 0 ? 1 : expected);
		}
		for (size_t j = 0; j < sizeof(large) / sizeof(*large); j++) {
			const int expected = large[j] > LONGEST ? -EMSGSIZE : 0;

			ck_assert_int_eq(parse_length(0x21, family, large[j], 15), 0);
			ck_assert_int_eq(parse_length(0x21, family, large[j], 16), expected);
			ck_assert_int_eq(parse_length(0x20, family, large[j], 16), expected);
		}
	}
	ck_assert_int_eq(parse_length(0x20, 0, LONGEST, MTSI_PROXY_MOST - 1), 0);
	ck_assert_int_eq(parse_length(0x20, 0, LONGEST, MTSI_PROXY_MOST), 1);
	ck_assert_int_eq(parse_length(0x20, 0, LONGEST + 1, MTSI_PROXY_MOST + 1), -EMSGSIZE);
}
END_TEST

/* With the bytes before `at` it may become a header, with `at` bytes no more. */
static const struct {
	const char *bytes;
	size_t size;
	size_t at;
	int error;
} refused[] = {
	/* a TLV that leaves the header, by one byte and by many; behind another */
	{BYTES(SIGNATURE "\x21\x11\0\x0f" IPV4 "\x01\0\x01h2"), 31, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x11" IPV4 "\x01\0\x03h2"), 31, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x11" IPV4 "\x01\xff\xffh2"), 31, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x14" IPV4 "\x04\0\x02..\x01\0\x01"), 36, -EPROTO},
	{BYTES(SIGNATURE "\x21\0\0\x04\x01\0\x02h2"), 19, -EPROTO},
	/* what is left has no room for another's type and length */
	{BYTES(SIGNATURE "\x21\x11\0\x0d" IPV4 "\x01"), 16, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x0e" IPV4 "\x01\0"), 16, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x12" IPV4 "\x01\0\x02h2\x01"), 31, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x13" IPV4 "\x01\0\x02h2\x01\0"), 31, -EPROTO},
	/* checksums of another length, and two */
	{BYTES(SIGNATURE "\x21\x11\0\x0f" IPV4 "\x03\0\0"), 31, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x12" IPV4 "\x03\0\x03\xa4\x30\x0a"), 31, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x14" IPV4 "\x03\0\x05\xa4\x30\x0a\x8d\0"), 31, -EPROTO},
	{BYTES(SIGNATURE "\x21\x11\0\x1a" IPV4 "\x03\0\x04\xa4\x30\x0a\x8d"
					 "\x03\0\x04\xa4\x30\x0a\x8d"),
		38, -EPROTO},
	/* a wrong one: of zeros, in the other order of bytes, and with one bit too many */
	{BYTES(SIGNATURE "\x21\x11\0\x13" IPV4 "\x03\0\x04\0\0\0\0"), 35, -EBADMSG},
	{BYTES(SIGNATURE "\x21\x11\0\x13" IPV4 "\x03\0\x04\x8d\x0a\x30\xa4"), 35, -EBADMSG},
	{BYTES(SIGNATURE "\x21\x11\0\x13" IPV4 "\x03\0\x04\xa4\x30\x0a\x8c"), 35, -EBADMSG},
};

START_TEST(refused_at_once)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct mtsi_proxy header;
		char longer[400] = {0};

		memcpy(longer, refused[i].bytes, refused[i].size);
		for (size_t cut = 0; cut < refused[i].at; cut++) {
			ck_assert_msg(parse(longer, cut, &header) == 0, "case %zu: %zu", i, cut);
		}
		for (size_t cut = refused[i].at; cut <= sizeof(longer); cut++) {
			ck_assert_msg(parse(longer, cut, &header) == refused[i].error, "case %zu: %zu", i, cut);
		}
	}
}
END_TEST

START_TEST(the_checksum_that_is_known)
{
	ck_assert_uint_eq(plain_crc32c((const unsigned char *)"123456789", 9), UINT32_C(0xe3069283));
}
END_TEST

/* Each bit that is not what says where the checksum is. */
START_TEST(a_bit_that_fell_over)
{
	enum { WITH_CHECKSUM = 9, TYPE = 38 };
	char bytes[64];
	const size_t size = announced[WITH_CHECKSUM].size;
	struct mtsi_proxy header;

	memcpy(bytes, announced[WITH_CHECKSUM].bytes, size);
	for (size_t bit = 8 * 16; bit < 8 * size; bit++) {
		const size_t at = bit / 8;

		/* the types and lengths of the four TLVs */
		if ((at >= 28 && at < 31) || (at >= 33 && at < 36) || (at >= TYPE && at < TYPE + 3)
			|| (at >= 45 && at < 48)) {
			continue;
		}
		bytes[at] = (char)(bytes[at] ^ 1 << bit % 8);
		ck_assert_msg(parse(bytes, size, &header) == -EBADMSG, "bit %zu", bit);
		bytes[at] = (char)(bytes[at] ^ 1 << bit % 8);
	}
	ck_assert_int_eq(parse(bytes, size, &header), 1);
}
END_TEST

/* The longest header, with a checksum at its end and as many TLVs as go in front of that. */
START_TEST(the_longest_header)
{
	char bytes[MTSI_PROXY_MOST + 1] = SIGNATURE "\x21\x11\x0f\xf0" IPV4;
	struct mtsi_proxy header;
	const void *value;
	uint32_t crc;

	/* 28 bytes, a TLV of 4, and 1,352 of 3 bytes before the last 8 */
	memcpy(bytes + 28, "\xe0\0\x01x", 4);
	for (size_t at = 32; at < MTSI_PROXY_MOST - 8; at += 3) {
		memcpy(bytes + at, "\x04\0\0", 3);
	}
	memcpy(bytes + MTSI_PROXY_MOST - 8, "\0\x03\0\x04\0\0\0\0", 8);
	memcpy(bytes + MTSI_PROXY_MOST - 11, "\x04\0\x01", 3);
	crc = plain_crc32c((const unsigned char *)bytes, MTSI_PROXY_MOST);
	for (int i = 0; i < 4; i++) {
		bytes[MTSI_PROXY_MOST - 4 + i] = (char)(crc >> (24 - 8 * i) & 0xff);
	}
	for (size_t cut = 0; cut < MTSI_PROXY_MOST; cut++) {
		ck_assert_int_eq(parse(bytes, cut, &header), 0);
	}
	ck_assert_int_eq(parse(bytes, MTSI_PROXY_MOST, &header), 1);
	ck_assert_int_eq(parse(bytes, MTSI_PROXY_MOST + 1, &header), 1);
	ck_assert_uint_eq(header.size, MTSI_PROXY_MOST);
	ck_assert_uint_eq(header.tlvs + header.tlvs_size, MTSI_PROXY_MOST);
	ck_assert_int_eq(mtsi_proxy_tlv(bytes + header.tlvs, header.tlvs_size, 3, &value), 4);
	ck_assert_ptr_eq(value, bytes + MTSI_PROXY_MOST - 4);
}
END_TEST

/* In a block of exactly that size. */
static ssize_t find_tlv(const char *tlvs, size_t size, int type, const char *expected)
{
	char *block = malloc(size);
	const void *value = NULL;
	ssize_t found;

	if (size > 0) {
		memcpy(block, tlvs, size);
	}
	found = mtsi_proxy_tlv(block, size, type, &value);
	ck_assert_int_eq(found >= 0, value != NULL);
	if (found > 0) {
		ck_assert_mem_eq(value, expected, (size_t)found);
	}
	free(block);
	return found;
}

START_TEST(tlvs)
{
	static const char all[] = "\x01\0\x02h2"
							  "\xe0\0\x01x"
							  "\x04\0\0"
							  "\xe0\0\x02yz" SSL_CN;
	const size_t size = sizeof(all) - 1;

	ck_assert_int_eq(find_tlv(all, size, 0x01, "h2"), 2);
	ck_assert_int_eq(find_tlv(all, size, 0xe0, "x"), 1);
	ck_assert_int_eq(find_tlv(all, size, 0x04, ""), 0);
	ck_assert_int_eq(find_tlv(all, size, 0x20, &SSL_CN[3]), 29);
	/* of the TLVs in a TLV no one is found; nor is what is no type */
	for (int type = -300; type < 600; type++) {
		if (type != 0x01 && type != 0xe0 && type != 0x04 && type != 0x20) {
			ck_assert_int_eq(find_tlv(all, size, type, ""), -ENOENT);
		}
	}
	/* cut off, which none in a header is: nothing that is not all there */
	for (size_t cut = 0; cut < size; cut++) {
		ck_assert_int_eq(find_tlv(all, cut, 0x20, ""), -ENOENT);
		ck_assert_int_eq(find_tlv(all, cut, 0x01, "h2"), cut < 5 ? -ENOENT : 2);
	}
	ck_assert_int_eq(find_tlv("\x01\xff\xffh2", 5, 0x01, ""), -ENOENT);
	ck_assert_int_eq(mtsi_proxy_tlv(NULL, 0, 0x01, NULL), -ENOENT);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("proxy");

	tcase_add_test(cases, what_is_announced);
	tcase_add_test(cases, health_checks);
	tcase_add_test(cases, origins);
	tcase_add_test(cases, the_fixed_part);
	tcase_add_test(cases, lengths);
	tcase_add_test(cases, refused_at_once);
	tcase_add_test(cases, the_checksum_that_is_known);
	tcase_add_test(cases, a_bit_that_fell_over);
	tcase_add_test(cases, the_longest_header);
	tcase_add_test(cases, tlvs);

	return suite_run_once();
}
