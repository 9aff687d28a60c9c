/*
 * The output queue, against the simplest model there is: byte number n of everything ever appended
 * has a value that follows from n, so what waits can be checked from two counters.
 */
#include "wire/buffer.h"

#include "../../api/support.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An assertion for what runs often: Check's own are noted in a file even if they hold. */
#define REQUIRE(holds) \
	do { \
		if (!(holds)) \
			ck_abort_msg("%s", #holds); \
	} while (0)

enum { SMALLEST = 1024, LARGEST = 200000 };

/* A refused allocation is what one test is about, so sanitizers must let malloc() return NULL. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

struct model {
	struct mtsi_buffer queue;
	size_t appended;
	size_t consumed;
	size_t moved; /* bytes that the queue has copied from one place of its own to another */
};

static char byte_number(size_t n)
{
	return (char)((n * 31 + n / 251) & 255);
}

static void check_model(const struct model *model)
{
	const struct mtsi_buffer *queue = &model->queue;
	size_t waiting = model->appended - model->consumed;
	const char *bytes = mtsi_buffer_bytes(queue);

	REQUIRE(mtsi_buffer_size(queue) == waiting);
	REQUIRE(queue->end <= queue->capacity);
	if (waiting == 0) {
		REQUIRE(bytes == NULL && queue->data == NULL && queue->capacity == 0);
		return;
	}
	REQUIRE(bytes == queue->data + queue->start);
	REQUIRE(bytes[0] == byte_number(model->consumed));
	REQUIRE(bytes[waiting - 1] == byte_number(model->appended - 1));
}

static void check_all_bytes(const struct model *model)
{
	const char *bytes = mtsi_buffer_bytes(&model->queue);

	for (size_t i = 0; i < model->appended - model->consumed; i++) {
		REQUIRE(bytes[i] == byte_number(model->consumed + i));
	}
}

static void append(struct model *model, size_t size)
{
	struct mtsi_buffer before = model->queue;
	char *bytes = malloc(size == 0 ? 1 : size);

	REQUIRE(bytes != NULL);
	for (size_t i = 0; i < size; i++) {
		bytes[i] = byte_number(model->appended + i);
	}
	REQUIRE(mtsi_buffer_append(&model->queue, bytes, size) == 0);
	free(bytes);
	model->appended += size;
	if (model->queue.capacity != before.capacity || model->queue.start != before.start) {
		model->moved += before.end - before.start;
	}
	check_model(model);
}

static void consume(struct model *model, size_t count)
{
	mtsi_buffer_consume(&model->queue, count);
	model->consumed += count;
	check_model(model);
}

START_TEST(empty_queue)
{
	struct model model = {.appended = 0};

	check_model(&model);
	consume(&model, 0);
	append(&model, 0);
	ck_assert_int_eq(mtsi_buffer_append(&model.queue, NULL, 0), 0);
	check_model(&model);
	mtsi_buffer_consume(&model.queue, 5);
	check_model(&model);
	mtsi_buffer_clear(&model.queue);
	check_model(&model);
}
END_TEST

START_TEST(first_in_first_out)
{
	struct mtsi_buffer queue = {.data = NULL};

	ck_assert_int_eq(mtsi_buffer_append(&queue, "hello ", 6), 0);
	ck_assert_int_eq(mtsi_buffer_append(&queue, "world", 5), 0);
	ck_assert_uint_eq(mtsi_buffer_size(&queue), 11);
	ck_assert_mem_eq(mtsi_buffer_bytes(&queue), "hello world", 11);
	mtsi_buffer_consume(&queue, 4);
	ck_assert_uint_eq(mtsi_buffer_size(&queue), 7);
	ck_assert_mem_eq(mtsi_buffer_bytes(&queue), "o world", 7);
	mtsi_buffer_consume(&queue, 0);
	ck_assert_uint_eq(mtsi_buffer_size(&queue), 7);
	mtsi_buffer_clear(&queue);
}
END_TEST

/* However it becomes empty, an empty queue owns nothing, and works again afterwards. */
START_TEST(empty_owns_nothing)
{
	static const size_t sizes[] = {1, 100, SMALLEST - 1, SMALLEST, SMALLEST + 1, LARGEST};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct model model = {.appended = 0};

		append(&model, sizes[i]);
		ck_assert_uint_ge(model.queue.capacity, SMALLEST);
		ck_assert_uint_le(model.queue.capacity, sizes[i] > SMALLEST ? sizes[i] : SMALLEST);
		consume(&model, sizes[i]);
		append(&model, sizes[i]);
		check_all_bytes(&model);
		consume(&model, sizes[i] - 1);
		mtsi_buffer_consume(&model.queue, SIZE_MAX);
		model.consumed++;
		check_model(&model);
		append(&model, sizes[i]);
		mtsi_buffer_clear(&model.queue);
		model.consumed = model.appended;
		check_model(&model);
	}
}
END_TEST

/* Bytes that just fit stay where they are. */
START_TEST(filled_to_the_brim)
{
	struct model model = {.appended = 0};

	append(&model, SMALLEST - 1);
	append(&model, 1);
	ck_assert_uint_eq(model.moved, 0);
	ck_assert_uint_eq(model.queue.capacity, SMALLEST);
	append(&model, 1);
	ck_assert_uint_gt(model.queue.capacity, SMALLEST);
	check_all_bytes(&model);
	mtsi_buffer_clear(&model.queue);
}
END_TEST

START_TEST(impossible_sizes)
{
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2 + 1, SIZE_MAX / 2,
		SIZE_MAX / 2 - 2, SIZE_MAX / 2 - 3, SIZE_MAX / 2 - 5000};
	struct mtsi_buffer empty = {.data = NULL};
	struct model model = {.appended = 0};

	append(&model, 10);
	consume(&model, 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct mtsi_buffer before = model.queue;

		/* The bytes are not there: what cannot be kept must not be read. */
		ck_assert_int_eq(mtsi_buffer_append(&model.queue, "x", sizes[i]), -ENOMEM);
		ck_assert_mem_eq(&model.queue, &before, sizeof(before));
		check_all_bytes(&model);
		ck_assert_int_eq(mtsi_buffer_append(&empty, "x", sizes[i]), -ENOMEM);
		ck_assert_ptr_null(empty.data);
		ck_assert_uint_eq(empty.capacity, 0);
	}
	append(&model, 10);
	check_all_bytes(&model);
	mtsi_buffer_clear(&model.queue);
}
END_TEST

static int cannot_copy(void *to, const void *from, size_t size)
{
	memset(to, '?', size);
	(void)from;
	return -EFAULT;
}

/* What cannot be copied is not there, whether there was room for it or not. */
START_TEST(copying_fails)
{
	static const size_t sizes[] = {1, 100, SMALLEST, 10 * SMALLEST};
	struct mtsi_buffer empty = {.data = NULL};
	struct model model = {.appended = 0};

	append(&model, 100);
	consume(&model, 40);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		ck_assert_int_eq(mtsi_buffer_append_by(&model.queue, "x", sizes[i], cannot_copy), -EFAULT);
		check_model(&model);
		check_all_bytes(&model);
		ck_assert_int_eq(mtsi_buffer_append_by(&empty, "x", sizes[i], cannot_copy), -EFAULT);
		ck_assert_ptr_null(empty.data);
		ck_assert_uint_eq(empty.capacity, 0);
	}
	append(&model, 10);
	check_all_bytes(&model);
	mtsi_buffer_clear(&model.queue);
}
END_TEST

/* Each pattern: so much at first, then so often appended and consumed so much. */
START_TEST(constant_work_per_byte)
{
	static const struct {
		size_t first;
		size_t rounds;
		size_t in;
		size_t out;
	} patterns[] = {
		{1, LARGEST, 1, 0},
		{1, LARGEST, 1, 1},
		{SMALLEST, LARGEST, 1, 1},
		{LARGEST, LARGEST, 1, 1},
		{LARGEST, LARGEST - 1, 1, 2},
		{LARGEST / 2, LARGEST, 2, 1},
		{5000, 20000, 777, 777},
		{5000, 2000, 5000, 5000},
		{1, 500, 3000, 17},
	};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		struct model model = {.appended = 0};
		size_t most = 0;

		append(&model, patterns[i].first);
		for (size_t round = 0; round < patterns[i].rounds; round++) {
			append(&model, patterns[i].in);
			if (mtsi_buffer_size(&model.queue) > most) {
				most = mtsi_buffer_size(&model.queue);
			}
			consume(&model, patterns[i].out);
			REQUIRE(model.queue.capacity <= 3 * most + SMALLEST);
		}
		check_all_bytes(&model);
		ck_assert_msg(model.moved <= 3 * model.appended + SMALLEST,
			"pattern %zu: %zu bytes moved for %zu", i, model.moved, model.appended);
		mtsi_buffer_clear(&model.queue);
	}
}
END_TEST

static size_t draw(uint64_t *state, size_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(*state >> 33) % below;
}

START_TEST(random_use)
{
	const uint64_t seed = UINT64_C(20240229);
	uint64_t state = seed;
	struct model model = {.appended = 0};

	for (size_t round = 0; round < 20000; round++) {
		size_t scale = draw(&state, 8) == 0 ? 6000 : 60;
		size_t waiting = mtsi_buffer_size(&model.queue);

		if (draw(&state, 2) == 0) {
			append(&model, draw(&state, scale));
		} else {
			consume(&model, draw(&state, waiting < scale ? waiting + 1 : scale));
		}
		if (round % 16 == 0) {
			check_all_bytes(&model);
		}
	}
	ck_assert_msg(model.moved <= 3 * model.appended + SMALLEST, "seed %llu: %zu bytes moved",
		(unsigned long long)seed, model.moved);
	mtsi_buffer_clear(&model.queue);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("queue");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, empty_queue);
	tcase_add_test(cases, first_in_first_out);
	tcase_add_test(cases, empty_owns_nothing);
	tcase_add_test(cases, filled_to_the_brim);
	tcase_add_test(cases, impossible_sizes);
	tcase_add_test(cases, copying_fails);
	tcase_add_test(cases, constant_work_per_byte);
	tcase_add_test(cases, random_use);

	return suite_run_once();
}
