/*
 * The test of the histogram, run by selftest.sh before any figure is believed.
 *
 * Every quantile of known sets of values is compared with the exact one, found by sorting.  The
 * sets cover what a run produces: all equal, a long tail, values at and around every power of
 * two, and the extremes of the type.  The random numbers are a fixed sequence, so that a failure
 * can be repeated.
 */
#include "hist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES 100000

static int failures;

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left;
	uint64_t b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* Sorts values; half a cell, 1/128, is what the histogram promises. */
static void compare(const char *name, uint64_t *values, size_t count)
{
	static const uint64_t ppms[] = {1, 10000, 500000, 900000, 990000, 999000, 1000000};
	static struct hist hist;
	size_t i;

	memset(&hist, 0, sizeof(hist));
	for (i = 0; i < count; i++) {
		hist_add(&hist, values[i]);
	}
	qsort(values, count, sizeof(*values), ascending);
	for (i = 0; i < sizeof(ppms) / sizeof(*ppms); i++) {
		size_t rank = (size_t)((count * ppms[i] + 999999) / 1000000);
		uint64_t exact = values[rank - 1];
		uint64_t got = hist_quantile(&hist, ppms[i]);
		uint64_t off = got > exact ? got - exact : exact - got;

		if (off > exact / 128 + 1) {
			fprintf(stderr, "hist_test: %s: %" PRIu64 " ppm is %" PRIu64 ", not %" PRIu64 "\n",
				name, ppms[i], got, exact);
			failures++;
		}
	}
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void merged_is_sum(void)
{
	static struct hist one, two;
	uint64_t value;

	for (value = 1; value <= 1000; value++) {
		hist_add(value % 2 ? &one : &two, value * 1000);
	}
	hist_merge(&one, &two);
	if (one.count != 1000 || one.max != 1000000
		|| llabs((long long)hist_quantile(&one, 500000) - 500000) > 500000 / 128) {
		fprintf(stderr, "hist_test: merging two halves does not give the whole\n");
		failures++;
	}
}

int main(void)
{
	static struct hist empty;
	static uint64_t values[VALUES];
	uint64_t state = 88172645463325252u;
	size_t i;

	if (hist_quantile(&empty, 500000) != 0) {
		fprintf(stderr, "hist_test: an empty histogram has a median\n");
		failures++;
	}
	for (i = 0; i < VALUES; i++) {
		values[i] = 2000000;
	}
	compare("all equal", values, VALUES);
	for (i = 0; i < VALUES; i++) {
		values[i] = i % 100 ? 2000000 + i : 20000000 + i;
	}
	compare("one in a hundred slow", values, VALUES);
	for (i = 0; i < VALUES; i++) {
		values[i] = next_random(&state) >> (i % 64);
	}
	compare("every magnitude", values, VALUES);
	for (i = 0; i < 64 * 3; i++) {
		values[i] = (UINT64_C(1) << (i / 3)) + i % 3 - 1;
	}
	compare("around powers of two", values, 64 * 3);
	values[0] = 0;
	values[1] = UINT64_MAX;
	compare("extremes", values, 2);
	merged_is_sum();
	return failures ? 1 : 0;
}
