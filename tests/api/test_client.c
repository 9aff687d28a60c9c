/* SPDX-License-Identifier: MIT
 *
 * What a callback does with its client: writes, conversations, raw reads, questions about it.
 *
 * Most servers here frame lines, and their handler does what the line names, so a test reads as a
 * dialogue. What only a callback can see is checked in the callback; a failed check there ends the
 * test's process like any other.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { LONG_TEXT = 200000 };

/* What tests and callbacks tell each other; one test runs in a process at a time. */
static struct gate entered;
static struct gate leave;
static struct endings endings;

static void setup(void)
{
	entered = (struct gate)GATE;
	leave = (struct gate)GATE;
	endings = (struct endings){.all = GATE};
}

static mts_server *lines_server(mts_handler handler)
{
	mts_server *server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

static mts_server *started_lines(mts_handler handler)
{
	mts_server *server = lines_server(handler);
	server_start(server);
	return server;
}

static int write_all_kinds(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	ck_assert_int_eq(mts_client_write(client, "a\0b", 3), 0);
	ck_assert_int_eq(mts_client_write(client, "x", 0), 0);
	ck_assert_int_eq(mts_client_write(client, NULL, 0), 0);
	ck_assert_int_eq(mts_client_puts(client, ""), 0);
	ck_assert_int_eq(mts_client_puts(client, "puts"), 0);
	ck_assert_int_eq(mts_client_printf(client, "%s", ""), 0);
	ck_assert_int_eq(mts_client_printf(client, "<%d %s %c>", -7, "text", '!'), 0);
	ck_assert_int_eq(mts_client_printf(client, "%*d|", LONG_TEXT, 1), 0);
	ck_assert_int_eq(mts_client_printf(client, "%1023d", 2), 0);
	ck_assert_int_eq(mts_client_printf(client, "%1024d", 3), 0);
	return MTS_CLOSE;
}

START_TEST(writes_arrive_in_order)
{
	mts_server *server = started_lines(write_all_kinds);
	const int peer = peer_connect(server, 0);
	char *text = malloc(LONG_TEXT + 2);
	peer_puts(peer, "go\n");
	peer_expect(peer, "a\0bputs<-7 text !>", 18);
	(void)snprintf(text, LONG_TEXT + 2, "%*d|", LONG_TEXT, 1);
	peer_expect(peer, text, LONG_TEXT + 1);
	(void)snprintf(text, LONG_TEXT, "%1023d%1024d", 2, 3);
	peer_expect(peer, text, 1023 + 1024);
	peer_expect_end(peer);
	free(text);
	close(peer);
	server_end(server);
}
END_TEST

static int refuse_nonsense(mts_client *client, const void *request, size_t size, void *user)
{
	const char *volatile none = NULL; /* the compiler is not to see through it */
	char byte;
	(void)user;
	ck_assert_int_eq(mts_client_write(client, none, 1), -EINVAL);
	ck_assert_int_eq(mts_client_puts(client, none), -EINVAL);
	ck_assert_int_eq(mts_client_next(client, NULL, &size), -EINVAL);
	ck_assert_int_eq(mts_client_next(client, &request, NULL), -EINVAL);
	ck_assert_int_eq(mts_client_read(client, NULL, 1), -EINVAL);
	ck_assert_int_eq(mts_client_read(client, &byte, 0), -EINVAL);
	ck_assert_int_eq(mts_client_puts(client, "still well"), 0);
	return MTS_CLOSE;
}

START_TEST(nonsense_is_refused_and_does_no_harm)
{
	mts_server *server = started_lines(refuse_nonsense);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "still well");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

static int watched_peer = -1;

/* Three requests in one segment: nothing may be on its way before the last one is handled. */
static int reply_unseen(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)user;
	ck_assert_uint_eq(size, 1);
	if (gate_count(&entered) == 0) {
		gate_wait(&leave, 1); /* all three are in the socket, or in the buffer behind this one */
	}
	ck_assert_int_eq(mts_client_printf(client, "reply %c,", *(const char *)request), 0);
	ck_assert_int_eq(recv(watched_peer, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	ck_assert_uint_eq(mts_server_stat(mts_client_server(client), MTS_STAT_BYTES_OUT), 0);
	gate_add(&entered);
	return MTS_KEEP;
}

START_TEST(replies_to_pipelined_requests_go_out_together)
{
	char got[64];
	mts_server *server = started_lines(reply_unseen);
	watched_peer = peer_connect(server, 0);
	peer_puts(watched_peer, "1\n2\n3\n");
	gate_add(&leave);
	gate_wait(&entered, 3);
	server_wait_stat(server, MTS_STAT_BYTES_OUT, 24);
	ck_assert_int_eq(recv(watched_peer, got, sizeof(got), 0), 24);
	ck_assert_mem_eq(got, "reply 1,reply 2,reply 3,", 24);
	close(watched_peer);
	server_end(server);
}
END_TEST

static int flush_between(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	ck_assert_int_eq(mts_client_flush(client), 0);
	ck_assert_int_eq(mts_client_puts(client, "first"), 0);
	ck_assert_int_eq(mts_client_flush(client), 0);
	gate_wait(&leave, 1);
	ck_assert_int_eq(mts_client_puts(client, "second"), 0);
	return MTS_CLOSE;
}

START_TEST(flush_sends_now)
{
	mts_server *server = started_lines(flush_between);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "first");
	gate_add(&leave);
	peer_expect_text(peer, "second");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

/* Asks until there is no answer; what that was is the test's. */
static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	const int *expected = user;
	int result;
	do {
		ck_assert_int_eq(mts_client_printf(client, "%.*s?", (int)size, (const char *)request), 0);
		result = mts_client_next(client, &request, &size);
		ck_assert(result != 1 || ((const char *)request)[size] == '\0');
	} while (result == 1);
	ck_assert_int_eq(result, *expected);
	ck_assert_ptr_null(request);
	ck_assert_uint_eq(size, 0);
	request = &size;
	ck_assert_int_eq(mts_client_next(client, &request, &size), *expected);
	ck_assert_ptr_null(request);
	ck_assert_int_eq(mts_client_puts(client, "bye"), 0);
	return MTS_KEEP;
}

static mts_server *conversation(int *expected)
{
	mts_server *server = server_new(converse, expected);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

START_TEST(next_converses_to_the_last_line)
{
	int expected = 0;
	mts_server *server = conversation(&expected);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "one\n");
	peer_expect_text(peer, "one?");
	peer_puts(peer, "two\r\n");
	peer_expect_text(peer, "two?");
	peer_puts(peer, "three\nfour");
	peer_finish(peer);
	peer_expect_text(peer, "three?four?bye");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_REQUESTS), 4);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(next_tells_of_a_request_too_large)
{
	int expected = -EMSGSIZE;
	mts_server *server = conversation(&expected);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 4), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "good\nlarge\n");
	peer_expect_text(peer, "good?bye");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_TOO_LARGE, 1);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(next_tells_of_a_cut_request)
{
	int expected = -EPROTO;
	mts_server *server = conversation(&expected);
	ck_assert_int_eq(mts_server_frame_fixed(server, 4), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "goodcut");
	peer_finish(peer);
	peer_expect_text(peer, "good?bye");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_PROTOCOL, 1);
	close(peer);
	server_end(server);
}
END_TEST

static int wait_for_stop(mts_client *client, const void *request, size_t size, void *user)
{
	char bytes[8];
	(void)user;
	gate_add(&entered);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -ECANCELED);
	ck_assert_int_eq(mts_client_read(client, bytes, sizeof(bytes)), 4);
	ck_assert_mem_eq(bytes, "half", 4);
	ck_assert_int_eq(mts_client_read(client, bytes, sizeof(bytes)), -ECANCELED);
	ck_assert_int_eq(mts_client_puts(client, "stopped"), 0);
	return MTS_KEEP;
}

START_TEST(next_and_read_end_with_a_stop)
{
	mts_server *server = started_lines(wait_for_stop);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nhalf");
	gate_wait(&entered, 1);
	mts_server_stop(server);
	peer_expect_text(peer, "stopped");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_STOP, 1);
	close(peer);
	server_end(server);
}
END_TEST

static int ask_name(mts_client *client, void *user)
{
	const void *request;
	size_t size;
	(void)user;
	ck_assert_int_eq(mts_client_puts(client, "name? "), 0);
	ck_assert_int_eq(mts_client_next(client, &request, &size), 1);
	mts_client_set_data(client, strdup(request));
	return 0;
}

static int greet(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	(void)user;
	ck_assert_int_eq(mts_client_printf(client, "%s, %s!", (const char *)request,
						 (const char *)mts_client_data(client)),
		0);
	return MTS_KEEP;
}

static void free_name(mts_client *client, int reason, void *user)
{
	ck_assert_str_eq(mts_client_data(client), "Ann");
	free(mts_client_data(client));
	endings_note(client, reason, user);
}

START_TEST(the_open_hook_may_converse)
{
	mts_server *server = lines_server(greet);
	ck_assert_int_eq(mts_server_on_open(server, ask_name, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, free_name, &endings), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_expect_text(peer, "name? ");
	peer_puts(peer, "Ann\nhello\n");
	peer_expect_text(peer, "hello, Ann!");
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(peer);
	server_end(server);
}
END_TEST

/* Reads as many raw bytes as the line says, in small pieces; the line itself must stay. */
static int take_raw(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	size_t left = strtoul(line, NULL, 10);
	char body[100];
	size_t have = 0;
	(void)user;
	while (have < left) {
		const size_t most = left - have < 3 ? left - have : 3;
		const ssize_t count = mts_client_read(client, body + have, most);
		ck_assert_int_gt(count, 0);
		ck_assert_int_le(count, (ssize_t)most);
		have += (size_t)count;
		ck_assert_uint_eq(strlen(line), size);
		ck_assert_uint_eq(strtoul(line, NULL, 10), left);
	}
	ck_assert_int_eq(mts_client_printf(client, "[%.*s]", (int)left, body), 0);
	return MTS_KEEP;
}

START_TEST(read_takes_what_is_here_then_the_socket)
{
	mts_server *server = started_lines(take_raw);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "4\nab\nc3\nxyz0\n7\n12");
	peer_expect_text(peer, "[ab\nc][xyz][]");
	peer_puts(peer, "345");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 20);
	peer_puts(peer, "672\n\n\n");
	peer_expect_text(peer, "[1234567][\n\n]");
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(peer);
	server_end(server);
}
END_TEST

static int read_to_the_end(mts_client *client, const void *request, size_t size, void *user)
{
	char byte;
	(void)user;
	ck_assert_str_eq(request, "go");
	ck_assert_int_eq(mts_client_puts(client, "reading"), 0);
	for (const char *next = "raw\n"; *next != '\0'; next++) {
		ck_assert_int_eq(mts_client_read(client, &byte, 1), 1);
		ck_assert_int_eq(byte, *next);
	}
	ck_assert_int_eq(mts_client_read(client, &byte, 1), 0);
	ck_assert_int_eq(mts_client_read(client, &byte, 1), 0);
	ck_assert_str_eq(request, "go");
	ck_assert_int_eq(mts_client_next(client, &request, &size), 0);
	ck_assert_int_eq(mts_client_puts(client, ", read"), 0);
	return MTS_KEEP;
}

START_TEST(read_flushes_and_tells_the_end)
{
	mts_server *server = started_lines(read_to_the_end);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "reading"); /* it was sent before the wait */
	peer_puts(peer, "ra");
	server_wait_stat(server, MTS_STAT_BYTES_IN, 5);
	peer_puts(peer, "w\n");
	peer_finish(peer);
	peer_expect_text(peer, ", read");
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	close(peer);
	server_end(server);
}
END_TEST

/* Both names, and the rest of what is known of a client. */
static int tell(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	const char *peer = mts_client_peer(client);
	const char *local = mts_client_local(client);
	ck_assert_int_eq(mts_client_printf(client, "%s %s", peer, local), 0);
	ck_assert_ptr_eq(mts_client_peer(client), peer);
	return MTS_CLOSE;
}

/* `host` is what stands before the port; NULL: a Unix socket, which has none. */
static void expect_names(const mts_server *server, const char *host)
{
	const int peer = peer_connect(server, 0);
	struct sockaddr_storage own = {.ss_family = AF_UNSPEC};
	socklen_t size = sizeof(own);
	char text[200];
	ck_assert_int_eq(getsockname(peer, (struct sockaddr *)&own, &size), 0);
	const unsigned port = own.ss_family == AF_INET6
		? ntohs(((const struct sockaddr_in6 *)&own)->sin6_port)
		: ntohs(((const struct sockaddr_in *)&own)->sin_port);
	(void)snprintf(text, sizeof(text), "unix unix");
	if (host != NULL) {
		const char *local = mts_server_address(server, 0);
		(void)snprintf(text, sizeof(text), "%s:%u %s", host, port, local);
	}
	peer_puts(peer, "who\n");
	peer_expect_text(peer, text);
	peer_expect_end(peer);
	close(peer);
}

static void check_names(const char *address, const char *host)
{
	mts_server *server = mts_server_create(tell, NULL);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	const int result = mts_server_listen(server, address);
	if (result != -EAFNOSUPPORT && result != -EADDRNOTAVAIL) {
		ck_assert_msg(result == 0, "%s", mts_server_error(server));
		server_start(server);
		expect_names(server, host);
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

START_TEST(names_of_both_ends)
{
	char address[64];
	(void)snprintf(address, sizeof(address), "unix:@mts-test-client-%ld", (long)getpid());
	check_names("127.0.0.1:0", "127.0.0.1");
	check_names("[::1]:0", "[::1]");
	check_names(address, NULL);
}
END_TEST

static int check_sockaddr(mts_client *client, const void *request, size_t size, void *user)
{
	struct sockaddr_in own;
	struct sockaddr_storage got;
	socklen_t got_size = sizeof(got);
	(void)size;
	(void)user;
	memcpy(&own, request, sizeof(own));
	memset(&got, 0x55, sizeof(got));
	ck_assert_int_eq(mts_client_peer_sockaddr(client, (struct sockaddr *)&got, &got_size), 0);
	ck_assert_uint_eq(got_size, sizeof(own));
	const struct sockaddr_in *in = (const struct sockaddr_in *)&got;
	ck_assert_int_eq(in->sin_family, AF_INET);
	ck_assert_uint_eq(in->sin_port, own.sin_port);
	ck_assert_uint_eq(in->sin_addr.s_addr, own.sin_addr.s_addr);

	memset(&got, 0x55, sizeof(got));
	got_size = 4;
	ck_assert_int_eq(mts_client_peer_sockaddr(client, (struct sockaddr *)&got, &got_size), 0);
	ck_assert_uint_eq(got_size, sizeof(own));
	ck_assert_mem_eq(&got, &own, 4);
	ck_assert_int_eq(((const char *)&got)[4], 0x55);

	got_size = 0;
	ck_assert_int_eq(mts_client_peer_sockaddr(client, (struct sockaddr *)&got, &got_size), 0);
	ck_assert_uint_eq(got_size, sizeof(own));
	ck_assert_int_eq(mts_client_peer_sockaddr(client, NULL, &got_size), -EINVAL);
	ck_assert_int_eq(mts_client_peer_sockaddr(client, (struct sockaddr *)&got, NULL), -EINVAL);
	return MTS_CLOSE;
}

START_TEST(sockaddr_whole_and_cut)
{
	struct sockaddr_in own;
	socklen_t size = sizeof(own);
	mts_server *server = server_new(check_sockaddr, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, sizeof(own)), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	memset(&own, 0, sizeof(own));
	ck_assert_int_eq(getsockname(peer, (struct sockaddr *)&own, &size), 0);
	peer_send(peer, &own, sizeof(own));
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

static int keep_count(mts_client *client, const void *request, size_t size, void *user)
{
	int *count = mts_client_data(client);
	int type = 0;
	socklen_t type_size = sizeof(type);
	(void)request;
	(void)size;
	ck_assert_ptr_eq(mts_client_server(client), *(mts_server **)user);
	ck_assert_int_ge(mts_client_fd(client), 0);
	ck_assert_int_eq(getsockopt(mts_client_fd(client), SOL_SOCKET, SO_TYPE, &type, &type_size), 0);
	ck_assert_int_eq(type, SOCK_STREAM);
	if (count == NULL) {
		count = calloc(1, sizeof(*count));
		ck_assert_ptr_nonnull(count);
		mts_client_set_data(client, count);
	}
	(*count)++;
	ck_assert_int_eq(mts_client_printf(client, "%d,", *count), 0);
	return MTS_KEEP;
}

static void free_count(mts_client *client, int reason, void *user)
{
	free(mts_client_data(client));
	mts_client_set_data(client, NULL);
	ck_assert_ptr_null(mts_client_data(client));
	endings_note(client, reason, user);
}

START_TEST(data_belongs_to_one_client)
{
	mts_server *server;
	server = server_new(keep_count, &server);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_close(server, free_count, &endings), 0);
	server_start(server);
	for (int round = 1; round <= 3; round++) { /* the slots are used again, the data is not */
		const int one = peer_connect(server, 0);
		const int two = peer_connect(server, 0);
		peer_puts(one, "\n\n");
		peer_expect_text(one, "1,2,");
		peer_puts(two, "\n");
		peer_expect_text(two, "1,");
		peer_puts(one, "\n");
		peer_expect_text(one, "3,");
		close(one);
		close(two);
		gate_wait(&endings.all, 2 * round);
	}
	server_end(server);
}
END_TEST

enum { IDS = 300 };

static int send_id(mts_client *client, const void *request, size_t size, void *user)
{
	const uint64_t id = mts_client_id(client);
	(void)request;
	(void)size;
	(void)user;
	return mts_client_write(client, &id, sizeof(id)) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t left = *(const uint64_t *)a;
	const uint64_t right = *(const uint64_t *)b;
	return left < right ? -1 : left > right;
}

START_TEST(ids_are_never_used_again)
{
	uint64_t ids[IDS];
	mts_server *server = started_lines(send_id);
	for (int i = 0; i < IDS; i++) {
		const int peer = peer_connect(server, 0);
		uint64_t again;
		peer_puts(peer, "\n");
		ck_assert_int_eq(recv(peer, &ids[i], sizeof(ids[i]), MSG_WAITALL), sizeof(ids[i]));
		peer_puts(peer, "\n");
		ck_assert_int_eq(recv(peer, &again, sizeof(again), MSG_WAITALL), sizeof(again));
		ck_assert_uint_eq(again, ids[i]);
		ck_assert_uint_ne(ids[i], 0);
		close(peer);
		if (i % 3 == 0) {
			server_wait_stat(server, MTS_STAT_OPEN, 0);
		}
	}
	qsort(ids, IDS, sizeof(ids[0]), compare_ids);
	for (int i = 1; i < IDS; i++) {
		ck_assert_uint_ne(ids[i - 1], ids[i]);
	}
	server_end(server);
}
END_TEST

static int report_gone(mts_client *client, const void *request, size_t size, void *user)
{
	const int *expected = user;
	(void)request;
	(void)size;
	ck_assert_int_eq(mts_client_gone(client), 0);
	gate_add(&entered);
	const uint64_t start = now_ms();
	int gone;
	while ((gone = mts_client_gone(client)) != *expected) {
		ck_assert_msg(now_ms() - start < PATIENCE * 1000, "gone is still %d", gone);
		usleep(1000);
	}
	gate_add(&entered);
	gate_wait(&leave, 1);
	ck_assert_int_eq(mts_client_gone(client), expected[1]);
	return MTS_KEEP;
}

/* A client whose handler waits for the first reason, and finds the second one afterwards. */
static mts_server *gone_server(int *expected, int *peer)
{
	mts_server *server = server_new(report_gone, expected);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	server_start(server);
	*peer = peer_connect(server, 0);
	peer_puts(*peer, "go");
	gate_wait(&entered, 1);
	return server;
}

START_TEST(gone_at_the_end_of_the_stream)
{
	int expected[] = {MTS_GONE_EOF, MTS_GONE_STOP};
	int peer;
	mts_server *server = gone_server(expected, &peer);
	peer_finish(peer);
	gate_wait(&entered, 2);
	mts_server_stop(server);
	gate_add(&leave);
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(gone_by_reset)
{
	int expected[] = {MTS_GONE_RESET, MTS_GONE_RESET};
	int peer;
	mts_server *server = gone_server(expected, &peer);
	peer_reset(peer);
	gate_wait(&entered, 2);
	mts_server_stop(server);
	gate_add(&leave);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), 1);
}
END_TEST

START_TEST(gone_by_stop)
{
	int expected[] = {MTS_GONE_STOP, MTS_GONE_RESET};
	int peer;
	mts_server *server = gone_server(expected, &peer);
	mts_server_stop(server);
	gate_wait(&entered, 2);
	peer_reset(peer);
	gate_add(&leave);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), 1);
}
END_TEST

static int just_close(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return MTS_CLOSE;
}

static void call_all(mts_client *client, int reason, void *user)
{
	struct sockaddr_in address;
	socklen_t address_size = sizeof(address);
	const void *request = "";
	size_t size = 1;
	char byte;
	ck_assert_int_eq(mts_client_write(client, "x", 1), -EPIPE);
	ck_assert_int_eq(mts_client_puts(client, "x"), -EPIPE);
	ck_assert_int_eq(mts_client_printf(client, "x"), -EPIPE);
	ck_assert_int_eq(mts_client_flush(client), -EPIPE);
	ck_assert_int_eq(mts_client_next(client, &request, &size), -EPIPE);
	ck_assert_ptr_null(request);
	ck_assert_uint_eq(size, 0);
	ck_assert_int_eq(mts_client_read(client, &byte, 1), -EPIPE);
	ck_assert_int_eq(strncmp(mts_client_peer(client), "127.0.0.1:", 10), 0);
	ck_assert_int_eq(strncmp(mts_client_local(client), "127.0.0.1:", 10), 0);
	ck_assert_int_eq(
		mts_client_peer_sockaddr(client, (struct sockaddr *)&address, &address_size), 0);
	ck_assert_uint_ne(mts_client_id(client), 0);
	ck_assert_ptr_nonnull(mts_client_server(client));
	ck_assert_int_ge(mts_client_fd(client), 0);
	endings_note(client, reason, user);
}

START_TEST(calls_in_the_close_hook)
{
	mts_server *server = lines_server(just_close);
	ck_assert_int_eq(mts_server_on_close(server, call_all, &endings), 0);
	server_start(server);
	const int by_handler = peer_connect(server, 0);
	peer_puts(by_handler, "go\nmore\n");
	peer_expect_end(by_handler);
	const int by_peer = peer_connect(server, 0);
	peer_puts(by_peer, "");
	peer_finish(by_peer);
	peer_expect_end(by_peer);
	gate_wait(&endings.all, 2);
	close(by_handler);
	close(by_peer);
	server_end(server);
}
END_TEST

static void add_talk(Suite *suite)
{
	TCase *tcase = tcase_create("talk");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, writes_arrive_in_order);
	tcase_add_test(tcase, nonsense_is_refused_and_does_no_harm);
	tcase_add_test(tcase, replies_to_pipelined_requests_go_out_together);
	tcase_add_test(tcase, flush_sends_now);
	tcase_add_test(tcase, next_converses_to_the_last_line);
	tcase_add_test(tcase, next_tells_of_a_request_too_large);
	tcase_add_test(tcase, next_tells_of_a_cut_request);
	tcase_add_test(tcase, next_and_read_end_with_a_stop);
	tcase_add_test(tcase, the_open_hook_may_converse);
	tcase_add_test(tcase, read_takes_what_is_here_then_the_socket);
	tcase_add_test(tcase, read_flushes_and_tells_the_end);
	suite_add_tcase(suite, tcase);
}

static void add_questions(Suite *suite)
{
	TCase *tcase = tcase_create("questions");
	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, names_of_both_ends);
	tcase_add_test(tcase, sockaddr_whole_and_cut);
	tcase_add_test(tcase, data_belongs_to_one_client);
	tcase_add_test(tcase, ids_are_never_used_again);
	tcase_add_test(tcase, gone_at_the_end_of_the_stream);
	tcase_add_test(tcase, gone_by_reset);
	tcase_add_test(tcase, gone_by_stop);
	tcase_add_test(tcase, calls_in_the_close_hook);
	suite_add_tcase(suite, tcase);
}

int main(void)
{
	Suite *suite = suite_create("client");
	add_talk(suite);
	add_questions(suite);
	return run_suite(suite);
}
