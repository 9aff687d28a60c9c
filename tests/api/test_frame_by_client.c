/* SPDX-License-Identifier: MIT
 *
 * A framer that knows its client: what it finds depends on what that client has sent before, and
 * nothing but questions about the client work in it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

/* What a client has agreed on: lines, or blocks of so many bytes. */
struct session {
	size_t block;
	_Atomic int asking; /* how many calls of the framer run for it at this moment */
	bool apart; /* there was never more than one */
};

static struct endings endings;
static char complaint[128]; /* the first thing that was wrong in a callback */

static void setup(void)
{
	endings = (struct endings){.all = GATE};
	complaint[0] = '\0';
}

#define GIVES(want, call) give((long)(want), (long)(call), #call)

static void give(long want, long got, const char *call)
{
	if (want != got && complaint[0] == '\0') {
		snprintf(complaint, sizeof(complaint), "%s: %ld instead of %ld", call, got, want);
	}
}

static int open_session(mts_client *client, void *user)
{
	struct session *session = calloc(1, sizeof(*session));
	(void)user;
	if (session == NULL) {
		return -ENOMEM;
	}
	session->apart = true;
	mts_client_set_data(client, session);
	return 0;
}

static void close_session(mts_client *client, int reason, void *user)
{
	struct session *session = mts_client_data(client);
	GIVES(1, session->apart);
	free(session);
	endings_note(client, reason, user);
}

static ssize_t line_or_block(
	mts_client *client, const void *data, size_t size, size_t scanned, void *user)
{
	struct session *session = mts_client_data(client);
	ssize_t answer = 0;
	GIVES(1, user == &endings);
	session->apart = session->apart && session->asking++ == 0;
	if (session->block > 0) {
		answer = size < session->block ? 0 : (ssize_t)session->block;
	} else {
		const char *newline = memchr((const char *)data + scanned, '\n', size - scanned);
		answer = newline == NULL ? 0 : newline + 1 - (const char *)data;
	}
	session->asking--;
	return answer;
}

/* "block 3\n": from now on blocks of three bytes; "end" as such a block: lines again. */
static int agree(mts_client *client, const void *request, size_t size, void *user)
{
	struct session *session = mts_client_data(client);
	const char *text = request;
	(void)user;
	(void)mts_client_printf(client, "[%s]", text);
	if (strncmp(text, "block ", 6) == 0) {
		session->block = strtoul(text + 6, NULL, 10);
	} else if (strncmp(text, "end", 3) == 0) {
		session->block = 0;
	}
	return size > 0 ? MTS_KEEP : -EIO;
}

static mts_server *server_framed(mts_client_framer framer, mts_handler handler)
{
	mts_server *server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_by_client(server, framer, &endings), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_session, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, close_session, &endings), 0);
	server_start(server);
	return server;
}

static void end(mts_server *server)
{
	server_end(server);
	ck_assert_str_eq(complaint, "");
}

/* However the network cuts the streams of two clients, and whatever the other one has agreed on. */
START_TEST(each_has_its_own_mode)
{
	static const char *const streams[] = {
		"block 3\nabcdefendhello\n", "block 5\nabcdeend..hello\nbye\n"};
	static const char *const replies[] = {
		"[block 3\n][abc][def][end][hello\n]", "[block 5\n][abcde][end..][hello\n][bye\n]"};
	mts_server *server = server_framed(line_or_block, agree);
	uint64_t received = 0;
	for (size_t cut = 1; cut < strlen(streams[0]); cut++) {
		int peers[2];
		for (int i = 0; i < 2; i++) {
			peers[i] = peer_connect(server, 0);
			peer_send(peers[i], streams[i], cut);
		}
		received += 2 * cut;
		server_wait_stat(server, MTS_STAT_BYTES_IN, received);
		for (int i = 0; i < 2; i++) {
			peer_puts(peers[i], streams[i] + cut);
			peer_expect_text(peers[i], replies[i]);
			received += strlen(streams[i]) - cut;
			close(peers[i]);
		}
	}
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	end(server);
}
END_TEST

static ssize_t asks(mts_client *client, const void *data, size_t size, size_t scanned, void *user)
{
	const void *request;
	size_t length;
	char byte;
	(void)data;
	(void)scanned;
	(void)user;
	GIVES(-EPIPE, mts_client_write(client, "x", 1));
	GIVES(-EPIPE, mts_client_try_write(client, "x", 1));
	GIVES(-EPIPE, mts_client_puts(client, "x"));
	GIVES(-EPIPE, mts_client_printf(client, "x"));
	GIVES(-EPIPE, mts_client_flush(client));
	GIVES(-EPIPE, mts_client_sendfile(client, 0, 0, 1));
	GIVES(-EPIPE, mts_client_shutdown(client));
	GIVES(-EPIPE, mts_client_next(client, &request, &length));
	GIVES(-EPIPE, mts_client_read(client, &byte, 1));
	GIVES(-EPIPE, mts_client_read_exact(client, &byte, 1));
	GIVES(-EPIPE, mts_client_read_line(client, &request, &length));
	GIVES(-EPIPE, mts_client_unread(client, "x", 1));
	GIVES(-EPIPE, mts_client_relay(client, 0));
	GIVES(-EPIPE, mts_client_defer(client));
	GIVES(-EPIPE, mts_client_set_timeout(client, MTS_TIMEOUT_IDLE, 1));
	GIVES(0, strncmp(mts_client_peer(client), "127.0.0.1:", 10));
	GIVES(0, strncmp(mts_client_local(client), "127.0.0.1:", 10));
	GIVES(1, mts_client_id(client) > 0);
	GIVES(1, mts_client_fd(client) >= 0);
	GIVES(0, mts_client_listener(client));
	GIVES(0, mts_client_gone(client));
	GIVES(1, mts_client_data(client) != NULL);
	GIVES(1, mts_client_server(client) != NULL);
	return (ssize_t)size;
}

START_TEST(only_questions_work)
{
	mts_server *server = server_framed(asks, answer_echo);
	const int peer = peer_connect(server, 0);
	peer_ask(peer, "hello");
	peer_ask(peer, "again");
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	end(server);
}
END_TEST

static ssize_t fails(mts_client *client, const void *data, size_t size, size_t scanned, void *user)
{
	(void)client;
	(void)user;
	switch (*(const char *)data) {
	case 'n':
		return -EINVAL;
	case 'm':
		return (ssize_t)size + 1;
	default:
		GIVES(1, scanned <= size);
		return 0;
	}
}

START_TEST(it_fails)
{
	static const struct {
		const char *text;
		int reason;
	} cases[] = {
		{"no", MTS_CLOSED_PROTOCOL},
		{"more", MTS_CLOSED_PROTOCOL},
		{"0123456789abcdef", MTS_CLOSED_TOO_LARGE},
		{"a part", MTS_CLOSED_PROTOCOL},
	};
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_max_request(server, 16), 0);
	ck_assert_int_eq(mts_server_frame_by_client(server, fails, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, cases[_i].text);
	peer_finish(peer);
	peer_expect_gone(peer);
	close(peer);
	endings_expect(&endings, cases[_i].reason, 1);
	end(server);
}
END_TEST

static ssize_t ends_its_thread(
	mts_client *client, const void *data, size_t size, size_t scanned, void *user)
{
	const ssize_t answer = line_or_block(client, data, size, scanned, user);
	if (answer > 0 && memcmp(data, "exit\n", 5) == 0) {
		pthread_exit(NULL);
	}
	return answer;
}

static int go_on(mts_client *client, const void *request, size_t size, void *user)
{
	const bool converses = memcmp(request, "next\n", 5) == 0;
	const int result = agree(client, request, size, user);
	return converses ? mts_client_next(client, &request, &size) : result;
}

/* Its client is cut off, what was written is sent, and others are served. */
START_TEST(it_ends_its_thread)
{
	mts_server *server = server_framed(ends_its_thread, go_on);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, _i == 0 ? "once\n" : "next\n");
	peer_expect_text(peer, _i == 0 ? "[once\n]" : "[next\n]");
	peer_puts(peer, "exit\n");
	peer_expect_gone(peer);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	const int other = peer_connect(server, 0);
	peer_puts(other, "hello\n");
	peer_expect_text(other, "[hello\n]");
	close(other);
	end(server);
}
END_TEST

static _Atomic size_t first_scanned;

static ssize_t notes_scanned(
	mts_client *client, const void *data, size_t size, size_t scanned, void *user)
{
	if (first_scanned == SIZE_MAX && memcmp(data, "put", 3) == 0) {
		first_scanned = scanned;
	}
	return line_or_block(client, data, size, scanned, user);
}

static int put_back(mts_client *client, const void *request, size_t size, void *user)
{
	if (memcmp(request, "go\n", 3) == 0) {
		GIVES(0, mts_client_unread(client, "put ", 4));
		GIVES(1, mts_client_next(client, &request, &size));
	}
	return agree(client, request, size, user);
}

/* What is put back is framed with what follows it, from its beginning. */
START_TEST(what_is_put_back)
{
	first_scanned = SIZE_MAX;
	mts_server *server = server_framed(notes_scanned, put_back);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nhal");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 6);
	peer_puts(peer, "f\n");
	peer_expect_text(peer, "[put half\n]");
	ck_assert_uint_eq(first_scanned, 0);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	end(server);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("framing by client");
	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, each_has_its_own_mode);
	tcase_add_test(tests, only_questions_work);
	tcase_add_loop_test(tests, it_fails, 0, 4);
	tcase_add_loop_test(tests, it_ends_its_thread, 0, 2);
	tcase_add_test(tests, what_is_put_back);
	return suite_run();
}
