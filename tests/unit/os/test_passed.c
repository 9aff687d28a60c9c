/* SPDX-License-Identifier: MIT
 *
 * What a service manager says about the sockets that it has passed: which of them are meant, whatever
 * is said, and why none is. And which descriptors clients can be accepted at.
 */
#include "os/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../api/support.h"

enum { SELF = 4711 };

#define NOBODY "no service manager has passed a socket (LISTEN_PID)"
#define NO_PID "LISTEN_PID is not the number of a process"
#define OTHER "the sockets were passed to another process (LISTEN_PID)"
#define NO_COUNT "it is not said how many sockets were passed (LISTEN_FDS)"
#define NO_NUMBER "LISTEN_FDS is not a number of descriptors"
#define NONE "no socket was passed (LISTEN_FDS)"
#define NAMES "LISTEN_FDNAMES has not as many names as LISTEN_FDS says"
#define NO_NAME "no socket that was passed has this name (LISTEN_FDNAMES)"
#define UNNAMED "the sockets were passed without names (LISTEN_FDNAMES)"

static const struct {
	const char *pid;
	const char *count;
	const char *names;
	const char *name;
	int result;
	const char *why;
} refused_cases[] = {
	{NULL, NULL, NULL, "", -ENOENT, NOBODY},
	{NULL, "1", "a", "a", -ENOENT, NOBODY},
	{"", "1", NULL, "", -EINVAL, NO_PID},
	{"x", "1", NULL, "", -EINVAL, NO_PID},
	{"4711x", "1", NULL, "", -EINVAL, NO_PID},
	{" 4711", "1", NULL, "", -EINVAL, NO_PID},
	{"4711 ", "1", NULL, "", -EINVAL, NO_PID},
	{"+4711", "1", NULL, "", -EINVAL, NO_PID},
	{"-4711", "1", NULL, "", -EINVAL, NO_PID},
	{"0x1267", "1", NULL, "", -EINVAL, NO_PID},
	{"4711.0", "1", NULL, "", -EINVAL, NO_PID},
	{"2147483648", "1", NULL, "", -EINVAL, NO_PID},
	{"4294972007", "1", NULL, "", -EINVAL, NO_PID}, /* 2^32 + 4711 */
	{"18446744073709556327", "1", NULL, "", -EINVAL, NO_PID}, /* 2^64 + 4711 */
	{"99999999999999999999999999999999", "1", NULL, "", -EINVAL, NO_PID},
	{"0", "1", NULL, "", -ENOENT, OTHER},
	{"1", "1", NULL, "", -ENOENT, OTHER},
	{"2147483647", "1", NULL, "", -ENOENT, OTHER},
	{"4711", NULL, NULL, "", -ENOENT, NO_COUNT},
	{"4711", NULL, "a", "a", -ENOENT, NO_COUNT},
	{"4711", "", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "one", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "-1", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "1 ", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "1:2", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "2147483645", NULL, "", -EINVAL, NO_NUMBER}, /* the last would be 2^31 */
	{"4711", "2147483648", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "4294967297", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "18446744073709551617", NULL, "", -EINVAL, NO_NUMBER},
	{"4711", "0", NULL, "", -ENOENT, NONE},
	{"4711", "0", "a", "a", -ENOENT, NONE},
	{"4711", "2", "a", "a", -EINVAL, NAMES},
	{"4711", "1", "a:b", "a", -EINVAL, NAMES},
	{"4711", "2147483644", "a", "a", -EINVAL, NAMES},
	{"4711", "2", "", "a", -EINVAL, NAMES},
	{"4711", "1", "a:", "a", -EINVAL, NAMES},
	{"4711", "1", "a", "b", -ENOENT, NO_NAME},
	{"4711", "1", "", "b", -ENOENT, NO_NAME},
	{"4711", "2", ":", "b", -ENOENT, NO_NAME},
	{"4711", "2", "ab:ba", "a", -ENOENT, NO_NAME},
	{"4711", "2", "ab:ba", "abc", -ENOENT, NO_NAME},
	{"4711", "2", "a:b", "a:b", -ENOENT, NO_NAME}, /* no name has a colon in it */
	{"4711", "1", "A", "a", -ENOENT, NO_NAME},
	{"4711", "1", "a\\x20b", "a b", -ENOENT, NO_NAME},
	{"4711", "1", NULL, "a", -ENOENT, UNNAMED},
};

START_TEST(refused)
{
	struct mtsi_passed passed = {
		refused_cases[_i].pid, refused_cases[_i].count, refused_cases[_i].names, 0, 0};
	const char *why = NULL;
	ck_assert_int_eq(
		mtsi_passed_begin(&passed, SELF, refused_cases[_i].name, &why), refused_cases[_i].result);
	ck_assert_str_eq(why, refused_cases[_i].why);
}
END_TEST

static const struct {
	const char *pid;
	const char *count;
	const char *names;
	const char *name;
	int fds[5]; /* up to the first 0 */
} meant_cases[] = {
	{"4711", "1", NULL, "", {3}},
	{"04711", "01", NULL, "", {3}},
	{"4711", "3", NULL, "", {3, 4, 5}},
	{"4711", "3", "a:b:c", "", {3, 4, 5}},
	{"4711", "3", "a:b", "", {3, 4, 5}}, /* who asks for all does not care about names */
	{"4711", "3", "", "", {3, 4, 5}},
	{"4711", "3", "a:b:c", "a", {3}},
	{"4711", "3", "a:b:c", "c", {5}},
	{"4711", "4", "a:b:a:b", "b", {4, 6}},
	{"4711", "4", "a::a:", "a", {3, 5}},
	{"4711", "3", "ab:a:abc", "a", {4}},
	{"4711", "1", "dev-sda\\x2d1.socket", "dev-sda\\x2d1.socket", {3}},
	{"4711", "2", "\xc3\xa4:a b", "\xc3\xa4", {3}},
	{"4711", "2", "x:unknown", "unknown", {4}},
	{"4711", "2", NULL, "unknown", {3, 4}},
};

START_TEST(meant)
{
	struct mtsi_passed passed = {
		meant_cases[_i].pid, meant_cases[_i].count, meant_cases[_i].names, 0, 0};
	const char *name = meant_cases[_i].name;
	const char *why = "?";
	ck_assert_int_eq(mtsi_passed_begin(&passed, SELF, name, &why), 0);
	ck_assert_ptr_null(why);
	for (const int *fd = meant_cases[_i].fds; *fd != 0; fd++) {
		ck_assert_int_eq(mtsi_passed_next(&passed, name), *fd);
	}
	ck_assert_int_eq(mtsi_passed_next(&passed, name), -1);
	ck_assert_int_eq(mtsi_passed_next(&passed, name), -1);
}
END_TEST

/* As many as there can be, and the last of very many names. */
START_TEST(very_many)
{
	enum { MANY = 100000 };
	struct mtsi_passed passed = {"4711", "2147483644", NULL, 0, 0};
	const char *why;
	ck_assert_int_eq(mtsi_passed_begin(&passed, SELF, "", &why), 0);
	passed.next = INT_MAX - 1;
	ck_assert_int_eq(mtsi_passed_next(&passed, ""), INT_MAX - 1);
	ck_assert_int_eq(mtsi_passed_next(&passed, ""), -1);
	char *names = malloc(2 * MANY);
	for (int i = 0; i < MANY; i++) {
		names[2 * i] = i < MANY - 1 ? 'a' : 'b';
		names[2 * i + 1] = i < MANY - 1 ? ':' : '\0';
	}
	passed = (struct mtsi_passed){"4711", "100000", names, 0, 0};
	ck_assert_int_eq(mtsi_passed_begin(&passed, SELF, "b", &why), 0);
	ck_assert_int_eq(mtsi_passed_next(&passed, "b"), MANY + 2);
	ck_assert_int_eq(mtsi_passed_next(&passed, "b"), -1);
	free(names);
}
END_TEST

START_TEST(from_the_environment)
{
	struct mtsi_passed passed;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	mtsi_passed_get(&passed);
	ck_assert(passed.pid == NULL && passed.count == NULL && passed.names == NULL);
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "c:d", 1);
	mtsi_passed_get(&passed);
	ck_assert_str_eq(passed.pid, "1");
	ck_assert_str_eq(passed.count, "2");
	ck_assert_str_eq(passed.names, "c:d");
}
END_TEST

static void expect_fit(int fd, int result, const char *clause)
{
	const char *why = "?";
	ck_assert_int_eq(mtsi_passed_fits(fd, &why), result);
	if (clause == NULL) {
		ck_assert_ptr_null(why);
	} else {
		ck_assert_str_eq(why, clause);
	}
	if (fd > STDERR_FILENO) {
		close(fd);
	}
}

START_TEST(what_fits)
{
	int pair[2];
	int pipes[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(pipe(pipes), 0);
	const int packets = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	const struct sockaddr unnamed = {.sa_family = AF_UNIX};
	ck_assert_int_eq(bind(packets, &unnamed, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(packets, 1), 0);
	expect_fit(listening_socket(TCP, 1), 0, NULL);
	expect_fit(listening_socket(UNIX, 1), 0, NULL);
	expect_fit(socket(AF_INET, SOCK_STREAM, 0), -EINVAL, "it does not listen");
	expect_fit(pair[0], -EINVAL, "it is a connection, as with Accept=yes in the socket unit");
	expect_fit(socket(AF_INET, SOCK_DGRAM, 0), -EINVAL, "it is not a stream socket");
	expect_fit(packets, -EINVAL, "it is not a stream socket");
	expect_fit(open("/dev/null", O_RDWR), -ENOTSOCK, "it is not a socket");
	expect_fit(pipes[0], -ENOTSOCK, "it is not a socket");
	expect_fit(-1, -EBADF, "it is not open");
	expect_fit(INT_MAX - 1, -EBADF, "it is not open");
	close(pair[1]);
	close(pipes[1]);
}
END_TEST

/* A number is taken once, until it is put back; each by itself; and not any number. */
START_TEST(taken_once)
{
	static const int numbers[] = {3, 4, 63, 64, 65, 65535};
	const char *why;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		ck_assert_int_eq(mtsi_passed_take(numbers[i], &why), 0);
		ck_assert_ptr_null(why);
		ck_assert_int_eq(mtsi_passed_take(numbers[i], &why), -EBUSY);
		ck_assert_str_eq(why, "it was taken before, by a server of this process");
	}
	mtsi_passed_put_back(64);
	ck_assert_int_eq(mtsi_passed_take(64, &why), 0);
	ck_assert_int_eq(mtsi_passed_take(63, &why), -EBUSY);
	ck_assert_int_eq(mtsi_passed_take(65536, &why), -EMFILE);
	ck_assert_int_eq(mtsi_passed_take(INT_MAX - 1, &why), -EMFILE);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	TCase *cases = suite_begin("passed sockets");
	tcase_add_loop_test(cases, refused, 0, COUNT(refused_cases));
	tcase_add_loop_test(cases, meant, 0, COUNT(meant_cases));
	tcase_add_test(cases, very_many);
	tcase_add_test(cases, from_the_environment);
	tcase_add_test(cases, what_fits);
	tcase_add_test(cases, taken_once);
	return suite_run_once();
}
