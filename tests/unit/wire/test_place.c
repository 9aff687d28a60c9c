/*
 * Listen addresses: what the parser takes, what it refuses, and the clause it gives for that.
 *
 * The tables are the specification: every form that is accepted with what it names, and every way
 * of getting it wrong that was thought of with the clause that explains it, whole, since users read
 * it.  Beside them: every byte there is in a host and as a port, and texts at and far above each
 * length limit, in blocks of exactly their size.
 */
#include "wire/place.h"

#include "../../api/support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "wire/address.h"

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)

static const struct {
	const char *text;
	enum mtsi_place_kind kind;
	const char *host;
	uint16_t port;
} inet_cases[] = {
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
	{"255.255.255.254:80", MTSI_PLACE_NAME, "255.255.255.254", 80},
	{"223.255.255.255:80", MTSI_PLACE_NAME, "223.255.255.255", 80},
	{"240.0.0.1:80", MTSI_PLACE_NAME, "240.0.0.1", 80},
	{"[::1]:5000", MTSI_PLACE_NAME, "::1", 5000},
	{"[::]:5000", MTSI_PLACE_NAME, "::", 5000},
	{"[fe80::1%eth0]:5000", MTSI_PLACE_NAME, "fe80::1%eth0", 5000},
	{"[fe80::1%2]:5000", MTSI_PLACE_NAME, "fe80::1%2", 5000},
	{"[fe80::1%00a]:5000", MTSI_PLACE_NAME, "fe80::1%00a", 5000},
	{"[fec0::1]:5000", MTSI_PLACE_NAME, "fec0::1", 5000},
	{"[fe7f::1]:5000", MTSI_PLACE_NAME, "fe7f::1", 5000},
	{"[::1.2.3.4]:5", MTSI_PLACE_NAME, "::1.2.3.4", 5},
	{"[::fffe:1.2.3.4]:5", MTSI_PLACE_NAME, "::fffe:1.2.3.4", 5},
	{"[2001:DB8:1:2:3:4:5:6]:5", MTSI_PLACE_NAME, "2001:DB8:1:2:3:4:5:6", 5},
	{"name:5000", MTSI_PLACE_NAME, "name", 5000},
	{"a.b-c_d.example:5000", MTSI_PLACE_NAME, "a.b-c_d.example", 5000},
	{"4f2a9c:5000", MTSI_PLACE_NAME, "4f2a9c", 5000},
	{"1.2.3.example:5000", MTSI_PLACE_NAME, "1.2.3.example", 5000},
	{"0xyz:5000", MTSI_PLACE_NAME, "0xyz", 5000},
	{"UNIX:5000", MTSI_PLACE_NAME, "UNIX", 5000},
	{"systemd:", MTSI_PLACE_PASSED, "", 0},
	{"systemd:http", MTSI_PLACE_PASSED, "http", 0},
	{"systemd:5000", MTSI_PLACE_PASSED, "5000", 0},
	{"systemd:a:b", MTSI_PLACE_PASSED, "a:b", 0},
	{"systemd://x", MTSI_PLACE_PASSED, "//x", 0},
	{"systemd: %20\\x2d\n", MTSI_PLACE_PASSED, " %20\\x2d\n", 0},
	{"Systemd:5000", MTSI_PLACE_NAME, "Systemd", 5000},
	{"systemd.:5000", MTSI_PLACE_NAME, "systemd.", 5000},
};

START_TEST(accepted_inet)
{
	for (size_t i = 0; i < sizeof(inet_cases) / sizeof(*inet_cases); i++) {
		struct mtsi_place place;
		const char *why = NULL;
		int result = mtsi_place_parse(inet_cases[i].text, &place, &why);

		ck_assert_msg(result == 0, "%s: %s", inet_cases[i].text, why);
		ck_assert_msg(
			place.kind == inet_cases[i].kind, "%s: kind %d", inet_cases[i].text, (int)place.kind);
		ck_assert_str_eq(place.host, inet_cases[i].host);
		ck_assert_uint_eq(place.port, inet_cases[i].port);
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
#define SCHEME "an address is host:port, without http:// or the like"
#define MAPPED "an IPv4 address is written as its four numbers alone, as in 127.0.0.1:5000"
#define LINK "a link-local address needs its interface, as in [fe80::1%eth0]:5000"
#define MULTICAST "nobody can connect to a multicast address"
#define BROADCAST "nobody can connect to the broadcast address"
#define NOT_COLON "the closing bracket is not followed by a colon and a port"

static const struct {
	const char *text;
	const char *why;
} refused_cases[] = {
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
	{"http://localhost:80", SCHEME},
	{"http://localhost", SCHEME},
	{"http://localhost:80/", SCHEME},
	{"https://[::1]:443", SCHEME},
	{"tcp://127.0.0.1:5000", SCHEME},
	{"TCP://*:5000", SCHEME},
	{"UNIX:///run/socket", SCHEME},
	{"://", SCHEME},
	{"http:/localhost:80", BRACKETS},
	{"[::ffff:127.0.0.1]:80", MAPPED},
	{"[::FFFF:7f00:1]:80", MAPPED},
	{"[0:0:0:0:0:ffff:1.2.3.4]:5", MAPPED},
	{"[::ffff:127.0.0.1%lo]:80", MAPPED},
	{"[::ffff:0.0.0.0]:80", MAPPED},
	{"[fe80::1]:80", LINK},
	{"[FE80::1]:80", LINK},
	{"[febf:ffff::1]:80", LINK},
	{"[fe80::1%0]:80", LINK},
	{"[fe80::1%000]:80", LINK},
	{"[ff02::1]:80", MULTICAST},
	{"[ff02::1%eth0]:80", MULTICAST},
	{"[ff0e::1:2]:80", MULTICAST},
	{"224.0.0.1:80", MULTICAST},
	{"239.255.255.255:80", MULTICAST},
	{"255.255.255.255:80", BROADCAST},
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

START_TEST(refused)
{
	for (size_t i = 0; i < sizeof(refused_cases) / sizeof(*refused_cases); i++) {
		struct mtsi_place place;
		const char *why = NULL;
		int result = mtsi_place_parse(refused_cases[i].text, &place, &why);
		const char *text = refused_cases[i].text == NULL ? "NULL" : refused_cases[i].text;

		ck_assert_msg(result == -EINVAL, "%s: %d", text, result);
		ck_assert_msg(strcmp(why, refused_cases[i].why) == 0, "%s: %s", text, why);
	}
}
END_TEST

/* The same verdicts on addresses that the parser does not see, such as those of a name. */
START_TEST(unfit)
{
	static const struct {
		const char *ip;
		unsigned scope;
		const char *why;
	} cases[] = {
		{"127.0.0.1", 0, NULL},
		{"0.0.0.0", 0, NULL},
		{"223.255.255.255", 0, NULL},
		{"224.0.0.0", 0, MULTICAST},
		{"239.255.255.255", 0, MULTICAST},
		{"240.0.0.0", 0, NULL},
		{"255.255.255.255", 0, BROADCAST},
		{"::", 0, NULL},
		{"::1", 0, NULL},
		{"2001:db8::1", 0, NULL},
		{"fe80::1", 0, LINK},
		{"fe80::1", 2, NULL},
		{"::ffff:127.0.0.1", 0, MAPPED},
		{"ff02::1", 2, MULTICAST},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct sockaddr_in in = {.sin_family = AF_INET};
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = cases[i].scope};
		bool ipv4 = inet_pton(AF_INET, cases[i].ip, &in.sin_addr) == 1;
		const char *why;

		ck_assert(ipv4 || inet_pton(AF_INET6, cases[i].ip, &in6.sin6_addr) == 1);
		why = ipv4 ? mtsi_place_unfit((struct sockaddr *)&in, sizeof(in))
				   : mtsi_place_unfit((struct sockaddr *)&in6, sizeof(in6));
		if (cases[i].why == NULL) {
			ck_assert_msg(why == NULL, "%s: %s", cases[i].ip, why);
		} else {
			ck_assert_msg(why != NULL && strcmp(why, cases[i].why) == 0, "%s", cases[i].ip);
		}
	}

	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/224.0.0.1"};

	ck_assert_ptr_null(mtsi_place_unfit((struct sockaddr *)&un, sizeof(un)));
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
		{"systemd:", 'a', 255, "", 0},
		{"systemd:", 'a', 256, "", -ENAMETOOLONG},
		{"systemd:", ':', 1000000, "", -ENAMETOOLONG},
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

int main(void)
{
	TCase *cases = suite_begin("place");

	tcase_add_test(cases, accepted_inet);
	tcase_add_test(cases, refused);
	tcase_add_test(cases, unfit);
	tcase_add_test(cases, every_byte);
	tcase_add_test(cases, long_texts);
	tcase_add_test(cases, accepted_unix);

	return suite_run_once();
}
