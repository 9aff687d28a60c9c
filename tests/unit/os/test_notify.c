/* SPDX-License-Identifier: MIT
 *
 * Where a service manager wants to be told, and how often: every form there is, and what is none. And
 * that telling it never waits, and finds it again.
 */
#include "os/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../api/service.h"
#include "../../api/support.h"
#include "os/clock.h"

enum { SELF = 4711, PATH_OFFSET = offsetof(struct sockaddr_un, sun_path) };

static int read_filled(char first, size_t size, struct mtsi_notify_place *place, const char **why)
{
	char *text = malloc(size + 1);
	memset(text, 'x', size);
	text[0] = first;
	text[size] = '\0';
	const int result = mtsi_notify_place(text, place, why);
	free(text);
	return result;
}

START_TEST(places)
{
	struct mtsi_notify_place place;
	const char *why = NULL;
	ck_assert_int_eq(mtsi_notify_place(NULL, &place, &why), 0);
	ck_assert_int_eq(mtsi_notify_place("/run/notify", &place, &why), 1);
	ck_assert_int_eq(place.name.sun_family, AF_UNIX);
	ck_assert_str_eq(place.name.sun_path, "/run/notify");
	ck_assert_uint_eq(place.size, PATH_OFFSET + 12);
	ck_assert_int_eq(mtsi_notify_place("@notify", &place, &why), 1);
	ck_assert_mem_eq(place.name.sun_path, "\0notify", 7);
	ck_assert_uint_eq(place.size, PATH_OFFSET + 7);
	ck_assert_ptr_null(why);
	for (size_t size = 2; size <= 1000; size++) {
		const int wanted = size <= 107 ? 1 : -ENAMETOOLONG;
		ck_assert_int_eq(read_filled('/', size, &place, &why), wanted);
		ck_assert_int_eq(read_filled('@', size, &place, &why), wanted);
		ck_assert_uint_le(place.size, sizeof(place.name));
	}
}
END_TEST

static const struct {
	const char *text;
	int result;
} no_places[] = {
	{"", -EINVAL},
	{"/", -EINVAL},
	{"@", -EINVAL},
	{"x", -EINVAL},
	{"run/notify", -EINVAL},
	{"./notify", -EINVAL},
	{" /run/notify", -EINVAL},
	{"unix:/run/notify", -EINVAL},
	{"vsock", -EINVAL},
	{"vsock:", -EAFNOSUPPORT},
	{"vsock:2:9999", -EAFNOSUPPORT},
};
enum { NO_PLACES = sizeof(no_places) / sizeof(no_places[0]) };

START_TEST(refused_places)
{
	struct mtsi_notify_place place;
	const char *why = NULL;
	ck_assert_int_eq(mtsi_notify_place(no_places[_i].text, &place, &why), no_places[_i].result);
	ck_assert_ptr_nonnull(strstr(why, "NOTIFY_SOCKET"));
}
END_TEST

static const struct {
	const char *usec;
	const char *pid;
	int result;
	uint64_t period;
} periods[] = {
	{NULL, NULL, 0, 0}, {NULL, "4711", 0, 0}, {"1", NULL, 1, MTSI_MICROSECOND},
	{"030000000", "4711", 1, 30 * MTSI_SECOND}, {"30000000", "4712", 0, 0}, {"30000000", "0", 0, 0},
	{"18446744073709550", NULL, 1, UINT64_C(18446744073709550000)},
	{"18446744073709551", NULL, 1, MTSI_NEVER}, {"18446744073709551614", "04711", 1, MTSI_NEVER},
	{"18446744073709551615", NULL, -EINVAL, 0}, /* none at all, in systemd's words */
	{"18446744073709551616", NULL, -EINVAL, 0}, {"18446744073709551625", NULL, -EINVAL, 0},
	{"184467440737095516160", NULL, -EINVAL, 0}, {"0", NULL, -EINVAL, 0}, {"", NULL, -EINVAL, 0},
	{"-1", NULL, -EINVAL, 0}, {"+1", NULL, -EINVAL, 0}, {" 1", NULL, -EINVAL, 0},
	{"1 ", NULL, -EINVAL, 0}, {"1e6", NULL, -EINVAL, 0}, {"0x10", NULL, -EINVAL, 0},
	{"1", "", -EINVAL, 0}, {"1", "self", -EINVAL, 0}, {"1", "-4711", -EINVAL, 0},
	{"1", "4294972007", -EINVAL, 0}, /* 2^32 + 4711 */
};
enum { PERIODS = sizeof(periods) / sizeof(periods[0]) };

START_TEST(how_often)
{
	uint64_t period = 1;
	const char *why = NULL;
	ck_assert_int_eq(mtsi_notify_period(periods[_i].usec, periods[_i].pid, SELF, &period, &why),
		periods[_i].result);
	ck_assert_uint_eq(period, periods[_i].period);
	ck_assert_int_eq(why != NULL, periods[_i].result < 0);
}
END_TEST

START_TEST(from_the_environment)
{
	struct mtsi_notify_place place;
	uint64_t period;
	const char *why;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "nonsense", 1);
	ck_assert_int_eq(mtsi_notify_get(&place, &period, &why), 0); /* nobody asks */
	ck_assert_uint_eq(period, 0);
	setenv("NOTIFY_SOCKET", "@x", 1);
	ck_assert_int_eq(mtsi_notify_get(&place, &period, &why), -EINVAL);
	setenv("WATCHDOG_USEC", "7", 1);
	unsetenv("WATCHDOG_PID");
	ck_assert_int_eq(mtsi_notify_get(&place, &period, &why), 1);
	ck_assert_uint_eq(period, 7 * MTSI_MICROSECOND);
	setenv("WATCHDOG_PID", "1", 1);
	ck_assert_int_eq(mtsi_notify_get(&place, &period, &why), 1);
	ck_assert_uint_eq(period, 0);
}
END_TEST

START_TEST(sent_and_found_again)
{
	struct mtsi_notify_place place;
	const char *why;
	char name[64];
	(void)snprintf(name, sizeof(name), "@mts-notify-unit-%d", (int)getpid());
	ck_assert_int_eq(mtsi_notify_place(name, &place, &why), 1);
	const int fd = mtsi_notify_open();
	ck_assert_int_eq(mtsi_notify_send(fd, &place, "nobody"), -ECONNREFUSED);
	for (int i = 0; i < 3; i++) {
		const int manager = manager_open(name);
		ck_assert_int_eq(mtsi_notify_send(fd, &place, "one"), 1);
		ck_assert_int_eq(mtsi_notify_send(fd, &place, "two"), 1);
		manager_expect(manager, "one");
		manager_expect(manager, "two");
		int result;
		while ((result = mtsi_notify_send(fd, &place, "many")) == 1) {
		}
		ck_assert_int_eq(result, -EAGAIN);
		close(manager);
		ck_assert_int_eq(mtsi_notify_send(fd, &place, "gone"), -ECONNREFUSED);
	}
	mtsi_notify_close(fd);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("notify");
	tcase_add_test(cases, places);
	tcase_add_loop_test(cases, refused_places, 0, NO_PLACES);
	tcase_add_loop_test(cases, how_often, 0, PERIODS);
	tcase_add_test(cases, from_the_environment);
	tcase_add_test(cases, sent_and_found_again);
	return suite_run_once();
}
