/* SPDX-License-Identifier: MIT
 *
 * Calls that are right in themselves, and come at the wrong time: configuring a server that runs, or has
 * run, is refused with a sentence, and changes nothing. Live setters are not refused; what they refuse
 * themselves then leaves no sentence, since any thread may call them. And what is on the edge of what is
 * allowed is not only accepted, it works.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

static int other_open(mts_client *client, void *user)
{
	(void)client;
	(void)user;
	return -1;
}

static ssize_t other_framer(const void *data, size_t size, size_t scanned, void *user)
{
	(void)data;
	(void)size;
	(void)scanned;
	(void)user;
	return -1;
}

static void expect_busy(mts_server *server, int result, const char *call)
{
	ck_assert_msg(result == -EBUSY, "%s: %d", call, result);
	ck_assert_msg(strstr(mts_server_error(server), "cannot ") == mts_server_error(server),
		"%s: \"%s\"", call, mts_server_error(server));
}

#define BUSY(call) expect_busy(server, (call), #call)

static void configure(mts_server *server)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	BUSY(mts_server_listen(server, "127.0.0.1:0"));
	BUSY(mts_server_listen(server, NULL));
	BUSY(mts_server_set_name(server, "name"));
	BUSY(mts_server_set_name(server, NULL));
	BUSY(mts_server_listen_fd(server, fd));
	BUSY(mts_server_frame_raw(server));
	BUSY(mts_server_frame_lines(server));
	BUSY(mts_server_frame_delimited(server, "x", 1));
	BUSY(mts_server_frame_delimited(server, NULL, 0));
	BUSY(mts_server_frame_fixed(server, 1));
	BUSY(mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN));
	BUSY(mts_server_frame_custom(server, other_framer, NULL));
	BUSY(mts_server_frame_by_client(server, NULL, NULL));
	BUSY(mts_server_set_max_request(server, 1));
	BUSY(mts_server_on_open(server, other_open, NULL));
	BUSY(mts_server_on_fault(server, NULL, NULL));
	BUSY(mts_server_on_close(server, NULL, NULL));
	BUSY(mts_server_on_thread(server, NULL, NULL, NULL));
	BUSY(mts_server_on_log(server, NULL, MTS_LOG_ERR, NULL));
	BUSY(mts_server_set_threads(server, MTS_THREAD_PER_CLIENT));
	BUSY(mts_server_set_threads(server, MTS_THREAD_ON_DEMAND));
	BUSY(mts_server_set_stack_size(server, 65536));
	BUSY(mts_server_set_backlog(server, 1));
	BUSY(mts_server_set_reuse_port(server, 0));
	BUSY(mts_server_set_reuse_port(server, 1));
	BUSY(mts_server_set_overload(server, MTS_OVERLOAD_EVICT));
	BUSY(mts_server_set_defer_accept(server, 1));
	BUSY(mts_server_set_keepalive(server, 1));
	BUSY(mts_server_set_proxy_protocol(server, MTS_PROXY_REQUIRED));
	BUSY(mts_server_set_notify(server, 1));
	BUSY(mts_server_set_notify(server, 0));
	close(fd);
}

static void configure_live(mts_server *server)
{
	char before[1024];
	mts_networks *networks = mts_networks_create();
	ck_assert_uint_lt(strlen(mts_server_error(server)), sizeof(before));
	strcpy(before, mts_server_error(server));
	ck_assert_int_eq(mts_server_set_max_clients(server, 0), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_output(server, 0), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, SIZE_MAX), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_memory(server, 0), -EINVAL);
	ck_assert_int_eq(mts_server_set_timeout(server, -1, 0), -EINVAL);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_HANDSHAKE + 1, 0), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1000), 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1000), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, 100000), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, 100000), 0);
	ck_assert_int_eq(mts_server_set_access(server, networks), 0);
	ck_assert_int_eq(mts_server_set_access(server, NULL), 0);
	ck_assert_int_eq(mts_server_set_trusted_proxies(server, networks), 0);
	ck_assert_int_eq(mts_server_set_trusted_proxies(server, NULL), 0);
	mts_networks_destroy(networks);
	for (int which = MTS_TIMEOUT_IDLE; which <= MTS_TIMEOUT_HANDSHAKE; which++) {
		ck_assert_int_eq(mts_server_set_timeout(server, which, 10000), 0);
	}
	ck_assert_int_eq(mts_server_set_drain(server, 10000), 0);
	ck_assert_int_eq(mts_server_set_drain(server, 0), 0);
	ck_assert_int_eq(mts_server_keep_paths(server, 1), 0);
	ck_assert_str_eq(mts_server_error(server), before);
}

START_TEST(while_it_runs)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	configure_live(server);
	configure(server);
	configure_live(server);
	peer_visit(server, 0);
	ck_assert_ptr_null(mts_server_address(server, 1));
	server_end(server);
}
END_TEST

START_TEST(when_it_has_run)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	peer_visit(server, 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	configure(server);
	configure_live(server);
	ck_assert_int_eq(mts_server_start(server), -EALREADY);
	ck_assert_int_eq(mts_server_run(server), -EALREADY);
	ck_assert_int_eq(mts_server_run_until_signal(server), -EALREADY);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* Asking it to stop is no start: it can be configured still. */
START_TEST(when_it_was_only_stopped)
{
	mts_server *server = server_new(answer_echo, NULL);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_run(server), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* A refused value leaves the one before it in force. */
START_TEST(refused_values_change_nothing)
{
	mts_server *server = server_new(answer_echo, NULL);
	ck_assert_int_eq(mts_server_frame_fixed(server, 5), 0);
	ck_assert_int_eq(mts_server_frame_fixed(server, 0), -EINVAL);
	ck_assert_int_eq(mts_server_frame_delimited(server, NULL, 4), -EINVAL);
	ck_assert_int_eq(mts_server_frame_prefixed(server, 3, MTS_BIG_ENDIAN), -EINVAL);
	ck_assert_int_eq(mts_server_frame_custom(server, NULL, NULL), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_request(server, 5), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 0), -EINVAL);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 0), -EINVAL);
	ck_assert_int_eq(mts_server_set_stack_size(server, 0), -EINVAL);
	server_start(server);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

/* The least of everything. */
START_TEST(least_values)
{
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_backlog(server, 1), 0);
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, 1), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, 1), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, 65536), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 1), 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 1), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1), 0);
	ck_assert_int_eq(mts_server_set_stack_size(server, 16384), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 1), 0);
	server_start(server);
	peer_visit(server, 0);
	peer_visit(server, 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_int_eq(mts_server_destroy(server), 0);
}
END_TEST

/* The most of everything. */
START_TEST(most_values)
{
	const size_t gib = (size_t)1024 * 1024 * 1024;
	mts_server *server = server_create(answer_echo, NULL);
	ck_assert_int_eq(mts_server_set_backlog(server, INT_MAX), 0);
	ck_assert_int_eq(mts_server_listen(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, gib), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, gib), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, SIZE_MAX / 2), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, 16000000), 0);
	ck_assert_int_eq(mts_server_set_max_clients_per_address(server, 16000000), 0);
	ck_assert_int_eq(mts_server_set_max_threads(server, 1000000), 0);
	ck_assert_int_eq(mts_server_set_defer_accept(server, 3600), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, UINT_MAX), 0);
	server_start(server);
	peer_visit(server, 0);
	peer_visit(server, 0);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("misuse, states");
	tcase_add_test(cases, while_it_runs);
	tcase_add_test(cases, when_it_has_run);
	tcase_add_test(cases, when_it_was_only_stopped);
	tcase_add_test(cases, refused_values_change_nothing);
	tcase_add_test(cases, least_values);
	tcase_add_test(cases, most_values);
	return suite_run();
}
