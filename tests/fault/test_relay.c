/* SPDX-License-Identifier: MIT
 *
 * A relay for which no pipe is to be had, or whose moving of bytes by the kernel is denied from the beginning
 * or in the middle: the streams are the same, byte for byte.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scene.h"

enum { SIZE = 300000 };

static int ends[2];
static _Atomic int answer;

static int relay(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	(void)mts_client_puts(client, "hello\n");
	answer = mts_client_relay(client, ends[0]);
	return MTS_CLOSE;
}

static const struct {
	enum fault_call call;
	int error;
	uint32_t skip; /* so many calls go well */
	uint32_t every; /* only every n-th fails; 0: all */
	size_t most; /* bytes at once; 0: as many as they like */
} ways[] = {
	{FAULT_PIPE, EMFILE, 0, 0, 0},
	{FAULT_PIPE, ENFILE, 1, 0, 0}, /* one way has a pipe */
	{FAULT_SPLICE, ENOSYS, 0, 0, 0},
	{FAULT_SPLICE, EPERM, 1, 0, 0}, /* so something is in a pipe then */
	{FAULT_SPLICE, EINVAL, 7, 0, 0},
	{FAULT_SPLICE, EINVAL, 20, 0, 1000},
	{FAULT_SPLICE, EINTR, 0, 2, 0},
	{FAULT_SPLICE, EINTR, 0, 3, 500},
	{FAULT_SPLICE, EAGAIN, 0, 4, 0},
	{FAULT_SIGPENDING, EPERM, 0, 0, 0}, /* SIGPIPE cannot be held off */
	{FAULT_POLL, EPERM, 0, 0, 0}, /* it cannot wait */
	{FAULT_POLL, EINTR, 0, 2, 0},
	{FAULT_RECV, EINTR, 0, 2, 0},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static void *pour(void *user)
{
	static _Thread_local char bytes[SIZE];
	const int fd = *(int *)user;
	pattern_fill(bytes, SIZE, 0);
	peer_send(fd, bytes, SIZE);
	peer_finish(fd);
	return NULL;
}

START_TEST(the_streams_are_the_same)
{
	struct scene scene;
	pthread_t threads[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	scene_make(&scene, relay);
	scene_start(&scene);
	const int descriptors = settled_descriptors();
	int peer = peer_connect(scene.server, 0);
	if (ways[_i].every > 0) {
		fault_every(ways[_i].call, ways[_i].error, ways[_i].every);
	} else {
		fault_fail(ways[_i].call, ways[_i].error, ways[_i].skip, FAULT_FOREVER);
	}
	fault_short(ways[_i].most);
	peer_puts(peer, "go\nand more");
	peer_expect_text(peer, "hello\n");
	peer_expect_text(ends[1], "and more");
	ck_assert_int_eq(pthread_create(&threads[0], NULL, pour, &peer), 0);
	ck_assert_int_eq(pthread_create(&threads[1], NULL, pour, &ends[1]), 0);
	/* Either takes what the other has sent in pieces, so that neither waits for ever. */
	static char got[2][SIZE];
	static char expected[SIZE];
	size_t have[2] = {0, 0};
	while (have[0] < SIZE || have[1] < SIZE) {
		for (int i = 0; i < 2; i++) {
			const ssize_t count = recv(
				i == 0 ? peer : ends[1], got[i] + have[i], SIZE - have[i], MSG_DONTWAIT);
			have[i] += count > 0 ? (size_t)count : 0;
		}
	}
	pattern_fill(expected, SIZE, 0);
	ck_assert(memcmp(got[0], expected, SIZE) == 0);
	ck_assert(memcmp(got[1], expected, SIZE) == 0);
	peer_expect_end(peer);
	peer_expect_end(ends[1]);
	ck_assert_int_eq(pthread_join(threads[0], NULL), 0);
	ck_assert_int_eq(pthread_join(threads[1], NULL), 0);
	gate_wait(&scene.closed, 1);
	ck_assert_int_eq(answer, 0);
	if (ways[_i].call != FAULT_RECV) {
		ck_assert_uint_gt(fault_hits(ways[_i].call), 0);
	}
	fault_clear(ways[_i].call);
	fault_short(0);
	close(peer);
	wait_until(settled_descriptors() == descriptors);
	close(ends[0]);
	close(ends[1]);
	scene_end(&scene);
}
END_TEST

/* There is not even memory to copy through: the client is cut off, and all is given back. */
START_TEST(no_memory_either)
{
	struct scene scene;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	scene_make(&scene, relay);
	scene_start(&scene);
	const int descriptors = settled_descriptors();
	const int peer = peer_connect(scene.server, 0);
	gate_wait(&scene.opened, 1);
	fault_fail(FAULT_PIPE, EMFILE, 1, FAULT_FOREVER);
	fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
	peer_puts(peer, "go\n");
	gate_wait(&scene.closed, 1);
	fault_clear(FAULT_MEMORY);
	fault_clear(FAULT_PIPE);
	ck_assert_int_eq(answer, -ENOMEM);
	close(peer);
	wait_until(settled_descriptors() == descriptors);
	close(ends[0]);
	close(ends[1]);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("fault_relay");
	tcase_add_loop_test(tests, the_streams_are_the_same, 0, WAYS);
	tcase_add_test(tests, no_memory_either);
	return suite_run();
}
