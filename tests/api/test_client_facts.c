/* SPDX-License-Identifier: MIT
 *
 * What a callback can learn of its client, and keep with it: names, numbers, its own data, whether
 * it is gone; and what is left of all that in the close hook.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage.h"

static mts_server *started_lines(mts_handler handler)
{
	mts_server *server = server_of_lines(handler, NULL, &endings);
	server_start(server);
	return server;
}

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
	mts_server *server = server_create(tell, NULL);
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
	wait_until(mts_client_gone(client) == *expected);
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
	mts_server *server = server_of_lines(answer_close, NULL, &endings);
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

static int tell_listener(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	const int index = mts_client_listener(client);
	(void)mts_client_printf(client, "%d", index);
	return MTS_CLOSE;
}

/* Of three listeners, one of them a Unix socket and one handed over: each client knows which it came through. */
START_TEST(which_listener)
{
	mts_server *server = server_of_lines(tell_listener, NULL, &endings);
	char address[64];
	(void)snprintf(address, sizeof(address), "unix:@mts-listener-%d", (int)getpid());
	ck_assert_int_eq(mts_server_listen(server, address), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, listening_socket(TCP, 8)), 0);
	server_start(server);
	for (int i = 5; i >= 0; i--) {
		const int peer = peer_connect(server, (size_t)i % 3);
		const char text[] = {(char)('0' + i % 3), '\0'};
		peer_puts(peer, "which\n");
		peer_expect_text(peer, text);
		peer_expect_end(peer);
		close(peer);
	}
	server_end(server);
}
END_TEST

static int option_of(const mts_client *client, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	(void)getsockopt(mts_client_fd(client), level, name, &value, &size);
	return value;
}

static int tell_keepalive(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	(void)mts_client_printf(client, "%d %d %d %d", option_of(client, SOL_SOCKET, SO_KEEPALIVE),
		option_of(client, IPPROTO_TCP, TCP_KEEPIDLE), option_of(client, IPPROTO_TCP, TCP_KEEPINTVL),
		option_of(client, IPPROTO_TCP, TCP_KEEPCNT));
	return MTS_CLOSE;
}

/* Clients of every TCP listener have it, handed over or not; one of a Unix socket is served as ever. */
START_TEST(keepalive)
{
	static const char *const texts[] = {"1 77 77 3", "1 77 77 3", "0 -1 -1 -1"};
	mts_server *server = server_of_lines(tell_keepalive, NULL, &endings);
	char address[64];
	ck_assert_int_eq(mts_server_set_keepalive(server, 77), 0);
	ck_assert_int_eq(mts_server_listen_fd(server, listening_socket(TCP, 8)), 0);
	(void)snprintf(address, sizeof(address), "unix:@mts-keepalive-%d", (int)getpid());
	ck_assert_int_eq(mts_server_listen(server, address), 0);
	server_start(server);
	for (size_t i = 0; i < 3; i++) {
		const int peer = peer_connect(server, i);
		peer_puts(peer, "which\n");
		peer_expect_text(peer, texts[i]);
		peer_expect_end(peer);
		close(peer);
	}
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("client facts");
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_test(tcase, names_of_both_ends);
	tcase_add_test(tcase, sockaddr_whole_and_cut);
	tcase_add_test(tcase, data_belongs_to_one_client);
	tcase_add_test(tcase, ids_are_never_used_again);
	tcase_add_test(tcase, gone_at_the_end_of_the_stream);
	tcase_add_test(tcase, gone_by_reset);
	tcase_add_test(tcase, gone_by_stop);
	tcase_add_test(tcase, calls_in_the_close_hook);
	tcase_add_test(tcase, which_listener);
	tcase_add_test(tcase, keepalive);
	return suite_run();
}
