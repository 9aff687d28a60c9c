/* SPDX-License-Identifier: MIT
 *
 * A handler ends its side of the stream: the peer gets all that was written, and then the end, and goes on
 * sending; nothing can be written any more, and the client ends as any other.
 */
#include "reach.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 40 };

static const char late[] = "late";

/* Everything that writes, after the end of the stream. */
static void write_late(mts_client *client)
{
	mts_server *server = mts_client_server(client);
	const uint64_t id = mts_client_id(client);
	reach.answers[1] = mts_client_write(client, late, 4) == -EPIPE
		&& mts_client_write(client, late, 0) == -EPIPE && mts_client_puts(client, late) == -EPIPE
		&& mts_client_printf(client, "%s", late) == -EPIPE
		&& mts_client_try_write(client, late, 4) == -EPIPE
		&& mts_client_sendfile(client, 0, 0, 1) == -EPIPE;
	reach.answers[2] = mts_server_send(server, id, late, 4);
	reach.answers[3] = mts_server_broadcast(server, late, 4);
	reach.answers[4] = mts_client_flush(client);
	reach.answers[5] = mts_client_shutdown(client);
}

/* "bye" ends our side; all later requests are counted. */
static int say_bye(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (size == 3 && memcmp(request, "bye", 3) == 0) {
		(void)mts_client_puts(client, "farewell\n");
		reach.answers[0] = mts_client_shutdown(client);
		write_late(client);
	} else {
		reach.answers[6] = mts_client_write(client, request, size);
	}
	gate_add(&reach.entered);
	return size == 5 ? MTS_CLOSE : MTS_KEEP;
}

static mts_server *server_for(mts_handler handler, int family)
{
	mts_server *server = server_on(family, handler, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, reach_open, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &reach.endings), 0);
	return server;
}

static void end_with(mts_server *server, int peer)
{
	close(peer);
	server_end(server);
	ck_assert_int_eq(gate_count(&reach.endings.all), gate_count(&reach.opened));
}

/* It ends later: by the peer, by its handler, by its id, by a stop. Each has its usual reason. */
START_TEST(it_is_still_served)
{
	static const int reasons[] = {
		MTS_CLOSED_BY_PEER, MTS_CLOSED_BY_HANDLER, MTS_CLOSED_BY_HANDLER, MTS_CLOSED_STOP};
	const int way = _i / FAMILIES;
	mts_server *server = server_for(say_bye, _i % FAMILIES);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "bye\n");
	peer_expect_text(peer, "farewell\n");
	peer_expect_end(peer);
	gate_wait(&reach.entered, 1);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], 1);
	ck_assert_int_eq(reach.answers[2], -ENOENT);
	ck_assert_int_eq(reach.answers[3], 0);
	ck_assert_int_eq(reach.answers[4], 0);
	ck_assert_int_eq(reach.answers[5], 0);
	library_rests();
	peer_puts(peer, "more\n");
	gate_wait(&reach.entered, 2);
	ck_assert_int_eq(reach.answers[6], -EPIPE);
	if (way == 0) {
		peer_finish(peer);
	} else if (way == 1) {
		peer_puts(peer, "close\n");
	} else if (way == 2) {
		ck_assert_int_eq(mts_server_close(server, reach.ids[0]), 0);
	} else {
		mts_server_stop(server);
	}
	endings_expect(&reach.endings, reasons[way], 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_UNSENT), 0);
	end_with(server, peer);
}
END_TEST

static int write_much(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[4 * REACH_MIB];
	char buffer[1000];
	ssize_t count;
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(bytes, sizeof(bytes), 0);
	(void)mts_client_write(client, bytes, sizeof(bytes));
	gate_add(&reach.entered);
	reach.answers[0] = mts_client_shutdown(client);
	gate_add(&reach.leave);
	while ((count = mts_client_read(client, buffer, sizeof(buffer))) > 0) {
		reach.answers[1] += (int)count;
	}
	reach.answers[2] = (int)count;
	reach.answers[3] = mts_client_gone(client);
	return MTS_CLOSE;
}

/* It waits for its peer to take all; then the peer sends, and the handler reads all of that. */
START_TEST(waits_as_a_write_waits)
{
	static const char body[100000];
	mts_server *server = server_for(write_much, TCP);
	ck_assert_int_eq(mts_server_set_max_output(server, 8 * REACH_MIB), 0);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 1);
	library_rests();
	ck_assert_int_eq(gate_count(&reach.leave), 0);
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], late, 4), -ENOBUFS);
	peer_expect_pattern(peer, 4 * REACH_MIB, 0);
	peer_expect_end(peer);
	gate_wait(&reach.leave, 1);
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], late, 4), -ENOENT);
	peer_send(peer, body, sizeof(body));
	peer_finish(peer);
	endings_expect(&reach.endings, MTS_CLOSED_BY_HANDLER, 1);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], (int)sizeof(body));
	ck_assert_int_eq(reach.answers[2], 0);
	ck_assert_int_eq(reach.answers[3], MTS_GONE_EOF);
	end_with(server, peer);
}
END_TEST

/* It waits in vain: the peer takes nothing, is gone, or the client is kicked. */
START_TEST(it_waits_in_vain)
{
	static const int reasons[] = {MTS_CLOSED_WRITE_TIMEOUT, MTS_CLOSED_BY_PEER, MTS_CLOSED_KICKED};
	mts_server *server = server_for(write_much, TCP);
	ck_assert_int_eq(mts_server_set_max_output(server, 8 * REACH_MIB), 0);
	if (_i == 0) {
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_WRITE, 200), 0);
	}
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 1);
	if (_i == 1) {
		peer_reset(peer);
	} else if (_i == 2) {
		ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
	}
	endings_expect(&reach.endings, reasons[_i], 1);
	ck_assert_int_eq(reach.answers[0], _i == 0 ? -ETIMEDOUT : -EPIPE);
	if (_i != 1) {
		(void)peer_expect_torn(peer); /* so it does not take this for the end */
		close(peer);
	}
	server_end(server);
}
END_TEST

static int shut_and_read(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)request;
	(void)size;
	(void)user;
	reach.answers[0] = mts_client_shutdown(client);
	gate_add(&reach.entered);
	reach.answers[1] = (int)mts_client_read(client, &byte, 1);
	reach.answers[2] = mts_client_gone(client);
	return MTS_KEEP;
}

/* A kick, or a stop, wakes a handler that reads after it. */
START_TEST(ended_while_it_reads)
{
	mts_server *server = server_for(shut_and_read, _i % FAMILIES);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_end(peer);
	gate_wait(&reach.entered, 1);
	library_rests();
	if (_i / FAMILIES == 0) {
		ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
		endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
		ck_assert_int_eq(reach.answers[1], -EPIPE);
		ck_assert_int_eq(reach.answers[2], MTS_GONE_KICKED);
	} else {
		mts_server_stop(server);
	}
	end_with(server, peer);
	ck_assert_int_eq(reach.answers[0], 0);
}
END_TEST

static void *send_until_refused(void *server)
{
	int result;
	while ((result = mts_server_send(server, reach.ids[0], "x", 1)) == 0 || result == -ENOBUFS) {
		if (result == 0) {
			reach.answers[7]++;
		}
	}
	return result == -ENOENT ? NULL : server;
}

/* Others send meanwhile: each message arrives whole before the end, or is refused. */
START_TEST(while_others_send)
{
	for (int i = 0; i < ROUNDS; i++) {
		mts_server *server = server_for(shut_and_read, TCP);
		pthread_t sender;
		void *failed;
		char byte;
		int got = 0;
		reach_setup();
		reach.answers[7] = 0;
		server_start(server);
		const int peer = peer_connect(server, 0);
		gate_wait(&reach.opened, 1);
		while (mts_server_send(server, reach.ids[0], "x", 1) != 0) {
		}
		ck_assert_int_eq(pthread_create(&sender, NULL, send_until_refused, server), 0);
		peer_puts(peer, "go\n");
		ssize_t count;
		while ((count = recv(peer, &byte, 1, 0)) == 1) {
			got++;
		}
		ck_assert_int_eq(count, 0);
		ck_assert_int_eq(pthread_join(sender, &failed), 0);
		ck_assert_ptr_null(failed);
		ck_assert_int_eq(got, reach.answers[7] + 1);
		close(peer);
		endings_expect(&reach.endings, MTS_CLOSED_BY_PEER, 1);
		server_end(server);
	}
}
END_TEST

static int shut_in_hook(mts_client *client, void *user)
{
	(void)reach_open(client, user);
	(void)mts_client_puts(client, "hello");
	reach.answers[0] = mts_client_shutdown(client);
	return 0;
}

static void shut_at_the_end(mts_client *client, int reason, void *user)
{
	(void)user;
	reach.answers[1] = mts_client_shutdown(client);
	endings_note(client, reason, &reach.endings);
}

START_TEST(in_hooks)
{
	mts_server *server = server_for(say_bye, TCP);
	ck_assert_int_eq(mts_server_on_open(server, shut_in_hook, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, shut_at_the_end, NULL), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_expect_text(peer, "hello");
	peer_expect_end(peer);
	peer_puts(peer, "one\n");
	gate_wait(&reach.entered, 1);
	peer_finish(peer);
	endings_expect(&reach.endings, MTS_CLOSED_BY_PEER, 1);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], -EPIPE);
	ck_assert_int_eq(reach.answers[6], -EPIPE);
	ck_assert_int_eq(mts_client_shutdown(NULL), -EINVAL);
	end_with(server, peer);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("shutdown");
	tcase_add_checked_fixture(tests, reach_setup, NULL);
	tcase_add_loop_test(tests, it_is_still_served, 0, 4 * FAMILIES);
	tcase_add_test(tests, waits_as_a_write_waits);
	tcase_add_loop_test(tests, it_waits_in_vain, 0, 3);
	tcase_add_loop_test(tests, ended_while_it_reads, 0, 2 * FAMILIES);
	tcase_add_test(tests, while_others_send);
	tcase_add_test(tests, in_hooks);
	return suite_run();
}
