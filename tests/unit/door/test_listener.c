/* SPDX-License-Identifier: MIT
 *
 * What is bound is listed, in order and with its real port; it is armed and disarmed as a whole; and at
 * the end all of it is closed. Of a name all addresses are bound that can be, and the log is told of the
 * others: getaddrinfo(3) is wrapped for that.
 */
#include "engine/door/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../api/support.h"
#include "engine/door/entry.h"
#include "engine/run/server.h"
#include "os/poll.h"

static mts_server *server;
static struct mtsi_listeners *listeners;
static char why[600];

static void setup(void)
{
	server = server_create(answer_close, NULL);
	mtsi_base_floor(server)->poll = mtsi_poll_open();
	listeners = &mtsi_door_floor(server)->listeners;
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

/* Names, and what they resolve to. */

enum { MANY = 150 };

static const char *const mixed[] = {"::ffff:127.0.0.1", "fe80::1", "127.0.0.1", "ff02::1",
	"192.0.2.1", "224.0.0.1", "255.255.255.255", "127.0.0.2", "127.0.0.1"};
static const char *const two[] = {"127.0.2.1", "127.0.2.2"}; /* where no other program is */
static const char *const unfit[] = {"ff02::1", "fe80::1"};
static const char *const absent[] = {"192.0.2.1", "203.0.113.7"};

static const struct {
	const char *name;
	const char *const *addresses;
	int count;
} names[] = {{"mixed.test", mixed, 9}, {"two.test", two, 2}, {"unfit.test", unfit, 2},
	{"absent.test", absent, 2}};

int __real_getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found);
int __wrap_getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found);
void __real_freeaddrinfo(struct addrinfo *found);
void __wrap_freeaddrinfo(struct addrinfo *found);

static bool ours; /* the list that is about to be freed has been made here */

/* Puts one before the others. */
static void prepend(struct addrinfo **found, const char *text)
{
	struct addrinfo *info = calloc(1, sizeof(*info) + sizeof(struct sockaddr_in6));
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	const bool ipv4 = inet_pton(AF_INET, text, &in.sin_addr) == 1;
	ck_assert(ipv4 || inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
	info->ai_family = ipv4 ? AF_INET : AF_INET6;
	info->ai_addrlen = ipv4 ? sizeof(in) : sizeof(in6);
	info->ai_addr = (struct sockaddr *)(info + 1);
	memcpy(info->ai_addr, ipv4 ? (const void *)&in : (const void *)&in6, info->ai_addrlen);
	info->ai_next = *found;
	*found = info;
}

int __wrap_getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	*found = NULL;
	ours = true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (int j = names[i].count; strcmp(host, names[i].name) == 0 && j > 0; j--) {
			prepend(found, names[i].addresses[j - 1]);
		}
	}
	for (int i = MANY; strcmp(host, "many.test") == 0 && i > 0; i--) {
		char text[INET_ADDRSTRLEN];
		(void)snprintf(text, sizeof(text), "127.0.1.%d", i);
		prepend(found, text);
	}
	if (*found != NULL) {
		return 0;
	}
	ours = false;
	return __real_getaddrinfo(host, service, hints, found);
}

void __wrap_freeaddrinfo(struct addrinfo *found)
{
	if (!ours) {
		__real_freeaddrinfo(found);
		return;
	}
	while (found != NULL) {
		struct addrinfo *next = found->ai_next;
		free(found);
		found = next;
	}
	ours = false;
}

/* What the server says at its start, line by line. */
static char said[8192];

static void keep_lines(int level, const char *message, void *user)
{
	(void)user;
	if (strstr(message, "serving on") != NULL) {
		const size_t used = strlen(said);
		(void)snprintf(said + used, sizeof(said) - used, "%d %s\n", level, message);
	}
}

static void live(void)
{
	said[0] = '\0';
	ck_assert_int_eq(mts_server_on_log(server, keep_lines, MTS_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 77), 0);
	ck_assert_int_eq(mts_server_start(server), 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
}

START_TEST(all_of_many)
{
	char expected[64];
	ck_assert_int_eq(add("many.test:0"), 0);
	ck_assert_uint_eq(listeners->count, MANY);
	const char *port = strrchr(listeners->list[0].text, ':');
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(expected, sizeof(expected), "127.0.1.%d%s", i + 1, port);
		ck_assert_str_eq(listeners->list[i].text, expected);
	}
	live();
	(void)snprintf(expected, sizeof(expected), "%d serving on 127.0.1.1%s, 127.0.1.2%s, ",
		MTS_LOG_INFO, port, port);
	ck_assert_msg(strncmp(said, expected, strlen(expected)) == 0, "%s", said);
	int shown = 1;
	for (const char *comma = said; (comma = strstr(comma, ", 127")) != NULL; comma++) {
		shown++;
	}
	(void)snprintf(
		expected, sizeof(expected), "%s and %d more, at most 77 clients\n", port, MANY - shown);
	ck_assert_int_gt(shown, 5);
	ck_assert_msg(strstr(said, expected) != NULL, "%s", said);
}
END_TEST

/* Those that cannot be bound are passed over, not without a word. */
START_TEST(some_of_a_name)
{
	static const struct {
		const char *address;
		const char *clause;
	} left_out[] = {
		{"[::ffff:127.0.0.1]", "an IPv4 address is written as its four numbers alone"},
		{"[fe80::1]", "a link-local address needs its interface"},
		{"[ff02::1]", "nobody can connect to a multicast address"},
		{"192.0.2.1", "Cannot assign requested address"},
		{"224.0.0.1", "nobody can connect to a multicast address"},
		{"255.255.255.255", "nobody can connect to the broadcast address"},
	};
	enum { LEFT_OUT = sizeof(left_out) / sizeof(left_out[0]) };
	char line[160];
	ck_assert_int_eq(add("mixed.test:0"), 0);
	ck_assert_uint_eq(listeners->count, 2);
	ck_assert_uint_eq(listeners->notes_count, LEFT_OUT);
	const char *port = strrchr(listeners->list[0].text, ':') + 1;
	live();
	(void)snprintf(line, sizeof(line),
		"%d serving on 127.0.0.1:%s, 127.0.0.2:%s, at most 77 clients\n", MTS_LOG_INFO, port, port);
	ck_assert_msg(strncmp(said, line, strlen(line)) == 0, "%s", said);
	for (int i = 0; i < LEFT_OUT; i++) {
		/* Those before the first that is bound have no port yet. */
		(void)snprintf(line, sizeof(line), "%d not serving on %s:%s: %s", MTS_LOG_NOTICE,
			left_out[i].address, i < 2 ? "0" : port, left_out[i].clause);
		ck_assert_msg(strstr(said, line) != NULL, "%s is not in:\n%s", line, said);
	}
}
END_TEST

/* None can be bound: the sentence names one of them and says why, and nothing is left. */
START_TEST(none_of_a_name)
{
	const int descriptors = count_descriptors();
	ck_assert_int_eq(add("unfit.test:5000"), -EADDRNOTAVAIL);
	ck_assert_msg(
		strstr(why, "[fe80::1]:5000: a link-local address needs its interface") == why, "%s", why);
	ck_assert_int_eq(add("absent.test:5000"), -EADDRNOTAVAIL);
	ck_assert_str_eq(why, "203.0.113.7:5000: Cannot assign requested address");
	ck_assert_uint_eq(listeners->count, 0);
	ck_assert_uint_eq(listeners->notes_count, 0);
	ck_assert_int_eq(count_descriptors(), descriptors);
	ck_assert_int_eq(add("[fe80::1%nowhere]:5000"), -ENOENT);
	ck_assert_str_eq(why, "[fe80::1%nowhere]:5000: no such interface");
}
END_TEST

/* A port that is taken is no address that is left out: the call fails, and says where. */
START_TEST(one_of_a_name_is_taken)
{
	char sentence[64];
	ck_assert_int_eq(add("127.0.2.2:0"), 0);
	const char *port = strrchr(listeners->list[0].text, ':');
	(void)snprintf(sentence, sizeof(sentence), "two.test%s", port);
	ck_assert_int_eq(add(sentence), -EADDRINUSE);
	(void)snprintf(sentence, sizeof(sentence), "127.0.2.2%s: Address already in use", port);
	ck_assert_str_eq(why, sentence);
	ck_assert_uint_eq(listeners->count, 1);
	ck_assert_uint_eq(listeners->notes_count, 0);
}
END_TEST

/* A path of any length is named whole. */
START_TEST(the_longest_is_named)
{
	char folder[] = "/tmp/mts-listener-XXXXXX";
	char address[128];
	ck_assert_ptr_nonnull(mkdtemp(folder));
	memset(address, 'x', sizeof(address));
	const int used = snprintf(address, sizeof(address), "unix:%s/", folder);
	address[used] = 'x';
	address[5 + 107] = '\0';
	ck_assert_int_eq(add(address), 0);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	live();
	ck_assert_ptr_nonnull(strstr(said, listeners->list[0].text));
	ck_assert_ptr_nonnull(strstr(said, ", at most 77 clients\n"));
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(taking_over)
{
	const int fd = listening_socket(TCP, 5);
	ck_assert_int_eq(mtsi_listeners_adopt(server, fd), 0);
	ck_assert_int_eq(mtsi_listeners_adopt(server, fd), -EALREADY);
	ck_assert_uint_eq(listeners->count, 1);
	ck_assert_int_eq(listeners->list[0].fd, fd);
	ck_assert_int_eq(mtsi_listeners_adopt(server, -1), -EBADF);
	ck_assert_int_eq(mtsi_listeners_adopt(server, mtsi_base_floor(server)->poll), -ENOTSOCK);
	ck_assert_uint_eq(listeners->count, 1);
}
END_TEST

static int reported(void)
{
	struct epoll_event events[8];
	return mtsi_poll_wait(mtsi_base_floor(server)->poll, events, 8, 0);
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
	const int fd = listening_socket(TCP, 5);
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
	const int fd = listening_socket(TCP, 5);
	*same = dup(fd);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(add("127.0.0.1:0"), 0);
	ck_assert_int_eq(mtsi_listeners_adopt(server, fd), 0);
	ck_assert_int_eq(mtsi_listeners_prepare(server), 0);
	mtsi_door_prepare(server);
	mtsi_door_open(server);
	ck_assert(mtsi_door_floor(server)->door.armed);
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
	/* The first one is nobody else's: there nobody sleeps. */
	ck_assert_str_eq(mtsi_entry_taken(server), listeners->list[2].text);
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
	TCase *cases = suite_begin("listener");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, they_are_listed);
	tcase_add_loop_test(cases, wrong_ones_leave_nothing, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(cases, all_of_many);
	tcase_add_test(cases, some_of_a_name);
	tcase_add_test(cases, none_of_a_name);
	tcase_add_test(cases, one_of_a_name_is_taken);
	tcase_add_test(cases, the_longest_is_named);
	tcase_add_test(cases, taking_over);
	tcase_add_test(cases, armed_and_not);
	tcase_add_test(cases, buried);
	tcase_add_test(cases, turns);
	tcase_add_test(cases, closed_in_a_turn);
	tcase_add_test(cases, the_spare_descriptor);
	tcase_add_test(cases, tags);
	return suite_run_once();
}
