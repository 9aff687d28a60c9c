/* SPDX-License-Identifier: MIT
 *
 * Clients counted by address, without a server that runs: what is one address, and that each client is
 * counted once, however setting the limit, coming and leaving fall together. That nobody is counted too
 * often or too long is seen at the end, when the book has to be empty.
 */
#include "engine/door/address_book.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../api/support.h"
#include "engine/run/server.h"

static mts_server *server;

static void setup(void)
{
	server = server_create(answer_close, NULL);
}

static void teardown(void)
{
	ck_assert_ptr_null(mtsi_door_floor(server)->addresses.entries);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

/* A client of that address, which is IPv4 or IPv6, with %scope perhaps. Its descriptor is as good as a socket here. */
static struct mts_client *make(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	char ip[INET6_ADDRSTRLEN] = "";
	ck_assert_int_ge(sscanf(text, "%45[^%]%%%u", ip, &in6.sin6_scope_id), 1);
	const bool ipv4 = inet_pton(AF_INET, ip, &in.sin_addr) == 1;
	ck_assert(ipv4 || inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1);
	struct mts_client *client = mtsi_clients_open(server, eventfd(0, 0),
		ipv4 ? (const struct sockaddr *)&in : (const struct sockaddr *)&in6,
		ipv4 ? sizeof(in) : sizeof(in6));
	ck_assert_ptr_nonnull(client);
	return client;
}

static void end(struct mts_client *client)
{
	mtsi_address_book_leave(client);
	mtsi_client_close(client);
}

static const struct {
	const char *first;
	const char *second;
	bool one; /* they are one and the same */
} pairs[] = {
	{"10.0.0.1", "10.0.0.1", true},
	{"10.0.0.1", "10.0.0.2", false},
	{"10.0.0.1", "1.0.0.10", false},
	{"10.0.0.1", "::ffff:10.0.0.1", true},
	{"10.0.0.1", "::ffff:10.0.0.2", false},
	{"10.0.0.1", "::10.0.0.1", false},
	{"0.0.0.0", "::", false},
	{"2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true},
	{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
	{"::1", "::2", true},
	{"::1", "::ffff:0.0.0.1", false},
	{"fe80::1%2", "fe80::1%2", true}, /* link-local: each neighbour, on each link */
	{"fe80::1%2", "fe80::2%2", false},
	{"fe80::1%2", "fe80::1%3", false},
	{"fe80::1:0:0:1%2", "fe80::2:0:0:1%2", false},
	{"fe80:0:0:1::1%2", "fe80:0:0:2::1%2", false},
	{"febf::1%2", "febf::2%2", false},
	{"fec0::1", "fec0::2", true},
	{"fe7f::1", "fe7f::2", true},
	{"2001:db8:1:2::1%2", "2001:db8:1:2::2%3", true},
};

START_TEST(what_is_one_address)
{
	ck_assert_int_eq(mtsi_address_book_set_limit(server, 1), 0);
	struct mts_client *first = make(pairs[_i].first);
	struct mts_client *second = make(pairs[_i].second);
	const int expected = pairs[_i].one ? -EUSERS : 0;
	ck_assert_int_eq(mtsi_address_book_enter(first), 0);
	ck_assert_int_eq(mtsi_address_book_enter(second), expected);
	end(second);
	end(first);
	first = make(pairs[_i].first);
	second = make(pairs[_i].second);
	ck_assert_int_eq(mtsi_address_book_enter(second), 0);
	ck_assert_int_eq(mtsi_address_book_enter(first), expected);
	end(first);
	end(second);
}
END_TEST

/* One who was refused does not count, and neither does one who leaves twice as often as it came. */
START_TEST(only_those_who_came_in_count)
{
	ck_assert_int_eq(mtsi_address_book_set_limit(server, 1), 0);
	struct mts_client *first = make("10.0.0.1");
	ck_assert_int_eq(mtsi_address_book_enter(first), 0);
	for (int i = 0; i < 3; i++) {
		struct mts_client *next = make("10.0.0.1");
		ck_assert_int_eq(mtsi_address_book_enter(next), -EUSERS);
		end(next);
	}
	mtsi_address_book_leave(first);
	mtsi_address_book_leave(first);
	struct mts_client *next = make("10.0.0.1");
	ck_assert_int_eq(mtsi_address_book_enter(next), 0);
	end(next);
	end(first);
}
END_TEST

/* A peer that has no address of a known kind is let in. */
START_TEST(unknown_addresses_are_not_counted)
{
	const struct sockaddr unknown = {.sa_family = AF_UNSPEC};
	ck_assert_int_eq(mtsi_address_book_set_limit(server, 1), 0);
	for (int i = 0; i < 3; i++) {
		struct mts_client *client = mtsi_clients_open(
			server, eventfd(0, 0), &unknown, sizeof(unknown));
		ck_assert_int_eq(mtsi_address_book_enter(client), 0);
		ck_assert_ptr_null(mtsi_door_floor(server)->addresses.entries);
		end(client);
	}
}
END_TEST

/* A Unix socket's user is who connected. */
START_TEST(the_user_of_a_unix_socket)
{
	const struct sockaddr address = {.sa_family = AF_UNIX};
	struct mtsi_origin origin;
	struct mtsi_origin expected;
	struct mtsi_peer self = {.family = AF_UNIX};
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct mts_client *client = mtsi_clients_open(server, pair[0], &address, sizeof(address));
	mtsi_peer_set_user(&self, (uint32_t)getuid());
	ck_assert(mtsi_peer_origin(&self, &expected));
	ck_assert(mtsi_peer_origin(&client->peer, &origin));
	ck_assert_int_eq(origin.kind, AF_UNIX);
	ck_assert_uint_eq(origin.number, expected.number);
	mtsi_peer_set_user(&self, (uint32_t)getuid() + 1);
	ck_assert(mtsi_peer_origin(&self, &expected));
	ck_assert_uint_ne(origin.number, expected.number);
	end(client);
	close(pair[1]);
}
END_TEST

enum { COMERS = 3, ROUNDS = 20000, AT_ONCE = 4 };

static _Atomic bool over;

/* Each comer has an address of its own, so nobody is refused as long as each is counted right. */
static void *come_and_go(void *argument)
{
	static const char *const names[COMERS] = {"10.0.0.1", "10.0.0.2", "2001:db8::1"};
	const int comer = *(const int *)argument;
	for (int i = 0; i < ROUNDS; i++) {
		struct mts_client *clients[AT_ONCE];
		for (int j = 0; j < AT_ONCE; j++) {
			clients[j] = make(names[comer]);
			ck_assert_int_eq(mtsi_address_book_enter(clients[j]), 0);
		}
		for (int j = 0; j < AT_ONCE; j++) {
			end(clients[j]);
		}
	}
	return NULL;
}

static void *turn_on_and_off(void *argument)
{
	(void)argument;
	for (size_t i = 0; !atomic_load(&over); i++) {
		ck_assert_int_eq(mtsi_address_book_set_limit(server, i % 2 * AT_ONCE), 0);
	}
	return NULL;
}

START_TEST(all_at_the_same_time)
{
	pthread_t comers[COMERS];
	pthread_t setters[2];
	static const int numbers[COMERS] = {0, 1, 2};
	atomic_store(&over, false);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_create(&setters[i], NULL, turn_on_and_off, NULL), 0);
	}
	for (int i = 0; i < COMERS; i++) {
		ck_assert_int_eq(
			pthread_create(&comers[i], NULL, come_and_go, (void *)(uintptr_t)&numbers[i]), 0);
	}
	for (int i = 0; i < COMERS; i++) {
		ck_assert_int_eq(pthread_join(comers[i], NULL), 0);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_join(setters[i], NULL), 0);
	}
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("address book");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, what_is_one_address, 0, sizeof(pairs) / sizeof(pairs[0]));
	tcase_add_test(cases, only_those_who_came_in_count);
	tcase_add_test(cases, unknown_addresses_are_not_counted);
	tcase_add_test(cases, the_user_of_a_unix_socket);
	tcase_add_test(cases, all_at_the_same_time);
	return suite_run_once();
}
