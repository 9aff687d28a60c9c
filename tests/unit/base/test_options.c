/* SPDX-License-Identifier: MIT
 *
 * The defaults, and how the largest request follows from framing and limit.
 */
#include "engine/base/options.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../../api/support.h"

START_TEST(defaults)
{
	struct mtsi_options options;
	int user;
	mtsi_options_init(&options, answer_close, &user);
	ck_assert(options.handler == answer_close);
	ck_assert_ptr_eq(options.user, &user);
	ck_assert(options.on_open == NULL && options.on_close == NULL);
	ck_assert(options.on_thread_start == NULL && options.on_thread_end == NULL);
	ck_assert_int_eq(options.framing.kind, MTSI_FRAME_RAW);
	ck_assert_uint_eq(options.max_threads, 0);
	ck_assert_uint_eq(options.stack_size, 1024 * 1024);
	ck_assert_int_eq(options.backlog, SOMAXCONN);
	ck_assert_uint_eq(options.defer_accept, 0);
	ck_assert_uint_eq(options.keepalive, 0);
	ck_assert_uint_eq(atomic_load(&options.max_output), 256 * 1024);
	ck_assert_uint_eq(atomic_load(&options.max_memory), 0); /* settled at the start */
	ck_assert_uint_eq(mtsi_timeout(&options, MTS_TIMEOUT_IDLE), 60 * MTSI_SECOND);
	ck_assert_uint_eq(mtsi_timeout(&options, MTS_TIMEOUT_REQUEST), 30 * MTSI_SECOND);
	ck_assert_uint_eq(mtsi_timeout(&options, MTS_TIMEOUT_WRITE), 30 * MTSI_SECOND);
	ck_assert_uint_eq(mtsi_timeout(&options, MTS_TIMEOUT_HANDLER), MTSI_NEVER);
	ck_assert_uint_eq(mtsi_timeout(&options, MTS_TIMEOUT_LINGER), 2 * MTSI_SECOND);
	ck_assert_uint_eq(mtsi_timeout(&options, MTS_TIMEOUT_STOP), 5 * MTSI_SECOND);
	mtsi_options_free(&options);
}
END_TEST

static const struct {
	enum mtsi_frame_kind kind;
	size_t fixed;
	size_t max_request; /* 0: not set */
	int result;
	size_t limit;
} settlements[] = {
	{MTSI_FRAME_RAW, 0, 0, 0, 1024},
	{MTSI_FRAME_RAW, 0, 5, 0, 5},
	{MTSI_FRAME_LINES, 0, 0, 0, 65536},
	{MTSI_FRAME_LINES, 0, 1, 0, 1},
	{MTSI_FRAME_DELIMITED, 0, 0, 0, 65536},
	{MTSI_FRAME_PREFIXED, 0, 0, 0, 65536},
	{MTSI_FRAME_PREFIXED, 0, 1 << 30, 0, 1 << 30},
	{MTSI_FRAME_CUSTOM, 0, 0, 0, 65536},
	{MTSI_FRAME_FIXED, 1, 0, 0, 1},
	{MTSI_FRAME_FIXED, 100000, 0, 0, 100000},
	{MTSI_FRAME_FIXED, 100000, 100000, 0, 100000},
	{MTSI_FRAME_FIXED, 100000, 99999, -EINVAL, 0},
	{MTSI_FRAME_FIXED, 10, 99999, 0, 99999},
};

/* Settled twice, as by a start that failed the first time, it is the same. */
START_TEST(the_largest_request)
{
	struct mtsi_options options;
	const struct mtsi_framing framing = {
		.kind = settlements[_i].kind, .fixed = settlements[_i].fixed};
	mtsi_options_init(&options, answer_close, NULL);
	mtsi_options_frame(&options, &framing);
	options.max_request = settlements[_i].max_request;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(mtsi_options_settle(&options), settlements[_i].result);
		if (settlements[_i].result == 0) {
			ck_assert_uint_eq(options.framing.limit, settlements[_i].limit);
		}
	}
	mtsi_options_free(&options);
}
END_TEST

/* What an earlier choice held is freed by the next one, and at the end. */
START_TEST(delimiters_are_owned)
{
	struct mtsi_options options;
	mtsi_options_init(&options, answer_close, NULL);
	for (int i = 0; i < 3; i++) {
		const struct mtsi_framing framing = {
			.kind = MTSI_FRAME_DELIMITED, .delimiter = malloc(10), .delimiter_size = 10};
		mtsi_options_frame(&options, &framing);
		ck_assert_ptr_eq(options.framing.delimiter, framing.delimiter);
	}
	const struct mtsi_framing raw = {.kind = MTSI_FRAME_RAW};
	mtsi_options_frame(&options, &raw);
	ck_assert_ptr_null(options.framing.delimiter);
	const struct mtsi_framing last = {
		.kind = MTSI_FRAME_DELIMITED, .delimiter = malloc(10), .delimiter_size = 10};
	mtsi_options_frame(&options, &last);
	mtsi_options_free(&options);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("options");
	tcase_add_test(cases, defaults);
	tcase_add_loop_test(
		cases, the_largest_request, 0, sizeof(settlements) / sizeof(settlements[0]));
	tcase_add_test(cases, delimiters_are_owned);
	return suite_run_once();
}
