/* SPDX-License-Identifier: MIT
 *
 * Memory runs out: at the first allocation of a whole session, at the second, and so on, once,
 * several times or from then on, until the session passes without a failure. Whatever fails, the process lives, nothing leaks
 * (sanitizers and valgrind look), and once there is memory again the next client is served.
 */
#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE_REQUEST = 60000, LARGE_REPLY = 150000, MOST_STEPS = 1000 };

static int small(mts_client *client, void *user)
{
	const int size = 4096;
	(void)user;
	return setsockopt(mts_client_fd(client), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* The first byte of a request says what to do with it. */
static int play(mts_client *client, const void *request, size_t size, void *user)
{
	const char *text = request;
	if (text[0] == 'p') {
		return mts_client_printf(client, "%2000s\n", text) == 0 ? MTS_KEEP : MTS_CLOSE;
	}
	if (text[0] == 'w') {
		return scene_pour(client, "150000", 6, user);
	}
	if (text[0] == 'n') {
		const void *next;
		size_t next_size;
		const int got = mts_client_next(client, &next, &next_size);
		return got == 1 ? scene_echo(client, next, next_size, user) : MTS_CLOSE;
	}
	return scene_echo(client, text, size, user);
}

/* What the peer gets, whole or cut off. */
static size_t receive(int peer, size_t most)
{
	char bytes[4096];
	size_t have = 0;
	while (have < most) {
		const size_t left = most - have;
		const ssize_t count = recv(peer, bytes, left < sizeof(bytes) ? left : sizeof(bytes), 0);
		if (count <= 0) {
			break;
		}
		have += (size_t)count;
	}
	return have;
}

static void send_all(int peer, const char *data, size_t size)
{
	size_t done = 0;
	ssize_t sent = 0;
	while (done < size && (sent = send(peer, data + done, size - done, MSG_NOSIGNAL)) > 0) {
		done += (size_t)sent;
	}
}

/* A client that does all that needs memory; how many bytes it got. */
static size_t converse(const mts_server *server)
{
	static char large[LARGE_REQUEST];
	const int peer = peer_connect(server, 0);
	size_t got;
	memset(large, 'x', sizeof(large));
	large[sizeof(large) - 1] = '\n';
	send_all(peer, "short\n", 6);
	got = receive(peer, 6);
	send_all(peer, large, sizeof(large));
	got += receive(peer, sizeof(large));
	send_all(peer, "printf\n", 7);
	got += receive(peer, 2001);
	send_all(peer, "write\n", 6);
	got += receive(peer, LARGE_REPLY);
	send_all(peer, "next\n", 5);
	send_all(peer, large, sizeof(large));
	got += receive(peer, sizeof(large));
	close(peer);
	return got;
}

static const size_t everything = 6 + LARGE_REQUEST + 2001 + LARGE_REPLY + LARGE_REQUEST;

/* The log needs memory too. */
static void ignore(int level, const char *message, void *user)
{
	(void)level;
	(void)message;
	(void)user;
}

/* Makes a server and starts it; NULL, and nothing left, when memory was short for that. */
static mts_server *raise_server(void)
{
	fault_inside(true);
	mts_server *server = mts_server_create(play, NULL);
	if (server == NULL) {
		fault_inside(false);
		return NULL;
	}
	int result = mts_server_set_threads(server, test_model);
	if (result == 0) {
		result = mts_server_frame_delimited(server, "\n", 1);
	}
	if (result == 0) {
		result = mts_server_on_open(server, small, NULL);
	}
	if (result == 0) {
		result = mts_server_on_log(server, ignore, MTS_LOG_DEBUG, NULL);
	}
	if (result == 0) {
		result = mts_server_listen(server, "localhost:0");
	}
	if (result == 0) {
		result = mts_server_start(server);
	}
	fault_inside(false);
	if (result != 0) {
		ck_assert_int_eq(result, -ENOMEM);
		ck_assert_str_ne(mts_server_error(server), "");
		ck_assert_int_eq(mts_server_destroy(server), 0);
		return NULL;
	}
	return server;
}

/* The whole session, with a failure after `skip` allocations; whether there was one. */
static bool session(uint32_t skip, uint32_t times)
{
	fault_fail(FAULT_MEMORY, ENOMEM, skip, times);
	mts_server *server = raise_server();
	if (server == NULL) {
		return true;
	}
	const size_t got = converse(server);
	const bool failed = fault_hits(FAULT_MEMORY) > 0;
	ck_assert_uint_le(got, everything);
	ck_assert(failed || got == everything);
	fault_clear(FAULT_MEMORY);
	ck_assert_uint_eq(converse(server), everything);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_uint_eq(
		mts_server_stat(server, MTS_STAT_ACCEPTED), mts_server_stat(server, MTS_STAT_CLOSED));
	ck_assert_int_eq(mts_server_destroy(server), 0);
	return failed;
}

/* By its name: a sanitizer may have threads of its own. */
static bool a_thread_of_the_library_is_left(void)
{
	DIR *tasks = opendir("/proc/self/task");
	bool found = false;
	ck_assert_ptr_nonnull(tasks);
	for (const struct dirent *task; !found && (task = readdir(tasks)) != NULL;) {
		char path[300];
		char name[16] = "";
		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		FILE *file = fopen(path, "r");
		if (file != NULL) {
			found = fgets(name, sizeof(name), file) != NULL && strncmp(name, "mts-", 4) == 0;
			(void)fclose(file);
		}
	}
	(void)closedir(tasks);
	return found;
}

static void every_allocation(uint32_t times)
{
	const int descriptors = count_descriptors();
	uint32_t skip = 0;
	while (session(skip, times)) {
		ck_assert_int_eq(count_descriptors(), descriptors);
		ck_assert_uint_lt(++skip, MOST_STEPS);
	}
	ck_assert_uint_ge(skip, 10);
	/* A thread that has been joined is still listed for a moment. */
	while (a_thread_of_the_library_is_left()) {
		poll(NULL, 0, 1);
	}
}

START_TEST(each_allocation_once)
{
	every_allocation(1);
}
END_TEST

/* A client may have to wait as long as that lasts, since it needs a thread, and that needs memory. */
START_TEST(each_allocation_and_some_more)
{
	every_allocation(5);
}
END_TEST

/* Until that session is over. */
START_TEST(each_allocation_and_all_that_follow)
{
	every_allocation(FAULT_FOREVER);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("memory");
	tcase_add_test(cases, each_allocation_once);
	tcase_add_test(cases, each_allocation_and_some_more);
	tcase_add_test(cases, each_allocation_and_all_that_follow);
	return suite_run();
}
