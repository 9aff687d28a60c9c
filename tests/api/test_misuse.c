/* SPDX-License-Identifier: MIT
 *
 * Every public function, used wrongly: NULL where that means nothing, values out of range, calls in the
 * wrong place. Each answers with the code that its header names, and those that configure leave a
 * sentence. What is wrong only because of when it is called is in test_misuse_states.c, what concerns
 * clients in test_misuse_client.c.
 *
 * The functions stand in a table, and a test compares that with the list of what the library exports: a
 * function that nobody thought of here is a failure.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "misuse.h"

#define GIB ((size_t)1024 * 1024 * 1024)

/* A call on a fresh `server` that gives `code`, and a sentence when `told`. */
#define ANSWERS_WITH(code, call, told) \
	do { \
		mts_server *server = mts_server_create(answer_keep, NULL); \
		const int result = (call); \
		ck_assert_msg(result == (code), "%s: %d instead of %d", #call, result, (code)); \
		ck_assert_msg((told) == (*mts_server_error(server) != '\0'), "%s: \"%s\"", #call, \
			mts_server_error(server)); \
		ck_assert_int_eq(mts_server_destroy(server), 0); \
	} while (0)

/* That has a sentence when it is a failure; what any thread may call never leaves one. */
#define ANSWERS(code, call) ANSWERS_WITH(code, call, result < 0)
#define SAYS(code, call) ANSWERS_WITH(code, call, false)

/* Without a server there is nowhere to leave a sentence. */
#define REFUSES(call) ck_assert_msg((call) == -EINVAL, "%s: %d", #call, (int)(call))

static void create(void)
{
	ck_assert_ptr_null(mts_server_create(NULL, NULL));
	ck_assert_ptr_null(mts_server_create(NULL, &(int){0}));
}

static void listen_on(void)
{
	REFUSES(mts_server_listen(NULL, "127.0.0.1:0"));
	REFUSES(mts_server_listen(NULL, NULL));
	ANSWERS(-EINVAL, mts_server_listen(server, NULL));
	ANSWERS(-EINVAL, mts_server_listen(server, ""));
}

static void listen_fd(void)
{
	REFUSES(mts_server_listen_fd(NULL, 0));
	ANSWERS(-EBADF, mts_server_listen_fd(server, -1));
	ANSWERS(-EBADF, mts_server_listen_fd(server, INT_MAX));
	ANSWERS(-EBADF, mts_server_listen_fd(server, INT_MIN));
}

static void adopt(void)
{
	REFUSES(mts_server_adopt(NULL, 0, NULL));
	SAYS(-EINVAL, mts_server_adopt(server, 0, NULL));
	SAYS(-EINVAL, mts_server_adopt(server, -1, NULL));
}

static void address(void)
{
	ck_assert_ptr_null(mts_server_address(NULL, 0));
	ANSWERS(1, mts_server_address(server, 0) == NULL);
	ANSWERS(1, mts_server_address(server, SIZE_MAX) == NULL);
}

static void listener_fd(void)
{
	REFUSES(mts_server_listener_fd(NULL, 0));
	SAYS(-ENOENT, mts_server_listener_fd(server, 0));
	SAYS(-ENOENT, mts_server_listener_fd(server, SIZE_MAX));
}

static void run(void)
{
	REFUSES(mts_server_run(NULL));
	ANSWERS(-EINVAL, mts_server_run(server));
}

static void run_until_signal(void)
{
	REFUSES(mts_server_run_until_signal(NULL));
	ANSWERS(-EINVAL, mts_server_run_until_signal(server));
}

static void start(void)
{
	REFUSES(mts_server_start(NULL));
	ANSWERS(-EINVAL, mts_server_start(server));
}

static void join(void)
{
	REFUSES(mts_server_join(NULL));
	mts_server *server = mts_server_create(answer_keep, NULL);
	ck_assert_int_eq(mts_server_join(server), -EINVAL);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}

static void stop(void)
{
	mts_server_stop(NULL);
}

static void destroy(void)
{
	ck_assert_int_eq(mts_server_destroy(NULL), 0);
}

static void error(void)
{
	ck_assert_str_eq(mts_server_error(NULL), "");
	ANSWERS(1, mts_server_error(server) != NULL);
}

/* What it says about these is in test_serve.c. */
static void serve(void)
{
	ck_assert_int_eq(mts_serve(NULL, NULL, NULL), EXIT_FAILURE);
	ck_assert_int_eq(mts_serve(NULL, answer_keep, NULL), EXIT_FAILURE);
	ck_assert_int_eq(mts_serve("", answer_keep, NULL), EXIT_FAILURE);
}

static void name_error(void)
{
	static const int codes[] = {0, -1, -EINVAL, -EDEADLK, EINVAL, 4095, -4095, INT_MAX, INT_MIN};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		const char *text = mts_strerror(codes[i]);
		ck_assert_ptr_nonnull(text);
		ck_assert_str_ne(text, "");
	}
	ck_assert_str_eq(mts_strerror(-EADDRINUSE), strerror(EADDRINUSE));
}

static void frame_raw(void)
{
	REFUSES(mts_server_frame_raw(NULL));
}

static void frame_lines(void)
{
	REFUSES(mts_server_frame_lines(NULL));
}

static void frame_delimited(void)
{
	static const char many[257];
	REFUSES(mts_server_frame_delimited(NULL, "x", 1));
	ANSWERS(-EINVAL, mts_server_frame_delimited(server, NULL, 1));
	ANSWERS(-EINVAL, mts_server_frame_delimited(server, NULL, 0));
	ANSWERS(-EINVAL, mts_server_frame_delimited(server, "x", 0));
	ANSWERS(-EINVAL, mts_server_frame_delimited(server, many, sizeof(many)));
	ANSWERS(-EINVAL, mts_server_frame_delimited(server, many, SIZE_MAX));
	ANSWERS(0, mts_server_frame_delimited(server, many, 256));
}

static void frame_fixed(void)
{
	REFUSES(mts_server_frame_fixed(NULL, 1));
	ANSWERS(-EINVAL, mts_server_frame_fixed(server, 0));
	ANSWERS(-EINVAL, mts_server_frame_fixed(server, GIB + 1));
	ANSWERS(-EINVAL, mts_server_frame_fixed(server, SIZE_MAX));
	ANSWERS(0, mts_server_frame_fixed(server, GIB));
}

static void frame_prefixed(void)
{
	static const unsigned widths[] = {0, 3, 5, 6, 7, 9, 16, UINT_MAX};
	REFUSES(mts_server_frame_prefixed(NULL, 4, MTS_BIG_ENDIAN));
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		ANSWERS(-EINVAL, mts_server_frame_prefixed(server, widths[i], MTS_BIG_ENDIAN));
	}
	ANSWERS(-EINVAL, mts_server_frame_prefixed(server, 4, -1));
	ANSWERS(-EINVAL, mts_server_frame_prefixed(server, 4, 2));
	ANSWERS(-EINVAL, mts_server_frame_prefixed(server, 4, INT_MIN));
	ANSWERS(0, mts_server_frame_prefixed(server, 8, MTS_LITTLE_ENDIAN));
}

static void frame_custom(void)
{
	REFUSES(mts_server_frame_custom(NULL, NULL, NULL));
	ANSWERS(-EINVAL, mts_server_frame_custom(server, NULL, NULL));
}

static void frame_by_client(void)
{
	REFUSES(mts_server_frame_by_client(NULL, NULL, NULL));
	ANSWERS(-EINVAL, mts_server_frame_by_client(server, NULL, NULL));
}

static void max_request(void)
{
	REFUSES(mts_server_set_max_request(NULL, 1));
	ANSWERS(-EINVAL, mts_server_set_max_request(server, 0));
	ANSWERS(-EINVAL, mts_server_set_max_request(server, GIB + 1));
	ANSWERS(-EINVAL, mts_server_set_max_request(server, SIZE_MAX));
	ANSWERS(0, mts_server_set_max_request(server, GIB));
}

static void on_open(void)
{
	REFUSES(mts_server_on_open(NULL, NULL, NULL));
	ANSWERS(0, mts_server_on_open(server, NULL, NULL));
}

static void refusal(void)
{
	REFUSES(mts_server_set_refusal(NULL, "x", 1));
	ANSWERS(-EINVAL, mts_server_set_refusal(server, NULL, 1));
	ANSWERS(-EINVAL, mts_server_set_refusal(server, "x", 1025));
	ANSWERS(0, mts_server_set_refusal(server, NULL, 0));
}

static void networks_create(void)
{
	mts_networks *networks = mts_networks_create();
	ck_assert_ptr_nonnull(networks);
	mts_networks_destroy(networks);
}

/* What is a network, and what is none, is in unit/wire/test_network_text.c. */
static void networks_add(void)
{
	static const int verdicts[] = {-1, MTS_DENY + 1, 1000, INT_MAX, INT_MIN};
	mts_networks *networks = mts_networks_create();
	REFUSES(mts_networks_add(NULL, "10.0.0.0/8", MTS_ALLOW));
	REFUSES(mts_networks_add(networks, NULL, MTS_ALLOW));
	REFUSES(mts_networks_add(networks, "", MTS_ALLOW));
	REFUSES(mts_networks_add(networks, "10.0.0.1/8", MTS_ALLOW));
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		REFUSES(mts_networks_add(networks, "10.0.0.0/8", verdicts[i]));
	}
	ck_assert_int_eq(mts_networks_test(networks, "10.0.0.1"), -ENOENT);
	mts_networks_destroy(networks);
}

static void networks_test(void)
{
	mts_networks *networks = mts_networks_create();
	REFUSES(mts_networks_test(NULL, "10.0.0.1"));
	REFUSES(mts_networks_test(networks, NULL));
	REFUSES(mts_networks_test(networks, ""));
	REFUSES(mts_networks_test(networks, "10.0.0.0/8"));
	mts_networks_destroy(networks);
}

static void networks_destroy(void)
{
	mts_networks_destroy(NULL);
}

/* An empty set is one, and denies nobody. */
static void access_list(void)
{
	mts_networks *networks = mts_networks_create();
	REFUSES(mts_server_set_access(NULL, NULL));
	REFUSES(mts_server_set_access(NULL, networks));
	ANSWERS(0, mts_server_set_access(server, NULL));
	ANSWERS(0, mts_server_set_access(server, networks));
	mts_networks_destroy(networks);
}

static void trusted_proxies(void)
{
	mts_networks *networks = mts_networks_create();
	REFUSES(mts_server_set_trusted_proxies(NULL, NULL));
	REFUSES(mts_server_set_trusted_proxies(NULL, networks));
	ANSWERS(0, mts_server_set_trusted_proxies(server, NULL));
	ANSWERS(0, mts_server_set_trusted_proxies(server, networks));
	mts_networks_destroy(networks);
}

static void proxy_protocol(void)
{
	REFUSES(mts_server_set_proxy_protocol(NULL, MTS_PROXY_REQUIRED));
	ANSWERS(-EINVAL, mts_server_set_proxy_protocol(server, -1));
	ANSWERS(-EINVAL, mts_server_set_proxy_protocol(server, MTS_PROXY_FROM_TRUSTED + 1));
	ANSWERS(-EINVAL, mts_server_set_proxy_protocol(server, INT_MAX));
	ANSWERS(-EINVAL, mts_server_set_proxy_protocol(server, INT_MIN));
	ANSWERS(0, mts_server_set_proxy_protocol(server, MTS_PROXY_FROM_TRUSTED));
	ANSWERS(0, mts_server_set_proxy_protocol(server, MTS_PROXY_OFF));
}

static void on_fault(void)
{
	REFUSES(mts_server_on_fault(NULL, NULL, NULL));
	ANSWERS(0, mts_server_on_fault(server, NULL, NULL));
}

static void on_close(void)
{
	REFUSES(mts_server_on_close(NULL, NULL, NULL));
	ANSWERS(0, mts_server_on_close(server, NULL, NULL));
}

static void on_thread(void)
{
	REFUSES(mts_server_on_thread(NULL, NULL, NULL, NULL));
	ANSWERS(0, mts_server_on_thread(server, NULL, NULL, NULL));
}

static void on_log(void)
{
	static const int levels[] = {-1, 8, 1000, INT_MAX, INT_MIN};
	REFUSES(mts_server_on_log(NULL, NULL, MTS_LOG_ERR, NULL));
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		ANSWERS(-EINVAL, mts_server_on_log(server, NULL, levels[i], NULL));
	}
	ANSWERS(0, mts_server_on_log(server, NULL, 0, NULL));
	ANSWERS(0, mts_server_on_log(server, NULL, 7, NULL));
}

/* What becomes of lines is in test_log_stderr.c. */
static void log_stderr(void)
{
	mts_log_stderr(INT_MAX, NULL, NULL);
	mts_log_stderr(INT_MIN, NULL, NULL);
}

static void set_name(void)
{
	char name[65];
	memset(name, 'x', sizeof(name) - 1);
	name[64] = '\0';
	REFUSES(mts_server_set_name(NULL, NULL));
	REFUSES(mts_server_set_name(NULL, "name"));
	ANSWERS(-EINVAL, mts_server_set_name(server, "a\nb"));
	ANSWERS(-EINVAL, mts_server_set_name(server, name));
	ANSWERS(0, mts_server_set_name(server, name + 1));
	ANSWERS(0, mts_server_set_name(server, ""));
	ANSWERS(0, mts_server_set_name(server, NULL));
}

/* What becomes of messages is in test_notify.c. */
static void set_notify(void)
{
	unsetenv("NOTIFY_SOCKET");
	REFUSES(mts_server_set_notify(NULL, 0));
	REFUSES(mts_server_set_notify(NULL, 1));
	ANSWERS(0, mts_server_set_notify(server, 0));
	ANSWERS(0, mts_server_set_notify(server, INT_MIN));
	setenv("NOTIFY_SOCKET", "nowhere", 1);
	ANSWERS(-EINVAL, mts_server_set_notify(server, 1));
}

static void notify(void)
{
	unsetenv("NOTIFY_SOCKET");
	REFUSES(mts_notify(NULL));
	REFUSES(mts_notify(""));
	ck_assert_int_eq(mts_notify("READY=1"), 0);
}

static void threads(void)
{
	REFUSES(mts_server_set_threads(NULL, MTS_THREAD_PER_CLIENT));
	ANSWERS(-EINVAL, mts_server_set_threads(server, -1));
	ANSWERS(-EINVAL, mts_server_set_threads(server, 2));
	ANSWERS(-EINVAL, mts_server_set_threads(server, INT_MAX));
	ANSWERS(-EINVAL, mts_server_set_threads(server, INT_MIN));
	ANSWERS(0, mts_server_set_threads(server, MTS_THREAD_ON_DEMAND));
	ANSWERS(0, mts_server_set_threads(server, MTS_THREAD_PER_CLIENT));
}

static void max_threads(void)
{
	REFUSES(mts_server_set_max_threads(NULL, 1));
	ANSWERS(-EINVAL, mts_server_set_max_threads(server, 1000001));
	ANSWERS(-EINVAL, mts_server_set_max_threads(server, UINT_MAX));
	ANSWERS(0, mts_server_set_max_threads(server, 0));
	ANSWERS(0, mts_server_set_max_threads(server, 1000000));
}

static void stack_size(void)
{
	REFUSES(mts_server_set_stack_size(NULL, 65536));
	ANSWERS(-EINVAL, mts_server_set_stack_size(server, 0));
	ANSWERS(-EINVAL, mts_server_set_stack_size(server, 16383));
	ANSWERS(-EINVAL, mts_server_set_stack_size(server, GIB + 1));
	ANSWERS(-EINVAL, mts_server_set_stack_size(server, SIZE_MAX));
	ANSWERS(0, mts_server_set_stack_size(server, GIB));
}

static void max_clients(void)
{
	REFUSES(mts_server_set_max_clients(NULL, 1));
	ANSWERS(-EINVAL, mts_server_set_max_clients(server, 0));
	ANSWERS(-EINVAL, mts_server_set_max_clients(server, 16000001));
	ANSWERS(-EINVAL, mts_server_set_max_clients(server, SIZE_MAX));
	ANSWERS(0, mts_server_set_max_clients(server, 16000000));
}

static void max_clients_per_address(void)
{
	REFUSES(mts_server_set_max_clients_per_address(NULL, 1));
	ANSWERS(-EINVAL, mts_server_set_max_clients_per_address(server, 16000001));
	ANSWERS(-EINVAL, mts_server_set_max_clients_per_address(server, SIZE_MAX));
	ANSWERS(0, mts_server_set_max_clients_per_address(server, 0));
	ANSWERS(0, mts_server_set_max_clients_per_address(server, 16000000));
}

static void overload(void)
{
	static const int none[] = {-1, MTS_OVERLOAD_EVICT + 1, 1000, INT_MAX, INT_MIN};
	REFUSES(mts_server_set_overload(NULL, MTS_OVERLOAD_WAIT));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ANSWERS(-EINVAL, mts_server_set_overload(server, none[i]));
	}
	ANSWERS(0, mts_server_set_overload(server, MTS_OVERLOAD_EVICT));
	ANSWERS(0, mts_server_set_overload(server, MTS_OVERLOAD_REFUSE));
	ANSWERS(0, mts_server_set_overload(server, MTS_OVERLOAD_WAIT));
}

static void max_output(void)
{
	REFUSES(mts_server_set_max_output(NULL, 1));
	ANSWERS(-EINVAL, mts_server_set_max_output(server, 0));
	ANSWERS(-EINVAL, mts_server_set_max_output(server, GIB + 1));
	ANSWERS(-EINVAL, mts_server_set_max_output(server, SIZE_MAX));
	ANSWERS(0, mts_server_set_max_output(server, GIB));
}

static void max_memory(void)
{
	REFUSES(mts_server_set_max_memory(NULL, 65536));
	ANSWERS(-EINVAL, mts_server_set_max_memory(server, 0));
	ANSWERS(-EINVAL, mts_server_set_max_memory(server, 65535));
	ANSWERS(-EINVAL, mts_server_set_max_memory(server, SIZE_MAX / 2 + 1));
	ANSWERS(-EINVAL, mts_server_set_max_memory(server, SIZE_MAX));
	ANSWERS(0, mts_server_set_max_memory(server, SIZE_MAX / 2));
	ANSWERS(0, mts_server_set_max_memory(server, 65536));
}

static void backlog(void)
{
	REFUSES(mts_server_set_backlog(NULL, 1));
	ANSWERS(-EINVAL, mts_server_set_backlog(server, 0));
	ANSWERS(-EINVAL, mts_server_set_backlog(server, -1));
	ANSWERS(-EINVAL, mts_server_set_backlog(server, INT_MIN));
	ANSWERS(0, mts_server_set_backlog(server, INT_MAX));
	ANSWERS(-EBUSY, mts_server_listen(server, "127.0.0.1:0") + mts_server_set_backlog(server, 5));
}

static void keepalive(void)
{
	REFUSES(mts_server_set_keepalive(NULL, 0));
	ANSWERS(-EINVAL, mts_server_set_keepalive(server, 32768));
	ANSWERS(-EINVAL, mts_server_set_keepalive(server, UINT_MAX));
	ANSWERS(0, mts_server_set_keepalive(server, 32767));
	ANSWERS(0, mts_server_set_keepalive(server, 0));
}

static void defer_accept(void)
{
	REFUSES(mts_server_set_defer_accept(NULL, 0));
	ANSWERS(-EINVAL, mts_server_set_defer_accept(server, 3601));
	ANSWERS(-EINVAL, mts_server_set_defer_accept(server, UINT_MAX));
	ANSWERS(0, mts_server_set_defer_accept(server, 3600));
}

static void timeout(void)
{
	static const int none[] = {-1, MTS_TIMEOUT_HANDSHAKE + 1, 1000, INT_MAX, INT_MIN};
	REFUSES(mts_server_set_timeout(NULL, MTS_TIMEOUT_STOP, 1));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ANSWERS(-EINVAL, mts_server_set_timeout(server, none[i], 1));
	}
	for (int which = MTS_TIMEOUT_IDLE; which <= MTS_TIMEOUT_HANDSHAKE; which++) {
		ANSWERS(0, mts_server_set_timeout(server, which, 0));
		ANSWERS(0, mts_server_set_timeout(server, which, UINT_MAX));
	}
}

static void send_by_id(void)
{
	static const uint64_t nobody[] = {0, 1, UINT64_C(1) << 24, UINT64_MAX};
	REFUSES(mts_server_send(NULL, 1, "x", 1));
	REFUSES(mts_server_send(NULL, 1, NULL, 0));
	SAYS(-EINVAL, mts_server_send(server, 1, NULL, 1));
	SAYS(-EINVAL, mts_server_send(server, 1, NULL, SIZE_MAX));
	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		SAYS(-ENOENT, mts_server_send(server, nobody[i], "x", 1));
		SAYS(-ENOENT, mts_server_send(server, nobody[i], NULL, 0));
		SAYS(-ENOENT, mts_server_kick(server, nobody[i]));
		SAYS(-ENOENT, mts_server_close(server, nobody[i]));
	}
}

static void broadcast(void)
{
	REFUSES(mts_server_broadcast(NULL, "x", 1));
	REFUSES(mts_server_broadcast(NULL, NULL, 0));
	SAYS(-EINVAL, mts_server_broadcast(server, NULL, 1));
	SAYS(0, mts_server_broadcast(server, NULL, 0));
	SAYS(0, mts_server_broadcast(server, "x", 1));
}

static void close_by_id(void)
{
	REFUSES(mts_server_close(NULL, 1));
	SAYS(-ENOENT, mts_server_close(server, 0));
}

static void complete_reply(void)
{
	static const int verdicts[] = {MTS_LATER, 3, INT_MAX};
	REFUSES(mts_server_complete(NULL, 1, 1, MTS_KEEP));
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		SAYS(-EINVAL, mts_server_complete(server, 0, 1, verdicts[i]));
	}
	SAYS(-ENOENT, mts_server_complete(server, 0, 1, MTS_KEEP));
}

static void nothing_to_do(mts_server *server, void *user)
{
	(void)server;
	(void)user;
}

static void every(void)
{
	REFUSES(mts_server_every(NULL, 1, nothing_to_do, NULL));
	SAYS(-EINVAL, (int)mts_server_every(server, 1, NULL, NULL));
	SAYS(-EINVAL, (int)mts_server_every(server, 0, nothing_to_do, NULL));
	SAYS(1, mts_server_every(server, 1, nothing_to_do, NULL) > 0);
	SAYS(1, mts_server_every(server, UINT_MAX, nothing_to_do, NULL) > 0);
}

static void after(void)
{
	REFUSES(mts_server_after(NULL, 1, nothing_to_do, NULL));
	SAYS(-EINVAL, (int)mts_server_after(server, 1, NULL, NULL));
	SAYS(1, mts_server_after(server, 0, nothing_to_do, NULL) > 0);
	SAYS(1, mts_server_after(server, UINT_MAX, nothing_to_do, NULL) > 0);
}

static void cancel(void)
{
	static const int64_t none[] = {0, 1, -1, INT64_MAX, INT64_MIN};
	REFUSES(mts_server_cancel(NULL, 1));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		SAYS(-ENOENT, mts_server_cancel(server, none[i]));
	}
	SAYS(0, mts_server_cancel(server, mts_server_after(server, 0, nothing_to_do, NULL)));
}

static void kick(void)
{
	REFUSES(mts_server_kick(NULL, 1));
	SAYS(-ENOENT, mts_server_kick(server, 0));
}

static void stat(void)
{
	static const int none[] = {-1, 1000, INT_MAX, INT_MIN};
	ck_assert_uint_eq(mts_server_stat(NULL, MTS_STAT_ACCEPTED), 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ANSWERS(0, (int)mts_server_stat(server, none[i]));
	}
}

/* Names from 0 up, each another one, and NULL everywhere else. */
static void check_names(const char *(*name)(int), int last)
{
	for (int i = 0; i <= last; i++) {
		ck_assert_ptr_nonnull(name(i));
		for (int j = 0; j < i; j++) {
			ck_assert_str_ne(name(i), name(j));
		}
	}
	ck_assert_ptr_null(name(last + 1));
	ck_assert_ptr_null(name(-1));
	ck_assert_ptr_null(name(INT_MAX));
	ck_assert_ptr_null(name(INT_MIN));
}

static void stat_name(void)
{
	check_names(mts_stat_name, MTS_STAT_PROXY_ERRORS);
}

static void closed_name(void)
{
	check_names(mts_closed_name, MTS_CLOSED_LATER_TIMEOUT);
}

static void version(void)
{
	char text[32];
	snprintf(
		text, sizeof(text), "%d.%d.%d", MTS_VERSION_MAJOR, MTS_VERSION_MINOR, MTS_VERSION_PATCH);
	ck_assert_str_eq(mts_version(), text);
}

static void suspend(void)
{
	REFUSES(mts_server_suspend(NULL));
	SAYS(0, mts_server_suspend(server));
}

static void resume(void)
{
	REFUSES(mts_server_resume(NULL));
	SAYS(0, mts_server_resume(server));
}

static void keep_paths(void)
{
	REFUSES(mts_server_keep_paths(NULL, 1));
	ANSWERS(0, mts_server_keep_paths(server, INT_MIN));
	ANSWERS(0, mts_server_keep_paths(server, 0));
}

static void reuse_port(void)
{
	REFUSES(mts_server_set_reuse_port(NULL, 1));
	ANSWERS(0, mts_server_set_reuse_port(server, INT_MIN));
	ANSWERS(0, mts_server_set_reuse_port(server, 0));
	ANSWERS(
		-EBUSY, mts_server_listen(server, "127.0.0.1:0") + mts_server_set_reuse_port(server, 1));
}

static void drain(void)
{
	REFUSES(mts_server_set_drain(NULL, 1));
	ANSWERS(0, mts_server_set_drain(server, UINT_MAX));
	ANSWERS(0, mts_server_set_drain(server, 0));
}

static const struct misuse functions[] = {
	{"mts_server_create", create},
	{"mts_server_set_name", set_name},
	{"mts_server_listen", listen_on},
	{"mts_server_listen_fd", listen_fd},
	{"mts_server_adopt", adopt},
	{"mts_server_set_drain", drain},
	{"mts_server_set_reuse_port", reuse_port},
	{"mts_server_keep_paths", keep_paths},
	{"mts_server_suspend", suspend},
	{"mts_server_resume", resume},
	{"mts_server_address", address},
	{"mts_server_listener_fd", listener_fd},
	{"mts_server_run", run},
	{"mts_server_run_until_signal", run_until_signal},
	{"mts_server_start", start},
	{"mts_server_join", join},
	{"mts_server_stop", stop},
	{"mts_server_destroy", destroy},
	{"mts_server_error", error},
	{"mts_serve", serve},
	{"mts_strerror", name_error},
	{"mts_server_frame_raw", frame_raw},
	{"mts_server_frame_lines", frame_lines},
	{"mts_server_frame_delimited", frame_delimited},
	{"mts_server_frame_fixed", frame_fixed},
	{"mts_server_frame_prefixed", frame_prefixed},
	{"mts_server_frame_custom", frame_custom},
	{"mts_server_frame_by_client", frame_by_client},
	{"mts_server_set_max_request", max_request},
	{"mts_server_on_open", on_open},
	{"mts_server_set_refusal", refusal},
	{"mts_networks_create", networks_create},
	{"mts_networks_add", networks_add},
	{"mts_networks_test", networks_test},
	{"mts_networks_destroy", networks_destroy},
	{"mts_server_set_access", access_list},
	{"mts_server_set_trusted_proxies", trusted_proxies},
	{"mts_server_set_proxy_protocol", proxy_protocol},
	{"mts_server_on_fault", on_fault},
	{"mts_server_on_close", on_close},
	{"mts_server_on_thread", on_thread},
	{"mts_server_on_log", on_log},
	{"mts_log_stderr", log_stderr},
	{"mts_server_set_notify", set_notify},
	{"mts_notify", notify},
	{"mts_server_set_threads", threads},
	{"mts_server_set_max_threads", max_threads},
	{"mts_server_set_stack_size", stack_size},
	{"mts_server_set_max_clients", max_clients},
	{"mts_server_set_max_clients_per_address", max_clients_per_address},
	{"mts_server_set_overload", overload},
	{"mts_server_set_max_output", max_output},
	{"mts_server_set_max_memory", max_memory},
	{"mts_server_set_backlog", backlog},
	{"mts_server_set_defer_accept", defer_accept},
	{"mts_server_set_keepalive", keepalive},
	{"mts_server_set_timeout", timeout},
	{"mts_server_send", send_by_id},
	{"mts_server_broadcast", broadcast},
	{"mts_server_close", close_by_id},
	{"mts_server_complete", complete_reply},
	{"mts_server_kick", kick},
	{"mts_server_every", every},
	{"mts_server_after", after},
	{"mts_server_cancel", cancel},
	{"mts_server_stat", stat},
	{"mts_stat_name", stat_name},
	{"mts_closed_name", closed_name},
	{"mts_version", version},
};
enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

START_TEST(misused)
{
	functions[_i].test();
}
END_TEST

START_TEST(complete)
{
	misuse_complete(functions, FUNCTIONS, "mts_client_", true);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("misuse");
	tcase_add_loop_test(cases, misused, 0, FUNCTIONS);
	tcase_add_test(cases, complete);
	return suite_run();
}
