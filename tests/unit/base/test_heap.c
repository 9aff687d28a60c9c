/* SPDX-License-Identifier: MIT
 *
 * The heap against a plain array: whatever is put in and taken out, the first is the smallest.
 */
#include <stdbool.h>
#include <stdlib.h>

#include <check.h>

#include "../../api/support.h"
#include "engine/base/heap.h"

enum { NODES = 500, STEPS = 20000 };

static struct mtsi_heap_node nodes[NODES];
static bool present[NODES];

static uint64_t smallest(void)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < NODES; i++) {
		least = present[i] && nodes[i].key < least ? nodes[i].key : least;
	}
	return least;
}

START_TEST(any_order)
{
	struct mtsi_heap heap = {NULL};
	unsigned seed = (unsigned)_i;
	int count = 0;
	for (int step = 0; step < STEPS; step++) {
		const int i = rand_r(&seed) % NODES;
		if (present[i]) {
			mtsi_heap_take(&heap, &nodes[i]);
			count--;
		} else {
			nodes[i].key = (uint64_t)(rand_r(&seed) % 1000);
			mtsi_heap_put(&heap, &nodes[i]);
			count++;
		}
		present[i] = !present[i];
		ck_assert_int_eq(heap.first == NULL, count == 0);
		if (count > 0) {
			ck_assert_uint_eq(heap.first->key, smallest());
		}
	}
	uint64_t before = 0;
	for (; count > 0; count--) {
		struct mtsi_heap_node *first = heap.first;
		ck_assert_uint_ge(first->key, before);
		before = first->key;
		mtsi_heap_take(&heap, first);
	}
	ck_assert_ptr_null(heap.first);
}
END_TEST

/* Rising, falling and equal keys, taken out from the first to the last. */
START_TEST(in_rows)
{
	struct mtsi_heap heap = {NULL};
	for (int i = 0; i < NODES; i++) {
		nodes[i].key = _i == 0 ? (uint64_t)i : _i == 1 ? (uint64_t)(NODES - i) : 7;
		mtsi_heap_put(&heap, &nodes[i]);
	}
	uint64_t before = 0;
	for (int i = 0; i < NODES; i++) {
		ck_assert_uint_ge(heap.first->key, before);
		before = heap.first->key;
		mtsi_heap_take(&heap, heap.first);
	}
	ck_assert_ptr_null(heap.first);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("heap");
	tcase_add_loop_test(cases, any_order, 0, 4);
	tcase_add_loop_test(cases, in_rows, 0, 3);
	return suite_run_once();
}
