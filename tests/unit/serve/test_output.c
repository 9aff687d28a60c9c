/* SPDX-License-Identifier: MIT
 *
 * From writes to the socket: gathered, queued up to the limit, then waited for; in order and whole,
 * whoever sends on; and what a lost client costs.
 */
#include "engine/serve/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../desk.h"
#include "engine/run/stats.h"
#include "os/clock.h"
#include "os/poll.h"

enum { LIMIT = 40000, PIECE = 3000 };

static struct desk desk;

static void setup(void)
{
	mts_server *server = desk_server();
	ck_assert_int_eq(mts_server_set_max_output(server, LIMIT), 0);
	desk_open(&desk, server);
	const int size = 4096;
	ck_assert_int_eq(setsockopt(desk.client->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

static void teardown(void)
{
	desk_close(&desk);
}

static bool arrived(void)
{
	char byte;
	return recv(desk.peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void write_pattern(size_t size, uint64_t position)
{
	static char bytes[1 << 20];
	pattern_fill(bytes, size, position);
	ck_assert_int_eq(mtsi_output_write(&desk.worker, bytes, size), 0);
}

/* Takes what the peer has by now, and looks at it: so much in all. */
static uint64_t take(uint64_t done)
{
	char bytes[1000];
	char expected[sizeof(bytes)];
	ssize_t count;
	while ((count = recv(desk.peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		pattern_fill(expected, (size_t)count, done);
		ck_assert_mem_eq(bytes, expected, (size_t)count);
		done += (uint64_t)count;
	}
	return done;
}

/* The keeper's part. */
static void send_on(void)
{
	mtsi_lock_take(&desk.client->lock);
	mtsi_output_continue_locked(desk.client);
	mtsi_lock_release(&desk.client->lock);
}

/* Short replies wait until they are flushed, and come together. */
START_TEST(they_gather)
{
	for (uint64_t i = 0; i < 10; i++) {
		write_pattern(10, 10 * i);
		ck_assert(!arrived());
	}
	ck_assert_int_eq(mtsi_output_write(&desk.worker, NULL, 0), 0);
	ck_assert_int_eq(mtsi_output_flush(&desk.worker, true), 0);
	ck_assert_int_eq(mtsi_output_flush(&desk.worker, true), 0);
	peer_expect_pattern(desk.peer, 100, 0);
	ck_assert(!arrived());
	ck_assert_uint_eq(mtsi_stats_read(desk.server, MTS_STAT_BYTES_OUT), 0); /* not in the crew */
	ck_assert_uint_eq(atomic_load(&desk.worker.member.counters.count[MTS_STAT_BYTES_OUT]), 100);
}
END_TEST

/* From the small buffer to the large one, and past that: the order stays. */
START_TEST(they_gather_in_larger_buffers)
{
	uint64_t position = 0;
	for (size_t size = 1; size < 6000; size += size / 3 + 1) {
		write_pattern(size, position);
		position += size;
	}
	ck_assert(!arrived() || position > MTSI_LARGE_REPLIES);
	ck_assert_int_eq(mtsi_output_flush(&desk.worker, true), 0);
	uint64_t done = take(0);
	while (desk_queued(&desk) > 0) {
		send_on();
		done = take(done);
	}
	ck_assert_uint_eq(done, position);
	ck_assert_uint_eq(desk_queued(&desk), 0);
	ck_assert_uint_eq(desk.client->watched, 0);
}
END_TEST

/* A handler that fails takes back what it has written, and no more than that. */
START_TEST(they_are_forgotten)
{
	write_pattern(10, 0);
	desk.worker.replies.mark = desk.worker.replies.size;
	write_pattern(20, 1000);
	mtsi_output_forget(&desk.worker);
	write_pattern(5, 10);
	ck_assert_int_eq(mtsi_output_flush(&desk.worker, true), 0);
	peer_expect_pattern(desk.peer, 15, 0);
	ck_assert(!arrived());
}
END_TEST

/* What the socket does not take is queued, watched, and sent on by whoever sees that it does. */
START_TEST(they_are_queued)
{
	struct epoll_event event;
	write_pattern(LIMIT, 0);
	ck_assert_uint_gt(desk_queued(&desk), 0);
	ck_assert_uint_le(desk_queued(&desk), LIMIT);
	ck_assert_uint_eq(desk.client->watched, MTSI_POLL_OUT);
	ck_assert_int_eq(mtsi_poll_wait(mtsi_base_floor(desk.server)->poll, &event, 1, 0), 0);
	uint64_t done = take(0);
	while (desk_queued(&desk) > 0) {
		ck_assert_int_eq(
			mtsi_poll_wait(mtsi_base_floor(desk.server)->poll, &event, 1, MTSI_NEVER), 1);
		ck_assert_uint_eq(event.data.u64, desk.client->id);
		send_on();
		done = take(done);
	}
	ck_assert_uint_eq(desk.client->watched, 0);
	ck_assert_uint_eq(done, LIMIT);
	ck_assert_int_eq(mtsi_poll_wait(mtsi_base_floor(desk.server)->poll, &event, 1, 0), 0);
}
END_TEST

static void *read_all(void *size)
{
	peer_expect_pattern(desk.peer, *(const size_t *)size, 0);
	return NULL;
}

/* Past the limit the writer waits: never more than that is queued, and all of it arrives. */
START_TEST(they_are_waited_for)
{
	pthread_t reader;
	size_t all = 20 * LIMIT;
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &all), 0);
	for (size_t done = 0; done < all; done += PIECE) {
		const size_t step = all - done < PIECE ? all - done : PIECE;
		write_pattern(step, done);
		ck_assert_uint_le(desk_queued(&desk), LIMIT);
	}
	ck_assert_int_eq(mtsi_output_finish(&desk.worker), 0);
	ck_assert_uint_eq(desk_queued(&desk), 0);
	ck_assert_uint_eq(desk.client->watched, 0);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
}
END_TEST

/* One write that is larger than the limit, too. */
START_TEST(one_large_write)
{
	pthread_t reader;
	size_t all = 10 * LIMIT;
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &all), 0);
	write_pattern(all, 0);
	ck_assert_uint_le(desk_queued(&desk), LIMIT);
	ck_assert_int_eq(mtsi_output_finish(&desk.worker), 0);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
}
END_TEST

static void want_lost(void)
{
	struct epoll_event event;
	ck_assert(atomic_load(&desk.client->lost));
	ck_assert_uint_eq(desk_queued(&desk), 0);
	ck_assert_uint_eq(desk.client->watched, 0);
	ck_assert_int_eq(mtsi_poll_wait(mtsi_base_floor(desk.server)->poll, &event, 1, 0), 0);
	ck_assert_int_eq(mtsi_output_write(&desk.worker, "x", 1), -EPIPE);
	ck_assert_int_eq(mtsi_output_flush(&desk.worker, true), -EPIPE);
	ck_assert_int_eq(mtsi_output_finish(&desk.worker), -EPIPE);
	send_on();
}

START_TEST(the_worker_finds_it_lost)
{
	write_pattern(LIMIT, 0);
	close(desk.peer);
	desk.peer = -1;
	int result = 0;
	while (result == 0) {
		result = mtsi_output_write(&desk.worker, "again", 5);
		if (result == 0) {
			result = mtsi_output_flush(&desk.worker, true);
		}
	}
	ck_assert_int_eq(result, -EPIPE);
	want_lost();
}
END_TEST

START_TEST(the_keeper_finds_it_lost)
{
	write_pattern(LIMIT, 0);
	close(desk.peer);
	desk.peer = -1;
	send_on();
	want_lost();
}
END_TEST

/* A limit that is lowered while more than that waits: the writer waits, nothing is lost. */
START_TEST(a_limit_that_falls)
{
	pthread_t reader;
	size_t all = LIMIT + 100;
	write_pattern(LIMIT, 0);
	ck_assert_int_eq(mts_server_set_max_output(desk.server, 1), 0);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &all), 0);
	write_pattern(100, LIMIT);
	ck_assert_int_eq(mtsi_output_flush(&desk.worker, true), 0);
	ck_assert_uint_le(desk_queued(&desk), 1);
	ck_assert_int_eq(mtsi_output_finish(&desk.worker), 0);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("output");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, they_gather);
	tcase_add_test(cases, they_gather_in_larger_buffers);
	tcase_add_test(cases, they_are_forgotten);
	tcase_add_test(cases, they_are_queued);
	tcase_add_test(cases, they_are_waited_for);
	tcase_add_test(cases, one_large_write);
	tcase_add_test(cases, the_worker_finds_it_lost);
	tcase_add_test(cases, the_keeper_finds_it_lost);
	tcase_add_test(cases, a_limit_that_falls);
	return suite_run();
}
