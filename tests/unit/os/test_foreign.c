/* SPDX-License-Identifier: MIT
 *
 * The program's memory, of all kinds: what is there, what is not there yet, what never will be.
 */
#include "os/foreign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../api/support.h"

enum { PAGE = 4096, SIZE = 16 * PAGE };

static char bytes[SIZE];

static void setup(void)
{
	pattern_fill(bytes, SIZE, 0);
}

/* As if the kernel knew of it, or not: then it is copied, and that tells. */
static int fault_in(const void *data, size_t size)
{
	static char copy[SIZE];
	const int result = mtsi_foreign_fault_in(data, size);
	ck_assert(result == 0 || result == -EFAULT || result == -ENOSYS);
	return result == -ENOSYS ? mtsi_foreign_copy(copy, data, size) : result;
}

START_TEST(what_is_there)
{
	static char copy[SIZE];
	for (size_t start = 0; start < 2 * PAGE; start += 1000) {
		ck_assert_int_eq(fault_in(bytes + start, SIZE - start), 0);
		memset(copy, 0, SIZE);
		ck_assert_int_eq(mtsi_foreign_copy(copy, bytes + start, SIZE - start), 0);
		ck_assert_mem_eq(copy, bytes + start, SIZE - start);
	}
	ck_assert_int_eq(fault_in(NULL, 0), 0);
	ck_assert_int_eq(mtsi_foreign_copy(copy, NULL, 0), 0);
}
END_TEST

static void expect_gone(const char *memory, size_t here)
{
	static char copy[SIZE];
	ck_assert_int_eq(fault_in(memory, SIZE), -EFAULT);
	ck_assert_int_eq(mtsi_foreign_copy(copy, memory, SIZE), -EFAULT);
	if (here > 0) {
		ck_assert_int_eq(fault_in(memory, here), 0);
		ck_assert_int_eq(mtsi_foreign_copy(copy, memory, here), 0);
	}
}

/* Unmapped in the middle; not to be read; of a file that has been truncated. */
START_TEST(what_is_not_there)
{
	char *memory = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *file = tmpfile();
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(mprotect(memory + SIZE / 2, SIZE / 2, PROT_NONE), 0);
	expect_gone(memory, SIZE / 2);
	ck_assert_int_eq(munmap(memory + SIZE / 2, SIZE / 2), 0);
	expect_gone(memory, SIZE / 2);
	ck_assert_int_eq(munmap(memory, SIZE / 2), 0);
	ck_assert_int_eq(ftruncate(fileno(file), SIZE), 0);
	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fileno(file), 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(fault_in(memory, SIZE), 0);
	ck_assert_int_eq(ftruncate(fileno(file), PAGE), 0);
	expect_gone(memory, PAGE);
	ck_assert_int_eq(munmap(memory, SIZE), 0);
	ck_assert_int_eq(fclose(file), 0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("foreign");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, what_is_there);
	tcase_add_test(cases, what_is_not_there);
	return suite_run_once();
}
