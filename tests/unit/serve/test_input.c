/* SPDX-License-Identifier: MIT
 *
 * From bytes to requests, whatever buffer they lie in: short ones, ones that fill it, huge ones; what
 * follows a request is not harmed by its NUL; and how input ends.
 */
#include "engine/serve/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../desk.h"
#include "engine/client/deadline.h"
#include "engine/client/wait.h"
#include "engine/run/stats.h"
#include "engine/serve/fill.h"
#include "engine/serve/receive.h"
#include "os/clock.h"
#include "os/socket.h"

static struct desk desk;

static void open_lines(void)
{
	mts_server *server = desk_server();
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	desk_open(&desk, server);
}

static void open_prefixed(size_t limit)
{
	mts_server *server = desk_server();
	ck_assert_int_eq(mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, limit), 0);
	desk_open(&desk, server);
}

static void send_text(const char *text)
{
	ck_assert_int_eq(write(desk.peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* The next request, receiving as often as it takes. */
static int next(const void **request, size_t *size)
{
	for (;;) {
		struct mtsi_input *input = &desk.worker.input;
		int result = mtsi_input_request(input, &mtsi_base_floor(desk.server)->options.framing);
		*request = input->request;
		*size = input->frame.size;
		if (result == 0 && !desk.worker.input.ended) {
			result = mtsi_fill(&desk.worker, true);
			if (result >= 0) {
				continue;
			}
		}
		return result;
	}
}

static void want(const char *text)
{
	const void *request;
	size_t size;
	ck_assert_int_eq(next(&request, &size), 1);
	ck_assert_uint_eq(size, strlen(text));
	ck_assert_str_eq(request, text); /* so there is a NUL behind it */
}

START_TEST(several_at_once)
{
	open_lines();
	send_text("one\ntwo\r\n\nfour\nfi");
	want("one");
	want("two");
	want("");
	want("four");
	send_text("ve\n");
	want("five");
	close(desk.peer);
	desk.peer = -1;
	const void *request;
	size_t size;
	ck_assert_int_eq(next(&request, &size), 0);
	ck_assert(desk.worker.input.ended);
	ck_assert_int_eq(mtsi_fill(&desk.worker, true), 0);
	desk_close(&desk);
}
END_TEST

/* The NUL stands where the next request's first byte is, and is gone when that is looked at. */
START_TEST(the_nul_hides_nothing)
{
	mts_server *server = desk_server();
	ck_assert_int_eq(mts_server_frame_fixed(server, 3), 0);
	desk_open(&desk, server);
	send_text("abcdefghij");
	char bytes[4];
	want("abc");
	want("def");
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, bytes, 1), 1);
	ck_assert_int_eq(bytes[0], 'g');
	want("hij");
	desk_close(&desk);
}
END_TEST

/* Reading what follows leaves the request as it is, its NUL too, until the place has been read. */
START_TEST(reading_beside_the_request)
{
	open_lines();
	send_text("request\nand the rest");
	const void *request;
	size_t size;
	char bytes[32];
	ck_assert_int_eq(next(&request, &size), 1);
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, bytes, 4), 4);
	ck_assert_mem_eq(bytes, "and ", 4);
	ck_assert_str_eq(request, "request");
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, bytes, sizeof(bytes)), 8);
	ck_assert_mem_eq(bytes, "the rest", 8);
	ck_assert_str_eq(request, "request");
	send_text("more");
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, bytes, 2), 2);
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, bytes + 2, 30), 2);
	ck_assert_mem_eq(bytes, "more", 4);
	ck_assert_str_eq(request, "request");
	send_text("line\n");
	want("line");
	close(desk.peer);
	desk.peer = -1;
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, bytes, 2), 0);
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, bytes, 2), 0);
	desk_close(&desk);
}
END_TEST

/* Sizes around each buffer's: one request of that size, with a short one before and behind. */
static const size_t sizes[] = {1, MTSI_SMALL_INPUT - 5, MTSI_SMALL_INPUT - 4, MTSI_SMALL_INPUT - 3,
	MTSI_SMALL_INPUT, MTSI_LARGE_INPUT - 5, MTSI_LARGE_INPUT - 4, MTSI_LARGE_INPUT - 3,
	MTSI_LARGE_INPUT, 2 * MTSI_LARGE_INPUT, 60000, 100000};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), MOST = 100000 };

static size_t frame(char *out, size_t size, char byte)
{
	const char prefix[4] = {0, (char)(size >> 16), (char)(size >> 8), (char)size};
	memcpy(out, prefix, 4);
	memset(out + 4, byte, size);
	return size + 4;
}

static void want_filled(size_t size, char byte)
{
	static char expected[MOST];
	const void *request;
	size_t got;
	memset(expected, byte, size);
	ck_assert_int_eq(next(&request, &got), 1);
	ck_assert_uint_eq(got, size);
	ck_assert_mem_eq(request, expected, size);
	ck_assert_int_eq(((const char *)request)[size], '\0');
}

static size_t send_some(const char *bytes, size_t size)
{
	const ssize_t sent = send(desk.peer, bytes, size, MSG_DONTWAIT);
	return sent > 0 ? (size_t)sent : 0;
}

/* The peer's part is a thread, since so much fits into no socket. */
static char stream[MOST + 64];
static size_t stream_size;

static void *send_stream(void *unused)
{
	size_t done = 0;
	while (done < stream_size) {
		done += send_some(stream + done, stream_size - done);
	}
	return unused;
}

START_TEST(any_size)
{
	pthread_t sender;
	open_prefixed(MOST);
	for (int round = 0; round < 3; round++) {
		stream_size = frame(stream, 3, 'a');
		stream_size += frame(stream + stream_size, sizes[_i], 'b');
		stream_size += frame(stream + stream_size, 5, 'c');
		ck_assert_int_eq(pthread_create(&sender, NULL, send_stream, NULL), 0);
		want_filled(3, 'a');
		want_filled(sizes[_i], 'b');
		want_filled(5, 'c');
		ck_assert_int_eq(pthread_join(sender, NULL), 0);
	}
	desk_close(&desk);
}
END_TEST

/* Memory for a huge request is given back once that is consumed. */
START_TEST(memory_is_given_back)
{
	pthread_t sender;
	open_prefixed(MOST);
	stream_size = frame(stream, MOST, 'x');
	ck_assert_int_eq(pthread_create(&sender, NULL, send_stream, NULL), 0);
	want_filled(MOST, 'x');
	ck_assert_int_eq(pthread_join(sender, NULL), 0);
	const struct mtsi_input *input = &desk.worker.input;
	ck_assert(input->data != desk.worker.small && input->data != desk.worker.large);
	stream_size = frame(stream, 3, 'y');
	(void)send_stream(NULL);
	want_filled(3, 'y');
	ck_assert(input->data == desk.worker.small || input->data == desk.worker.large);
	desk_close(&desk);
}
END_TEST

/* A length that is too large is refused before there is memory for it. */
START_TEST(above_the_limit)
{
	const void *request;
	size_t size;
	open_prefixed(10);
	ck_assert_int_eq(write(desk.peer, "\xff\xff\xff\xff", 4), 4);
	ck_assert_int_eq(next(&request, &size), -EMSGSIZE);
	ck_assert_ptr_eq(desk.worker.input.data, desk.worker.small);
	desk_close(&desk);
}
END_TEST

START_TEST(cut_off_at_the_end)
{
	const void *request;
	size_t size;
	open_prefixed(10);
	ck_assert_int_eq(write(desk.peer, "\0\0\0\5abc", 7), 7);
	ck_assert_int_eq(shutdown(desk.peer, SHUT_WR), 0);
	ck_assert_int_eq(next(&request, &size), -EPROTO);
	desk_close(&desk);
}
END_TEST

/* Raw: what one receive brought, at most the limit, whatever else is there. */
START_TEST(raw_pieces)
{
	mts_server *server = desk_server();
	ck_assert_int_eq(mts_server_set_max_request(server, 4), 0);
	desk_open(&desk, server);
	send_text("abcdefghij");
	want("abcd");
	want("efgh");
	want("ij");
	desk_close(&desk);
}
END_TEST

/* A stop: what had come by then is read, to the byte, and nothing after it. */
/* One who sends much costs few calls: pieces of the same size, out of large receives. */
START_TEST(raw_pieces_of_much)
{
	enum { PIECE = 1024, ALL = MTSI_SMALL_INPUT + MTSI_LARGE_INPUT };
	static char bytes[ALL];
	const void *request;
	size_t size;
	desk_open(&desk, desk_server());
	pattern_fill(bytes, sizeof(bytes), 0);
	ck_assert_int_eq(write(desk.peer, bytes, sizeof(bytes)), ALL);
	for (size_t at = 0; at < ALL; at += PIECE) {
		ck_assert_int_eq(next(&request, &size), 1);
		ck_assert_uint_eq(size, PIECE);
		ck_assert_mem_eq(request, bytes + at, PIECE);
		ck_assert_uint_eq(desk.worker.received, at == 0 ? (size_t)MTSI_SMALL_INPUT : (size_t)ALL);
	}
	desk_close(&desk);
}
END_TEST

START_TEST(the_last_turn)
{
	const void *request;
	size_t size;
	open_lines();
	send_text("one\ntwo\nthr");
	mts_server_stop(desk.server);
	mtsi_socket_shut_receiving(desk.client->fd);
	want("one");
	want("two");
	ck_assert_int_eq(next(&request, &size), -ECANCELED);
	ck_assert_int_eq(mtsi_fill(&desk.worker, true), -ECANCELED);
	desk_close(&desk);
}
END_TEST

static const enum mtsi_wait kinds[] = {MTSI_WAIT_IDLE, MTSI_WAIT_REQUEST};

/* A wait has lasted too long: likewise, and then that is the cause. */
START_TEST(late)
{
	const void *request;
	size_t size;
	open_lines();
	send_text("one\ntwo\nthr");
	mtsi_receive_late(&desk.worker);
	atomic_store(&desk.client->cause, MTS_CLOSED_IDLE); /* as when the keeper has ended it */
	want("one");
	mtsi_receive_met(&desk.worker);
	send_text("ee\n");
	want("two");
	ck_assert_int_eq(next(&request, &size), -ETIMEDOUT);
	ck_assert_int_eq(mtsi_fill(&desk.worker, false), -ETIMEDOUT);
	ck_assert_int_eq(atomic_load(&desk.client->cause), MTS_CLOSED_IDLE);
	desk_close(&desk);
}
END_TEST

/* It was no more than late: what was waited for is here, and the next wait is another one. */
START_TEST(late_but_whole)
{
	open_lines();
	send_text("li");
	ck_assert_int_eq(mtsi_fill(&desk.worker, true), 1);
	send_text("ne\n");
	mtsi_receive_late(&desk.worker);
	want("line");
	mtsi_receive_met(&desk.worker);
	ck_assert(!desk.worker.late);
	send_text("again\n");
	want("again");
	ck_assert_int_eq(atomic_load(&desk.client->cause), MTSI_NO_CAUSE);
	desk_close(&desk);
}
END_TEST

/* A part that comes late begins a request, or does not help one that has begun. */
START_TEST(late_and_in_part)
{
	open_lines();
	if (kinds[_i] == MTSI_WAIT_REQUEST) {
		send_text("a");
		ck_assert_int_eq(mtsi_fill(&desk.worker, true), 1);
	}
	send_text("b");
	mtsi_receive_late(&desk.worker);
	ck_assert_int_eq(mtsi_fill(&desk.worker, true), 1);
	ck_assert(desk.worker.late == (kinds[_i] == MTSI_WAIT_REQUEST));
	if (desk.worker.late) {
		send_text("c"); /* was not here in time */
		ck_assert_int_eq(mtsi_fill(&desk.worker, true), -ETIMEDOUT);
		ck_assert_int_eq(atomic_load(&desk.client->cause), MTS_CLOSED_REQUEST_TIMEOUT);
		ck_assert_uint_eq(mtsi_stats_read(desk.server, MTS_STAT_TIMEOUTS), 1);
	}
	desk_close(&desk);
}
END_TEST

/* Nobody blocks in a wait that goes on and is over, whether something is here or not. */
START_TEST(too_late_to_block)
{
	const uint64_t timeout = mtsi_clock_after(0, UINT64_C(31) * MTSI_SECOND);
	open_lines();
	send_text("half");
	ck_assert_int_eq(mtsi_fill(&desk.worker, true), 1);
	atomic_store(&desk.client->waits,
		((mtsi_clock_now() - timeout) & ~(uint64_t)MTSI_WORD_FLAGS) | MTSI_WAIT_REQUEST);
	if (_i > 0) {
		send_text(" a line\n");
		want("half a line");
	} else {
		ck_assert_int_eq(mtsi_fill(&desk.worker, true), -ETIMEDOUT);
		ck_assert_int_eq(atomic_load(&desk.client->cause), MTS_CLOSED_REQUEST_TIMEOUT);
	}
	desk_close(&desk);
}
END_TEST

START_TEST(a_lost_client)
{
	const void *request;
	size_t size;
	open_lines();
	send_text("one\n");
	want("one");
	mtsi_lock_take(&desk.client->lock);
	mtsi_client_lose_locked(desk.client);
	mtsi_lock_release(&desk.client->lock);
	ck_assert_int_eq(next(&request, &size), -EPIPE);
	char byte;
	ck_assert_int_eq(mtsi_fill_read(&desk.worker, &byte, 1), -EPIPE);
	desk_close(&desk);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("input");
	tcase_add_test(cases, several_at_once);
	tcase_add_test(cases, the_nul_hides_nothing);
	tcase_add_test(cases, reading_beside_the_request);
	tcase_add_loop_test(cases, any_size, 0, SIZES);
	tcase_add_test(cases, memory_is_given_back);
	tcase_add_test(cases, above_the_limit);
	tcase_add_test(cases, cut_off_at_the_end);
	tcase_add_test(cases, raw_pieces);
	tcase_add_test(cases, raw_pieces_of_much);
	tcase_add_test(cases, the_last_turn);
	tcase_add_test(cases, late);
	tcase_add_test(cases, late_but_whole);
	tcase_add_loop_test(cases, late_and_in_part, 0, 2);
	tcase_add_loop_test(cases, too_late_to_block, 0, 2);
	tcase_add_test(cases, a_lost_client);
	return suite_run();
}
