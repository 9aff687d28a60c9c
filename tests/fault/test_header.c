/* SPDX-License-Identifier: MIT
 *
 * PROXY headers, on a clock that the test moves, and without memory: they have their time, to the
 * moment, and whatever fails ends that client alone.
 */
#include "moment.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/door/door.h"
#include "os/clock.h"

enum { USUAL = 10, TLVS = 3000, HEADER = 16 + 12 + TLVS, MOST_STEPS = 1000 };

static const char line[] = "PROXY TCP4 192.0.2.7 203.0.113.9 4660 80\r\n";

/* Its second listener is one for proxies. */
static void make_proxied(mts_handler handler)
{
	scene_make(&scene, handler);
	ck_assert_int_eq(mts_server_set_proxy_protocol(scene.server, MTS_PROXY_REQUIRED), 0);
	ck_assert_int_eq(mts_server_listen(scene.server, "127.0.0.1:0"), 0);
}

/* So many bytes of it, or more, do not make it later. */
START_TEST(to_the_moment)
{
	make_proxied(scene_echo);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 1);
	peer_send(peer, line, (size_t)_i);
	server_wait_stat(scene.server, MTS_STAT_BYTES_IN, (uint64_t)_i);
	moment_waits_for(MTSI_WAIT_HANDSHAKE);
	moment_stop(true);
	const uint64_t since = moment_since();
	moment_go_to(since + USUAL / 2 * MTSI_SECOND);
	peer_send(peer, line + _i, 3);
	server_wait_stat(scene.server, MTS_STAT_BYTES_IN, (uint64_t)_i + 3);
	moment_pass(since + USUAL * MTSI_SECOND);
	peer_expect_gone(peer);
	server_wait_stat(scene.server, MTS_STAT_PROXY_ERRORS, 1);
	moment_stop(false);
	close(peer);
	ck_assert_int_eq(gate_count(&scene.opened), 0);
	scene_end(&scene);
}
END_TEST

static int open_and_ask(size_t listener, const char *text)
{
	const int peer = peer_connect(scene.server, listener);
	peer_puts(peer, text);
	return peer;
}

/* The deadline passes while the only thread is with another client: what is here by then is in time. */
START_TEST(here_when_it_is_looked_at)
{
	if (test_model == MTS_THREAD_PER_CLIENT) {
		return; /* its own thread takes it at once */
	}
	make_proxied(scene_hold);
	scene.held = scene_close;
	ck_assert_int_eq(mts_server_set_max_threads(scene.server, 1), 0);
	scene_start(&scene);
	const int peer = open_and_ask(1, "PROXY");
	server_wait_stat(scene.server, MTS_STAT_BYTES_IN, 5);
	moment_waits_for(MTSI_WAIT_HANDSHAKE);
	const uint64_t since = moment_since();
	const int other = open_and_ask(0, "hold\n");
	gate_wait(&scene.entered, 1);
	moment_stop(true);
	peer_puts(peer, line + 5);
	peer_puts(peer, "late\n");
	moment_go_to(since + 2 * USUAL * MTSI_SECOND);
	gate_add(&scene.release);
	gate_wait(&scene.entered, 2);
	gate_add(&scene.release);
	moment_stop(false);
	peer_expect_gone(peer);
	peer_expect_gone(other);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_PROXY_ERRORS), 0);
	close(peer);
	close(other);
	scene_end(&scene);
}
END_TEST

/* A header in two pieces, with much to keep, and then a request: whether that was answered. */
static bool converse(void)
{
	char header[HEADER] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\0\xc0\0\2\7\xc6\x33\x64\1\x12\x34\0\x50";
	const int peer = peer_connect(scene.server, 1);
	const uint64_t before = mts_server_stat(scene.server, MTS_STAT_BYTES_IN);
	header[14] = (char)((HEADER - 16) >> 8);
	header[15] = (char)(HEADER - 16);
	header[28] = (char)234;
	header[29] = (char)((TLVS - 3) >> 8);
	header[30] = (char)(TLVS - 3);
	(void)send(peer, header, HEADER / 2, MSG_NOSIGNAL);
	char answer[4];
	/* It may be gone at once, when there is no memory for it. */
	wait_until(mts_server_stat(scene.server, MTS_STAT_BYTES_IN) >= before + HEADER / 2
		|| recv(peer, answer, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
	(void)send(peer, header + HEADER / 2, HEADER - HEADER / 2, MSG_NOSIGNAL);
	(void)send(peer, "who\n", 4, MSG_NOSIGNAL);
	const ssize_t count = recv(peer, answer, sizeof(answer), MSG_WAITALL);
	close(peer);
	ck_assert(count <= 0 || (count == 4 && memcmp(answer, "who\n", 4) == 0));
	return count == 4;
}

/* The first allocation fails, or the second, and so on. */
START_TEST(without_memory)
{
	uint32_t skip = 0;
	bool failed = true;
	make_proxied(scene_echo);
	scene_start(&scene);
	while (failed) {
		fault_fail(FAULT_MEMORY, ENOMEM, skip++, 1);
		const bool answered = converse();
		failed = fault_hits(FAULT_MEMORY) > 0;
		fault_clear(FAULT_MEMORY);
		ck_assert(answered || failed);
		ck_assert(converse());
		server_wait_stat(scene.server, MTS_STAT_OPEN, 0);
		server_wait_stat(scene.server, MTS_STAT_MEMORY, 0);
		ck_assert_uint_lt(skip, MOST_STEPS);
	}
	ck_assert_uint_gt(skip, 1);
	scene_end(&scene);
}
END_TEST

/* A stop finds it in the line behind a handler that never returns: it goes, and is not left to that. */
START_TEST(behind_a_handler_that_hangs)
{
	if (test_model == MTS_THREAD_PER_CLIENT) {
		return; /* it has a thread of its own, or has had none */
	}
	make_proxied(scene_hold);
	ck_assert_int_eq(mts_server_set_max_threads(scene.server, 1), 0);
	ck_assert_int_eq(mts_server_set_timeout(scene.server, MTS_TIMEOUT_STOP, 50), 0);
	scene_start(&scene);
	const int peer = open_and_ask(1, "PROXY");
	server_wait_stat(scene.server, MTS_STAT_BYTES_IN, 5);
	moment_waits_for(MTSI_WAIT_HANDSHAKE);
	library_rests(); /* it is parked */
	const int other = open_and_ask(0, "hold\n");
	gate_wait(&scene.entered, 1);
	mts_server_stop(scene.server);
	ck_assert_int_eq(mts_server_join(scene.server), -EBUSY);
	peer_expect_gone(peer);
	ck_assert_uint_eq(mtsi_door_clients(scene.server), 1);
	ck_assert_uint_eq(mts_server_stat(scene.server, MTS_STAT_MEMORY), 0);
	gate_add(&scene.release);
	peer_expect_gone(other);
	wait_until(mts_server_destroy(scene.server) == 0);
	ck_assert_int_eq(gate_count(&scene.opened), 1);
	ck_assert_int_eq(gate_count(&scene.closed), 1);
	close(peer);
	close(other);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("header");
	tcase_add_loop_test(tests, to_the_moment, 0, 2);
	tcase_add_test(tests, here_when_it_is_looked_at);
	tcase_add_test(tests, without_memory);
	tcase_add_test(tests, behind_a_handler_that_hangs);
	return suite_run();
}
