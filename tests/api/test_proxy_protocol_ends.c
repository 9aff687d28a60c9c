/* SPDX-License-Identifier: MIT
 *
 * Clients that end before their header is whole: because it is wrong, late or not trusted, or for a
 * reason that has nothing to do with it. No hook is called for them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxied.h"

static const char line[] = "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80\r\n";

/* Beginnings that are no header, however they go on. */
static const struct {
	const char *bytes;
	size_t size;
} wrong[] = {
#define WRONG(text) \
	{ \
		text, sizeof(text) - 1 \
	}
	WRONG("GET / HTTP/1.1\r\n\r\n"),
	WRONG("\n"),
	WRONG("PROXY  TCP4 192.0.2.7 203.0.113.9 4660 80\r\n"),
	WRONG("PROXY TCP4 192.0.2.7 203.0.113.9 4660 80\n"),
	WRONG("PROXY TCP4 2001:db8::7 2001:db8::1 4660 80\r\n"),
	WRONG("PROXY TCP4 192.0.2.7 203.0.113.9 65536 80\r\n"),
	WRONG("PROXY TCP6 fe80::7%1 fe80::1 4660 80\r\n"),
	WRONG("PROXY UNKNOWN ------------------------------------------------------------------------"
		  "-------------------------------------------------------------------------------------"),
	WRONG("\r\n\r\n\0\r\nQUIT\r"),
	WRONG("\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c"),
	WRONG("\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c"),
	WRONG("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b"),
	WRONG("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"),
	WRONG("\r\n\r\n\0\r\nQUIT\n\x20\0\x0f\xf1"), /* 4,097 bytes */
	WRONG("\r\n\r\n\0\r\nQUIT\n\x21\0\0\5\4\0\3xx"),
	WRONG("\r\n\r\n\0\r\nQUIT\n\x21\0\0\7\3\0\4xxxx"),
#undef WRONG
};

START_TEST(no_header)
{
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int peer = peer_connect(server, 0);
	peer_send(peer, wrong[_i].bytes, wrong[_i].size);
	proxied_expect_error(server, peer, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_LINGERING), 0);
	proxied_end(server, 0);
	ck_assert_int_eq(gate_count(&proxied.complaints), 1);
}
END_TEST

/* Wrong ones do nothing to others. */
START_TEST(beside_good_ones)
{
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int good = proxied_connect(server, line);
	proxied_ask(good, "before", "192.0.2.7:4660");
	for (int i = 0; i < 50; i++) {
		const int peer = proxied_connect(server, "\r\n\r\nno\r\n");
		proxied_expect_error(server, peer, (uint64_t)i + 1);
	}
	proxied_ask(good, "after", "192.0.2.7:4660");
	close(good);
	proxied_end(server, 1);
}
END_TEST

/* A part of it, or nothing, and then the end: the second is no error. */
START_TEST(the_peer_leaves)
{
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int silent = peer_connect(server, 0);
	peer_finish(silent);
	peer_expect_end(silent);
	close(silent);
	peer_reset(peer_connect(server, 0));
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_PROXY_ERRORS), 0);
	const int peer = proxied_connect(server, "PROXY TCP4 192.0.2.7");
	peer_finish(peer);
	proxied_expect_error(server, peer, 1);
	const int resets = proxied_connect(server, "PROXY TCP4 192.0.2.7");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 40);
	peer_reset(resets);
	library_rests();
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_PROXY_ERRORS), 1);
	proxied_end(server, 0);
	ck_assert_int_eq(gate_count(&proxied.complaints), 1);
}
END_TEST

/* Nothing, or a part of it. */
START_TEST(too_late)
{
	static const char *const parts[] = {"", "P", "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80\r"};
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDSHAKE, 200), 0);
	server_start(server);
	const uint64_t begun = now_ms();
	const int peer = proxied_connect(server, parts[_i]);
	proxied_expect_error(server, peer, 1);
	ck_assert_uint_ge(now_ms() - begun, 200);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_TIMEOUTS), 1);
	proxied_end(server, 0);
	ck_assert_int_eq(gate_count(&proxied.complaints), 1);
}
END_TEST

/* However slowly it drips: the longest header would take a quarter of an hour. */
START_TEST(bytes_that_drip)
{
	char header[HEADER_ROOM];
	const size_t size = proxied_inet_header(header, 4096 - 28);
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDSHAKE, 700), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	size_t sent = 0;
	struct pollfd end = {.fd = peer, .events = POLLIN};
	while (poll(&end, 1, 200) == 0 && sent < size) {
		(void)send(peer, header + sent++, 1, MSG_NOSIGNAL);
	}
	ck_assert_uint_lt(sent, size);
	proxied_expect_error(server, peer, 1);
	proxied_end(server, 0);
}
END_TEST

/* The timeout is over once the header is here, and from then on those for requests hold. */
START_TEST(others_hold_afterwards)
{
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDSHAKE, 300), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, 800), 0);
	server_start(server);
	const uint64_t begun = now_ms();
	const int peer = proxied_connect(server, line);
	peer_expect_end(peer);
	ck_assert_uint_ge(now_ms() - begun, 800);
	close(peer);
	endings_expect(&proxied.endings, MTS_CLOSED_IDLE, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_PROXY_ERRORS), 0);
	proxied_end(server, 1);
}
END_TEST

/* It is live: it holds for those that wait too, from when they came. */
START_TEST(the_timeout_is_changed)
{
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDSHAKE, 0), 0);
	server_start(server);
	const int peer = proxied_connect(server, "PROXY");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 5);
	library_rests();
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDSHAKE, 1), 0);
	proxied_expect_error(server, peer, 1);
	proxied_end(server, 0);
}
END_TEST

/* Once it was said who is trusted. */
START_TEST(strangers)
{
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int before = proxied_connect(server, line);
	proxied_ask(before, "anybody is believed", "192.0.2.7:4660");
	proxied_trust(server, "10.0.0.0/8");
	const int peer = peer_connect(server, 0);
	proxied_expect_error(server, peer, 1);
	gate_wait(&proxied.complaints, 1);
	proxied_ask(before, "who is here stays", "192.0.2.7:4660");
	proxied_trust(server, "127.0.0.0/8");
	const int trusted = proxied_connect(server, line);
	proxied_ask(trusted, "who", "192.0.2.7:4660");
	proxied_trust(server, NULL);
	const int after = proxied_connect(server, line);
	proxied_ask(after, "anybody again", "192.0.2.7:4660");
	close(before);
	close(trusted);
	close(after);
	proxied_end(server, 3);
}
END_TEST

/* The proxy is trusted when it connects, and not any more when its header is whole. */
START_TEST(not_trusted_any_more)
{
	mts_server *server = proxied_server(_i);
	proxied_trust(server, "127.0.0.1");
	server_start(server);
	const int peer = proxied_connect(server, "PROXY");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 5);
	proxied_trust(server, "10.0.0.0/8");
	peer_puts(peer, line + 5);
	proxied_expect_error(server, peer, 1);
	proxied_end(server, 0);
	ck_assert_int_eq(gate_count(&proxied.complaints), 1);
}
END_TEST

/* Who is not trusted is plain, and its header a request; who is has to send one. */
START_TEST(plain_from_others)
{
	mts_server *server = proxied_start(MTS_PROXY_FROM_TRUSTED);
	const int nobody = peer_connect(server, 0);
	peer_puts(nobody, line);
	peer_expect_text(nobody, "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80 127.0.0.1:");
	proxied_trust(server, "10.0.0.0/8");
	const int stranger = peer_connect(server, 0);
	peer_puts(stranger, line);
	peer_expect_text(stranger, "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80 127.0.0.1:");
	proxied_trust(server, "127.0.0.1");
	const int plain = proxied_connect(server, "hello\n");
	proxied_expect_error(server, plain, 1);
	const int proxy = proxied_connect(server, line);
	proxied_ask(proxy, "who", "192.0.2.7:4660");
	close(nobody);
	close(stranger);
	close(proxy);
	proxied_end(server, 3);
}
END_TEST

/* The stop waits for none of them: nothing of the header is here, or a part. */
START_TEST(stopped_meanwhile)
{
	int peers[20];
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, PATIENCE * 1000), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDSHAKE, 0), 0);
	server_start(server);
	for (int i = 0; i < 20; i++) {
		peers[i] = proxied_connect(server, i % 2 == 0 ? "" : "PROXY");
	}
	server_wait_stat(server, MTS_STAT_BYTES_IN, 50);
	library_rests();
	const uint64_t begun = now_ms();
	mts_server_stop(server);
	server_join(server);
	ck_assert_uint_lt(now_ms() - begun, PATIENCE * 500);
	for (int i = 0; i < 20; i++) {
		peer_expect_gone(peers[i]);
		close(peers[i]);
	}
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_CUT_OFF), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_PROXY_ERRORS), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REFUSED), 20);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(gate_count(&proxied.opened), 0);
}
END_TEST

static struct gate held;
static struct gate go;

static int answer_held(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&held);
	gate_wait(&go, 1);
	return mts_client_printf(client, "%.*s\n", (int)size, (const char *)request);
}

/* What has come by the stop, header and requests, is served, as for all who had no turn yet. */
START_TEST(stopped_with_all_of_it_here)
{
	held = (struct gate)GATE;
	go = (struct gate)GATE;
	mts_server *server = server_create(answer_held, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	ck_assert_int_eq(mts_server_set_proxy_protocol(server, MTS_PROXY_REQUIRED), 0);
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, PATIENCE * 1000), 0);
	server_start(server);
	const int first = proxied_connect(server, line);
	peer_puts(first, "first\n");
	gate_wait(&held, 1);
	const int second = proxied_connect(server, line);
	peer_puts(second, "second\n");
	const int third = proxied_connect(server, "PROXY");
	library_rests();
	mts_server_stop(server);
	gate_add(&go);
	peer_expect_text(first, "first\n");
	peer_expect_text(second, "second\n");
	peer_expect_gone(third);
	server_join(server);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_ACCEPTED), 2);
	ck_assert_int_eq(mts_server_destroy(server), 0);
	close(first);
	close(second);
	close(third);
}
END_TEST

/* Nobody has been told its number; who guesses it does no harm. */
START_TEST(reached_by_its_number)
{
	const uint64_t first = UINT64_C(1) << 24;
	mts_server *server = proxied_start(MTS_PROXY_REQUIRED);
	const int peer = proxied_connect(server, "PROXY");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 5);
	library_rests();
	ck_assert_int_eq(mts_server_send(server, first, "x", 1), -ENOENT);
	ck_assert_int_eq(_i == 0 ? mts_server_kick(server, first) : mts_server_close(server, first), 0);
	peer_expect_gone(peer);
	close(peer);
	ck_assert_int_eq(mts_server_kick(server, first), -ENOENT);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_PROXY_ERRORS), 0);
	proxied_end(server, 0);
}
END_TEST

static int refuse(mts_client *client, void *user)
{
	(void)user;
	(void)mts_client_printf(client, "not %s\n", mts_client_peer(client));
	return -1;
}

/* The open hook refuses it, once it knows where it comes from. */
START_TEST(refused_by_the_open_hook)
{
	mts_server *server = proxied_server(MTS_PROXY_REQUIRED);
	ck_assert_int_eq(mts_server_on_open(server, refuse, NULL), 0);
	server_start(server);
	const int peer = proxied_connect(server, line);
	peer_expect_text(peer, "not 192.0.2.7:4660\n");
	peer_expect_end(peer);
	close(peer);
	server_wait_stat(server, MTS_STAT_REFUSED, 1);
	proxied_end(server, 0);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("proxy protocol, ends");
	tcase_add_checked_fixture(tests, proxied_setup, NULL);
	tcase_add_loop_test(tests, no_header, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tests, beside_good_ones);
	tcase_add_test(tests, the_peer_leaves);
	tcase_add_loop_test(tests, too_late, 0, 3);
	tcase_add_test(tests, bytes_that_drip);
	tcase_add_test(tests, others_hold_afterwards);
	tcase_add_test(tests, the_timeout_is_changed);
	tcase_add_test(tests, strangers);
	tcase_add_loop_test(
		tests, not_trusted_any_more, MTS_PROXY_REQUIRED, MTS_PROXY_FROM_TRUSTED + 1);
	tcase_add_test(tests, plain_from_others);
	tcase_add_test(tests, stopped_meanwhile);
	tcase_add_test(tests, stopped_with_all_of_it_here);
	tcase_add_loop_test(tests, reached_by_its_number, 0, 2);
	tcase_add_test(tests, refused_by_the_open_hook);
	return suite_run();
}
