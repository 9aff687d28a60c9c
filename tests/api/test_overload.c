/* SPDX-License-Identifier: MIT
 *
 * A full server: who comes waits, is refused, or makes an idle client go. Whatever the policy, there are
 * never more clients than the limit, from the open hook to the end of the close hook, also while the
 * limit changes; and nobody waits for ever.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum { BIG = 4 * 1024 * 1024, OUTPUT = 8 * 1024 * 1024 };

static struct endings endings;
static struct gate opened;
static struct gate entered; /* a handler holds */
static struct gate release; /* lets one go on */
static struct gate closing; /* a close hook has begun */
static struct gate refusals; /* messages */
static _Atomic bool slow_close; /* close hooks wait for `release` */
static _Atomic int inside;
static _Atomic int most_inside;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
	opened = (struct gate)GATE;
	entered = (struct gate)GATE;
	release = (struct gate)GATE;
	closing = (struct gate)GATE;
	refusals = (struct gate)GATE;
	slow_close = false;
	inside = 0;
	most_inside = 0;
}

static int open_hook(mts_client *client, void *user)
{
	const int now = ++inside;
	int most = most_inside;
	(void)user;
	small_buffers(mts_client_fd(client));
	while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) {
	}
	gate_add(&opened);
	return 0;
}

static void close_hook(mts_client *client, int reason, void *user)
{
	(void)user;
	gate_add(&closing);
	if (slow_close) {
		gate_wait(&release, gate_count(&closing));
	}
	inside--;
	endings_note(client, reason, &endings);
}

static void log_hook(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_NOTICE && strncmp(message, "refused ", 8) == 0) {
		gate_add(&refusals);
	}
}

static void hold(void)
{
	gate_add(&entered);
	gate_wait(&release, gate_count(&entered));
}

static void pour(mts_client *client)
{
	static char piece[65536];
	for (size_t done = 0; done < BIG; done += sizeof(piece)) {
		if (mts_client_write(client, piece, sizeof(piece)) != 0) {
			break;
		}
	}
}

static void converse(mts_client *client)
{
	const void *request;
	size_t size;
	do {
		(void)mts_client_puts(client, "and then?\n");
	} while (mts_client_next(client, &request, &size) == 1);
}

static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (strcmp(request, "hold") == 0) {
		hold();
	} else if (strcmp(request, "pour") == 0) {
		pour(client);
		return MTS_KEEP;
	} else if (strcmp(request, "converse") == 0) {
		converse(client);
		return MTS_KEEP;
	} else if (strcmp(request, "close") == 0) {
		return MTS_CLOSE;
	}
	(void)mts_client_write(client, request, size);
	(void)mts_client_puts(client, "\n");
	return MTS_KEEP;
}

static mts_server *new_server(int policy, size_t clients)
{
	mts_server *server = server_new(handle, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_hook, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, close_hook, NULL), 0);
	ck_assert_int_eq(mts_server_on_log(server, log_hook, MTS_LOG_NOTICE, NULL), 0);
	ck_assert_int_eq(mts_server_set_overload(server, policy), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, clients), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, OUTPUT), 0);
	return server;
}

static mts_server *start_server(int policy, size_t clients)
{
	mts_server *server = new_server(policy, clients);
	server_start(server);
	return server;
}

static void ask(int peer)
{
	peer_puts(peer, "hello\n");
	peer_expect_text(peer, "hello\n");
}

/* A new client that has been served. */
static int visit(mts_server *server)
{
	const int peer = peer_connect(server, 0);
	ask(peer);
	return peer;
}

/* Whether it gets an answer, or is gone. Neither takes long. */
static bool try_to_ask(int peer)
{
	char answer[6];
	size_t have = 0;
	if (send(peer, "hello\n", 6, MSG_NOSIGNAL) != 6) {
		return false;
	}
	while (have < sizeof(answer)) {
		const ssize_t count = recv(peer, answer + have, sizeof(answer) - have, 0);
		ck_assert(count >= 0 || errno == ECONNRESET || errno == EPIPE);
		if (count <= 0) {
			return false;
		}
		have += (size_t)count;
	}
	ck_assert_mem_eq(answer, "hello\n", 6);
	return true;
}

/* Comes again until it gets in: whoever leaves counts for a moment after its end is seen. */
static int get_in(mts_server *server)
{
	const uint64_t start = now_ms();
	for (;;) {
		const int peer = peer_connect(server, 0);
		if (try_to_ask(peer)) {
			return peer;
		}
		close(peer);
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
	}
}

static void expect_refused(mts_server *server, int count)
{
	const uint64_t before = mts_server_stat(server, MTS_STAT_REFUSED);
	for (int i = 0; i < count; i++) {
		const int peer = peer_connect(server, 0);
		peer_expect_gone(peer);
		close(peer);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), before + (uint64_t)count);
}

/* Nobody is let in for a moment, and that costs nothing. */
static void expect_patience(int count)
{
	const uint64_t start = now_ms();
	const uint64_t cpu = cpu_ms();
	ck_assert_int_eq(gate_count(&opened), count);
	poll(NULL, 0, 200);
	ck_assert_int_eq(gate_count(&opened), count);
	ck_assert_uint_le((cpu_ms() - cpu) * 10, now_ms() - start);
}

START_TEST(refused_at_once)
{
	mts_server *server = start_server(MTS_OVERLOAD_REFUSE, 2);
	const int first = visit(server);
	const int second = visit(server);
	const uint64_t start = now_ms();
	expect_refused(server, 20);
	const int messages = gate_count(&refusals);
	ck_assert_int_ge(messages, 1);
	ck_assert_int_le(messages, 2 + (int)((now_ms() - start) / 1000));
	ask(first);
	ask(second);
	close(first);
	const int third = get_in(server);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ask(second);
	ask(third);
	expect_refused(server, 2);
	ck_assert_int_eq(mts_server_set_max_clients(server, 3), 0);
	const int fourth = visit(server);
	expect_refused(server, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	ck_assert_int_eq(most_inside, 3);
	close(second);
	close(third);
	close(fourth);
	server_end(server);
}
END_TEST

/* No descriptor can be had: those who come are told still, and who is inside notices nothing. */
START_TEST(refused_without_descriptors)
{
	enum { COMERS = 5 };
	int peers[COMERS + 1];
	mts_server *server = start_server(MTS_OVERLOAD_REFUSE, 1000);
	const int first = visit(server);
	for (int i = 0; i <= COMERS; i++) {
		peers[i] = peer_socket();
	}
	starve_descriptors(true);
	for (int i = 0; i < COMERS; i++) {
		peer_connect_socket(peers[i], server);
	}
	for (int i = 0; i < COMERS; i++) {
		peer_expect_gone(peers[i]);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), COMERS);
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_ACCEPT_ERRORS), 1);
	ask(first);
	/* When there are descriptors again the next one is let in. */
	starve_descriptors(false);
	peer_connect_socket(peers[COMERS], server);
	ask(peers[COMERS]);
	for (int i = 0; i <= COMERS; i++) {
		close(peers[i]);
	}
	close(first);
	server_end(server);
}
END_TEST

START_TEST(one_goes_for_each_who_comes)
{
	enum { ROOM = 3, COMERS = 30 };
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, ROOM);
	int peers[ROOM + COMERS];
	for (int i = 0; i < ROOM + COMERS; i++) {
		peers[i] = visit(server);
	}
	endings_expect(&endings, MTS_CLOSED_EVICTED, COMERS);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), COMERS);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), ROOM);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	ck_assert_int_eq(most_inside, ROOM);
	int gone = 0;
	for (int i = 0; i < ROOM + COMERS; i++) {
		gone += try_to_ask(peers[i]) ? 0 : 1;
		close(peers[i]);
	}
	ck_assert_int_eq(gone, COMERS);
	server_end(server);
}
END_TEST

/* The one that goes counts until its close hook has returned, and only then the other comes. */
START_TEST(nobody_comes_before_the_other_has_gone)
{
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, 1);
	const int first = visit(server);
	slow_close = true;
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	gate_wait(&closing, 1);
	expect_patience(1);
	gate_add(&release);
	peer_expect_text(second, "hello\n");
	peer_expect_gone(first);
	endings_expect(&endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_int_eq(most_inside, 1);
	gate_add(&release);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Several close hooks take their time at once: so many new ones come as go, and no more go. */
START_TEST(as_many_go_as_come)
{
	enum { ROOM = 6, COMERS = 4 };
	int peers[ROOM + COMERS];
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, ROOM);
	for (int i = 0; i < ROOM; i++) {
		peers[i] = visit(server);
	}
	slow_close = true;
	for (int i = ROOM; i < ROOM + COMERS; i++) {
		peers[i] = peer_connect(server, 0);
		peer_puts(peers[i], "hello\n");
		gate_wait(&closing, i - ROOM + 1);
	}
	expect_patience(ROOM);
	for (int i = 0; i < COMERS; i++) {
		gate_add(&release);
	}
	for (int i = ROOM; i < ROOM + COMERS; i++) {
		peer_expect_text(peers[i], "hello\n");
	}
	endings_expect(&endings, MTS_CLOSED_EVICTED, COMERS);
	ck_assert_int_eq(most_inside, ROOM);
	slow_close = false;
	for (int i = 0; i < ROOM + COMERS; i++) {
		close(peers[i]);
	}
	server_end(server);
}
END_TEST

/* Who is being served is not idle; as soon as it is, it goes, with its reply. */
START_TEST(nobody_is_idle)
{
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, 2);
	const int first = peer_connect(server, 0);
	const int second = peer_connect(server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&entered, 1);
	peer_puts(second, "hold\n");
	gate_wait(&entered, 2);
	const int third = peer_connect(server, 0);
	peer_puts(third, "hello\n");
	expect_patience(2);
	gate_add(&release);
	gate_add(&release);
	peer_expect_text(third, "hello\n");
	peer_expect_text(first, "hold\n");
	peer_expect_text(second, "hold\n");
	endings_expect(&endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_int_eq(most_inside, 2);
	close(first);
	close(second);
	close(third);
	server_end(server);
}
END_TEST

/* Or somebody leaves by itself, and nobody goes. */
START_TEST(somebody_leaves)
{
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "hold\nclose\n");
	gate_wait(&entered, 1);
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	expect_patience(1);
	gate_add(&release);
	peer_expect_text(second, "hello\n");
	peer_expect_text(first, "hold\n");
	peer_expect_end(first);
	endings_expect(&endings, MTS_CLOSED_BY_HANDLER, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Or the limit is raised. */
START_TEST(the_limit_is_raised)
{
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&entered, 1);
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	expect_patience(1);
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	peer_expect_text(second, "hello\n");
	gate_add(&release);
	peer_expect_text(first, "hold\n");
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_EVICTED), 0);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Above a limit that was lowered nobody goes for that alone; but all that it takes for the next one. */
START_TEST(the_limit_is_lowered)
{
	enum { ROOM = 5 };
	int peers[ROOM];
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, ROOM);
	for (int i = 0; i < ROOM; i++) {
		peers[i] = visit(server);
	}
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	expect_patience(ROOM);
	for (int i = 0; i < ROOM; i++) {
		ask(peers[i]);
	}
	const int last = visit(server);
	endings_expect(&endings, MTS_CLOSED_EVICTED, ROOM - 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_OPEN), 2);
	for (int i = 0; i < ROOM; i++) {
		close(peers[i]);
	}
	close(last);
	server_end(server);
}
END_TEST

START_TEST(half_a_request_is_not_idle)
{
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "hel");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 3);
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	expect_patience(1);
	peer_puts(first, "lo\n");
	peer_expect_text(first, "hello\n");
	peer_expect_text(second, "hello\n");
	peer_expect_gone(first);
	endings_expect(&endings, MTS_CLOSED_EVICTED, 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

START_TEST(output_that_waits_is_not_idle)
{
	char bytes[65536];
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	small_buffers(first);
	peer_puts(first, "pour\n");
	server_wait_stat(server, MTS_STAT_REQUESTS, 1);
	server_wait_stat(server, MTS_STAT_BUSY, 0);
	const int second = peer_connect(server, 0);
	peer_puts(second, "hello\n");
	expect_patience(1);
	for (size_t left = BIG; left > 0;) {
		const ssize_t count = recv(first, bytes, left < sizeof(bytes) ? left : sizeof(bytes), 0);
		ck_assert_msg(count > 0, "with %zu bytes left: %s", left, strerror(errno));
		left -= (size_t)count;
	}
	peer_expect_text(second, "hello\n");
	peer_expect_gone(first);
	endings_expect(&endings, MTS_CLOSED_EVICTED, 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* A handler that waits in mts_client_next() for the next request: that is idle too. */
START_TEST(a_conversation_is_ended)
{
	mts_server *server = start_server(MTS_OVERLOAD_EVICT, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "converse\n");
	peer_expect_text(first, "and then?\n");
	peer_puts(first, "nothing\n");
	peer_expect_text(first, "and then?\n");
	const int second = visit(server);
	peer_expect_gone(first);
	endings_expect(&endings, MTS_CLOSED_EVICTED, 1);
	ck_assert_int_eq(most_inside, 1);
	close(first);
	close(second);
	server_end(server);
}
END_TEST

/* Those who wait at the door when the server stops are told. */
START_TEST(a_stop_with_some_at_the_door)
{
	enum { COMERS = 8 };
	int peers[COMERS];
	mts_server *server = start_server(_i, 1);
	const int first = peer_connect(server, 0);
	peer_puts(first, "hold\n");
	gate_wait(&entered, 1);
	for (int i = 0; i < COMERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	expect_patience(1);
	mts_server_stop(server);
	for (int i = 0; i < COMERS; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	gate_add(&release);
	peer_expect_text(first, "hold\n");
	ck_assert_int_eq(mts_server_join(server), 0);
	endings_expect(&endings, MTS_CLOSED_STOP, 1);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	close(first);
}
END_TEST

enum { VISITORS = 4, MOST = 5 };

struct crowd {
	mts_server *server;
	int visits;
	struct gate done;
	_Atomic int served;
};

static void *keep_coming(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < crowd->visits; i++) {
		const int peer = peer_connect(crowd->server, 0);
		if (try_to_ask(peer)) {
			crowd->served++;
		}
		peer_reset(peer); /* leaves no port behind that is in use for a minute */
	}
	gate_add(&crowd->done);
	return NULL;
}

/* Comers and goers while the limit changes; those who are idle stay until they are sent away. */
static void check_crowd(int policy, bool per_address)
{
	pthread_t threads[VISITORS];
	mts_server *server = start_server(policy, MOST);
	struct crowd crowd = {.server = server, .visits = under_valgrind() ? 100 : 1000, .done = GATE};
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_create(&threads[i], NULL, keep_coming, &crowd), 0);
	}
	for (size_t i = 0; gate_count(&crowd.done) < VISITORS; i++) {
		ck_assert_int_eq(mts_server_set_max_clients(server, i % MOST + 1), 0);
		if (per_address) {
			ck_assert_int_eq(mts_server_set_max_clients_per_address(server, i % 3), 0);
		}
		poll(NULL, 0, 1);
	}
	for (int i = 0; i < VISITORS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	const uint64_t all = (uint64_t)crowd.visits * VISITORS;
	server_wait_stat(server, MTS_STAT_ACCEPTED, all - mts_server_stat(server, MTS_STAT_REFUSED));
	ck_assert_int_gt(crowd.served, 0);
	ck_assert_int_le(most_inside, MOST);
	if (policy == MTS_OVERLOAD_WAIT && !per_address) {
		ck_assert_int_eq(crowd.served, crowd.visits * VISITORS);
	}
	/* And it is as good as new. */
	ck_assert_int_eq(mts_server_set_max_clients(server, 2), 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 2), 0);
	const int first = get_in(server);
	const int second = get_in(server);
	close(first);
	close(second);
	server_end(server);
}

START_TEST(a_crowd_while_limits_change)
{
	check_crowd(_i, false);
	setup();
	check_crowd(_i, true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("overload");
	TCase *tcase = tcase_create("overload");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, refused_at_once);
	if (!under_valgrind()) {
		tcase_add_test(tcase, refused_without_descriptors);
	}
	tcase_add_test(tcase, one_goes_for_each_who_comes);
	tcase_add_test(tcase, nobody_comes_before_the_other_has_gone);
	tcase_add_test(tcase, as_many_go_as_come);
	tcase_add_test(tcase, nobody_is_idle);
	tcase_add_test(tcase, somebody_leaves);
	tcase_add_test(tcase, the_limit_is_raised);
	tcase_add_test(tcase, the_limit_is_lowered);
	tcase_add_test(tcase, half_a_request_is_not_idle);
	tcase_add_test(tcase, output_that_waits_is_not_idle);
	tcase_add_test(tcase, a_conversation_is_ended);
	tcase_add_loop_test(
		tcase, a_stop_with_some_at_the_door, MTS_OVERLOAD_WAIT, MTS_OVERLOAD_EVICT + 1);
	tcase_add_loop_test(
		tcase, a_crowd_while_limits_change, MTS_OVERLOAD_WAIT, MTS_OVERLOAD_EVICT + 1);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
