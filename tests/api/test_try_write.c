/* SPDX-License-Identifier: MIT
 *
 * Writes that never wait: each arrives whole and in its place, or is refused whole.
 */
#include "reach.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE = 30000, MOST = 100 * REACH_MIB };

static char bytes[PIECE];

/* Writes the pattern until not one byte more is taken; how much it was. Nobody reads meanwhile. */
static uint64_t fill(mts_client *client, uint64_t position)
{
	uint64_t done = 0;
	size_t step = PIECE;
	while (step > 0 && done < MOST) {
		pattern_fill(bytes, step, position + done);
		const int result = mts_client_try_write(client, bytes, step);
		if (result != 0 && result != -ENOBUFS) {
			reach.answers[0] = result;
			break;
		}
		done += result == 0 ? step : 0;
		step = result == 0 ? step : step / 10;
	}
	return done;
}

static _Atomic uint64_t written;

static int fill_twice(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	written += fill(client, written);
	reach.answers[1] = mts_client_try_write(client, bytes, PIECE);
	gate_add(&reach.entered);
	return MTS_KEEP;
}

/* The peer does not read: what fits is taken, the rest is refused, and the handler comes back. Then so again. */
START_TEST(it_never_waits)
{
	mts_server *server = reach_server(fill_twice, NULL);
	uint64_t before = 0;
	written = 0;
	server_start(server);
	const int peer = peer_connect_small(server);
	for (int i = 1; i <= 3; i++) {
		peer_puts(peer, "go\n");
		gate_wait(&reach.entered, i);
		ck_assert_int_eq(reach.answers[0], 0);
		ck_assert_int_eq(reach.answers[1], -ENOBUFS);
		ck_assert_uint_gt(written, before);
		peer_expect_pattern(peer, written - before, before);
		before = written;
	}
	ck_assert_int_eq(mts_server_close(server, reach.ids[0]), 0);
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

/* Many small ones, most of which are only gathered. */
static int small_ones(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	for (int i = 0; i < 200 * 1000; i++) {
		written += mts_client_try_write(client, bytes, 100) == 0 ? 100 : 0;
	}
	gate_add(&reach.entered);
	return MTS_KEEP;
}

START_TEST(small_ones_keep_the_limit)
{
	mts_server *server = reach_server(small_ones, NULL);
	ck_assert_int_eq(mts_server_set_max_output(server, 64 * 1024), 0);
	written = 0;
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go\n");
	gate_wait(&reach.entered, 1);
	ck_assert_uint_gt(written, 64 * 1024);
	ck_assert_uint_lt(written, 4 * REACH_MIB); /* the limit, and what the sockets hold */
	close(peer);
	server_end(server);
}
END_TEST

static const size_t steps[] = {1, 700, 5000, 17000, 100000, 300};

/* Both kinds of writes in turn, of all sizes. */
static int mix(mts_client *client, const void *request, size_t size, void *user)
{
	static char more[100000];
	uint64_t at = 0;
	(void)request;
	(void)size;
	(void)user;
	for (int i = 0; i < 300; i++) {
		const size_t step = steps[i % 6];
		pattern_fill(more, step, at);
		int result = i % 4 == 3 ? -ENOBUFS : mts_client_try_write(client, more, step);
		if (result == -ENOBUFS) {
			result = mts_client_write(client, more, step);
		}
		reach.answers[0] = result != 0 ? result : reach.answers[0];
		at += step;
	}
	return MTS_CLOSE;
}

START_TEST(all_in_order)
{
	mts_server *server = reach_server(mix, NULL);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go\n");
	uint64_t total = 0;
	for (int i = 0; i < 300; i++) {
		total += steps[i % 6];
	}
	peer_expect_pattern(peer, total, 0);
	peer_expect_end(peer);
	ck_assert_int_eq(reach.answers[0], 0);
	close(peer);
	server_end(server);
}
END_TEST

static int be_refused(mts_client *client, const void *request, size_t size, void *user)
{
	void *big = user;
	(void)request;
	(void)size;
	reach.answers[0] = mts_client_puts(client, "before ");
	reach.answers[1] = mts_client_try_write(client, big, REACH_MIB);
	reach.answers[2] = mts_client_try_write(client, "after\n", 6);
	(void)mts_client_flush(client);
	gate_add(&reach.entered);
	gate_wait(&reach.leave, 1);
	reach.answers[3] = mts_client_try_write(client, "late", 4);
	return MTS_KEEP;
}

/* No memory is left, or the bytes cannot be read: nothing of it is sent, and the client stays. */
START_TEST(refused_whole)
{
	void *big = mmap(
		NULL, REACH_MIB, _i == 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(big, MAP_FAILED);
	mts_server *server = reach_server(be_refused, big);
	ck_assert_int_eq(mts_server_set_max_memory(server, 128 * 1024), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "before after\n");
	gate_wait(&reach.entered, 1);
	ck_assert_int_eq(reach.answers[0], 0);
	ck_assert_int_eq(reach.answers[1], _i == 0 ? -ENOBUFS : -EFAULT);
	ck_assert_int_eq(reach.answers[2], 0);
	ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
	gate_add(&reach.leave);
	endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	ck_assert_int_eq(reach.answers[3], -EPIPE);
	close(peer);
	server_end(server);
	munmap(big, REACH_MIB);
}
END_TEST

int main(void)
{
	TCase *tests = suite_begin("try_write");
	tcase_add_checked_fixture(tests, reach_setup, NULL);
	tcase_add_test(tests, it_never_waits);
	tcase_add_test(tests, small_ones_keep_the_limit);
	tcase_add_test(tests, all_in_order);
	tcase_add_loop_test(tests, refused_whole, 0, 2);
	return suite_run();
}
