/* SPDX-License-Identifier: MIT
 *
 * Options of sockets that somebody else sets: the program, through mts_client_fd(); a child that it has
 * forked; whoever has the listener too, from which accepted sockets inherit. Whatever they are, the
 * client is served as ever, nothing of the server waits for them, and nothing spins.
 *
 * Each test has a client for each option, all in one server.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

enum { BY_PROGRAM, BY_CHILD, BY_LISTENER, BY_LISTENER_LATER, WAYS };
enum {
	STOP_TIMEOUT = 30000,
	POURED = 300000,
	FLOOD = 40 * POURED,
	IDLE_MS = 150,
	FOREVER = 300,
	SHORT_MS = 50
};

static const struct linger lingers = {1, FOREVER};
static const struct linger resets = {1, 0};
static const struct timeval moment = {.tv_usec = 10000};
static const int none = 0;
static const int one = 1;
static const int some = 4; /* no more than the shortest request */
static const int long_time = 100000;

static const struct option {
	const char *name;
	int level; /* -1: a flag of the descriptor's */
	int number;
	const void *value;
	socklen_t size;
} options[] = {
	{"nothing", -1, 0, NULL, 0},
	{"SO_LINGER", SOL_SOCKET, SO_LINGER, &lingers, sizeof(lingers)},
	{"SO_LINGER of 0", SOL_SOCKET, SO_LINGER, &resets, sizeof(resets)},
	{"SO_RCVTIMEO", SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment)},
	{"SO_SNDTIMEO", SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof(moment)},
	{"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, &some, sizeof(some)},
	{"SO_SNDLOWAT", SOL_SOCKET, SO_SNDLOWAT, &some, sizeof(some)},
	{"SO_OOBINLINE off", SOL_SOCKET, SO_OOBINLINE, &none, sizeof(none)},
	{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)},
#ifdef SO_BUSY_POLL
	{"SO_BUSY_POLL", SOL_SOCKET, SO_BUSY_POLL, &some, sizeof(some)},
#endif
#ifdef SO_PEEK_OFF
	{"SO_PEEK_OFF", SOL_SOCKET, SO_PEEK_OFF, &some, sizeof(some)},
#endif
#ifdef SO_ZEROCOPY
	{"SO_ZEROCOPY", SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)},
#endif
	{"TCP_NODELAY off", IPPROTO_TCP, TCP_NODELAY, &none, sizeof(none)},
#ifdef TCP_CORK
	{"TCP_CORK", IPPROTO_TCP, TCP_CORK, &one, sizeof(one)},
#endif
#ifdef TCP_USER_TIMEOUT
	{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, &long_time, sizeof(long_time)},
#endif
#ifdef TCP_DEFER_ACCEPT
	{"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof(one)},
#endif
	{"O_NONBLOCK", -1, O_NONBLOCK, NULL, 0},
	{"O_ASYNC", -1, O_ASYNC, NULL, 0},
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

static int way;

/* Not every socket knows every option, and that is just as well. */
static void set(int fd, const struct option *option)
{
#ifdef TCP_CORK
	if (option->number == TCP_CORK && option->level == IPPROTO_TCP && way != BY_PROGRAM) {
		return; /* each reply takes 200 ms then: once will do */
	}
#endif
	if (option->level < 0) {
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | option->number);
	} else {
		(void)setsockopt(fd, option->level, option->number, option->value, option->size);
	}
}

static struct watch watch;
static _Atomic int openings;

static void set_in_a_child(mts_client *client, const struct option *option)
{
	/* Only the child asks for the descriptor: the server is not told. */
	const pid_t child = fork();
	if (child == 0) {
		set(mts_client_fd(client), option);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

/* They come one after the other, so this is the next one's option. */
static int on_open(mts_client *client, void *user)
{
	const int number = atomic_fetch_add(&openings, 1);
	const struct option *option = user != NULL ? user : &options[number % OPTIONS];
	if (way == BY_PROGRAM) {
		set(mts_client_fd(client), option);
	} else if (way == BY_CHILD) {
		set_in_a_child(client, option);
	}
	return watch_open(client, &watch);
}

static void pour(mts_client *client, size_t size)
{
	char piece[30000];
	for (size_t done = 0; done < size; done += sizeof(piece)) {
		pattern_fill(piece, sizeof(piece), done);
		if (mts_client_write(client, piece, sizeof(piece)) != 0) {
			break;
		}
	}
}

/*
 * Lines: "pour" is answered with much, "last" with much and the end, "flood" with more than any socket
 * takes, and others with themselves.
 */
static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (strcmp(request, "flood") == 0) {
		pour(client, FLOOD);
		return MTS_KEEP;
	}
	if (strcmp(request, "pour") == 0 || strcmp(request, "last") == 0) {
		pour(client, POURED);
		return strcmp(request, "last") == 0 ? MTS_CLOSE : MTS_KEEP;
	}
	(void)mts_client_write(client, request, size);
	(void)mts_client_puts(client, "\n");
	return MTS_KEEP;
}

/* A listener more, which somebody else has too; that one sets the option before, or later. */
static void share_listener(mts_server *server, const struct option *option, int *other)
{
	const int fd = listening_socket(TCP, 50);
	*other = dup(fd);
	if (way == BY_LISTENER) {
		set(fd, option);
	}
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
}

static mts_server *make_server(int family, const struct option *option)
{
	atomic_store(&openings, 0);
	mts_server *server = watch_server(&watch, handle, STOP_TIMEOUT, family);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, on_open, (void *)(uintptr_t)option), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LINGER, SHORT_MS), 0);
	return server;
}

/* Comes, and is let in: only then is the child gone, whose end interrupts a receive of this thread. */
static int come(mts_server *server, size_t listener)
{
	const int before = gate_count(&watch.opened);
	const int peer = peer_connect(server, listener);
	gate_wait(&watch.opened, before + 1);
	return peer;
}

/* All do this at the same time, since some options cost a wait for each packet. */
static void all_ask(const int *peers, const char *text)
{
	for (int i = 0; i < OPTIONS; i++) {
		peer_puts(peers[i], text);
	}
}

static void all_expect(const int *peers, const char *text)
{
	for (int i = 0; i < OPTIONS; i++) {
		peer_expect_text(peers[i], text);
	}
}

/* What a client may do, but for the end. */
static void be_served(const int *peers)
{
	all_ask(peers, "hello\n");
	all_expect(peers, "hello\n");
	all_ask(peers, "one\ntwo\nthree\npour\nfo");
	all_expect(peers, "one\ntwo\nthree\n");
	for (int i = 0; i < OPTIONS; i++) {
		peer_expect_pattern(peers[i], POURED, 0);
	}
	all_ask(peers, "ur\nand the rest");
	all_expect(peers, "four\n");
}

static void expect_rest(void)
{
	library_rests();
	const uint64_t start = now_ms();
	const uint64_t cpu = cpu_ms();
	poll(NULL, 0, IDLE_MS);
	const uint64_t used = cpu_ms() - cpu;
	ck_assert_msg(used * 10 <= now_ms() - start + IDLE_MS, "%d ms of CPU", (int)used);
}

START_TEST(served_as_ever)
{
	int peers[OPTIONS];
	int others[OPTIONS];
	way = _i % WAYS;
	const bool inherited = way == BY_LISTENER || way == BY_LISTENER_LATER;
	mts_server *server = make_server(_i / WAYS, NULL);
	for (int i = 0; inherited && i < OPTIONS; i++) {
		share_listener(server, &options[i], &others[i]);
	}
	server_start(server);
	for (int i = 0; way == BY_LISTENER_LATER && i < OPTIONS; i++) {
		set(others[i], &options[i]);
	}
	for (int i = 0; i < OPTIONS; i++) {
		/* A listener may hold back those who have not spoken. */
		peers[i] = inherited ? peer_connect(server, (size_t)i + 1) : come(server, 0);
		peer_puts(peers[i], "first\n");
	}
	all_expect(peers, "first\n");
	be_served(peers);
	expect_rest();
	all_ask(peers, " of it\n");
	all_expect(peers, "and the rest of it\n");
	/* Every second one ends, the others are there when the server stops. */
	for (int i = 0; i < OPTIONS; i += 2) {
		peer_puts(peers[i], "last\n");
	}
	for (int i = 0; i < OPTIONS; i += 2) {
		peer_expect_pattern(peers[i], POURED, 0);
		peer_expect_end(peers[i]);
	}
	watch_stop_well(server, STOP_TIMEOUT);
	for (int i = 1; i < OPTIONS; i += 2) {
		peer_expect_end(peers[i]);
	}
	watch_destroy(server);
	watch_expect_some(&watch, MTS_CLOSED_STOP, OPTIONS / 2);
	watch_expect_some(&watch, MTS_CLOSED_BY_HANDLER, OPTIONS - OPTIONS / 2);
	for (int i = 0; i < OPTIONS; i++) {
		close(peers[i]);
		if (inherited) {
			close(others[i]);
		}
	}
}
END_TEST

static void expect_service(mts_server *server, size_t listener)
{
	const int peer = come(server, listener);
	peer_ask(peer, "is anybody there?\n");
	close(peer);
}

/*
 * Closing waits for nobody, though SO_LINGER says so: after the last reply, the write timeout, a kick,
 * and at the deadline of a stop; each with a peer that does not read.
 */
START_TEST(closing_does_not_wait)
{
	enum { LAST, STUCK, KICKED, STOPPED, ENDS };
	static const char *const asked[ENDS] = {"last\n", "flood\n", "hello\n", "flood\n"};
	int peers[ENDS];
	int other = -1;
	way = _i;
	const bool inherited = way == BY_LISTENER || way == BY_LISTENER_LATER;
	mts_server *server = make_server(TCP, &options[1]);
	if (inherited) {
		share_listener(server, &options[1], &other);
	}
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_WRITE, SHORT_MS), 0);
	server_start(server);
	if (way == BY_LISTENER_LATER) {
		set(other, &options[1]);
	}
	for (int i = 0; i < STOPPED; i++) {
		peers[i] = come(server, inherited ? 1 : 0);
		small_buffers(peers[i]);
		peer_puts(peers[i], asked[i]);
	}
	peer_expect_text(peers[KICKED], "hello\n");
	pthread_mutex_lock(&watch.mutex);
	const uint64_t id = watch.entries[KICKED].id;
	pthread_mutex_unlock(&watch.mutex);
	ck_assert_int_eq(mts_server_kick(server, id), 0);
	gate_wait(&watch.closed, STOPPED);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	expect_service(server, 0);
	expect_service(server, inherited ? 1 : 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_WRITE, 0), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, SHORT_MS), 0);
	peers[STOPPED] = come(server, inherited ? 1 : 0);
	small_buffers(peers[STOPPED]);
	peer_puts(peers[STOPPED], asked[STOPPED]);
	server_wait_stat(server, MTS_STAT_REQUESTS, 3 + 2 + 1);
	(void)watch_stop(server, SHORT_MS, 0);
	watch_destroy(server);
	for (int i = 0; i < ENDS; i++) {
		close(peers[i]);
	}
	if (inherited) {
		close(other);
	}
}
END_TEST

/* Those who are turned away, before they are anybody's client, are not waited for either. */
START_TEST(turning_away_does_not_wait)
{
	int other;
	way = _i == 0 ? BY_LISTENER : BY_LISTENER_LATER;
	mts_server *server = make_server(TCP, &options[1]);
	share_listener(server, &options[1], &other);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ck_assert_int_eq(mts_server_set_overload(server, MTS_OVERLOAD_REFUSE), 0);
	server_start(server);
	set(other, &options[1]);
	const int inside = peer_connect(server, 1);
	peer_ask(inside, "hello\n");
	for (int i = 0; i < 20; i++) {
		const int outside = peer_connect(server, 1);
		peer_expect_gone(outside);
		close(outside);
	}
	peer_ask(inside, "hello\n");
	watch_stop_well(server, STOP_TIMEOUT);
	watch_destroy(server);
	close(inside);
	close(other);
}
END_TEST

/*
 * SO_RCVLOWAT is the program's wish to hear of so many bytes only: what is less is not served, and
 * nobody asks for it again and again, until there is more, or the server stops.
 */
START_TEST(below_the_low_water_mark)
{
	static const int much = 100;
	static const struct option mark = {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, &much, sizeof(much)};
	char rest[101];
	way = BY_PROGRAM;
	mts_server *server = make_server(TCP, &mark);
	server_start(server);
	const int peer = peer_connect(server, 0);
	gate_wait(&watch.opened, 1);
	library_rests(); /* it waits */
	peer_puts(peer, "hi\n");
	expect_rest();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 0);
	memset(rest, 'x', sizeof(rest));
	rest[sizeof(rest) - 1] = '\n';
	peer_send(peer, rest, sizeof(rest));
	peer_expect_text(peer, "hi\n");
	peer_expect(peer, rest, sizeof(rest));
	library_rests();
	peer_puts(peer, "bye\n");
	expect_rest();
	watch_stop_well(server, STOP_TIMEOUT);
	peer_expect_text(peer, "bye\n");
	peer_expect_end(peer);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_STOP, 1);
	close(peer);
}
END_TEST

/* On a Unix socket too, whoever made the listener: urgent bytes stay in their places, and are read. */
START_TEST(urgent_bytes_of_a_unix_socket)
{
	const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&unnamed, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	way = WAYS;
	mts_server *server = make_server(UNIX, NULL);
	ck_assert_int_eq(mts_server_listen_fd(server, fd), 0);
	server_start(server);
	const int peer = peer_connect(server, (size_t)_i);
	if (send(peer, "!", 1, MSG_OOB | MSG_NOSIGNAL) != 1) {
		ck_assert_int_eq(errno, EOPNOTSUPP); /* a kernel before 5.15, or made without it */
		close(peer);
		server_end(server);
		return;
	}
	server_wait_stat(server, MTS_STAT_BYTES_IN, 1);
	peer_puts(peer, "one\n");
	peer_expect_text(peer, "!one\n");
	for (int i = 0; i < 20; i++) {
		peer_puts(peer, "ab");
		ck_assert_int_eq(send(peer, "c", 1, MSG_OOB | MSG_NOSIGNAL), 1);
		peer_puts(peer, "d\n");
		peer_expect_text(peer, "abcd\n");
	}
	expect_rest();
	/* Nothing is left of them, so nothing lingers. */
	peer_puts(peer, "last\n");
	peer_expect_pattern(peer, POURED, 0);
	peer_expect_end(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	watch_stop_well(server, STOP_TIMEOUT);
	watch_destroy(server);
	watch_expect(&watch, MTS_CLOSED_BY_HANDLER, 1);
	close(peer);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("socket options");
	tcase_add_loop_test(cases, served_as_ever, 0, WAYS); /* TCP */
	tcase_add_loop_test(cases, served_as_ever, WAYS, WAYS + BY_LISTENER); /* Unix inherits none */
	tcase_add_loop_test(cases, closing_does_not_wait, 0, WAYS);
	tcase_add_loop_test(cases, turning_away_does_not_wait, 0, 2);
	tcase_add_test(cases, below_the_low_water_mark);
	tcase_add_loop_test(cases, urgent_bytes_of_a_unix_socket, 0, 2);
	return suite_run();
}
