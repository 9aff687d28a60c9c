/* SPDX-License-Identifier: MIT
 *
 * The last word: for each reason that a peer can be told, with each framing in which it can occur, the hook
 * is called once, before the close hook, and what it writes arrives after all that was written before.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { LIMIT = 16 };

static struct endings endings;
static _Atomic int faults; /* calls of the hook */
static _Atomic int faults_before_close;
static _Atomic int last_reason;
static _Atomic bool silent;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
	faults = 0;
	faults_before_close = -1;
	last_reason = -1;
	silent = false;
}

static void last_word(mts_client *client, int reason, void *user)
{
	ck_assert_ptr_eq(user, &faults);
	ck_assert_uint_ne(mts_client_id(client), 0);
	ck_assert_int_eq(mts_client_listener(client), 0);
	last_reason = reason;
	faults++;
	if (!silent) {
		ck_assert_int_eq(mts_client_puts(client, "sorry: "), 0);
		ck_assert_int_eq(mts_client_printf(client, "%s", mts_closed_name(reason)), 0);
	}
}

static void closed(mts_client *client, int reason, void *user)
{
	faults_before_close = faults;
	ck_assert_int_eq(mts_client_puts(client, "late"), -EPIPE);
	endings_note(client, reason, user);
}

/* "fail" is answered in part, and then given up. */
static int handler(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (size == 4 && memcmp(request, "fail", 4) == 0) {
		ck_assert_int_eq(mts_client_puts(client, "part"), 0);
		return -EIO;
	}
	ck_assert_int_eq(mts_client_puts(client, "done"), 0);
	return MTS_KEEP;
}

/* Up to a newline; a bang is an error. */
static ssize_t framer(const void *data, size_t size, size_t scanned, void *user)
{
	const char *end = memchr(data, '\n', size);
	(void)scanned;
	(void)user;
	if (memchr(data, '!', size) != NULL) {
		return -EPROTO;
	}
	return end == NULL ? 0 : end - (const char *)data + 1;
}

static int raw(mts_server *server)
{
	return mts_server_frame_raw(server);
}

static int fixed(mts_server *server)
{
	return mts_server_frame_fixed(server, 4);
}

static int lines(mts_server *server)
{
	return mts_server_frame_lines(server);
}

static int delimited(mts_server *server)
{
	return mts_server_frame_delimited(server, "\r\n\r\n", 4);
}

static int prefixed(mts_server *server)
{
	return mts_server_frame_prefixed(server, 1, MTS_BIG_ENDIAN);
}

static int custom(mts_server *server)
{
	return mts_server_frame_custom(server, framer, NULL);
}

static const struct way {
	int (*choose)(mts_server *);
	const char *request; /* is answered with "done" */
	const char *more; /* what the peer sends then */
	int reason;
	const char *before; /* what it gets before the last word */
} ways[] = {
	{lines, "hi\n", "01234567890123456789", MTS_CLOSED_TOO_LARGE, ""},
	{delimited, "hi\r\n\r\n", "01234567890123456789", MTS_CLOSED_TOO_LARGE, ""},
	{prefixed, "\2hi", "\x7f", MTS_CLOSED_TOO_LARGE, ""},
	{custom, "hi\n", "01234567890123456789", MTS_CLOSED_TOO_LARGE, ""},
	{fixed, "1234", "12", MTS_CLOSED_PROTOCOL, ""}, /* and the end of the stream */
	{delimited, "hi\r\n\r\n", "ha", MTS_CLOSED_PROTOCOL, ""},
	{prefixed, "\2hi", "\2h", MTS_CLOSED_PROTOCOL, ""},
	{custom, "hi\n", "!", MTS_CLOSED_PROTOCOL, ""},
	{fixed, "1234", "12", MTS_CLOSED_REQUEST_TIMEOUT, ""},
	{lines, "hi\n", "ha", MTS_CLOSED_REQUEST_TIMEOUT, ""},
	{delimited, "hi\r\n\r\n", "ha", MTS_CLOSED_REQUEST_TIMEOUT, ""},
	{prefixed, "\2hi", "\2h", MTS_CLOSED_REQUEST_TIMEOUT, ""},
	{custom, "hi\n", "ha", MTS_CLOSED_REQUEST_TIMEOUT, ""},
	{raw, "hi", "", MTS_CLOSED_IDLE, ""},
	{fixed, "1234", "", MTS_CLOSED_IDLE, ""},
	{lines, "hi\n", "", MTS_CLOSED_IDLE, ""},
	{delimited, "hi\r\n\r\n", "", MTS_CLOSED_IDLE, ""},
	{prefixed, "\2hi", "", MTS_CLOSED_IDLE, ""},
	{custom, "hi\n", "", MTS_CLOSED_IDLE, ""},
	{raw, "hi", "fail", MTS_CLOSED_ERROR, "part"},
	{fixed, "1234", "fail", MTS_CLOSED_ERROR, "part"},
	{lines, "hi\n", "fail\n", MTS_CLOSED_ERROR, "part"},
	{delimited, "hi\r\n\r\n", "fail\r\n\r\n", MTS_CLOSED_ERROR, "part"},
	{prefixed, "\2hi", "\4fail", MTS_CLOSED_ERROR, "part"},
	{raw, "hi", "", MTS_CLOSED_STOP, ""},
	{fixed, "1234", "", MTS_CLOSED_STOP, ""},
	{lines, "hi\n", "", MTS_CLOSED_STOP, ""},
	{delimited, "hi\r\n\r\n", "", MTS_CLOSED_STOP, ""},
	{prefixed, "\2hi", "", MTS_CLOSED_STOP, ""},
	{custom, "hi\n", "", MTS_CLOSED_STOP, ""},
	{lines, "hi\n", "ha", MTS_CLOSED_STOP, ""},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static mts_server *server_of(const struct way *way, int family)
{
	mts_server *server = server_on(family, handler, NULL);
	ck_assert_int_eq(way->choose(server), 0);
	if (way->choose != fixed) {
		ck_assert_int_eq(mts_server_set_max_request(server, LIMIT), 0);
	}
	ck_assert_int_eq(mts_server_on_close(server, closed, &endings), 0);
	ck_assert_int_eq(mts_server_on_fault(server, last_word, &faults), 0);
	server_start(server);
	return server;
}

/* Brings the end about, once the first request has been answered. */
static void provoke(mts_server *server, int peer, const struct way *way)
{
	peer_puts(peer, way->more);
	switch (way->reason) {
	case MTS_CLOSED_PROTOCOL:
		if (way->choose != custom) {
			peer_finish(peer);
		}
		break;
	case MTS_CLOSED_REQUEST_TIMEOUT:
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, 30), 0);
		break;
	case MTS_CLOSED_IDLE:
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 30), 0);
		break;
	case MTS_CLOSED_STOP:
		mts_server_stop(server);
		break;
	default:
		break;
	}
}

static void expect_one_end(int reason)
{
	endings_expect(&endings, reason, 1);
	ck_assert_int_eq(last_reason, reason);
	ck_assert_int_eq(faults, 1);
	ck_assert_int_eq(faults_before_close, 1);
}

static void check(const struct way *way, int family)
{
	mts_server *server = server_of(way, family);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, way->request);
	peer_expect_text(peer, way->request[0] != '\0' ? "done" : "");
	provoke(server, peer, way);
	peer_expect_text(peer, way->before);
	peer_expect_text(peer, "sorry: ");
	peer_expect_text(peer, mts_closed_name(way->reason));
	peer_expect_end(peer);
	close(peer);
	expect_one_end(way->reason);
	server_end(server);
	ck_assert_int_eq(faults, 1);
}

START_TEST(it_is_told)
{
	check(&ways[_i], TCP);
}
END_TEST

START_TEST(it_is_told_on_a_unix_socket)
{
	check(&ways[_i], UNIX);
}
END_TEST

/* As without the hook: a failed handler's output is dropped, and all else is orderly. */
START_TEST(the_hook_says_nothing)
{
	const struct way *way = &ways[_i];
	silent = true;
	mts_server *server = server_of(way, TCP);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, way->request);
	peer_expect_text(peer, "done");
	provoke(server, peer, way);
	if (way->reason == MTS_CLOSED_ERROR) {
		ck_assert_uint_eq(peer_expect_torn(peer), 0);
	} else if (way->reason == MTS_CLOSED_TOO_LARGE || way->reason == MTS_CLOSED_PROTOCOL) {
		peer_expect_gone(peer); /* not all that it had sent may have been read */
	} else {
		peer_expect_end(peer);
	}
	close(peer);
	expect_one_end(way->reason);
	server_end(server);
}
END_TEST

/* The request before is in the same packet, so its reply waits when the hook is called. */
START_TEST(what_waits_goes_first)
{
	const struct way way = {lines, "", "hi\n01234567890123456789", MTS_CLOSED_TOO_LARGE, "done"};
	const struct way failing = {lines, "", "hi\nfail\n", MTS_CLOSED_ERROR, "donepart"};
	check(_i == 0 ? &way : &failing, TCP);
}
END_TEST

START_TEST(no_hook_for_those_that_end_by_themselves)
{
	mts_server *server = server_of(&ways[0], TCP);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "hi\n");
	peer_expect_text(peer, "done");
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	server_end(server);
	ck_assert_int_eq(faults, 0);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("fault");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, it_is_told, 0, WAYS);
	tcase_add_loop_test(tcase, it_is_told_on_a_unix_socket, 0, WAYS);
	tcase_add_loop_test(tcase, the_hook_says_nothing, 0, WAYS);
	tcase_add_loop_test(tcase, what_waits_goes_first, 0, 2);
	tcase_add_test(tcase, no_hook_for_those_that_end_by_themselves);
	return suite_run();
}
