/* SPDX-License-Identifier: MIT
 *
 * A close that the peer survives: it gets the whole reply, however much it had sent itself.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "support.h"

enum { KIB = 1024, REPLY = 1024 * 1024, UNREAD = 300000, PIECE = 10000 };

static struct gate leave;
static struct endings endings;

static void setup(void)
{
	leave = (struct gate)GATE;
	endings = (struct endings){.all = GATE};
}

static void wait_for_unread(mts_client *client)
{
	int unread = 0;
	wait_until(ioctl(mts_client_fd(client), FIONREAD, &unread) == 0 && unread > 0);
}

/* "large" and "small" say what is replied; a bang, that the peer goes on sending meanwhile. */
static int reply_and_close(mts_client *client, const void *request, size_t size, void *user)
{
	char bytes[PIECE];
	const size_t total = memcmp(request, "large", 5) == 0 ? REPLY : 100;
	(void)user;
	if (((const char *)request)[size - 1] == '!') {
		gate_wait(&leave, 1);
		wait_for_unread(client);
	}
	for (size_t at = 0; at < total; at += sizeof(bytes)) {
		const size_t count = total - at < sizeof(bytes) ? total - at : sizeof(bytes);
		pattern_fill(bytes, count, at);
		ck_assert_int_eq(mts_client_write(client, bytes, count), 0);
	}
	return MTS_CLOSE;
}

static mts_server *server_with(mts_close_hook hook)
{
	mts_server *server = server_new(reply_and_close, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, 6), 0);
	ck_assert_int_eq(mts_server_on_close(server, hook, &endings), 0);
	server_start(server);
	return server;
}

static mts_server *closing_server(void)
{
	return server_with(endings_note);
}

/* Sends from a thread of its own, since the server does not read it all. */
static void *send_unread(void *peer)
{
	static const char zeros[UNREAD];
	peer_send(*(const int *)peer, zeros, sizeof(zeros));
	return NULL;
}

/* A peer that gets a reply while it has sent far more than was read. */
static int talkative_peer(mts_server *server, size_t reply)
{
	pthread_t sender;
	int peer = peer_connect(server, 0);
	peer_puts(peer, reply == REPLY ? "large!" : "small!");
	ck_assert_int_eq(pthread_create(&sender, NULL, send_unread, &peer), 0);
	gate_add(&leave);
	peer_expect_pattern(peer, reply, 0);
	peer_expect_end(peer);
	ck_assert_int_eq(pthread_join(sender, NULL), 0);
	return peer;
}

START_TEST(a_reply_survives_unread_input)
{
	static const size_t replies[] = {REPLY, 100};
	mts_server *server = closing_server();
	const int before = settled_descriptors();
	for (int i = 0; i < 2; i++) {
		const int peer = talkative_peer(server, replies[i]);
		endings_expect(&endings, MTS_CLOSED_BY_HANDLER, i + 1);
		server_wait_stat(server, MTS_STAT_OPEN, 0); /* a lingering socket is no client */
		server_wait_stat(server, MTS_STAT_LINGERING, 1);
		peer_finish(peer);
		server_wait_stat(server, MTS_STAT_LINGERING, 0);
		close(peer);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 0);
	wait_until(count_descriptors() == before);
	server_end(server);
}
END_TEST

START_TEST(input_goes_on_being_thrown_away)
{
	static const char more[100 * KIB];
	mts_server *server = closing_server();
	const int peer = talkative_peer(server, REPLY);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	peer_send(peer, more, sizeof(more)); /* no reset answers it */
	peer_send(peer, more, sizeof(more));
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 1);
	peer_finish(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(lingering_ends_after_two_seconds)
{
	mts_server *server = closing_server();
	const uint64_t start = now_ms();
	const int peer = talkative_peer(server, REPLY);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	ck_assert_uint_ge(now_ms() - start, 2000); /* and no later: test_linger.c */
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 1);
	close(peer);
	server_end(server);
}
END_TEST

/* A peer that neither finishes nor stops sending is not listened to for ever. */
START_TEST(lingering_ends_after_a_megabyte)
{
	static const char bytes[64 * KIB];
	mts_server *server = closing_server();
	const int peer = talkative_peer(server, REPLY);
	ssize_t sent = 1;
	size_t total = 0;
	while (sent > 0 && total < 64 * REPLY) {
		sent = send(peer, bytes, sizeof(bytes), MSG_NOSIGNAL);
		total += sent > 0 ? (size_t)sent : 0;
	}
	ck_assert_int_lt(sent, 0);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(lingering_leaves_room_for_clients)
{
	mts_server *server = closing_server();
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	const int lingers = talkative_peer(server, REPLY);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	const int another = peer_connect(server, 0);
	peer_puts(another, "small.");
	peer_expect_pattern(another, 100, 0);
	peer_expect_end(another);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 1);
	peer_finish(lingers);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	close(lingers);
	close(another);
	server_end(server);
}
END_TEST

START_TEST(a_small_reply_closes_at_once)
{
	mts_server *server = closing_server();
	const int before = settled_descriptors();
	for (int i = 0; i < 50; i++) {
		const int peer = peer_connect(server, 0);
		peer_puts(peer, "small.");
		peer_expect_pattern(peer, 100, 0);
		peer_expect_end(peer);
		/* Though this side stays open, the other one is gone. */
		wait_until(count_descriptors() == before + 1);
		ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 0);
		close(peer);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 0);
	server_end(server);
}
END_TEST

/* Without a hook to wait for, nothing is held back either when the peer has sent more. */
START_TEST(a_short_reply_survives_unread_input_without_a_hook)
{
	mts_server *server = server_with(NULL);
	const int peer = talkative_peer(server, 100);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	peer_finish(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	close(peer);
	server_end(server);
}
END_TEST

/* The kernel shows the data a moment before the end even when one packet brings both. */
START_TEST(a_short_reply_comes_with_the_end_of_the_stream)
{
	mts_server *server = server_with(NULL);
	int together = 0;
	for (int i = 0; i < 20; i++) {
		const int peer = peer_connect(server, 0);
		struct pollfd wanted = {.fd = peer, .events = POLLIN | POLLRDHUP};
		peer_puts(peer, "small.");
		ck_assert_int_eq(poll(&wanted, 1, PATIENCE * 1000), 1);
		together += (wanted.revents & POLLRDHUP) != 0 ? 1 : 0;
		peer_expect_pattern(peer, 100, 0);
		peer_expect_end(peer);
		close(peer);
	}
	ck_assert_int_ge(together, 15);
	server_end(server);
}
END_TEST

static void wait_for_peer(mts_client *client, int reason, void *user)
{
	(void)client;
	(void)reason;
	(void)user;
	gate_wait(&leave, 1);
}

START_TEST(a_short_reply_does_not_wait_for_the_close_hook)
{
	mts_server *server = server_with(wait_for_peer);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "small.");
	peer_expect_pattern(peer, 100, 0);
	gate_add(&leave);
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(a_peer_that_has_finished_is_closed_at_once)
{
	mts_server *server = closing_server();
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "large.");
	peer_finish(peer);
	peer_expect_pattern(peer, REPLY, 0);
	peer_expect_end(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	endings_expect(&endings, MTS_CLOSED_BY_HANDLER, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 0);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(a_slow_reader_gets_all_of_a_large_reply)
{
	mts_server *server = closing_server();
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_puts(peer, "large.");
	for (size_t at = 0; at < REPLY; at += REPLY / 32) {
		peer_expect_pattern(peer, REPLY / 32, at);
		poll(NULL, 0, 5);
	}
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(a_lingering_peer_may_reset)
{
	mts_server *server = closing_server();
	for (int i = 1; i <= 10; i++) {
		const int peer = talkative_peer(server, REPLY);
		server_wait_stat(server, MTS_STAT_LINGERING, 1);
		peer_reset(peer);
		server_wait_stat(server, MTS_STAT_LINGERING, 0);
		endings_expect(&endings, MTS_CLOSED_BY_HANDLER, i);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 0);
	server_end(server);
}
END_TEST

/* Raw requests: whatever the first receive has got. */
static int reply_at_length(mts_client *client, const void *request, size_t size, void *user)
{
	char *bytes = malloc(REPLY);
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(bytes, REPLY, 0);
	const int result = mts_client_write(client, bytes, REPLY);
	free(bytes);
	return result == 0 ? MTS_CLOSE : result;
}

/* With nothing set but what every server needs: all of the reply, to a peer that has sent far more. */
START_TEST(the_simplest_program_loses_nothing_either)
{
	mts_server *server = server_new(reply_at_length, NULL);
	server_start(server);
	for (int i = 0; i < 5; i++) {
		pthread_t sender;
		int peer = peer_connect(server, 0);
		ck_assert_int_eq(pthread_create(&sender, NULL, send_unread, &peer), 0);
		peer_expect_pattern(peer, REPLY, 0);
		peer_expect_end(peer);
		ck_assert_int_eq(pthread_join(sender, NULL), 0);
		close(peer);
	}
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 0);
	server_end(server);
}
END_TEST

/* No more than an eighth of the clients' number may linger: beyond that those go that have done so longest. */
START_TEST(a_crowd_of_lingerers_makes_room)
{
	enum { MOST = 160, SHARE = MOST / 8, CROWD = 2 * SHARE };
	int peers[CROWD];
	mts_server *server = closing_server();
	ck_assert_int_eq(mts_server_set_max_clients(server, MOST), 0);
	/* Nobody goes by itself. */
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LINGER, 2 * PATIENCE * 1000), 0);
	const int before = settled_descriptors();
	for (int i = 0; i < CROWD; i++) {
		peers[i] = talkative_peer(server, 100);
		gate_wait(&endings.all, i + 1);
	}
	/* The last ones have been reported before they linger, and who makes room is counted out before it closes. */
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	wait_until(mts_server_stat(server, MTS_STAT_LINGERING) <= SHARE);
	wait_until(count_descriptors() <= before + CROWD + SHARE);
	const int another = peer_connect(server, 0);
	peer_puts(another, "small.");
	peer_expect_pattern(another, 100, 0);
	peer_expect_end(another);
	close(another);
	/* What is closed answers with a reset, what lingers takes it. */
	for (int i = 0; i < CROWD - SHARE; i++) {
		const uint64_t start = now_ms();
		while (send(peers[i], "more", 4, MSG_NOSIGNAL) > 0) {
			ck_assert_msg(now_ms() - start < PATIENCE * 1000, "number %d still lingers", i);
			poll(NULL, 0, 1);
		}
	}
	for (int i = 0; i < CROWD; i++) {
		close(peers[i]);
	}
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("closing");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, a_reply_survives_unread_input);
	tcase_add_test(tcase, input_goes_on_being_thrown_away);
	tcase_add_test(tcase, lingering_ends_after_two_seconds);
	tcase_add_test(tcase, lingering_ends_after_a_megabyte);
	tcase_add_test(tcase, lingering_leaves_room_for_clients);
	tcase_add_test(tcase, a_small_reply_closes_at_once);
	tcase_add_test(tcase, a_short_reply_survives_unread_input_without_a_hook);
	tcase_add_test(tcase, a_short_reply_comes_with_the_end_of_the_stream);
	tcase_add_test(tcase, a_short_reply_does_not_wait_for_the_close_hook);
	tcase_add_test(tcase, a_peer_that_has_finished_is_closed_at_once);
	tcase_add_test(tcase, a_slow_reader_gets_all_of_a_large_reply);
	tcase_add_test(tcase, a_lingering_peer_may_reset);
	tcase_add_test(tcase, the_simplest_program_loses_nothing_either);
	tcase_add_test(tcase, a_crowd_of_lingerers_makes_room);
	return suite_run();
}
