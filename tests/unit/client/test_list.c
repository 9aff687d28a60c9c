/* SPDX-License-Identifier: MIT
 *
 * First come, first served; and lines that are put together.
 */
#include "engine/client/list.h"

#include <string.h>

#include "../../api/support.h"

enum { MANY = 8 };

static struct mts_client clients[MANY];
static struct mtsi_list line;
static struct mtsi_list more;

static void setup(void)
{
	memset(clients, 0xff, sizeof(clients)); /* so that what is not set is noticed */
	memset(&line, 0, sizeof(line));
	memset(&more, 0, sizeof(more));
}

static void expect(struct mtsi_list *from, int first, int end)
{
	ck_assert_uint_eq(from->count, (size_t)(end - first));
	for (int i = first; i < end; i++) {
		ck_assert_ptr_eq(mtsi_list_take(from), &clients[i]);
	}
	ck_assert_ptr_null(mtsi_list_take(from));
	ck_assert_uint_eq(from->count, 0);
	ck_assert_ptr_null(from->first);
}

static void add(struct mtsi_list *to, int first, int end)
{
	for (int i = first; i < end; i++) {
		mtsi_list_add(to, &clients[i]);
	}
}

START_TEST(in_order)
{
	add(&line, 0, MANY);
	expect(&line, 0, MANY);
	add(&line, 0, 1); /* and used again */
	expect(&line, 0, 1);
}
END_TEST

START_TEST(in_turns)
{
	add(&line, 0, 3);
	ck_assert_ptr_eq(mtsi_list_take(&line), &clients[0]);
	ck_assert_ptr_eq(mtsi_list_take(&line), &clients[1]);
	add(&line, 3, 4);
	expect(&line, 2, 4);
}
END_TEST

/* Of every two lengths. */
START_TEST(put_together)
{
	const int own = _i % 3;
	const int others = _i / 3;
	add(&line, 0, own);
	add(&more, own, own + others);
	mtsi_list_join(&line, &more);
	ck_assert_uint_eq(more.count, 0);
	ck_assert_ptr_null(mtsi_list_take(&more));
	add(&more, MANY - 1, MANY); /* it is of use again, and a line of its own */
	add(&line, own + others, own + others + 1);
	expect(&line, 0, own + others + 1);
	expect(&more, MANY - 1, MANY);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("line");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, in_order);
	tcase_add_test(cases, in_turns);
	tcase_add_loop_test(cases, put_together, 0, 9);
	return suite_run_once();
}
