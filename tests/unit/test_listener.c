/* SPDX-License-Identifier: MIT
 *
 * What is bound is listed, in order and with its real port; it is armed and disarmed as a whole; and at
 * the end all of it is closed.
 */
#include "engine/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../api/support.h"
#include "engine/entry.h"
#include "engine/server.h"
#include "os/poll.h"

static mts_server *server;
static struct mtsi_listeners *listeners;
static char why[600];

static int no_handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return MTS_CLOSE;
}

static void setup(void)
{
	server = server_create(no_handler, NULL);
	server->poll = mtsi_poll_open();
	listeners = &server->listeners;
}

static void teardown(void)
{
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

static int add(const char *address)
{
	return mtsi_listeners_add(server, address, why, sizeof(why));
}

START_TEST(they_are_listed)
{
	char name[64];
	(void)snprintf(name, sizeof(name), "unix:@mtserver-test-%d", (int)getpid());
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(add(name), 0);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_uint_eq(listeners->count, 3);
	ck_assert_ptr_nonnull(strstr(listeners->list[0].text, "127.0.0.1:"));
	ck_assert_str_ne(listeners->list[0].text, "127.0.0.1:0");
	ck_assert_str_eq(listeners->list[1].text, name);
	ck_assert_str_ne(listeners->list[0].text, listeners->list[2].text);
	ck_assert_int_eq(add(listeners->list[0].text), -EADDRINUSE);
	ck_assert_int_eq(add(name), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(why, name));
	ck_assert_uint_eq(listeners->count, 3);
}
END_TEST

static const struct {
	const char *address;
	int result;
} wrong[] = {
	{"", -EINVAL}, {":5000", -EINVAL}, {"127.0.0.1", -EINVAL}, {"127.0.0.1:65536", -EINVAL},
	{"127.0.0.1:\n", -EINVAL}, {"unix:", -EINVAL}, {"unix:/nowhere/at/all/socket", -ENOENT},
	{"192.0.2.1:0", -EADDRNOTAVAIL}, /* set aside for documentation: nobody's */
};

START_TEST(wrong_ones_leave_nothing)
{
	const int descriptors = count_descriptors();
	ck_assert_int_eq(add(wrong[_i].address), wrong[_i].result);
	ck_assert_uint_gt(strlen(why), 2);
	ck_assert_ptr_null(strchr(why, '\n'));
	ck_assert_uint_eq(listeners->count, 0);
	ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

static int listening_socket(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

START_TEST(taking_over)
{
	const int fd = listening_socket();
	ck_assert_int_eq(mtsi_listeners_adopt(server, fd), 0);
	ck_assert_int_eq(mtsi_listeners_adopt(server, fd), -EALREADY);
	ck_assert_uint_eq(listeners->count, 1);
	ck_assert_int_eq(listeners->list[0].fd, fd);
	ck_assert_int_eq(mtsi_listeners_adopt(server, -1), -EBADF);
	ck_assert_int_eq(mtsi_listeners_adopt(server, server->poll), -ENOTSOCK);
	ck_assert_uint_eq(listeners->count, 1);
}
END_TEST

static int reported(void)
{
	struct mtsi_poll_event events[8];
	return mtsi_poll_wait(server->poll, events, 8, 0);
}

START_TEST(armed_and_not)
{
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	const int first = peer_connect(server, 0);
	const int second = peer_connect(server, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(mtsi_listeners_prepare(server), 0); /* again does no harm */
		ck_assert_int_eq(reported(), 0);
		mtsi_listeners_arm(server, true);
		ck_assert_int_eq(reported(), 2);
		mtsi_listeners_arm(server, false);
		ck_assert_int_eq(reported(), 0);
	}
	mtsi_listeners_arm(server, true);
	mtsi_listeners_close(server);
	ck_assert_int_eq(reported(), 0);
	ck_assert_int_eq(listeners->list[0].fd, -1);
	ck_assert_str_ne(listeners->list[0].text, "");
	peer_expect_gone(first);
	peer_expect_gone(second);
	mtsi_listeners_close(server);
	close(first);
	close(second);
}
END_TEST

/* Somebody else who has that socket shuts it down: it raises no event any more, the others do. */
START_TEST(buried)
{
	const int fd = listening_socket();
	const int same = dup(fd);
	ck_assert_int_eq(mtsi_listeners_adopt(server, fd), 0);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(mtsi_listeners_prepare(server), 0);
	mtsi_listeners_arm(server, true);
	ck_assert_int_eq(shutdown(same, SHUT_RDWR), 0);
	ck_assert_int_eq(reported(), 1);
	mtsi_listeners_bury(server, 1);
	ck_assert_int_eq(reported(), 0);
	mtsi_listeners_arm(server, false);
	mtsi_listeners_arm(server, true);
	ck_assert_int_eq(reported(), 0);
	const int peer = peer_connect(server, 1);
	ck_assert_int_eq(reported(), 1);
	close(peer);
	close(same);
}
END_TEST

/* Two own ones, and one that others have too; all are armed. */
static void open_three(int *same)
{
	const int fd = listening_socket();
	*same = dup(fd);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(mtsi_listeners_adopt(server, fd), 0);
	ck_assert_int_eq(mtsi_listeners_prepare(server), 0);
	mtsi_door_open(server);
	ck_assert(server->door.armed);
}

/* One accepts at a time; who may not, is told of what waits a few times more, and then not any more. */
START_TEST(turns)
{
	int same;
	open_three(&same);
	const int first = peer_connect(server, 0);
	const int second = peer_connect(server, 1);
	const int third = peer_connect(server, 2);
	ck_assert_int_eq(mtsi_entry_take(server, 1), listeners->list[0].fd);
	ck_assert_int_eq(mtsi_entry_take(server, 3), listeners->list[2].fd);
	int passed = 0;
	while (reported() == 3) {
		ck_assert_int_eq(mtsi_entry_take(server, 1), -1);
		ck_assert_int_lt(passed++, 10);
	}
	ck_assert_int_eq(mtsi_entry_take(server, 2), -1);
	ck_assert_int_eq(reported(), 1);
	mtsi_listeners_arm(server, true);
	ck_assert_int_eq(reported(), 1);
	mtsi_entry_give_back(server, 3);
	ck_assert_int_eq(reported(), 1);
	mtsi_entry_give_back(server, 1);
	ck_assert_int_eq(reported(), 3);
	ck_assert_int_eq(mtsi_entry_take(server, 2), listeners->list[1].fd);
	mtsi_entry_give_back(server, 2);
	close(first);
	close(second);
	close(third);
	close(same);
}
END_TEST

/* While one accepts the descriptor stays; it is closed when the turn is over, and nobody has another. */
START_TEST(closed_in_a_turn)
{
	int same;
	open_three(&same);
	const int own = mtsi_entry_take(server, 1);
	const int other = mtsi_entry_take(server, 3);
	mtsi_listeners_close(server);
	ck_assert_int_eq(reported(), 0);
	ck_assert_int_eq(mtsi_entry_take(server, 2), -1);
	ck_assert_int_ge(fcntl(own, F_GETFD), 0);
	ck_assert_int_ge(fcntl(other, F_GETFD), 0);
	ck_assert_str_eq(mtsi_entry_taken(server), listeners->list[0].text);
	mtsi_entry_give_back(server, 1);
	ck_assert_int_eq(fcntl(own, F_GETFD), -1);
	ck_assert_int_eq(listeners->list[1].fd, -1);
	ck_assert_str_eq(mtsi_entry_taken(server), listeners->list[2].text);
	mtsi_entry_give_back(server, 3);
	ck_assert_int_eq(fcntl(other, F_GETFD), -1);
	ck_assert_ptr_null(mtsi_entry_taken(server));
	close(same);
}
END_TEST

/* The spare descriptor is handed from one to the next, and none is kept once all is closed. */
START_TEST(the_spare_descriptor)
{
	ck_assert_int_eq(mtsi_entry_take_spare(server), -1);
	mtsi_entry_want_spare(server);
	const int spare = mtsi_entry_take_spare(server);
	ck_assert_int_ge(spare, 0);
	ck_assert_int_eq(mtsi_entry_take_spare(server), -1);
	mtsi_entry_want_spare(server);
	mtsi_entry_keep_spare(server, spare); /* one too many */
	ck_assert_int_eq(fcntl(spare, F_GETFD), -1);
	const int another = mtsi_entry_take_spare(server);
	mtsi_listeners_close(server);
	mtsi_entry_keep_spare(server, another);
	ck_assert_int_eq(fcntl(another, F_GETFD), -1);
	mtsi_entry_want_spare(server);
	ck_assert_int_eq(listeners->spare, -1);
}
END_TEST

START_TEST(tags)
{
	ck_assert(!mtsi_listeners_tag(listeners, 0));
	ck_assert(!mtsi_listeners_tag(listeners, 1));
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert(!mtsi_listeners_tag(listeners, 0));
	ck_assert(mtsi_listeners_tag(listeners, 1));
	ck_assert(mtsi_listeners_tag(listeners, 2));
	ck_assert(!mtsi_listeners_tag(listeners, 3));
	ck_assert(!mtsi_listeners_tag(listeners, MTSI_FIRST_ID));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("listener");
	TCase *cases = tcase_create("listener");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, they_are_listed);
	tcase_add_loop_test(cases, wrong_ones_leave_nothing, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(cases, taking_over);
	tcase_add_test(cases, armed_and_not);
	tcase_add_test(cases, buried);
	tcase_add_test(cases, turns);
	tcase_add_test(cases, closed_in_a_turn);
	tcase_add_test(cases, the_spare_descriptor);
	tcase_add_test(cases, tags);
	suite_add_tcase(suite, cases);
	return run_suite_once(suite);
}
