/* SPDX-License-Identifier: MIT
 *
 * Threads on demand: input that comes in any pieces, at any moment, on TCP and on Unix sockets. A client
 * is parked between two pieces, so the beginning of a request has to wait without a buffer of a thread's;
 * and what comes together with too many others waits for a further turn.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum { QUIET = 300 }; /* ms of silence, in which hardly any CPU time may be used */

static struct endings endings;

static void setup(void)
{
	endings = (struct endings){.all = GATE};
}

/* Replies with the size and a sum of the request. */
static int summarize(mts_client *client, const void *request, size_t size, void *user)
{
	const unsigned char *bytes = request;
	unsigned sum = 0;
	(void)user;
	for (size_t i = 0; i < size; i++) {
		sum = sum * 31 + bytes[i];
	}
	return mts_client_printf(client, "%zu:%u\n", size, sum) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static void expect_summary(int peer, const void *request, size_t size)
{
	const unsigned char *bytes = request;
	char text[64];
	unsigned sum = 0;
	for (size_t i = 0; i < size; i++) {
		sum = sum * 31 + bytes[i];
	}
	(void)snprintf(text, sizeof(text), "%zu:%u\n", size, sum);
	peer_expect_text(peer, text);
}

static mts_server *summarizing_server(int family, unsigned threads)
{
	mts_server *server = server_on(family, summarize, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, threads), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

/* Two requests, cut in two at every byte; the first piece has been taken before the second one comes. */
static void cut_everywhere(mts_server *server, const char *bytes, size_t size)
{
	const int peer = peer_connect(server, 0);
	uint64_t sent = 0;
	for (size_t cut = 1; cut < size; cut++) {
		peer_send(peer, bytes, cut);
		server_wait_stat(server, MTS_STAT_BYTES_IN, sent + cut);
		peer_send(peer, bytes + cut, size - cut);
		sent += size;
		expect_summary(peer, "hello", 5);
		expect_summary(peer, "world!", 6);
	}
	for (size_t i = 0; i < size; i++) { /* and byte by byte */
		peer_send(peer, bytes + i, 1);
		server_wait_stat(server, MTS_STAT_BYTES_IN, ++sent);
	}
	expect_summary(peer, "hello", 5);
	expect_summary(peer, "world!", 6);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
}

START_TEST(lines_cut_at_every_byte)
{
	static const char lines[] = "hello\r\nworld!\n";
	mts_server *server = summarizing_server(_i, 0);
	server_start(server);
	cut_everywhere(server, lines, sizeof(lines) - 1);
	server_end(server);
}
END_TEST

START_TEST(prefixes_cut_at_every_byte)
{
	static const char frames[] = "\0\0\0\5hello\0\0\0\6world!";
	mts_server *server = summarizing_server(_i, 0);
	ck_assert_int_eq(mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN), 0);
	server_start(server);
	cut_everywhere(server, frames, sizeof(frames) - 1);
	server_end(server);
}
END_TEST

/* A large request in small pieces, from several peers in turn; those that have had theirs go on. */
START_TEST(large_requests_in_small_pieces)
{
	enum { PEERS = 4, SIZE = 65536 };
	static char request[SIZE + 1];
	int peers[PEERS];
	mts_server *server = summarizing_server(_i, 0);
	server_start(server);
	for (size_t i = 0; i < SIZE; i++) {
		request[i] = (char)('a' + i % 23);
	}
	request[SIZE] = '\n';
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	size_t sent = 0;
	for (size_t step = 1; sent <= SIZE; step = step % 31 + 1) {
		step = step < SIZE + 1 - sent ? step : SIZE + 1 - sent;
		for (int i = 0; i < PEERS; i++) {
			peer_send(peers[i], request + sent, step);
		}
		sent += step;
	}
	for (int i = 0; i < PEERS; i++) {
		expect_summary(peers[i], request, SIZE);
		peer_puts(peers[i], "short\n");
		expect_summary(peers[i], "short", 5);
		close(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS);
	server_end(server);
}
END_TEST

/* So many in one go, and then silence: by number and by size more than a turn. */
static void in_one_go(int peer, int count, size_t size)
{
	char *all = malloc((size_t)count * (size + 1));
	ck_assert_ptr_nonnull(all);
	for (int i = 0; i < count; i++) {
		char *line = all + (size_t)i * (size + 1);
		(void)snprintf(line, size, "%d", i);
		memset(line + strlen(line), 'x', size - strlen(line));
		line[size] = '\n';
	}
	peer_send(peer, all, (size_t)count * (size + 1));
	for (int i = 0; i < count; i++) {
		expect_summary(peer, all + (size_t)i * (size + 1), size);
	}
	free(all);
}

START_TEST(many_in_one_go)
{
	static const struct {
		int count;
		size_t size;
	} goes[] = {{10, 10}, {63, 8}, {64, 8}, {65, 8}, {1000, 8}, {5, 4000}, {40, 1000}, {3, 30000}};
	mts_server *server = summarizing_server(_i % 2, _i < 2 ? 0 : 1);
	server_start(server);
	const int peer = peer_connect(server, 0);
	for (size_t i = 0; i < sizeof(goes) / sizeof(goes[0]); i++) {
		in_one_go(peer, goes[i].count, goes[i].size);
	}
	close(peer);
	server_end(server);
}
END_TEST

/* One that never stops sending, and reads all the time. */
struct firehose {
	pthread_t sender;
	pthread_t reader;
	int peer;
	_Atomic bool over;
	_Atomic unsigned sent;
	_Atomic unsigned got;
};

static void *send_on(void *argument)
{
	struct firehose *hose = argument;
	char lines[512][8];
	while (!hose->over) {
		for (unsigned i = 0; i < 512; i++) {
			(void)snprintf(lines[i], sizeof(lines[i]), "%07u", (hose->sent + i) % 10000000);
			lines[i][7] = '\n';
		}
		peer_send(hose->peer, lines, sizeof(lines));
		hose->sent += 512;
	}
	peer_finish(hose->peer);
	return NULL;
}

static void *read_on(void *argument)
{
	struct firehose *hose = argument;
	while (!hose->over || hose->got < hose->sent) {
		char line[8];
		(void)snprintf(line, sizeof(line), "%07u", hose->got % 10000000);
		expect_summary(hose->peer, line, 7);
		hose->got++;
	}
	return NULL;
}

/* With one thread for all of them, and with as many as it takes. */
START_TEST(a_firehose_drowns_nobody)
{
	enum { PEERS = 20, ROUNDS = 8 };
	struct firehose hose = {.over = false};
	int peers[PEERS];
	mts_server *server = summarizing_server(_i % 2, _i < 2 ? 1 : 0);
	server_start(server);
	hose.peer = peer_connect(server, 0);
	ck_assert_int_eq(pthread_create(&hose.sender, NULL, send_on, &hose), 0);
	ck_assert_int_eq(pthread_create(&hose.reader, NULL, read_on, &hose), 0);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = peer_connect(server, 0);
	}
	for (int round = 0; round < ROUNDS; round++) {
		const unsigned before = hose.sent;
		for (int i = 0; i < PEERS; i++) {
			peer_puts(peers[i], "ping\n");
			expect_summary(peers[i], "ping", 4);
		}
		while (hose.sent == before) {
			poll(NULL, 0, 1); /* and it is not kept waiting for ever either */
		}
	}
	hose.over = true;
	ck_assert_int_eq(pthread_join(hose.sender, NULL), 0);
	ck_assert_int_eq(pthread_join(hose.reader, NULL), 0);
	ck_assert_uint_eq(hose.got, hose.sent);
	peer_expect_end(hose.peer);
	close(hose.peer);
	for (int i = 0; i < PEERS; i++) {
		close(peers[i]);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, PEERS + 1);
	server_end(server);
}
END_TEST

/* Nobody is busy with what has come. */
static void expect_quiet(void)
{
	const uint64_t before = cpu_ms();
	poll(NULL, 0, QUIET);
	ck_assert_uint_le(cpu_ms() - before, QUIET / 3);
}

static void send_urgent(int peer)
{
	ck_assert_int_eq(send(peer, "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
}

/* Urgent data stays in the stream, in its place, also where it alone wakes the client; nothing spins. */
START_TEST(urgent_data_anywhere)
{
	mts_server *server = summarizing_server(TCP, 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	server_wait_stat(server, MTS_STAT_OPEN, 1);
	send_urgent(peer);
	server_wait_stat(server, MTS_STAT_BYTES_IN, 1);
	expect_quiet();
	peer_puts(peer, "zero\n");
	expect_summary(peer, "!zero", 5);
	for (int round = 0; round < 200; round++) {
		peer_puts(peer, "one\ntw");
		send_urgent(peer);
		peer_puts(peer, "o\n");
		send_urgent(peer);
		send_urgent(peer);
		peer_puts(peer, "three\n");
		expect_summary(peer, "one", 3);
		expect_summary(peer, "tw!o", 4);
		expect_summary(peer, "!!three", 7);
		send_urgent(peer);
		peer_puts(peer, round % 2 == 0 ? "four\nfi" : "four\n");
		expect_summary(peer, "!four", 5);
		send_urgent(peer);
		peer_puts(peer, "ve\n");
		expect_summary(peer, round % 2 == 0 ? "fi!ve" : "!ve", round % 2 == 0 ? 5 : 3);
	}
	peer_puts(peer, "end\n");
	send_urgent(peer);
	expect_summary(peer, "end", 3);
	expect_quiet();
	peer_finish(peer);
	expect_summary(peer, "!", 1);
	peer_expect_end(peer);
	close(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	expect_quiet();
	server_end(server);
}
END_TEST

/* The end of the stream right behind data, right behind half a request, and alone. */
START_TEST(half_closed)
{
	static const char *const texts[] = {"", "one\n", "one\ntwo", "one\ntwo\n", "\n", "\n\none\n"};
	enum { TEXTS = sizeof(texts) / sizeof(texts[0]), ROUNDS = 50 };
	mts_server *server = summarizing_server(_i, 0);
	server_start(server);
	for (int i = 0; i < TEXTS * ROUNDS; i++) {
		const char *text = texts[i % TEXTS];
		const int peer = peer_connect(server, 0);
		if (i % 3 == 0) { /* parked */
			server_wait_stat(server, MTS_STAT_OPEN, 1);
		}
		peer_puts(peer, text);
		if (i % 2 == 0) {
			poll(NULL, 0, 1);
		}
		peer_finish(peer);
		while (*text != '\0') {
			const size_t size = strcspn(text, "\n");
			expect_summary(peer, text, size);
			text += size + (text[size] == '\n' ? 1 : 0);
		}
		peer_expect_end(peer);
		close(peer);
		server_wait_stat(server, MTS_STAT_OPEN, 0);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, TEXTS * ROUNDS);
	expect_quiet();
	server_end(server);
}
END_TEST

START_TEST(reset_at_any_moment)
{
	enum { ROUNDS = 300 };
	static const char lines[] = "one\ntwo\nthree\nfour\n";
	mts_server *server = summarizing_server(TCP, 0);
	server_start(server);
	const int stays = peer_connect(server, 0);
	peer_puts(stays, "half of ");
	for (size_t i = 0; i < ROUNDS; i++) {
		const int peer = peer_connect(server, 0);
		peer_send(peer, lines, i % (sizeof(lines) - 1));
		if (i % 3 == 1) {
			poll(NULL, 0, 1);
		} else if (i % 3 == 2 && i % (sizeof(lines) - 1) >= 4) {
			expect_summary(peer, "one", 3);
		}
		peer_reset(peer);
	}
	/* One that is reset before it is accepted may never have been seen. */
	const uint64_t start = now_ms();
	while (mts_server_stat(server, MTS_STAT_OPEN) > 1) {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		poll(NULL, 0, 1);
	}
	expect_quiet();
	peer_puts(stays, "a line\n");
	expect_summary(stays, "half of a line", 14);
	close(stays);
	server_end(server);
}
END_TEST

/* A Unix socket keeps apart what came with a descriptor: a receive stops there, and there is more. */
START_TEST(descriptors_in_between)
{
	enum { ROUNDS = 100 };
	char control[CMSG_SPACE(sizeof(int))] = "";
	mts_server *server = summarizing_server(UNIX, 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	const int stderr_number = STDERR_FILENO;
	struct iovec piece = {(char[]){'t', 'w', 'o', '\n'}, 4};
	struct msghdr message = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &stderr_number, sizeof(int));
	peer_puts(peer, "zero\n");
	expect_summary(peer, "zero", 4);
	const int descriptors = settled_descriptors();
	for (int i = 0; i < ROUNDS; i++) {
		peer_puts(peer, "one\n");
		ck_assert_int_eq(sendmsg(peer, &message, MSG_NOSIGNAL), 4);
		peer_puts(peer, "three\n");
		expect_summary(peer, "one", 3);
		expect_summary(peer, "two", 3);
		expect_summary(peer, "three", 5);
	}
	ck_assert_int_eq(settled_descriptors(), descriptors);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("on demand, input");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, lines_cut_at_every_byte, 0, FAMILIES);
	tcase_add_loop_test(tcase, prefixes_cut_at_every_byte, 0, FAMILIES);
	tcase_add_loop_test(tcase, large_requests_in_small_pieces, 0, FAMILIES);
	tcase_add_loop_test(tcase, many_in_one_go, 0, 2 * FAMILIES);
	tcase_add_loop_test(tcase, a_firehose_drowns_nobody, 0, 2 * FAMILIES);
	tcase_add_test(tcase, urgent_data_anywhere);
	tcase_add_loop_test(tcase, half_closed, 0, FAMILIES);
	tcase_add_test(tcase, reset_at_any_moment);
	tcase_add_test(tcase, descriptors_in_between);
	return suite_run_once();
}
