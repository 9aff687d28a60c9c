/* SPDX-License-Identifier: MIT
 *
 * The functions about a client, used wrongly: without a client, and with one in a handler and in the close
 * hook, but with arguments that mean nothing. Callbacks run on threads of the library, so they only note
 * the first answer that is not what it should be; the test's thread judges it.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "misuse.h"

static char complaint[256];
static mts_client *subject; /* while a callback runs */
static struct gate closed;

/* In callbacks: notes the first call that does not give `want`. */
#define GIVES(want, call) give((long)(want), (long)(call), #call)

static void give(long want, long got, const char *call)
{
	if (want != got && complaint[0] == '\0') {
		snprintf(complaint, sizeof(complaint), "%s: %ld instead of %ld", call, got, want);
	}
}

static void write_bytes(void)
{
	GIVES(-EINVAL, mts_client_write(NULL, "x", 1));
	GIVES(-EINVAL, mts_client_try_write(NULL, "x", 1));
	GIVES(-EINVAL, mts_client_write(NULL, NULL, 0));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_write(subject, NULL, 1));
		GIVES(-EINVAL, mts_client_try_write(subject, NULL, 1));
		GIVES(0, mts_client_try_write(subject, NULL, 0));
		GIVES(-EINVAL, mts_client_write(subject, NULL, (size_t)-1));
		GIVES(0, mts_client_write(subject, NULL, 0));
		GIVES(0, mts_client_write(subject, "", 0));
	}
}

static void put_text(void)
{
	GIVES(-EINVAL, mts_client_puts(NULL, "x"));
	GIVES(-EINVAL, mts_client_puts(NULL, NULL));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_puts(subject, NULL));
		GIVES(0, mts_client_puts(subject, ""));
	}
}

static void print_text(void)
{
	/* Through a pointer, so that the compiler does not see it coming. */
	int (*const volatile print)(mts_client *, const char *, ...) = mts_client_printf;
	GIVES(-EINVAL, mts_client_printf(NULL, "%d", 1));
	if (subject != NULL) {
		GIVES(-EINVAL, print(subject, NULL));
		GIVES(0, mts_client_printf(subject, "%s", ""));
		GIVES(-EOVERFLOW, print(subject, "%2147483648d", 1));
	}
}

static void flush(void)
{
	GIVES(-EINVAL, mts_client_flush(NULL));
	if (subject != NULL) {
		GIVES(0, mts_client_flush(subject));
	}
}

static void send_file(void)
{
	const int64_t last = INT64_MAX;
	GIVES(-EINVAL, mts_client_sendfile(NULL, 0, 0, 1));
	GIVES(-EINVAL, mts_client_sendfile(NULL, -1, 0, 0));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_sendfile(subject, 0, -1, 1));
		GIVES(-EINVAL, mts_client_sendfile(subject, 0, INT64_MIN, 0));
		GIVES(-EINVAL, mts_client_sendfile(subject, 0, last, 1));
		GIVES(-EINVAL, mts_client_sendfile(subject, 0, 1, (size_t)SSIZE_MAX + 1));
		GIVES(-EINVAL, mts_client_sendfile(subject, 0, 0, SIZE_MAX));
		GIVES(-EBADF, mts_client_sendfile(subject, -1, 0, 1));
		GIVES(-EBADF, mts_client_sendfile(subject, INT_MAX, 0, 1));
		GIVES(0, mts_client_sendfile(subject, -1, last, 0));
	}
}

static void next(void)
{
	const void *request;
	size_t size;
	GIVES(-EINVAL, mts_client_next(NULL, &request, &size));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_next(subject, NULL, &size));
		GIVES(-EINVAL, mts_client_next(subject, &request, NULL));
		GIVES(-EINVAL, mts_client_next(subject, NULL, NULL));
	}
}

static void read_bytes(void)
{
	char bytes[4];
	GIVES(-EINVAL, mts_client_read(NULL, bytes, sizeof(bytes)));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_read(subject, NULL, sizeof(bytes)));
		GIVES(-EINVAL, mts_client_read(subject, bytes, 0));
	}
}

static void read_exactly(void)
{
	char bytes[4];
	GIVES(-EINVAL, mts_client_read_exact(NULL, bytes, sizeof(bytes)));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_read_exact(subject, NULL, sizeof(bytes)));
		GIVES(-EINVAL, mts_client_read_exact(subject, bytes, 0));
		GIVES(-EINVAL, mts_client_read_exact(subject, bytes, (size_t)SSIZE_MAX + 1));
	}
}

static void read_line(void)
{
	const void *line;
	size_t size;
	GIVES(-EINVAL, mts_client_read_line(NULL, &line, &size));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_read_line(subject, NULL, &size));
		GIVES(-EINVAL, mts_client_read_line(subject, &line, NULL));
		GIVES(-EINVAL, mts_client_read_line(subject, NULL, NULL));
	}
}

static void shut_down(void)
{
	GIVES(-EINVAL, mts_client_shutdown(NULL));
}

static void relay(void)
{
	int pair[2];
	GIVES(-EINVAL, mts_client_relay(NULL, 0));
	if (subject != NULL && pipe(pair) == 0) {
		GIVES(-EINVAL, mts_client_relay(subject, -1));
		GIVES(-EINVAL, mts_client_relay(subject, pair[0]));
		GIVES(-EINVAL, mts_client_relay(subject, mts_client_fd(subject)));
		GIVES(-EINVAL, mts_client_relay(subject, INT_MAX));
		close(pair[0]);
		close(pair[1]);
	}
}

static void put_back(void)
{
	GIVES(-EINVAL, mts_client_unread(NULL, "x", 1));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_unread(subject, NULL, 1));
		GIVES(-EMSGSIZE, mts_client_unread(subject, "x", SIZE_MAX));
		GIVES(0, mts_client_unread(subject, NULL, 0));
		GIVES(0, mts_client_unread(subject, "", 0));
	}
}

static void pending(void)
{
	GIVES(-EINVAL, mts_client_pending(NULL));
	if (subject != NULL) {
		GIVES(0, mts_client_pending(subject));
	}
}

static void server_of(void)
{
	GIVES(1, mts_client_server(NULL) == NULL);
}

static void via_of(void)
{
	GIVES(0, strcmp(mts_client_via(NULL), ""));
	if (subject != NULL) {
		GIVES(0, strcmp(mts_client_via(subject), ""));
	}
}

static void proxy_tlv_of(void)
{
	char value[4];
	GIVES(-EINVAL, (int)mts_client_proxy_tlv(NULL, 2, value, sizeof(value)));
	if (subject != NULL) {
		GIVES(-EINVAL, (int)mts_client_proxy_tlv(subject, -1, value, sizeof(value)));
		GIVES(-EINVAL, (int)mts_client_proxy_tlv(subject, 256, value, sizeof(value)));
		GIVES(-EINVAL, (int)mts_client_proxy_tlv(subject, 2, NULL, 1));
		GIVES(-ENOENT, (int)mts_client_proxy_tlv(subject, 2, NULL, 0));
	}
}

static void peer_of(void)
{
	GIVES(0, strcmp(mts_client_peer(NULL), ""));
}

static void local_of(void)
{
	GIVES(0, strcmp(mts_client_local(NULL), ""));
}

static void sockaddr_of(void)
{
	struct sockaddr_storage address;
	struct sockaddr *const there = (struct sockaddr *)&address;
	socklen_t size = sizeof(address);
	GIVES(-EINVAL, mts_client_peer_sockaddr(NULL, there, &size));
	if (subject != NULL) {
		GIVES(-EINVAL, mts_client_peer_sockaddr(subject, NULL, &size));
		GIVES(-EINVAL, mts_client_peer_sockaddr(subject, there, NULL));
		size = 0; /* no room at all: it tells how much there would have to be */
		memset(&address, 0x55, sizeof(address));
		GIVES(0, mts_client_peer_sockaddr(subject, there, &size));
		GIVES(1, size >= 16);
		GIVES(0x55, *(unsigned char *)&address);
	}
}

static void descriptor_of(void)
{
	GIVES(-EINVAL, mts_client_fd(NULL));
	GIVES(-EINVAL, mts_client_listener(NULL));
}

static void set_data(void)
{
	mts_client_set_data(NULL, complaint);
	mts_client_set_data(NULL, NULL);
	if (subject != NULL) {
		mts_client_set_data(subject, NULL);
	}
}

static void data_of(void)
{
	GIVES(1, mts_client_data(NULL) == NULL);
}

static void number_of(void)
{
	GIVES(0, mts_client_id(NULL));
}

static void timeout(void)
{
	static const int none[] = {
		-1, MTS_TIMEOUT_STOP, MTS_TIMEOUT_HANDSHAKE, MTS_TIMEOUT_HANDSHAKE + 1, INT_MAX, INT_MIN};
	GIVES(-EINVAL, mts_client_set_timeout(NULL, MTS_TIMEOUT_IDLE, 1));
	if (subject != NULL) {
		for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
			GIVES(-EINVAL, mts_client_set_timeout(subject, none[i], 1000));
		}
		GIVES(0, mts_client_set_timeout(subject, MTS_TIMEOUT_IDLE, UINT_MAX - 1));
		GIVES(0, mts_client_set_timeout(subject, MTS_TIMEOUT_IDLE, 0));
		GIVES(0, mts_client_set_timeout(subject, MTS_TIMEOUT_IDLE, MTS_TIMEOUT_INHERIT));
	}
}

static void defer(void)
{
	GIVES(-EINVAL, (int)mts_client_defer(NULL));
	if (subject != NULL) {
		GIVES(1, mts_client_defer(subject) > 0);
		GIVES(-EALREADY, (int)mts_client_defer(subject));
	}
}

static void gone(void)
{
	GIVES(-EINVAL, mts_client_gone(NULL));
}

static const struct misuse functions[] = {
	{"mts_client_write", write_bytes},
	{"mts_client_try_write", write_bytes},
	{"mts_client_puts", put_text},
	{"mts_client_printf", print_text},
	{"mts_client_flush", flush},
	{"mts_client_sendfile", send_file},
	{"mts_client_next", next},
	{"mts_client_read", read_bytes},
	{"mts_client_read_exact", read_exactly},
	{"mts_client_read_line", read_line},
	{"mts_client_relay", relay},
	{"mts_client_shutdown", shut_down},
	{"mts_client_unread", put_back},
	{"mts_client_pending", pending},
	{"mts_client_server", server_of},
	{"mts_client_peer", peer_of},
	{"mts_client_local", local_of},
	{"mts_client_via", via_of},
	{"mts_client_proxy_tlv", proxy_tlv_of},
	{"mts_client_peer_sockaddr", sockaddr_of},
	{"mts_client_fd", descriptor_of},
	{"mts_client_listener", descriptor_of},
	{"mts_client_set_timeout", timeout},
	{"mts_client_set_data", set_data},
	{"mts_client_data", data_of},
	{"mts_client_id", number_of},
	{"mts_client_gone", gone},
	{"mts_client_defer", defer},
};
enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

static int which;

static int misuse_client(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	subject = client;
	functions[which].test();
	subject = NULL;
	GIVES(0, mts_client_puts(client, "fine"));
	return MTS_CLOSE;
}

/* Without a client, and then with one, which is served as ever afterwards. */
START_TEST(misused)
{
	which = _i;
	functions[_i].test();
	mts_server *server = server_new(misuse_client, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	peer_expect_text(peer, "fine");
	peer_expect_end(peer);
	close(peer);
	server_end(server);
	ck_assert_str_eq(complaint, "");
}
END_TEST

START_TEST(complete)
{
	misuse_complete(functions, FUNCTIONS, "mts_client_", false);
}
END_TEST

/* The close hook is too late for all input and output, and not too late to ask who it was. */
static void misuse_closed(mts_client *client, int reason, void *user)
{
	const void *request = "";
	size_t size = 1;
	char byte;
	(void)reason;
	GIVES(-EPIPE, mts_client_write(client, "x", 1));
	GIVES(-EPIPE, mts_client_try_write(client, "x", 1));
	GIVES(-EPIPE, mts_client_puts(client, "x"));
	GIVES(-EPIPE, mts_client_printf(client, "%d", 1));
	GIVES(-EPIPE, mts_client_flush(client));
	GIVES(-EPIPE, mts_client_sendfile(client, 0, 0, 1));
	GIVES(-EPIPE, mts_client_sendfile(client, 0, 0, 0));
	GIVES(-EPIPE, mts_client_next(client, &request, &size));
	GIVES(1, request == NULL && size == 0);
	GIVES(-EPIPE, mts_client_read(client, &byte, 1));
	GIVES(-EPIPE, mts_client_read_exact(client, &byte, 1));
	GIVES(-EPIPE, mts_client_read_line(client, &request, &size));
	GIVES(-EPIPE, mts_client_relay(client, 0));
	GIVES(-EPIPE, mts_client_shutdown(client));
	GIVES(-EPIPE, mts_client_unread(client, "x", 1));
	GIVES(-EPIPE, mts_client_pending(client));
	GIVES(1, mts_client_server(client) == *(mts_server **)user);
	GIVES(1, strncmp(mts_client_peer(client), "127.0.0.1:", 10) == 0);
	GIVES(1, strcmp(mts_client_local(client), mts_server_address(*(mts_server **)user, 0)) == 0);
	GIVES(1, mts_client_fd(client) >= 0);
	GIVES(1, mts_client_id(client) != 0);
	GIVES(1, mts_client_gone(client) >= 0);
	gate_add(&closed);
}

START_TEST(misused_when_closed)
{
	mts_server *server = server_new(misuse_client, NULL);
	closed = (struct gate)GATE;
	ck_assert_int_eq(mts_server_on_close(server, misuse_closed, &server), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go");
	peer_expect_text(peer, "fine");
	peer_expect_end(peer);
	close(peer);
	gate_wait(&closed, 1);
	server_end(server);
	ck_assert_str_eq(complaint, "");
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("misuse, clients");
	tcase_add_loop_test(cases, misused, 0, FUNCTIONS);
	tcase_add_test(cases, complete);
	tcase_add_test(cases, misused_when_closed);
	return suite_run();
}
