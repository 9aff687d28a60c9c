/* SPDX-License-Identifier: MIT
 *
 * Who may connect: by the smallest network that has the address; changed at any time; and who may not is
 * told nothing, and costs nobody a place.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "chance.h"
#include "support.h"

static const char busy[] = "busy, come again";

static _Atomic int opened;
static struct gate told; /* messages about connections that were denied */
static char last_told[200];

static void setup(void)
{
	opened = 0;
	told = (struct gate)GATE;
	last_told[0] = '\0';
}

static int count_opened(mts_client *client, void *user)
{
	(void)client;
	(void)user;
	opened++;
	return 0;
}

static void note_denied(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_NOTICE && strncmp(message, "denied ", 7) == 0) {
		strncpy(last_told, message, sizeof(last_told) - 1);
		gate_add(&told);
	}
}

static mts_server *new_server(int family)
{
	mts_server *server = server_on(family, answer_echo, NULL);
	ck_assert_int_eq(mts_server_on_open(server, count_opened, NULL), 0);
	ck_assert_int_eq(mts_server_on_log(server, note_denied, MTS_LOG_NOTICE, NULL), 0);
	ck_assert_int_eq(mts_server_set_refusal(server, busy, strlen(busy)), 0);
	return server;
}

static mts_server *start_server(int family)
{
	mts_server *server = new_server(family);
	server_start(server);
	return server;
}

static mts_networks *new_networks(void)
{
	mts_networks *networks = mts_networks_create();
	ck_assert_ptr_nonnull(networks);
	return networks;
}

static void add(mts_networks *networks, const char *network, int verdict)
{
	ck_assert_int_eq(mts_networks_add(networks, network, verdict), 0);
}

/* Gives the server a set of one network. */
static void give(mts_server *server, const char *network, int verdict)
{
	mts_networks *networks = new_networks();
	add(networks, network, verdict);
	ck_assert_int_eq(mts_server_set_access(server, networks), 0);
	mts_networks_destroy(networks);
}

static uint64_t denied(const mts_server *server)
{
	return mts_server_stat(server, MTS_STAT_DENIED);
}

static int served_from(const mts_server *server, unsigned char host)
{
	const int peer = peer_connect_from(server, host);
	peer_ask(peer, "hello");
	return peer;
}

static void denied_from(const mts_server *server, unsigned char host)
{
	const uint64_t before = denied(server);
	const int peer = peer_connect_from(server, host);
	peer_expect_end(peer);
	ck_assert_uint_eq(denied(server), before + 1);
	close(peer);
}

/* Counted, told in the log, and nothing else: no hook, no word of refusal. */
START_TEST(by_its_network)
{
	static const unsigned char welcome[] = {1, 128, 199, 201, 255};
	static const unsigned char others[] = {2, 127, 200, 10};
	mts_networks *networks = new_networks();
	add(networks, "127.0.0.200", MTS_DENY);
	add(networks, "127.0.0.128/25", MTS_ALLOW);
	add(networks, "127.0.0.0/8", MTS_DENY);
	add(networks, "127.0.0.1", MTS_ALLOW);
	add(networks, "127.0.0.10", MTS_ALLOW);
	add(networks, "127.0.0.10/32", MTS_DENY);
	mts_server *server = new_server(TCP);
	ck_assert_int_eq(mts_server_set_access(server, networks), 0);
	mts_networks_destroy(networks);
	server_start(server);
	for (size_t i = 0; i < sizeof(others); i++) {
		denied_from(server, others[i]);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BYTES_OUT), 0);
	for (size_t i = 0; i < sizeof(welcome); i++) {
		close(served_from(server, welcome[i]));
	}
	gate_wait(&told, 1);
	ck_assert_uint_eq(denied(server), sizeof(others));
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS), 0);
	server_end(server);
	ck_assert_int_eq(opened, sizeof(welcome));
}
END_TEST

/* Who is inside stays; the program's set may be changed and freed. */
START_TEST(changed_at_any_time)
{
	mts_server *server = start_server(TCP);
	mts_networks *networks = new_networks();
	const int first = served_from(server, 2);
	ck_assert_int_eq(mts_server_set_access(server, networks), 0);
	const int second = served_from(server, 2);
	add(networks, "127.0.0.2", MTS_DENY);
	const int third = served_from(server, 2);
	ck_assert_int_eq(mts_server_set_access(server, networks), 0);
	denied_from(server, 2);
	add(networks, "127.0.0.2", MTS_ALLOW);
	denied_from(server, 2);
	close(served_from(server, 3));
	mts_networks_destroy(networks);
	denied_from(server, 2);
	give(server, "127.0.0.3", MTS_DENY);
	denied_from(server, 3);
	close(served_from(server, 2));
	ck_assert_int_eq(mts_server_set_access(server, NULL), 0);
	close(served_from(server, 3));
	give(server, "0.0.0.0/0", MTS_DENY);
	peer_ask(first, "still here");
	peer_ask(second, "still here");
	peer_ask(third, "still here");
	/* Whose proxies are trusted is another matter. */
	ck_assert_int_eq(mts_server_set_trusted_proxies(server, NULL), 0);
	denied_from(server, 1);
	close(first);
	close(second);
	close(third);
	server_end(server);
}
END_TEST

START_TEST(unix_sockets)
{
	mts_server *server = start_server(UNIX);
	give(server, "0.0.0.0/0", MTS_DENY);
	peer_visit(server, 0);
	give(server, "unix", MTS_DENY);
	const int peer = peer_connect(server, 0);
	peer_expect_end(peer);
	close(peer);
	ck_assert_uint_eq(denied(server), 1);
	give(server, "unix", MTS_ALLOW);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

/* A socket of both families, where IPv4 comes mapped into IPv6. False: this system has no IPv6. */
static bool listen_on_both(mts_server *server)
{
	const int off = 0;
	const struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	const int fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (fd < 0) {
		return false;
	}
	ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	return true;
}

START_TEST(mapped)
{
	mts_server *server = server_create(answer_echo, NULL);
	if (listen_on_both(server)) {
		server_start(server);
		give(server, "::/0", MTS_DENY);
		close(served_from(server, 2));
		give(server, "127.0.0.2", MTS_DENY);
		denied_from(server, 2);
		close(served_from(server, 3));
		server_end(server);
	} else {
		ck_assert_int_eq(mts_server_destroy(server), 0);
	}
}
END_TEST

/* Two connected sockets: ends[0] for the server, ends[1] for the peer. */
static void connect_pair(int family, int ends[2])
{
	if (family == AF_UNIX) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		return;
	}
	struct sockaddr_in here;
	socklen_t size = sizeof(here);
	const int listener = listening_socket(TCP, 1);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&here, &size), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(ends[1], (struct sockaddr *)&here, size), 0);
	ends[0] = accept(listener, NULL, NULL);
	ck_assert_int_ge(ends[0], 0);
	close(listener);
}

/* Not taken, and the socket is as it was; the next one is. */
START_TEST(adopted)
{
	const int family = _i == 0 ? AF_INET : AF_UNIX;
	const char *network = _i == 0 ? "127.0.0.0/8" : "unix";
	int ends[2];
	mts_server *server = start_server(TCP);
	connect_pair(family, ends);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	give(server, network, MTS_DENY);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), -EACCES);
	ck_assert_int_ne(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(write(ends[0], "mine", 4), 4);
	peer_expect_text(ends[1], "mine");
	give(server, network, MTS_ALLOW);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), 0);
	peer_ask(ends[1], "yours");
	close(ends[1]);
	ck_assert_uint_eq(denied(server), 0);
	server_end(server);
	ck_assert_int_eq(opened, 1);
}
END_TEST

/* There is no place left: nobody goes for those who may not come in, and they are not told why. */
START_TEST(a_full_server)
{
	static const int policies[] = {MTS_OVERLOAD_REFUSE, MTS_OVERLOAD_EVICT};
	mts_server *server = new_server(TCP);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ck_assert_int_eq(mts_server_set_overload(server, policies[_i]), 0);
	give(server, "127.0.0.2", MTS_DENY);
	server_start(server);
	const int first = served_from(server, 1);
	for (int i = 0; i < 10; i++) {
		denied_from(server, 2);
	}
	peer_ask(first, "still here");
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 0);
	const int other = peer_connect_from(server, 3);
	if (policies[_i] == MTS_OVERLOAD_REFUSE) {
		peer_expect_text(other, busy);
		peer_expect_end(other);
	} else {
		peer_ask(other, "hello");
		peer_expect_gone(first);
	}
	close(other);
	close(first);
	server_end(server);
}
END_TEST

/* As long as others wait outside, so do they. */
START_TEST(they_wait_with_the_others)
{
	mts_server *server = new_server(TCP);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	give(server, "127.0.0.2", MTS_DENY);
	server_start(server);
	const int first = served_from(server, 1);
	const int second = peer_connect_from(server, 2);
	const int third = peer_connect_from(server, 3);
	library_rests();
	ck_assert_uint_eq(denied(server), 0);
	close(first);
	peer_expect_end(second);
	peer_ask(third, "hello");
	close(second);
	close(third);
	server_end(server);
}
END_TEST

START_TEST(their_address_does_not_count)
{
	mts_server *server = new_server(TCP);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	give(server, "127.0.0.2", MTS_DENY);
	server_start(server);
	for (int i = 0; i < 5; i++) {
		denied_from(server, 2);
	}
	ck_assert_int_eq(mts_server_set_access(server, NULL), 0);
	close(served_from(server, 2));
	server_end(server);
}
END_TEST

/* All wait before the server begins, so they are one batch. */
START_TEST(told_once_for_all)
{
	enum { PEERS = 20 };
	static const char message[] = "denied 20 connections, the last from 127.0.0.2:";
	int peers[PEERS];
	mts_server *server = new_server(TCP);
	give(server, "127.0.0.2", MTS_DENY);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect_from(server, 2);
	}
	server_start(server);
	for (int i = 0; i < PEERS; i++) {
		peer_expect_end(peers[i]);
		close(peers[i]);
	}
	gate_wait(&told, 1);
	server_end(server);
	ck_assert_int_eq(gate_count(&told), 1);
	ck_assert_msg(strncmp(last_told, message, strlen(message)) == 0, "%s", last_told);
}
END_TEST

enum { VISITORS = 2, HOSTS = 40, ROUNDS = 100 };

static struct flood {
	mts_server *server;
	_Atomic unsigned round; /* odd while the set is being replaced */
	_Atomic int wrong;
	_Atomic bool enough;
	struct gate clean; /* visits during which nothing was replaced */
} flood;

/* In each round either the odd hosts may connect, or the even ones. */
static bool may_connect(unsigned round, unsigned host)
{
	return (round / 2 + host) % 2 == 0;
}

static void replace(unsigned round)
{
	char host[32];
	mts_networks *networks = new_networks();
	add(networks, "127.0.0.0/8", MTS_DENY);
	for (unsigned i = 1; i <= HOSTS; i++) {
		snprintf(host, sizeof(host), "127.0.0.%u", i);
		add(networks, host, may_connect(round, i) ? MTS_ALLOW : MTS_DENY);
	}
	ck_assert_int_eq(mts_server_set_access(flood.server, networks), 0);
	mts_networks_destroy(networks);
}

static bool is_served(int peer)
{
	char answer[5];
	if (send(peer, "hello", 5, MSG_NOSIGNAL) != 5) {
		return false;
	}
	const ssize_t count = recv(peer, answer, sizeof(answer), MSG_WAITALL);
	ck_assert(count >= 0 || errno == ECONNRESET || errno == EPIPE);
	ck_assert(count <= 0 || memcmp(answer, "hello", 5) == 0);
	return count == 5;
}

static void *visit(void *seed)
{
	uint64_t chance = *(const uint64_t *)seed;
	while (!flood.enough) {
		const unsigned host = 1 + (unsigned)chance_below(&chance, HOSTS);
		const unsigned before = flood.round;
		const int peer = peer_connect_from(flood.server, (unsigned char)host);
		const bool served = is_served(peer);
		if (before % 2 == 0 && before == flood.round) {
			flood.wrong += served != may_connect(before, host);
			gate_add(&flood.clean);
		}
		peer_reset(peer); /* or its port would be taken for a minute */
	}
	return NULL;
}

/* Who comes after the change has returned, and has its answer before the next, has that of the new set. */
START_TEST(always_by_the_latest)
{
	static uint64_t seeds[VISITORS] = {1, 2};
	pthread_t visitors[VISITORS];
	flood = (struct flood){.server = start_server(TCP), .clean = GATE};
	replace(0);
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_create(&visitors[i], NULL, visit, &seeds[i]), 0);
	}
	for (int i = 0; i < ROUNDS; i++) {
		gate_wait(&flood.clean, gate_count(&flood.clean) + 4);
		flood.round++;
		replace(flood.round + 1);
		flood.round++;
	}
	flood.enough = true;
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_join(visitors[i], NULL), 0);
	}
	ck_assert_int_eq(flood.wrong, 0);
	ck_assert_uint_ge(denied(flood.server), 1);
	server_end(flood.server);
	ck_assert_int_gt(opened, 1);
}
END_TEST

static void *replace_always(void *unused)
{
	(void)unused;
	for (unsigned round = 0; !flood.enough; round += 2) {
		replace(round);
		ck_assert_int_eq(mts_server_set_trusted_proxies(flood.server, NULL), 0);
		if (round % 8 == 0) {
			ck_assert_int_eq(mts_server_set_access(flood.server, NULL), 0);
		}
	}
	return NULL;
}

static void *knock_always(void *unused)
{
	(void)unused;
	while (!flood.enough) {
		const int peer = peer_socket();
		if (peer_try_connect(peer, flood.server)) {
			(void)is_served(peer);
		}
		gate_add(&flood.clean);
		peer_reset(peer);
	}
	return NULL;
}

START_TEST(while_it_stops)
{
	pthread_t threads[3];
	flood = (struct flood){.server = start_server(TCP), .clean = GATE};
	ck_assert_int_eq(pthread_create(&threads[0], NULL, replace_always, NULL), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, replace_always, NULL), 0);
	ck_assert_int_eq(pthread_create(&threads[2], NULL, knock_always, NULL), 0);
	gate_wait(&flood.clean, 50);
	mts_server_stop(flood.server);
	server_join(flood.server);
	gate_wait(&flood.clean, gate_count(&flood.clean) + 2);
	flood.enough = true;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	ck_assert_int_eq(mts_server_destroy(flood.server), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("access");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, by_its_network);
	tcase_add_test(cases, changed_at_any_time);
	tcase_add_test(cases, unix_sockets);
	tcase_add_test(cases, mapped);
	tcase_add_loop_test(cases, adopted, 0, 2);
	tcase_add_loop_test(cases, a_full_server, 0, 2);
	tcase_add_test(cases, they_wait_with_the_others);
	tcase_add_test(cases, their_address_does_not_count);
	tcase_add_test(cases, told_once_for_all);
	tcase_add_test(cases, always_by_the_latest);
	tcase_add_test(cases, while_it_stops);
	return suite_run();
}
