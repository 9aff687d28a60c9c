/*
 * Networks and addresses as they are written: what is read, and as what, and what is refused.
 */
#include "wire/network_text.h"

#include "../../api/support.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/address.h"
#include "wire/networks.h"

static const struct {
	const char *text;
	enum mtsi_network_kind kind;
	uint64_t high;
	uint64_t low;
	unsigned length;
} networks[] = {
	{"10.0.0.0/8", MTSI_NETWORK_INET, 0x0a00000000000000, 0, 8},
	{"0.0.0.0/0", MTSI_NETWORK_INET, 0, 0, 0},
	{"128.0.0.0/1", MTSI_NETWORK_INET, 0x8000000000000000, 0, 1},
	{"192.0.2.7", MTSI_NETWORK_INET, 0xc000020700000000, 0, 32},
	{"192.0.2.7/32", MTSI_NETWORK_INET, 0xc000020700000000, 0, 32},
	{"192.0.2.6/31", MTSI_NETWORK_INET, 0xc000020600000000, 0, 31},
	{"255.255.255.255", MTSI_NETWORK_INET, 0xffffffff00000000, 0, 32},
	{"::/0", MTSI_NETWORK_INET6, 0, 0, 0},
	{"8000::/1", MTSI_NETWORK_INET6, 0x8000000000000000, 0, 1},
	{"2001:db8::/32", MTSI_NETWORK_INET6, 0x20010db800000000, 0, 32},
	{"2001:DB8:0:1::/64", MTSI_NETWORK_INET6, 0x20010db800000001, 0, 64},
	{"2001:db8::8000:0:0:0/65", MTSI_NETWORK_INET6, 0x20010db800000000, 0x8000000000000000, 65},
	{"::1", MTSI_NETWORK_INET6, 0, 1, 128},
	{"::2/127", MTSI_NETWORK_INET6, 0, 2, 127},
	{"fe80::/10", MTSI_NETWORK_INET6, 0xfe80000000000000, 0, 10},
	{"::1.2.3.4", MTSI_NETWORK_INET6, 0, 0x01020304, 128},
	{"::fffe:1.2.3.4", MTSI_NETWORK_INET6, 0, 0xfffe01020304, 128},
	{"::fffe:0:0/95", MTSI_NETWORK_INET6, 0, 0xfffe00000000, 95},
	{"1::ffff:1.2.3.4", MTSI_NETWORK_INET6, 0x0001000000000000, 0xffff01020304, 128},
	{"::ffff:1.2.3.4", MTSI_NETWORK_INET, 0x0102030400000000, 0, 32},
	{"::ffff:10.0.0.0/104", MTSI_NETWORK_INET, 0x0a00000000000000, 0, 8},
	{"::ffff:0:0/96", MTSI_NETWORK_INET, 0, 0, 0},
	{"0:0:0:0:0:ffff:c000:207", MTSI_NETWORK_INET, 0xc000020700000000, 0, 32},
	{"unix", MTSI_NETWORK_UNIX, 0, 0, 0},
};
enum { NETWORKS = sizeof(networks) / sizeof(networks[0]) };

START_TEST(read_networks)
{
	struct mtsi_network network;
	ck_assert_int_eq(mtsi_network_parse(networks[_i].text, &network), 0);
	ck_assert_int_eq(network.kind, networks[_i].kind);
	ck_assert_uint_eq(network.bits.high, networks[_i].high);
	ck_assert_uint_eq(network.bits.low, networks[_i].low);
	ck_assert_uint_eq(network.length, networks[_i].length);
}
END_TEST

static const char *const no_networks[] = {NULL, "", " ", "/", "/8", "10", "10/8", "10.0/8",
	"10.0.0/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8",
	"10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0 /8", "10.0.0.0/08", "10.0.0.0/00", "10.0.0.0/0x8",
	"10.0.0.0/8/8", "10.0.0.0//8", "10.0.0.0/8.", "10.0.0.0/255.0.0.0", "10.0.0.0/4294967304",
	"10.0.0.0/99999999999999999999", "10.0.0.0.0/8", "010.0.0.0/8", "256.0.0.0/8", "10.0.0.0/8\n",
	"0x0a000000/8", "167772160/8", "10.*", "10.0.0.0-10.0.0.9", "example.org", "localhost", "*",
	"all",
	/* Bits beyond those that count. */
	"10.1.0.0/8", "10.0.0.1/31", "0.0.0.1/0", "128.0.0.0/0", "2001:db8::1/32", "::1/0", "::1/127",
	"8000::/0", "2001:db8:0:0:8000::/64", "::ffff:0:0/90", "::ffff:10.1.0.0/104",
	/* IPv6. */
	":", ":::", "::/129", "::/", "2001:db8/32", "2001:db8::g/128", "1:2:3:4:5:6:7:8:9",
	"12345::", "[::1]", "[::1]/128", "[2001:db8::]/32", "fe80::1%eth0", "fe80::%eth0/10",
	"fe80::/10%eth0", "fe80::1%2", "::1%0", "10.0.0.1%1", "::ffff:10.0.0.0/8",
	/* Ports, and Unix sockets. */
	"10.0.0.1:80", "10.0.0.0:80/8", "[::1]:80", "unix:", "unix:/path", "unix/0", "Unix", "UNIX",
	"unix ", "unixx", "uni"};
enum { NO_NETWORKS = sizeof(no_networks) / sizeof(no_networks[0]) };

START_TEST(refused_networks)
{
	struct mtsi_network network;
	ck_assert_int_eq(mtsi_network_parse(no_networks[_i], &network), -EINVAL);
}
END_TEST

/* What is read, and what a peer of that address is written as. */
static const struct {
	const char *text;
	const char *peer;
} addresses[] = {
	{"192.0.2.7", "192.0.2.7:0"},
	{"192.0.2.7:5000", "192.0.2.7:5000"},
	{"0.0.0.0:0", "0.0.0.0:0"},
	{"255.255.255.255:65535", "255.255.255.255:65535"},
	{"::", "[::]:0"},
	{"::1", "[::1]:0"},
	{"2001:DB8::7", "[2001:db8::7]:0"},
	{"fe80::1%2", "[fe80::1]:0"},
	{"fe80::1%eth0", "[fe80::1]:0"},
	{"::ffff:192.0.2.7", "192.0.2.7:0"},
	{"[::1]", "[::1]:0"},
	{"[::1]:5000", "[::1]:5000"},
	{"[fe80::1%2]:5", "[fe80::1]:5"},
	{"[fe80::1%4294967295]:65535", "[fe80::1]:65535"},
	{"[::ffff:192.0.2.7]:80", "192.0.2.7:80"},
	{"unix", "unix"},
	{"unix:/run/socket", "unix"},
	{"unix:@name", "unix"},
	{"unix:\\x01[::1]:5", "unix"},
};
enum { ADDRESSES = sizeof(addresses) / sizeof(addresses[0]) };

START_TEST(read_addresses)
{
	struct mtsi_peer peer;
	char text[MTSI_ADDRESS_TEXT];
	ck_assert_int_eq(mtsi_peer_parse(addresses[_i].text, &peer), 0);
	ck_assert_int_ge(mtsi_peer_format(&peer, text, sizeof(text)), 0);
	ck_assert_str_eq(text, addresses[_i].peer);
}
END_TEST

static const char *const no_addresses[] = {NULL, "", " ", "10", "10.0.0", "10.0.0.0/8",
	"2001:db8::/32", "::1/128", "192.0.2.7 ", " 192.0.2.7", "192.0.2.7:", "192.0.2.7:x",
	"192.0.2.7:65536", "192.0.2.7:-1", "192.0.2.7:+1", "192.0.2.7:080", "192.0.2.7:5000 ",
	"192.0.2.7:5000:1", "192.0.2.7:99999999999999999999", "192.0.2.7%1", "192.0.2.07", "256.0.0.1",
	"::1%", "[", "[]", "[]:5", "[::1", "[::1]5", "[::1]:", "[::1]:x", "[::1]:65536", "[::1]]:5",
	"[[::1]]:5", "[192.0.2.7]:5", "[::1%]:5", "[%2]:5", "[::1]%2", "%2", ":5000", "*:5000",
	"localhost:5000", "localhost", "example.org", "unix:", "Unix", "unixx", "unix/",
	"1:2:3:4:5:6:7:8:9", "::1:5000:x", "12345::"};
enum { NO_ADDRESSES = sizeof(no_addresses) / sizeof(no_addresses[0]) };

START_TEST(refused_addresses)
{
	struct mtsi_peer peer;
	ck_assert_int_eq(mtsi_peer_parse(no_addresses[_i], &peer), -EINVAL);
}
END_TEST

/* Longer than anything that means something; in a block of exactly that size, for sanitizers. */
START_TEST(endless)
{
	static const char *const parts[] = {
		"1", ":1:", "[", "]", "/", "%", ".", "1.", "1:", "::/0", "[::1]:", "unix", "unix:", "\xff"};
	enum { TIMES = 1000 };
	const size_t part = strlen(parts[_i]);
	char *text = malloc(part * TIMES + 1);
	struct mtsi_network network;
	struct mtsi_peer peer;
	for (size_t times = 1; times <= TIMES; times += times < 60 ? 1 : 47) {
		for (size_t i = 0; i < times; i++) {
			memcpy(text + i * part, parts[_i], part);
		}
		text[times * part] = '\0';
		const bool is_unix = strncmp(text, "unix:", 5) == 0 && text[5] != '\0';
		if (times > 1) {
			ck_assert_int_eq(mtsi_network_parse(text, &network), -EINVAL);
			ck_assert_int_eq(mtsi_peer_parse(text, &peer), is_unix ? 0 : -EINVAL);
		}
	}
	free(text);
}
END_TEST

/* Each byte there is, in front of a network, in it and behind it. */
START_TEST(every_byte)
{
	static const char whole[] = "192.0.2.0/24";
	struct mtsi_network network;
	struct mtsi_peer peer;
	for (size_t at = 0; at <= strlen(whole); at++) {
		for (int byte = 1; byte < 256; byte++) {
			char text[2 * sizeof(whole)];
			snprintf(text, sizeof(text), "%.*s%c%s", (int)at, whole, byte, whole + at);
			const int result = mtsi_network_parse(text, &network);
			ck_assert_int_eq(mtsi_peer_parse(text, &peer), -EINVAL);
			if (byte < '0' || byte > '9') {
				ck_assert_msg(result == -EINVAL, "%s", text);
			}
		}
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("network texts");
	tcase_add_loop_test(cases, read_networks, 0, NETWORKS);
	tcase_add_loop_test(cases, refused_networks, 0, NO_NETWORKS);
	tcase_add_loop_test(cases, read_addresses, 0, ADDRESSES);
	tcase_add_loop_test(cases, refused_addresses, 0, NO_ADDRESSES);
	tcase_add_loop_test(cases, endless, 0, 14);
	tcase_add_test(cases, every_byte);
	return suite_run_once();
}
