/* SPDX-License-Identifier: MIT
 *
 * Connections that the program hands over: they are served like all others, and what cannot be taken
 * stays as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "full.h"

static int seen; /* what the clients' data points to */
static _Atomic(void *) data_seen;
static _Atomic int listener_seen;
static _Atomic int status_seen;
static _Atomic int flags_seen;
static _Atomic int alive_seen;

static int note_data(mts_client *client, void *user)
{
	(void)user;
	status_seen = fcntl(mts_client_fd(client), F_GETFL);
	flags_seen = fcntl(mts_client_fd(client), F_GETFD);
	alive_seen = -1;
	socklen_t size = sizeof(int);
	int alive = -1;
	(void)getsockopt(mts_client_fd(client), SOL_SOCKET, SO_KEEPALIVE, &alive, &size);
	alive_seen = alive;
	data_seen = mts_client_data(client);
	listener_seen = mts_client_listener(client);
	return 0;
}

/* Two connected sockets: ends[0] for the server, ends[1] for the peer. */
static void connect_pair(int family, int ends[2])
{
	if (family == AF_UNIX) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
		return;
	}
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(here);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&here, size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&here, &size), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(ends[1], (struct sockaddr *)&here, size), 0);
	ends[0] = accept(listener, NULL, NULL);
	ck_assert_int_ge(ends[0], 0);
	close(listener);
}

static int adopt_one(mts_server *server, void *data)
{
	int ends[2];
	connect_pair(AF_UNIX, ends);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], data), 0);
	return ends[1];
}

static const int families[] = {AF_UNIX, AF_INET};

/* It may be non-blocking, and input may have come already. */
START_TEST(served_as_ever)
{
	static struct endings endings;
	int ends[2];
	endings = (struct endings){.all = GATE};
	mts_server *server = server_of_lines(answer_echo, NULL, &endings);
	ck_assert_int_eq(mts_server_on_open(server, note_data, NULL), 0);
	ck_assert_int_eq(mts_server_set_keepalive(server, 100), 0);
	server_start(server);
	connect_pair(families[_i], ends);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	peer_puts(ends[1], "early\n");
	ck_assert_int_eq(mts_server_adopt(server, ends[0], &seen), 0);
	peer_expect_text(ends[1], "early");
	ck_assert_ptr_eq(data_seen, &seen);
	ck_assert_int_eq(listener_seen, -ENOENT);
	ck_assert_int_eq(status_seen & O_NONBLOCK, 0);
	ck_assert_int_eq(flags_seen & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(alive_seen, families[_i] == AF_INET);
	peer_puts(ends[1], "late\n");
	peer_expect_text(ends[1], "late");
	peer_finish(ends[1]);
	peer_expect_end(ends[1]);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(ends[1]);
	server_end(server);
}
END_TEST

START_TEST(refused)
{
	int ends[2];
	mts_server *server = full_server(MTS_OVERLOAD_WAIT, 10);
	connect_pair(AF_INET, ends);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), -EINVAL);
	server_start(server);
	const int alone = socket(AF_INET, SOCK_STREAM, 0);
	const int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
	const int file = open("/dev/null", O_RDWR);
	ck_assert_int_eq(mts_server_adopt(server, -1, NULL), -EBADF);
	ck_assert_int_eq(mts_server_adopt(server, file, NULL), -ENOTSOCK);
	ck_assert_int_eq(mts_server_adopt(server, datagrams, NULL), -EINVAL);
	ck_assert_int_eq(mts_server_adopt(server, alone, NULL), -ENOTCONN);
	ck_assert_int_eq(listen(alone, 1), 0);
	ck_assert_int_eq(mts_server_adopt(server, alone, NULL), -ENOTCONN);
	mts_server_stop(server);
	server_join(server);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), -ECANCELED);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(write(ends[0], "mine", 4), 4);
	peer_expect_text(ends[1], "mine");
	close(ends[0]);
	close(ends[1]);
	close(alone);
	close(datagrams);
	close(file);
}
END_TEST

static int option_of(int fd, int level, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);
	ck_assert_int_eq(getsockopt(fd, level, option, &value, &size), 0);
	return value;
}

/* It is not let in, and is as it was. */
static void expect_no_room(mts_server *server)
{
	int ends[2];
	connect_pair(AF_INET, ends);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	const int alive = option_of(ends[0], SOL_SOCKET, SO_KEEPALIVE);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), -EAGAIN);
	ck_assert_int_ne(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(option_of(ends[0], IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(option_of(ends[0], SOL_SOCKET, SO_OOBINLINE), 0);
	ck_assert_int_eq(option_of(ends[0], SOL_SOCKET, SO_KEEPALIVE), alive);
	ck_assert_int_eq(write(ends[0], "mine", 4), 4);
	peer_expect_text(ends[1], "mine");
	close(ends[0]);
	close(ends[1]);
}

/* Whatever is done with others, it does not wait; and when there is room again it comes in. */
START_TEST(no_room)
{
	static const int policies[] = {MTS_OVERLOAD_WAIT, MTS_OVERLOAD_REFUSE, MTS_OVERLOAD_EVICT};
	mts_server *server = full_start(policies[_i], 1);
	const int first = adopt_one(server, NULL);
	peer_puts(first, "hold\n");
	gate_wait(&full.entered, 1);
	for (int i = 0; i < 3; i++) {
		expect_no_room(server);
	}
	gate_add(&full.release);
	peer_expect_text(first, "hold\n");
	close(first);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	const int second = adopt_one(server, NULL);
	full_ask(second);
	close(second);
	ck_assert_int_eq(full.most_inside, 1);
	server_end(server);
}
END_TEST

START_TEST(too_many_of_one_address)
{
	int ends[2];
	mts_server *server = full_server(MTS_OVERLOAD_WAIT, 10);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	server_start(server);
	connect_pair(AF_INET, ends);
	ck_assert_int_eq(mts_server_adopt(server, ends[0], NULL), 0);
	full_ask(ends[1]);
	expect_no_room(server);
	close(ends[1]);
	server_end(server);
}
END_TEST

/* The idle one goes for it. */
START_TEST(somebody_is_idle)
{
	mts_server *server = full_start(MTS_OVERLOAD_EVICT, 1);
	const int first = adopt_one(server, NULL);
	full_ask(first);
	library_rests();
	const int second = adopt_one(server, NULL);
	full_ask(second);
	peer_expect_gone(first);
	endings_expect(&full.endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_int_eq(full.most_inside, 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

static struct race {
	mts_server *server;
	_Atomic int adopted;
	_Atomic int cancelled;
	struct gate begun;
} race;

/* Hands over connections until the server stops; each is served, or answered. */
static void *hand_over(void *argument)
{
	int result;
	(void)argument;
	do {
		int ends[2];
		connect_pair(AF_UNIX, ends);
		result = mts_server_adopt(race.server, ends[0], &seen);
		if (result == 0) {
			race.adopted++;
			gate_add(&race.begun);
		} else {
			close(ends[0]);
		}
		close(ends[1]);
	} while (result == 0 || result == -EAGAIN);
	race.cancelled += result == -ECANCELED ? 1 : 0;
	return NULL;
}

START_TEST(while_it_stops)
{
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	race = (struct race){.begun = GATE};
	race.server = full_start(_i == 0 ? MTS_OVERLOAD_WAIT : MTS_OVERLOAD_EVICT, 4);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hand_over, NULL), 0);
	}
	gate_wait(&race.begun, 20);
	mts_server_stop(race.server);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	server_join(race.server);
	ck_assert_int_eq(race.cancelled, THREADS);
	ck_assert_int_eq(full.inside, 0);
	ck_assert_uint_eq(mts_server_stat(race.server, MTS_STAT_ACCEPTED)
			+ mts_server_stat(race.server, MTS_STAT_REFUSED),
		(uint64_t)race.adopted);
	ck_assert_int_eq(mts_server_destroy(race.server), 0);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("adopted connections");
	tcase_add_checked_fixture(tests, full_setup, NULL);
	tcase_add_loop_test(tests, served_as_ever, 0, 2);
	tcase_add_test(tests, refused);
	tcase_add_loop_test(tests, no_room, 0, 3);
	tcase_add_test(tests, too_many_of_one_address);
	tcase_add_test(tests, somebody_is_idle);
	tcase_add_loop_test(tests, while_it_stops, 0, 2);
	return suite_run();
}
