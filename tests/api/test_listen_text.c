/* SPDX-License-Identifier: MIT
 *
 * Texts that are no addresses, and names that nobody has. Whatever the text, the answer is a code and a
 * sentence in printable characters, and nothing is left open.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static mts_server *bare_server(void)
{
	mts_server *server = server_create(answer_keep, NULL);
	ck_assert_ptr_nonnull(server);
	return server;
}

static void expect_listen(mts_server *server, const char *address, int result)
{
	const int got = mts_server_listen(server, address);
	ck_assert_msg(got == result, "listen on %.100s: %d instead of %d: %s", address, got, result,
		mts_server_error(server));
}

/* A name that nobody has. Without a network the resolver may not know for sure. */
START_TEST(name_of_nobody)
{
	ck_assert_int_eq(setenv("RES_OPTIONS", "timeout:1 attempts:1", 1), 0);
	mts_server *server = bare_server();
	const int result = mts_server_listen(server, "nobody.invalid:5000");
	ck_assert_msg(result == -ENOENT || result == -EAGAIN, "%d", result);
	const char *sentence = mts_server_error(server);
	const char *start = "cannot listen on nobody.invalid:5000: ";
	ck_assert_msg(strncmp(sentence, start, strlen(start)) == 0, "%s", sentence);
	if (result == -ENOENT) {
		ck_assert_str_eq(sentence + strlen(start), "no such name");
	}
	ck_assert_ptr_null(mts_server_address(server, 0));
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* What cannot be understood: -EINVAL and a sentence, and nothing is bound. */
static const char *const hostile[] = {"", ":", ":0", ":5000", "localhost",
	"localhost:", "localhost:x", "localhost:-1", "localhost:+1", "localhost: 1", "localhost:1 ",
	"localhost:65536", "localhost:99999999999999999999", "localhost:0x10", "*", "*:", "**:0",
	"*.*:0", "65536", "-1", " 0", "0 ", "[::1]", "[::1]:", "[::1]0", "[::1:0", "::1:0", "[]:0",
	"[::g]:0", "[127.0.0.1]:0", "[::1%]:0", "[::1]]:0", "[[::1]]:0", "127.1:0", "127.0.0.256:0",
	"0x7f000001:0", "2130706433:0", "127.0.0.1.:0", "127.0.0.1:0:0", "unix:", "unix:@",
	"local host:0", "localhost\n:0", "localhost:0\n", "\xff\xfe:0", "%s%s%s%n:0",
	"../../etc/passwd:0", "a/b:0"};

START_TEST(hostile_strings)
{
	mts_server *server = bare_server();
	const int descriptors = count_descriptors();
	expect_listen(server, hostile[_i], -EINVAL);
	const char *sentence = mts_server_error(server);
	const char *start = "cannot listen on ";
	ck_assert_msg(strncmp(sentence, start, strlen(start)) == 0, "%s", sentence);
	for (const char *c = sentence; *c != '\0'; c++) {
		ck_assert_msg(*c >= ' ' && *c <= '~', "%s", sentence);
	}
	ck_assert_ptr_null(mts_server_address(server, 0));
	ck_assert_int_eq(count_descriptors(), descriptors);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Huge ones, of every shape: refused, and the sentence stays a sentence. */
START_TEST(endless_strings)
{
	enum { HUGE = 1000000 };
	static const char *const starts[] = {"", "unix:", "unix:@", "[", "localhost:", "a."};
	static const char fills[] = "a9:]@\x01";
	char *text = malloc(HUGE + 1);
	mts_server *server = bare_server();
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		for (const char *fill = fills; *fill != '\0'; fill++) {
			memset(text, *fill, HUGE);
			memcpy(text, starts[i], strlen(starts[i]));
			text[HUGE] = '\0';
			const int result = mts_server_listen(server, text);
			const bool path = strncmp(text, "unix:", 5) == 0;
			ck_assert_int_eq(result, path ? -ENAMETOOLONG : -EINVAL);
			ck_assert_uint_gt(strlen(mts_server_error(server)), 20);
			ck_assert_uint_lt(strlen(mts_server_error(server)), 1000);
		}
	}
	ck_assert_ptr_null(mts_server_address(server, 0));
	ck_assert_int_eq(mts_server_destroy(server), 0);
	free(text);
}
END_TEST

static const struct {
	const char *address;
	const char *sentence;
} sentences[] = {
	{"", "cannot listen on : the address is empty"},
	{"localhost", "cannot listen on localhost: the port is missing, as in localhost:5000"},
	{"localhost:65536",
		"cannot listen on localhost:65536: the port is not a number between 0 and 65535"},
	{":5000", "cannot listen on :5000: the host is missing; every address is written *:5000"},
	{"unix:", "cannot listen on unix:: the path of the Unix socket is missing"},
	{"http://localhost:80",
		"cannot listen on http://localhost:80: an address is host:port, without http:// or the like"},
	{"[::ffff:127.0.0.1]:80",
		"cannot listen on [::ffff:127.0.0.1]:80: an IPv4 address is written as its four numbers "
		"alone, as in 127.0.0.1:5000"},
	{"[fe80::1]:80",
		"cannot listen on [fe80::1]:80: a link-local address needs its interface, as in "
		"[fe80::1%eth0]:5000"},
	{"224.0.0.1:80", "cannot listen on 224.0.0.1:80: nobody can connect to a multicast address"},
	{"255.255.255.255:0",
		"cannot listen on 255.255.255.255:0: nobody can connect to the broadcast address"},
};

START_TEST(whole_sentences)
{
	mts_server *server = bare_server();
	ck_assert_str_eq(mts_server_error(server), "");
	expect_listen(server, sentences[_i].address, -EINVAL);
	ck_assert_str_eq(mts_server_error(server), sentences[_i].sentence);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	TCase *cases = suite_begin("listen, texts");
	tcase_add_test(cases, name_of_nobody);
	tcase_add_loop_test(cases, hostile_strings, 0, COUNT(hostile));
	tcase_add_test(cases, endless_strings);
	tcase_add_loop_test(cases, whole_sentences, 0, COUNT(sentences));
	return suite_run_once();
}
