/* SPDX-License-Identifier: MIT
 *
 * The last word when there is trouble: peers that go on sending, or read slowly; hooks that block, call what
 * is not for them, or end their thread; kicks and the stop meanwhile; handlers that were told already.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stage.h"

enum { LIMIT = 100, MEGABYTE = 1024 * 1024, LONG = 3 * MEGABYTE };

static const char refused[] = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n";
static _Atomic int faults;
static _Atomic int answer; /* of what the hook has called */
static _Atomic uint64_t id;
static char text[LONG];

static void setup(void)
{
	stage_setup();
	faults = 0;
	answer = 0;
	id = 0;
}

static mts_server *server_with(mts_handler handler, mts_fault_hook hook)
{
	mts_server *server = server_of_lines(handler, NULL, &endings);
	ck_assert_int_eq(mts_server_set_max_request(server, LIMIT), 0);
	ck_assert_int_eq(mts_server_on_fault(server, hook, NULL), 0);
	return server;
}

/* A request without an end, above the limit. */
static void send_too_much(int peer)
{
	static const char much[2 * LIMIT] = "much";
	peer_send(peer, much, sizeof(much));
}

static void says_413(mts_client *client, int reason, void *user)
{
	(void)user;
	faults++;
	ck_assert_int_eq(reason, MTS_CLOSED_TOO_LARGE);
	ck_assert_int_eq(mts_client_puts(client, refused), 0);
}

/* It reads only when all is sent. */
START_TEST(ten_megabytes_are_on_their_way)
{
	static const char zeros[MEGABYTE];
	mts_server *server = server_with(answer_keep, says_413);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LINGER, PATIENCE * 1000), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	for (int i = 0; i < 10; i++) {
		peer_send(peer, zeros, sizeof(zeros));
		if (i == 0) {
			endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
		}
	}
	peer_expect_text(peer, refused);
	peer_expect_end(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	server_end(server);
	ck_assert_int_eq(faults, 1);
}
END_TEST

/* What goes on sending is closed in the end. */
START_TEST(it_never_ends)
{
	static const char zeros[MEGABYTE];
	mts_server *server = server_with(answer_keep, says_413);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LINGER, 0), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	while (send(peer, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0) {
	}
	ck_assert(errno == ECONNRESET || errno == EPIPE);
	close(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	server_end(server);
}
END_TEST

/* Nothing more is on its way at the moment at which the client ends, but it comes. */
START_TEST(it_pauses_and_goes_on)
{
	mts_server *server = server_with(answer_keep, says_413);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_LINGER, PATIENCE * 1000), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	send_too_much(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	for (int i = 0; i < 10; i++) {
		send_too_much(peer);
	}
	peer_expect_text(peer, refused);
	peer_expect_end(peer);
	send_too_much(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_LINGERING, 0);
	server_end(server);
}
END_TEST

static void says_much(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	ck_assert_int_eq(mts_client_write(client, text, LONG), 0);
}

static int fails(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(text, LONG, 0);
	(void)mts_client_write(client, text, 100);
	return -EIO;
}

/* It takes all of it, whatever waits where: in the hook, in the queue, in the kernel. */
START_TEST(the_peer_reads_slowly)
{
	mts_server *server = server_with(fails, says_much);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, _i == 0 ? 1 : 2 * LONG), 0);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go on\n");
	server_settled_bytes(server);
	peer_expect_pattern(peer, 100, 0);
	for (size_t at = 0; at < LONG; at += LONG / 32) {
		peer_expect_pattern(peer, LONG / 32, at);
	}
	peer_expect_end(peer);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	server_end(server);
}
END_TEST

static void writes_by_trying(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	ck_assert_int_eq(mts_client_try_write(client, text, LONG), 0);
}

static int fails_at_once(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(text, LONG, 0);
	return -EIO;
}

/* This passes the buffers by. */
START_TEST(it_only_tries)
{
	mts_server *server = server_with(fails_at_once, writes_by_trying);
	ck_assert_int_eq(mts_server_set_max_output(server, 2 * LONG), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	peer_expect_pattern(peer, LONG, 0);
	peer_expect_end(peer);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	server_end(server);
}
END_TEST

/* So what the failed handler has written is dropped. */
static void only_flushes(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	faults++;
	ck_assert_int_eq(mts_client_flush(client), 0);
	ck_assert_int_eq(mts_client_write(client, "", 0), 0);
}

START_TEST(a_flush_is_not_a_word)
{
	mts_server *server = server_with(fails, only_flushes);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	ck_assert_uint_eq(peer_expect_torn(peer), 0);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	server_end(server);
	ck_assert_int_eq(faults, 1);
}
END_TEST

/* Calls that fail, and that have to send what waits before they know. */
static void sends_no_file(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	faults++;
	answer = mts_client_sendfile(client, -1, 0, 1) < 0 ? 1 : 0;
}

static void sends_an_empty_file(mts_client *client, int reason, void *user)
{
	const int fd = open("/dev/null", O_RDONLY);
	(void)reason;
	(void)user;
	faults++;
	answer = mts_client_sendfile(client, fd, 0, 1) == 0 ? 1 : 0;
	close(fd);
}

static void tries_too_much(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	faults++;
	answer = mts_client_try_write(client, text, LONG) == -ENOBUFS ? 1 : 0;
}

static void fails_and_then_says(mts_client *client, int reason, void *user)
{
	sends_no_file(client, reason, user);
	tries_too_much(client, reason, user);
	(void)mts_client_puts(client, "sorry");
}

static void says_and_then_fails(mts_client *client, int reason, void *user)
{
	(void)mts_client_puts(client, "sorry");
	sends_no_file(client, reason, user);
}

static const struct {
	mts_fault_hook hook;
	bool says;
} failing_hooks[] = {{sends_no_file, false}, {sends_an_empty_file, false}, {tries_too_much, false},
	{fails_and_then_says, true}, {says_and_then_fails, true}};
enum { FAILING_HOOKS = sizeof(failing_hooks) / sizeof(failing_hooks[0]) };

/* The hook has said nothing then: what the failed handler has written is no reply, though it went out. */
START_TEST(the_hook_fails)
{
	mts_server *server = server_with(fails, failing_hooks[_i].hook);
	ck_assert_int_eq(mts_server_set_max_memory(server, MEGABYTE), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	if (failing_hooks[_i].says) {
		peer_expect_pattern(peer, 100, 0);
		peer_expect_text(peer, "sorry");
		peer_expect_end(peer);
	} else {
		(void)peer_expect_torn(peer);
	}
	close(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	server_end(server);
	ck_assert_int_ge(faults, 1);
	ck_assert_int_eq(answer, 1);
}
END_TEST

static int answers(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	return mts_client_puts(client, "whole");
}

/* Where no handler has failed, what waits is all due to the peer, and the end is orderly. */
START_TEST(the_hook_fails_after_a_reply)
{
	mts_server *server = server_with(answers, failing_hooks[_i].hook);
	ck_assert_int_eq(mts_server_set_max_memory(server, MEGABYTE), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, 30), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\nhalf");
	peer_expect_text(peer, failing_hooks[_i].says ? "wholesorry" : "whole");
	peer_expect_end(peer);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_REQUEST_TIMEOUT, 1);
	server_end(server);
}
END_TEST

static void blocks(mts_client *client, int reason, void *user)
{
	(void)user;
	faults++;
	id = mts_client_id(client);
	gate_add(&entered);
	gate_wait(&leave, 1);
	answer = mts_client_puts(client, "late");
	(void)reason;
}

/* As a handler: another thread serves meanwhile. */
START_TEST(others_are_served_meanwhile)
{
	mts_server *server = server_with(answer_echo, blocks);
	server_start(server);
	const int peer = peer_connect(server, 0);
	send_too_much(peer);
	gate_wait(&entered, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 1);
	const int other = peer_connect(server, 0);
	peer_puts(other, "hello\n");
	peer_expect_text(other, "hello");
	gate_add(&leave);
	peer_expect_text(peer, "late");
	close(peer);
	endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
	server_end(server);
	close(other);
}
END_TEST

START_TEST(a_kick_meanwhile)
{
	mts_server *server = server_with(answer_echo, blocks);
	server_start(server);
	const int peer = peer_connect(server, 0);
	send_too_much(peer);
	gate_wait(&entered, 1);
	ck_assert_int_eq(mts_server_send(server, id, "no", 2), -ENOENT);
	ck_assert_int_eq(mts_server_close(server, id), -ENOENT);
	ck_assert_int_eq(mts_server_kick(server, id), 0);
	peer_expect_gone(peer);
	gate_add(&leave);
	endings_expect(&endings, MTS_CLOSED_KICKED, 1);
	ck_assert_int_eq(answer, -EPIPE);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(the_peer_goes_meanwhile)
{
	mts_server *server = server_with(answer_echo, blocks);
	server_start(server);
	const int peer = peer_connect(server, 0);
	send_too_much(peer);
	gate_wait(&entered, 1);
	peer_reset(peer);
	gate_add(&leave);
	gate_wait(&endings.all, 1);
	ck_assert_int_eq(faults, 1);
	server_end(server);
}
END_TEST

/* It is in time; or the stop gives it up, as a handler, and it is cut. */
START_TEST(a_stop_meanwhile)
{
	mts_server *server = server_with(answer_echo, blocks);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, _i == 0 ? 0 : 50), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	send_too_much(peer);
	gate_wait(&entered, 1);
	mts_server_stop(server);
	if (_i == 0) {
		gate_add(&leave);
		peer_expect_text(peer, "late");
		endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
	} else {
		ck_assert_int_eq(mts_server_join(server), -EBUSY);
		ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_HUNG), 1);
		gate_add(&leave);
		gate_wait(&endings.all, 1);
		ck_assert_int_eq(answer, -EPIPE);
	}
	close(peer);
	if (_i == 0) {
		ck_assert_int_eq(mts_server_join(server), 0);
	}
	wait_until(mts_server_destroy(server) == 0);
	ck_assert_int_eq(faults, 1);
}
END_TEST

/* A handler that does not return before the deadline is no fault that its peer could be told. */
static int sits_it_out(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)request;
	(void)size;
	(void)user;
	gate_add(&entered);
	answer = (int)mts_client_read(client, &byte, 1); /* until the deadline, since nothing comes */
	return MTS_KEEP;
}

START_TEST(cut_by_the_stop)
{
	mts_server *server = server_with(sits_it_out, says_413);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 50), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	gate_wait(&entered, 1);
	server_end(server);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_STOP, 1);
	ck_assert_int_eq(faults, 0);
	ck_assert_int_eq(answer, -EPIPE);
}
END_TEST

static void overruns(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	wait_until(mts_client_gone(client) == MTS_GONE_DEADLINE);
	faults++;
	ck_assert_int_eq(mts_client_puts(client, "at last"), 0);
}

START_TEST(the_timeout_of_handlers)
{
	mts_server *server = server_with(answer_echo, overruns);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDLER, 30), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	send_too_much(peer);
	peer_expect_text(peer, "at last");
	close(peer);
	endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
	server_end(server);
	ck_assert_int_eq(faults, 1);
}
END_TEST

/* A server that runs keeps its framing. */
static void choose_framings(mts_server *server)
{
	ck_assert_int_eq(mts_server_frame_raw(server), -EBUSY);
	ck_assert_int_eq(mts_server_frame_lines(server), -EBUSY);
	ck_assert_int_eq(mts_server_frame_delimited(server, ";", 1), -EBUSY);
	ck_assert_int_eq(mts_server_frame_fixed(server, 4), -EBUSY);
	ck_assert_int_eq(mts_server_frame_prefixed(server, 1, MTS_BIG_ENDIAN), -EBUSY);
	ck_assert_int_eq(mts_server_frame_custom(server, NULL, NULL), -EBUSY);
	ck_assert_int_eq(mts_server_frame_by_client(server, NULL, NULL), -EBUSY);
	ck_assert_int_eq(mts_server_set_max_request(server, 100), -EBUSY);
}

/* In the wrong place: what takes input, puts it back, hands it on, or goes on without the hook. */
static void reads(mts_client *client, int reason, void *user)
{
	const void *request = &client;
	size_t size = 1;
	int pair[2];
	char byte;
	(void)reason;
	(void)user;
	ck_assert_int_eq(mts_client_next(client, &request, &size), -EPIPE);
	ck_assert_ptr_null(request);
	ck_assert_int_eq(mts_client_read(client, &byte, 1), -EPIPE);
	ck_assert_int_eq(mts_client_read_exact(client, &byte, 1), -EPIPE);
	ck_assert_int_eq(mts_client_read_line(client, &request, &size), -EPIPE);
	ck_assert_int_eq(mts_client_unread(client, "x", 1), -EPIPE);
	ck_assert_int_eq((int)mts_client_defer(client), -EPIPE);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(mts_client_relay(client, pair[0]), -EPIPE);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_eq(mts_client_shutdown(client), -EPIPE);
	choose_framings(mts_client_server(client));
	ck_assert_int_eq(mts_client_set_timeout(client, MTS_TIMEOUT_LINGER, 5000), 0);
	ck_assert_int_ge(mts_client_pending(client), 0);
	ck_assert_int_eq(mts_client_gone(client), 0);
	ck_assert_str_ne(mts_client_peer(client), "");
	ck_assert_int_eq(mts_client_puts(client, "sorry"), 0);
	ck_assert_int_eq(mts_client_flush(client), 0);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -EPIPE);
	ck_assert_int_eq(mts_client_puts(client, "!"), 0);
}

/* Whatever the fault is: one of the client's, or of its handler, which has deferred its reply before. */
static int defer_in_vain(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	return mts_client_defer(client) > 0 ? -EIO : MTS_CLOSE;
}

START_TEST(the_hook_reads)
{
	mts_server *server = server_with(defer_in_vain, reads);
	server_start(server);
	const int peer = peer_connect(server, 0);
	if (_i == 0) {
		send_too_much(peer);
	} else {
		peer_puts(peer, "fail\n");
	}
	peer_expect_text(peer, "sorry!");
	peer_expect_end(peer);
	close(peer);
	endings_expect(&endings, _i == 0 ? MTS_CLOSED_TOO_LARGE : MTS_CLOSED_ERROR, 1);
	server_end(server);
}
END_TEST

static void ends_its_thread(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	faults++;
	(void)mts_client_puts(client, "half");
	pthread_exit(NULL);
}

START_TEST(the_hook_ends_its_thread)
{
	mts_server *server = server_with(_i == 0 ? answer_keep : fails, ends_its_thread);
	server_start(server);
	const int peer = peer_connect(server, 0);
	if (_i == 0) {
		send_too_much(peer);
	} else {
		peer_puts(peer, "go on\n");
	}
	peer_expect_gone(peer);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_ERROR, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BUSY), 0);
	server_end(server);
	ck_assert_int_eq(faults, 1);
}
END_TEST

/* What a call has told the handler, the hook is not told again; but that the handler has failed. */
static _Atomic int verdict;

static int asks(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	const int told = mts_client_next(client, &request, &size);
	(void)mts_client_puts(client, "mine");
	return verdict == 1 ? told : verdict;
}

static void theirs(mts_client *client, int reason, void *user)
{
	(void)user;
	faults++;
	ck_assert_int_eq(reason, MTS_CLOSED_ERROR);
	(void)mts_client_puts(client, " theirs");
}

static const struct {
	int verdict; /* 1: what it was told */
	int timeout; /* -1: too large */
	int reason;
	const char *text; /* NULL: the connection is reset */
} told[] = {
	{1, -1, MTS_CLOSED_TOO_LARGE, "mine"},
	{MTS_KEEP, -1, MTS_CLOSED_TOO_LARGE, "mine"},
	{-EIO, -1, MTS_CLOSED_ERROR, "mine theirs"},
	{1, MTS_TIMEOUT_IDLE, MTS_CLOSED_IDLE, "mine"},
	{MTS_KEEP, MTS_TIMEOUT_IDLE, MTS_CLOSED_IDLE, "mine"},
	{-EIO, MTS_TIMEOUT_IDLE, MTS_CLOSED_IDLE, NULL},
};
enum { TOLD = sizeof(told) / sizeof(told[0]) };

START_TEST(the_handler_was_told)
{
	verdict = told[_i].verdict;
	mts_server *server = server_with(asks, theirs);
	if (told[_i].timeout >= 0) {
		ck_assert_int_eq(mts_server_set_timeout(server, told[_i].timeout, 30), 0);
	}
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go on\n");
	if (told[_i].timeout < 0) {
		send_too_much(peer);
	}
	if (told[_i].text == NULL) {
		peer_expect_gone(peer);
	} else {
		peer_expect_text(peer, told[_i].text);
	}
	endings_expect(&endings, told[_i].reason, 1);
	close(peer);
	server_end(server);
	ck_assert_int_eq(faults, told[_i].reason == MTS_CLOSED_ERROR ? 1 : 0);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("fault end");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, ten_megabytes_are_on_their_way);
	tcase_add_test(tcase, it_never_ends);
	tcase_add_test(tcase, it_pauses_and_goes_on);
	tcase_add_loop_test(tcase, the_peer_reads_slowly, 0, 2);
	tcase_add_test(tcase, it_only_tries);
	tcase_add_test(tcase, a_flush_is_not_a_word);
	tcase_add_loop_test(tcase, the_hook_fails, 0, FAILING_HOOKS);
	tcase_add_loop_test(tcase, the_hook_fails_after_a_reply, 0, FAILING_HOOKS);
	tcase_add_test(tcase, others_are_served_meanwhile);
	tcase_add_test(tcase, a_kick_meanwhile);
	tcase_add_test(tcase, the_peer_goes_meanwhile);
	tcase_add_loop_test(tcase, a_stop_meanwhile, 0, 2);
	tcase_add_test(tcase, cut_by_the_stop);
	tcase_add_test(tcase, the_timeout_of_handlers);
	tcase_add_loop_test(tcase, the_hook_reads, 0, 2);
	tcase_add_loop_test(tcase, the_hook_ends_its_thread, 0, 2);
	tcase_add_loop_test(tcase, the_handler_was_told, 0, TOLD);
	return suite_run();
}
